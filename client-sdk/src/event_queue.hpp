// event_queue: what waits to be pulled by the app, with a descriptor to poll.
//
// Bounded: when it is full the oldest leave, those last that nothing else would tell, and one
// events_lost comes before what is left, however many left.
// Owns:   the events, an eventfd that is readable while there is something to pull.
// Thread: any.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "godwit/error.hpp"
#include "godwit/events.hpp"

namespace godwit {

class Platform;

class EventQueue {
 public:
  // `events_max`: at least 1. Fails when the process has no descriptor left.
  [[nodiscard]] static Result<std::unique_ptr<EventQueue>> make(std::size_t events_max);
  ~EventQueue();
  EventQueue(const EventQueue&) = delete;
  EventQueue& operator=(const EventQueue&) = delete;

  void push(std::vector<Event> events);
  [[nodiscard]] std::optional<Event> next();
  [[nodiscard]] int descriptor() const { return descriptor_; }
  // Until there is something to pull, at most so long. False: nothing came.
  [[nodiscard]] bool wait(Platform& platform, std::chrono::milliseconds timeout);

 private:
  EventQueue(std::size_t events_max, int descriptor)
      : events_max_(events_max), descriptor_(descriptor) {}
  [[nodiscard]] bool empty() const { return events_.empty() && !lost_; }
  void set_readable(bool readable);

  const std::size_t events_max_;
  const int descriptor_;
  std::mutex mutex_;  // of all below
  std::condition_variable filled_;
  std::deque<Event> events_;
  std::optional<Event> lost_;
  bool readable_ = false;
};

}  // namespace godwit
