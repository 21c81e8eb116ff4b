#include "schema/net/inbox.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "tests/unit/net/test_loop.hpp"

namespace godwit::net {
namespace {

struct Post {
  std::uint32_t thread = 0;
  std::uint32_t number = 0;
};

TEST_SUITE("schema/net/inbox") {
  TEST_CASE("posts of four threads arrive once each, in order for each thread") {
    constexpr std::uint32_t kThreads = 4;
    constexpr std::uint32_t kPosts = 100'000;
    TestLoop test;
    std::vector<std::uint32_t> next(kThreads, 0);
    std::uint32_t arrived = 0;
    std::uint32_t misplaced = 0;
    std::size_t largest = 0;
    Inbox<Post> inbox(test.loop, 1'000, [&](std::vector<Post>& posts) {
      largest = std::max(largest, posts.size());
      for (const Post& post : posts) {
        if (post.number != next[post.thread]++) ++misplaced;
        ++arrived;
      }
    });
    std::vector<std::thread> threads;
    for (std::uint32_t id = 0; id < kThreads; ++id) {
      threads.emplace_back([&inbox, id] {
        for (std::uint32_t number = 0; number < kPosts; ++number) {
          Post post{id, number};
          while (!inbox.post(post)) std::this_thread::yield();
        }
      });
    }
    test.run_until([&] { return arrived == kThreads * kPosts; });
    for (std::thread& thread : threads) thread.join();
    test.settle();
    CHECK(arrived == kThreads * kPosts);
    CHECK(misplaced == 0);
    CHECK(largest <= 1'000);
  }

  TEST_CASE("a full inbox refuses and leaves the value, and takes again once drained") {
    TestLoop test;
    std::vector<int> got;
    Inbox<std::unique_ptr<int>> inbox(test.loop, 2, [&](auto& values) {
      for (const auto& value : values) got.push_back(*value);
    });
    auto first = std::make_unique<int>(1);
    auto second = std::make_unique<int>(2);
    auto third = std::make_unique<int>(3);
    CHECK(inbox.post(first));
    CHECK(inbox.post(second));
    CHECK_FALSE(inbox.post(third));
    REQUIRE(third != nullptr);
    inbox.post_always(std::make_unique<int>(4));  // what must arrive is not refused
    test.loop.poll();
    CHECK(got == std::vector<int>{1, 2, 4});
    CHECK(inbox.post(third));
    test.loop.poll();
    CHECK(got == std::vector<int>{1, 2, 4, 3});
  }

  TEST_CASE("a burst costs one wake-up") {
    TestLoop test;
    int calls = 0;
    std::size_t values = 0;
    Inbox<int> inbox(test.loop, 100, [&](std::vector<int>& posted) {
      ++calls;
      values += posted.size();
    });
    for (int i = 0; i < 100; ++i) CHECK(inbox.post(i));
    test.settle();
    CHECK(calls == 1);
    CHECK(values == 100);
  }

  TEST_CASE("what is posted while draining comes in a later call") {
    TestLoop test;
    std::vector<std::vector<int>> calls;
    Inbox<int>* self = nullptr;
    Inbox<int> inbox(test.loop, 10, [&](std::vector<int>& values) {
      calls.push_back(values);
      if (calls.size() == 1) self->post_always(2);
    });
    self = &inbox;
    inbox.post_always(1);
    test.settle();
    CHECK(calls == std::vector<std::vector<int>>{{1}, {2}});
  }

  TEST_CASE("a destroyed inbox delivers nothing more") {
    TestLoop test;
    bool called = false;
    {
      Inbox<int> inbox(test.loop, 10, [&](std::vector<int>&) { called = true; });
      inbox.post_always(1);
    }
    test.settle();
    CHECK_FALSE(called);
  }
}

}  // namespace
}  // namespace godwit::net
