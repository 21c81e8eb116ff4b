#include "relay/policy/expiry.hpp"

#include <doctest/doctest.h>

namespace godwit::relay::policy {
namespace {

using namespace std::chrono_literals;

TEST_SUITE_BEGIN("relay/policy/expiry");

// Both clocks, each on its own.
struct Clocks {
  Expiry expiry{24h * 45};
  std::chrono::milliseconds steady = 1h;
  std::chrono::milliseconds wall = 24h * 20'000;

  // True when mail may expire.
  bool after(std::chrono::milliseconds by_steady, std::chrono::milliseconds by_wall) {
    steady += by_steady;
    wall += by_wall;
    const Now now = expiry.judge({Steady{} + steady, static_cast<std::uint64_t>(wall.count())});
    CHECK(now.wall_ms == static_cast<std::uint64_t>(wall.count()));
    CHECK(now.past(now.wall_s()) == !now.nothing_expires);
    CHECK_FALSE(now.past(now.wall_s() + 1));
    return !now.nothing_expires;
  }
};

constexpr auto kTenYears = 24h * 3'650;

TEST_CASE("clocks that go together let mail expire, also when one is a little slow") {
  Clocks clocks;
  CHECK(clocks.after(0s, 0s));
  for (int i = 0; i < 100'000; ++i) REQUIRE(clocks.after(1s, 1'001ms));
  CHECK(clocks.after(24h * 30, 24h * 30 + 5min));
  CHECK(clocks.after(1s, -4min));
}

TEST_CASE("after a jump, either way, nothing expires for the longest life of mail") {
  for (const std::chrono::milliseconds jump :
       {std::chrono::milliseconds{5min + 1s}, std::chrono::milliseconds{-5min - 1s},
        std::chrono::milliseconds{kTenYears}, std::chrono::milliseconds{-kTenYears}}) {
    CAPTURE(jump.count());
    Clocks clocks;
    CHECK(clocks.after(0s, 0s));
    CHECK_FALSE(clocks.after(0s, jump));
    CHECK_FALSE(clocks.after(1s, 1s));
    CHECK_FALSE(clocks.after(24h * 45 - 2s, 24h * 45 - 2s));
    CHECK(clocks.after(1s, 1s));
  }
}

TEST_CASE("a clock that is set right has jumped again: what was taken in meanwhile lives on") {
  Clocks clocks;
  CHECK(clocks.after(0s, 0s));
  CHECK_FALSE(clocks.after(1s, -kTenYears));
  CHECK_FALSE(clocks.after(24h * 40, 24h * 40));
  CHECK_FALSE(clocks.after(1s, kTenYears));
  CHECK_FALSE(clocks.after(24h * 44, 24h * 44));
  CHECK(clocks.after(24h * 2, 24h * 2));
}

TEST_CASE("the clock that a start finds is believed") {
  Clocks clocks;
  clocks.wall = kTenYears * 10;
  CHECK(clocks.after(0s, 0s));
}

TEST_SUITE_END();

}  // namespace
}  // namespace godwit::relay::policy
