// sim/agenda: virtual time: what is to happen, and when. Time passes only by going to the next
// thing that is due, so an idle week costs nothing.
// Owns:    the actions. Two of one moment happen in the order in which they were put down.
// Thread:  one.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

namespace godwit::sim {

class Agenda {
 public:
  using Time = std::chrono::microseconds;  // since the beginning of the world
  using Action = std::function<void()>;

  [[nodiscard]] Time now() const { return now_; }
  // An action that may have become pointless looks for itself when it runs.
  void at(Time when, Action action) {
    entries_.push({std::max(when, now_), ++order_, std::move(action)});
  }
  void in(Time delay, Action action) { at(now_ + delay, std::move(action)); }

  // The next action, if it is due by `until`; else nothing happens but that it is `until`: false.
  bool step(Time until) {
    if (entries_.empty() || entries_.top().when > until) {
      now_ = std::max(now_, until);
      return false;
    }
    // The queue gives only a const view of what is about to leave it.
    auto action = std::move(const_cast<Entry&>(entries_.top()).action);
    now_ = entries_.top().when;
    entries_.pop();
    ++steps_;
    action();
    return true;
  }
  void run_until(Time until) {
    while (step(until)) {
    }
  }
  [[nodiscard]] std::uint64_t steps() const { return steps_; }

 private:
  struct Entry {
    Time when;
    std::uint64_t order = 0;
    Action action;
    bool operator<(const Entry& other) const {  // the soonest on top
      return when != other.when ? when > other.when : order > other.order;
    }
  };
  std::priority_queue<Entry> entries_;
  Time now_{};
  std::uint64_t order_ = 0;
  std::uint64_t steps_ = 0;
};

}  // namespace godwit::sim
