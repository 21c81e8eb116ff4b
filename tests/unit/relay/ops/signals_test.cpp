#include "relay/ops/signals.hpp"

#include <doctest/doctest.h>

#include <csignal>
#include <memory>

#include "tests/unit/net/test_loop.hpp"

namespace godwit::relay::ops {
namespace {

struct Heard {
  int stops = 0;
  int exits = 0;
  int hangups = 0;
  net::TestLoop test;
  Signals signals{test.loop, [this] { ++stops; }, [this] { ++hangups; }, [this] { ++exits; }};
};

TEST_SUITE("relay/ops/signals") {
  TEST_CASE("SIGTERM and SIGINT each ask for a clean stop") {
    for (const int number : {SIGTERM, SIGINT}) {
      CAPTURE(number);
      Heard heard;
      REQUIRE(std::raise(number) == 0);
      heard.test.run_until([&] { return heard.stops == 1; });
      CHECK(heard.exits == 0);
    }
  }

  TEST_CASE("a stop is asked for once, however many signals come") {
    Heard heard;
    REQUIRE(std::raise(SIGTERM) == 0);
    REQUIRE(std::raise(SIGINT) == 0);
    REQUIRE(std::raise(SIGTERM) == 0);
    heard.test.run_until([&] { return heard.stops == 1; });
    heard.test.settle();
    CHECK(heard.stops == 1);
    CHECK(heard.exits == 0);
  }

  TEST_CASE("a second SIGINT ends the process at once") {
    Heard heard;
    REQUIRE(std::raise(SIGINT) == 0);
    REQUIRE(std::raise(SIGINT) == 0);
    heard.test.run_until([&] { return heard.exits == 1; });
    CHECK(heard.stops == 1);
  }

  TEST_CASE("SIGHUP ends nothing, however often it comes") {
    Heard heard;
    for (int times = 1; times <= 3; ++times) {
      REQUIRE(std::raise(SIGHUP) == 0);
      heard.test.run_until([&] { return heard.hangups == times; });
    }
    CHECK(heard.stops == 0);
    CHECK(heard.exits == 0);
  }

  TEST_CASE("the callback may end the object that calls it") {
    net::TestLoop test;
    bool stopped = false;
    std::unique_ptr<Signals> signals;
    const auto stop = [&] {
      signals.reset();
      stopped = true;
    };
    signals = std::make_unique<Signals>(test.loop, stop, [] {});
    REQUIRE(std::raise(SIGTERM) == 0);
    test.run_until([&] { return stopped; });
    CHECK(signals == nullptr);
  }
}

}  // namespace
}  // namespace godwit::relay::ops
