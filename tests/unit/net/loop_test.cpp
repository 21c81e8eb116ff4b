#include "schema/net/loop.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <string>
#include <vector>

#include "schema/net/descriptor.hpp"
#include "schema/net/inbox.hpp"
#include "tests/support/process.hpp"
#include "tests/unit/net/test_loop.hpp"

namespace godwit::net {
namespace {

using std::chrono::milliseconds;

TEST_SUITE("schema/net/loop") {
  TEST_CASE("run lasts until stop, with nothing else to do") {
    TestLoop test;
    int fired = 0;
    Timer timer(test.loop, [&] {
      ++fired;
      test.loop.stop();
    });
    timer.start(milliseconds(1));
    test.loop.run();
    CHECK(fired == 1);
  }

  TEST_CASE("the end of a round comes after its callbacks, before the loop waits") {
    TestLoop test;
    std::vector<char> order;
    Timer later(test.loop, [&] {
      order.push_back('L');
      test.loop.stop();
    });
    Timer first(test.loop, [&] {
      order.push_back('F');
      later.start(milliseconds(20));
    });
    test.loop.on_round_end([&] {
      if (!order.empty() && order.back() != 'e') order.push_back('e');
    });
    first.start(milliseconds(0));
    test.loop.run();
    CHECK(order == std::vector<char>{'F', 'e', 'L', 'e'});
  }

  TEST_CASE("the end of a round follows the callback that stops the loop") {
    TestLoop test;
    std::vector<char> order;
    Waker waker(test.loop, [&] {
      order.push_back('w');
      test.loop.stop();
    });
    test.loop.on_round_end([&] {
      if (!order.empty()) order.push_back('e');
    });
    waker.wake();
    test.loop.run();
    CHECK(order == std::vector<char>{'w', 'e'});
  }

  TEST_CASE("poll ends its round as well, and does not wait") {
    TestLoop test;
    bool woken = false;
    bool ended_after = false;
    Waker waker(test.loop, [&] { woken = true; });
    test.loop.on_round_end([&] { ended_after = woken; });
    test.loop.poll();
    CHECK_FALSE(woken);
    waker.wake();
    test.loop.poll();
    CHECK(ended_after);
  }

  TEST_CASE("an open handle is counted until it is destroyed") {
    TestLoop test;
    CHECK(test.loop.open_handles() == 0);
    {
      Timer timer(test.loop, [] {});
      CHECK(test.loop.open_handles() == 1);
    }
    CHECK(test.loop.open_handles() == 0);
  }

  TEST_CASE("the clock of a loop is the steady clock") {
    TestLoop test;
    const auto before = std::chrono::steady_clock::now() - milliseconds(50);
    test.loop.poll();
    CHECK(test.loop.now() >= before);
    CHECK(test.loop.now() <= std::chrono::steady_clock::now());
  }

  TEST_CASE("a loop leaves a SIGPIPE handler of the program alone") {
    struct sigaction original {};
    struct sigaction own {};
    own.sa_handler = [](int) {};
    REQUIRE(sigaction(SIGPIPE, &own, &original) == 0);
    { TestLoop test; }
    struct sigaction found {};
    REQUIRE(sigaction(SIGPIPE, nullptr, &found) == 0);
    CHECK((found.sa_handler == own.sa_handler));
    own.sa_handler = SIG_DFL;
    REQUIRE(sigaction(SIGPIPE, &own, nullptr) == 0);
    { TestLoop test; }
    REQUIRE(sigaction(SIGPIPE, nullptr, &found) == 0);
    CHECK((found.sa_handler == SIG_IGN));
    REQUIRE(sigaction(SIGPIPE, &original, nullptr) == 0);
  }

  TEST_CASE("the limit of descriptors that is in force is told, and there is room for them") {
    const std::uint64_t limit = prepare_descriptors(0);
    CHECK(limit > 0);
    const auto room = [] { return support::descriptor_room(::getpid()).value_or(0); };
    const std::uint64_t wanted = std::min(2 * room(), limit);
    CHECK(prepare_descriptors(wanted) == limit);
    CHECK(room() >= wanted);
  }

  TEST_CASE("a loop is made whole, or the lack of descriptors is told") {
    const Descriptor next(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    REQUIRE(next.is_open());
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    int refused = 0;
    int made = 0;
    for (rlim_t free = 0; free < 20; ++free) {
      rlimit few = before;
      few.rlim_cur = static_cast<rlim_t>(next.get()) + 1 + free;
      REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
      const auto loop = Loop::open();
      REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
      if (loop) {
        ++made;
      } else {
        ++refused;
        CHECK(loop.error() == NetError::no_descriptors);
      }
    }
    CHECK(refused > 4);
    CHECK(made > 0);
  }

  TEST_CASE("each error has a sentence of its own") {
    std::vector<std::string> seen;
    for (int code = 0; code <= static_cast<int>(NetError::other); ++code) {
      const std::string text = describe(static_cast<NetError>(code));
      CHECK_FALSE(text.empty());
      CHECK(std::find(seen.begin(), seen.end(), text) == seen.end());
      seen.push_back(text);
    }
  }
}

}  // namespace
}  // namespace godwit::net
