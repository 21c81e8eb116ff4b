#include "client-sdk/src/event_queue.hpp"

#include <doctest/doctest.h>
#include <poll.h>

#include <thread>

#include "client-sdk/src/platform.hpp"

namespace godwit {
namespace {

using namespace std::chrono_literals;

std::unique_ptr<EventQueue> queue_of(std::size_t events_max) {
  auto queue = EventQueue::make(events_max);
  REQUIRE(queue);
  return *std::move(queue);
}

Event numbered(int number) {
  Event event;
  event.kind = EventKind::typing;
  event.detail = std::to_string(number);
  return event;
}

std::vector<Event> numbers(int from, int to) {
  std::vector<Event> events;
  for (int number = from; number <= to; ++number) events.push_back(numbered(number));
  return events;
}

bool readable(const EventQueue& queue) {
  pollfd one{queue.descriptor(), POLLIN, 0};
  return poll(&one, 1, 0) == 1;
}

TEST_SUITE("client-sdk/event_queue") {
  TEST_CASE("events come out in the order in which they went in") {
    const auto queue = queue_of(10);
    queue->push(numbers(1, 2));
    queue->push(numbers(3, 3));
    for (const char* expected : {"1", "2", "3"}) CHECK(queue->next()->detail == expected);
    CHECK_FALSE(queue->next());
  }

  TEST_CASE("a full queue lets the oldest go, and says so once, before what is left") {
    const auto queue = queue_of(3);
    queue->push(numbers(1, 5));
    queue->push(numbers(6, 6));
    CHECK(queue->next()->kind == EventKind::events_lost);
    for (const char* expected : {"4", "5", "6"}) CHECK(queue->next()->detail == expected);
    CHECK_FALSE(queue->next());
    queue->push(numbers(7, 9));
    CHECK(queue->next()->detail == "7");  // nothing was lost since
  }

  TEST_CASE("what nothing else would tell is the last to go") {
    const auto queue = queue_of(3);
    auto events = numbers(1, 3);
    events[0].number = 1;
    events[1].number = 2;
    queue->push(events);
    queue->push(numbers(4, 6));
    CHECK(queue->next()->kind == EventKind::events_lost);
    for (const char* expected : {"1", "2", "6"}) CHECK(queue->next()->detail == expected);
    for (Event& event : events) event.number = 3;
    queue->push(events);
    queue->push(numbers(7, 7));  // there is nothing else to go
    CHECK(queue->next()->kind == EventKind::events_lost);
    for (const char* expected : {"2", "3", "7"}) CHECK(queue->next()->detail == expected);
  }

  TEST_CASE("the descriptor is readable while there is something to pull, and only then") {
    const auto queue = queue_of(2);
    CHECK_FALSE(readable(*queue));
    queue->push(numbers(1, 4));
    queue->push({});
    for (int left = 3; left > 0; --left) {
      CHECK(readable(*queue));
      CHECK(queue->next());
    }
    CHECK_FALSE(readable(*queue));
    queue->push(numbers(5, 5));
    CHECK(readable(*queue));
  }

  TEST_CASE("waiting ends when an event comes, and when the time is over") {
    const auto queue = queue_of(2);
    const auto platform = native_platform();
    CHECK_FALSE(queue->wait(*platform, 0ms));
    std::thread pusher([&] { queue->push(numbers(1, 1)); });
    CHECK(queue->wait(*platform, std::chrono::milliseconds::max()));
    pusher.join();
    CHECK(queue->wait(*platform, 0ms));
  }

  TEST_CASE("a queue without room is refused") {
    CHECK_FALSE(EventQueue::make(0));
  }
}

}  // namespace
}  // namespace godwit
