#include "client-sdk/src/event_queue.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "client-sdk/src/platform.hpp"

namespace godwit {

Result<std::unique_ptr<EventQueue>> EventQueue::make(std::size_t events_max) {
  if (events_max == 0) {
    return Error{ErrorCode::invalid_argument, "events_max must be at least 1"};
  }
  const int descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (descriptor < 0) {
    return Error{ErrorCode::storage, "out of file descriptors; close some and try again"};
  }
  return std::unique_ptr<EventQueue>(new EventQueue(events_max, descriptor));
}

EventQueue::~EventQueue() {
  ::close(descriptor_);
}

void EventQueue::push(std::vector<Event> events) {
  if (events.empty()) return;
  const std::lock_guard lock(mutex_);
  for (Event& event : events) {
    if (events_.size() == events_max_) {
      lost_.emplace();
      lost_->kind = EventKind::events_lost;
      const auto oldest = std::ranges::find(events_, std::uint64_t{0}, &Event::number);
      const auto leaving = oldest != events_.end() ? oldest : events_.begin();
      lost_->time = leaving->time;
      events_.erase(leaving);
    }
    events_.push_back(std::move(event));
  }
  set_readable(true);
  filled_.notify_all();
}

std::optional<Event> EventQueue::next() {
  const std::lock_guard lock(mutex_);
  if (empty()) return std::nullopt;
  std::optional<Event> event = std::exchange(lost_, std::nullopt);
  if (!event) {
    event = std::move(events_.front());
    events_.pop_front();
  }
  if (empty()) set_readable(false);
  return event;
}

bool EventQueue::wait(Platform& platform, std::chrono::milliseconds timeout) {
  using namespace std::chrono_literals;
  constexpr std::chrono::milliseconds kLongest = std::chrono::hours{24 * 365};  // no overflow
  std::unique_lock lock(mutex_);
  const auto until = platform.now().steady + std::clamp(timeout, 0ms, kLongest);
  for (bool in_time = true; in_time && empty();) in_time = platform.wait(lock, filled_, until);
  return !empty();
}

// The counter of the eventfd is 0 or 1, so neither call can fail.
void EventQueue::set_readable(bool readable) {
  if (readable == readable_) return;
  readable_ = readable;
  eventfd_t count = 0;
  [[maybe_unused]] const int result =
      readable ? eventfd_write(descriptor_, 1) : eventfd_read(descriptor_, &count);
  assert(result == 0);
}

}  // namespace godwit
