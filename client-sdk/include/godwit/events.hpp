// godwit/events: what the library has to tell. Pulled, never called back: see Client::next_event().
#pragma once

#include "godwit/types.hpp"

namespace godwit {

enum class EventKind : std::uint8_t {
  message_received,    // conversation, message, user
  status_changed,      // conversation, message, status
  expired,             // conversation, message, status: a device of the recipient did not fetch it
                       // while the relay kept it; it goes again when that device is heard from
  conversation_added,  // conversation
  typing,              // conversation, user; detail "on" or "off"
  online,              // logged in at the relay
  offline,             // the connection ended, or none comes about; detail says why. It goes on.
  caught_up,           // all that waited at the relay has been received
  registered,          // the account stands at the relay
  name_taken,          // the name is another user's: choose one with set_name()
  contact_added,       // user; again with each name that the relay says is theirs: detail
  devices_changed,     // user: a new device, or one that left; detail says which
  // What an honest relay and an honest peer cause only when a clock is wrong, or when somebody was
  // away for half a year. Nothing of it was accepted, but for the messages of the last two.
  list_refused,    // user: a device list that does not verify, or was rolled back
  equivocation,    // user: two lists of one version; sending to this user has stopped
  prekey_refused,  // user: a prekey or seal key that its device did not sign, or long expired
  name_moved,      // user: the relay now says that this contact's name is somebody else's
  gap,             // user: messages are missing; they are asked for
  gap_closed,      // user
  chain_broken,    // user: the sender's device contradicts what it sent before
  undecryptable,   // user: could not be read; a new session begins
  stale_prekey,    // a message used a signed prekey long expired
  late_clock,      // user: a time stamp far in the future
  // About this device.
  replaced,        // this device logged in elsewhere: a copy of this home is in use
  removed,         // this device was removed from its account
  store_changed,   // the relay's store is another one: undelivered messages go out again
  storage_failed,  // the disk refused; detail says how
  damaged_record,  // a record of the home does not authenticate; detail says where
  events_lost,     // the queue was full: reload what you show
};
[[nodiscard]] std::string_view to_string(EventKind kind);

struct Event {
  EventKind kind{};
  Time time{};
  ConversationId conversation{};
  MessageId message{};
  UserId user{};
  Status status{};
  std::string detail{};  // a sentence, or what the kind says
  // Not 0: of an event that nothing else would tell. It is kept, and comes again in the next
  // program, until next_event() has been called once more. Of each kind the newest 64 are; where
  // older ones had to leave, an events_lost comes with them.
  std::uint64_t number = 0;
};

}  // namespace godwit
