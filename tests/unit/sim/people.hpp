// What the tests of godwit/testing.hpp ask of a client.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>

#include "godwit/testing.hpp"

namespace godwit::testing {

// All that `client` shows of its conversation with `name`, oldest first, between commas.
inline std::string texts(const Client& client, std::string_view name) {
  std::string found;
  const auto page = client.messages(name, {.limit = 1'000});
  if (!page) {
    CHECK(page.error().code == ErrorCode::not_found);
    return found;
  }
  for (const Message& message : page->items) {
    found += (found.empty() ? "" : ", ") + message.text;
  }
  return found;
}

inline MessageId say(Client& client, const std::string& to, const std::string& text) {
  const auto sent = client.send({.to = to, .text = text});
  REQUIRE(sent);
  return sent->id;
}

inline Status status_of(const Client& client, const MessageId& id) {
  const auto status = client.status(id);
  REQUIRE(status);
  return status->status;
}

inline std::vector<Event> events_of(Client& client) {
  std::vector<Event> events;
  while (auto event = client.next_event()) events.push_back(*std::move(event));
  return events;
}

inline std::size_t count(const std::vector<Event>& events, EventKind kind) {
  return static_cast<std::size_t>(std::ranges::count(events, kind, &Event::kind));
}

}  // namespace godwit::testing
