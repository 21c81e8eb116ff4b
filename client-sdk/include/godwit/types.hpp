// godwit/types: the values an app sees. All are copies: nothing points into the library.
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace godwit {

// 16 bytes. `Tag` only makes the types differ.
template <class Tag>
struct Id {
  std::array<std::uint8_t, 16> bytes{};
  friend auto operator<=>(const Id&, const Id&) = default;
  [[nodiscard]] std::string hex() const {  // 32 small hex digits
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    for (const auto byte : bytes) {
      text += kDigits[byte >> 4];
      text += kDigits[byte & 15];
    }
    return text;
  }
  [[nodiscard]] static std::optional<Id> parse(std::string_view hex) {
    Id id;
    if (hex.size() != 2 * id.bytes.size()) return std::nullopt;
    const auto digit = [](char c) {
      return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    };
    for (std::size_t i = 0; i < id.bytes.size(); ++i) {
      const int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);
      if (high < 0 || low < 0) return std::nullopt;
      id.bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
    }
    return id;
  }
};

using UserId = Id<struct UserTag>;
using DeviceId = Id<struct DeviceTag>;
using MessageId = Id<struct MessageTag>;            // the same on every device that has the message
using ConversationId = Id<struct ConversationTag>;  // of this device

using Time = std::chrono::sys_time<std::chrono::milliseconds>;  // UTC

enum class Status : std::uint8_t {
  queued,     // ours: in the outbox, not yet accepted
  sent,       // ours: durable at the relay, or already at the recipient
  delivered,  // ours: durable on a device of the recipient
  read,       // ours: the recipient has seen it; theirs: we have
  failed,     // ours: will not be sent; the reason stands beside it
  received,   // theirs: not read yet
};
[[nodiscard]] std::string_view to_string(Status status);

struct Account {
  UserId user;
  DeviceId device;
  std::string name;   // empty: none, or not yet known after a recovery
  std::string relay;  // godwit://KEY@HOST:PORT
  bool registered = false;
};

struct Contact {
  UserId user;
  std::string name;       // as the relay claims it; empty when unknown
  bool accepted = false;  // we wrote, or accepted: receipts go there
  bool blocked = false;
};

struct Message {
  MessageId id;
  ConversationId conversation;
  UserId sender;
  std::string sender_name;  // the user id in hex while the name is not known
  bool outgoing = false;
  std::string text;           // UTF-8
  Time time;                  // when the sender's device made it, as that device says
  std::uint64_t arrival = 0;  // counts what this device has got or written: see mark_read()
  Status status = Status::queued;
  std::optional<std::string> key;      // the app's idempotency key, of our own
  bool late = false;                   // came when one that stands behind it had been read
  std::optional<std::string> failure;  // with Status::failed
};

struct Conversation {
  ConversationId id;
  std::optional<UserId> peer;  // none while a name has not been looked up yet
  std::string name;
  std::uint32_t unread = 0;
  Time last_activity;
  std::string last_text;  // of the newest message, at most 120 bytes, whole characters
  bool last_outgoing = false;
  bool request = false;  // from somebody who is not accepted yet
};

// Pages. A cursor names a place, so pages neither skip nor repeat when things arrive in between;
// an offset counts from the start at the time of asking. What belongs before a cursor is on no page
// after it, and an event tells of it: a message of an earlier time that comes late, a conversation
// that moves to the front because something happens in it. A cursor fits the list it came from.
struct PageRequest {
  std::size_t limit = 50;     // 1 to 1,000
  std::size_t offset = 0;     // not together with a cursor
  std::string cursor = {};    // of the page before; empty: the start
  bool newest_first = false;  // of messages; conversations always come newest first
};

template <class T>
struct Page {
  std::vector<T> items;
  bool end = true;     // exact: nothing lies behind this page
  std::string cursor;  // for the next page; also given at the end, for what will stand behind it
};

struct MessageStatus {
  Status status = Status::queued;
  std::optional<std::string> failure;
  struct Step {
    Status status;
    Time time;
    std::string by;  // name of the user, else its id; empty for our own steps
  };
  std::vector<Step> steps;  // as they came; a clock that was set back shows in their times
};

struct Explanation {
  struct Step {
    Time time;
    std::string what;  // "encrypted", "accepted by the relay", ...
  };
  std::vector<Step> steps;
  std::string waits_on;  // a sentence; empty when nothing more will happen
};

}  // namespace godwit
