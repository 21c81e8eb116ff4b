#include "relay/net/recent_hellos.hpp"

#include <doctest/doctest.h>

#include "schema/wire/bytes.hpp"

namespace godwit::relay::net {
namespace {

HelloMark mark_of(std::uint64_t number) {
  HelloMark mark;
  wire::store_le(mark.data(), number);
  return mark;
}

TEST_SUITE_BEGIN("relay/net/recent_hellos");

TEST_CASE("the last hello is known, and no other is taken for a known one") {
  wire::init_crypto();
  RecentHellos recent(64, {1, 2, 3});
  for (std::uint64_t number = 1; number <= 10'000; ++number) {
    REQUIRE_FALSE(recent.seen(mark_of(number)));
    REQUIRE(recent.seen(mark_of(number)));
  }
}

TEST_CASE("what came lately is mostly known: there is room for so many as there are places") {
  constexpr std::uint64_t kPlaces = 1'024;
  RecentHellos recent(kPlaces, {1, 2, 3});
  for (std::uint64_t number = 1; number <= kPlaces; ++number) (void)recent.seen(mark_of(number));
  std::size_t known = 0;
  for (std::uint64_t number = kPlaces; number > kPlaces / 2; --number) {
    known += recent.seen(mark_of(number)) ? 1 : 0;
  }
  CHECK(known > kPlaces / 4);
}

TEST_SUITE_END();

}  // namespace
}  // namespace godwit::relay::net
