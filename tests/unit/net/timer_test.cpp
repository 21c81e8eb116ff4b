#include "schema/net/timer.hpp"

#include <memory>
#include <optional>
#include <vector>

#include "tests/unit/net/test_loop.hpp"

namespace godwit::net {
namespace {

using std::chrono::milliseconds;

TEST_SUITE("schema/net/timer") {
  TEST_CASE("a destroyed timer does not fire") {
    TestLoop test;
    bool fired = false;
    {
      Timer timer(test.loop, [&] { fired = true; });
      timer.start(milliseconds(0));
    }
    test.settle();
    CHECK_FALSE(fired);
  }

  TEST_CASE("a timer may destroy itself while firing") {
    TestLoop test;
    auto witness = std::make_shared<int>(0);
    std::optional<Timer> timer;
    timer.emplace(test.loop, [&timer, witness] {
      timer.reset();
      ++*witness;  // the closure is still alive
    });
    timer->start(milliseconds(0), milliseconds(1));
    test.run_until([&] { return *witness != 0; });
    test.settle();
    CHECK(*witness == 1);
    CHECK(witness.use_count() == 1);  // and is freed with the handle
  }

  TEST_CASE("a timer fires once, a repeating one until it is stopped") {
    TestLoop test;
    int once = 0;
    int repeated = 0;
    Timer single(test.loop, [&] { ++once; });
    Timer repeating(test.loop, [&] {
      if (++repeated == 3) repeating.stop();
    });
    single.start(milliseconds(0));
    repeating.start(milliseconds(1), milliseconds(1));
    test.run_until([&] { return repeated == 3; });
    test.settle();
    CHECK(once == 1);
    CHECK(repeated == 3);
    CHECK_FALSE(repeating.active());
  }

  TEST_CASE("starting a running timer sets it anew") {
    TestLoop test;
    std::vector<char> order;
    Timer moved(test.loop, [&] { order.push_back('m'); });
    Timer other(test.loop, [&] { order.push_back('o'); });
    moved.start(milliseconds(1));
    other.start(milliseconds(2));
    moved.start(milliseconds(3));
    test.run_until([&] { return order.size() == 2; });
    CHECK(order == std::vector<char>{'o', 'm'});
  }

  TEST_CASE("a delay that is past fires in the next round") {
    TestLoop test;
    bool fired = false;
    Timer timer(test.loop, [&] { fired = true; });
    timer.start(milliseconds(-5));
    CHECK(timer.active());
    test.loop.poll();
    CHECK(fired);
  }

  TEST_CASE("a moved timer fires, and the one it replaces does not") {
    TestLoop test;
    int first = 0;
    int second = 0;
    Timer kept(test.loop, [&] { ++first; });
    Timer source(test.loop, [&] { ++second; });
    kept.start(milliseconds(0));
    source.start(milliseconds(0));
    kept = std::move(source);
    test.settle();
    CHECK(first == 0);
    CHECK(second == 1);
  }
}

}  // namespace
}  // namespace godwit::net
