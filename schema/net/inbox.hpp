// net/inbox: a bounded queue into a loop, from any thread.
//
// post() from any thread; the loop's thread gets everything posted so far in one callback, in
// order, so that a burst costs one wake-up. A full inbox refuses: it never blocks and never grows;
// the poster parks the value and stops reading from the connection it came from.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "schema/net/loop.hpp"

namespace godwit::net {

// Wakes a loop from any thread; calls coalesce. Destroyed on the loop's thread.
class Waker {
 public:
  Waker(Loop& loop, std::function<void()> on_wake);
  ~Waker();
  Waker(const Waker&) = delete;
  Waker& operator=(const Waker&) = delete;
  void wake();  // any thread

 private:
  struct State;
  struct Close {
    void operator()(State* state) const;
  };
  std::unique_ptr<State, Close> state_;
};

template <class Value>
class Inbox {
 public:
  // `on_values` gets at least one value, in the order of posting, on the loop's thread. It may
  // post, and may take the vector's contents; it must not destroy the inbox.
  Inbox(Loop& loop, std::size_t capacity, std::function<void(std::vector<Value>&)> on_values)
      : capacity_(capacity), on_values_(std::move(on_values)), waker_(loop, [this] { drain(); }) {}

  // Any thread. False when full: `value` is left as it was.
  [[nodiscard]] bool post(Value& value) { return put(value, capacity_); }
  // Any thread. For what must arrive (replies, commits): bounded by what was let in before.
  void post_always(Value value) { (void)put(value, static_cast<std::size_t>(-1)); }

 private:
  bool put(Value& value, std::size_t limit) {
    bool was_empty = false;
    {
      const std::lock_guard lock(mutex_);
      if (waiting_.size() >= limit) return false;
      was_empty = waiting_.empty();
      waiting_.push_back(std::move(value));
    }
    if (was_empty) waker_.wake();
    return true;
  }

  void drain() {
    {
      const std::lock_guard lock(mutex_);
      draining_.swap(waiting_);
    }
    if (!draining_.empty()) on_values_(draining_);
    draining_.clear();
  }

  const std::size_t capacity_;
  std::function<void(std::vector<Value>&)> on_values_;
  std::mutex mutex_;
  std::vector<Value> waiting_;   // guarded by mutex_
  std::vector<Value> draining_;  // loop thread only
  Waker waker_;
};

}  // namespace godwit::net
