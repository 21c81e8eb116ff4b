// Runs a blocking question beside a loop until it is answered.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <thread>

#include "schema/net/inbox.hpp"
#include "tests/unit/net/test_loop.hpp"

namespace godwit::relay::ops {

template <class Answer>
Answer ask_beside(net::TestLoop& test, std::function<Answer()> question) {
  std::optional<Answer> answer;
  std::atomic<bool> answered = false;
  net::Waker waker(test.loop, [] {});
  std::thread asker([&] {
    answer.emplace(question());
    answered = true;
    waker.wake();
  });
  test.run_until([&] { return answered.load(); });
  asker.join();
  return *std::move(answer);
}

}  // namespace godwit::relay::ops
