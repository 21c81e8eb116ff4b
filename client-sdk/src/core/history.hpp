// core/history: conversations and their messages: what is added, in which order, and what becomes
// of it.
//
// Order: by the sort key (hlc, sender's device, message), made by the sender and never altered, so
// that every device comes to the same order. The list of conversations follows our own arrivals,
// whatever the clocks of others say.
// Refuses: to know relays, sessions or sequences.
// Spec:    schema/ENVELOPE.md, "Order".
#pragma once

#include "client-sdk/src/core/round.hpp"

namespace godwit::core {

[[nodiscard]] SortKey sort_key_of(std::uint64_t hlc, const wire::DeviceId& device,
                                  const wire::MessageId& message);
[[nodiscard]] Milliseconds time_of(std::uint64_t hlc);

// The clock of our messages: milliseconds << 16 | counter, above all that we used or took over.
class HybridClock {
 public:
  // At a login, what the relay's clock is; ours counts within kClockAheadMax of it.
  void relay_says(Milliseconds relay_time, const Round& round);
  // That, and what has passed since by the clock that does not jump, and may stand still while the
  // machine sleeps. Before a login: some time in 1970.
  [[nodiscard]] Milliseconds relay_time(const Round& round) const;
  [[nodiscard]] std::uint64_t next(Round& round) const;
  // Takes over a sender's stamp. False: it is too far ahead, and was not.
  [[nodiscard]] bool saw(Round& round, std::uint64_t hlc) const;

 private:
  [[nodiscard]] Milliseconds bounded(const Round& round) const;
  std::optional<std::int64_t> offset_;  // relay - own
  Milliseconds said_ = 0;
  milliseconds said_at_{};  // of Now::steady
};

// A message found, with where it lies.
struct Found {
  MessagePlace place;
  MessageRecord record;
};

namespace history {

// Get or create. By name: of a conversation whose user has not been looked up yet.
[[nodiscard]] ConversationRecord conversation_with(Round& round, const wire::UserId& user);
[[nodiscard]] ConversationRecord conversation_named(Round& round, const std::string& name);
// One whose record is damaged is made of what other records say; one that has joined another is
// that other one.
[[nodiscard]] std::optional<ConversationRecord> load_conversation(const View& view,
                                                                  const LocalConversation& id);
[[nodiscard]] std::optional<LocalConversation> find(const View& view, wire::ByteView user_or_name);
// If there is one with the user, it is no request.
void let_in(Round& round, const wire::UserId& user);

// The name has been looked up: the conversation is with this user from now on. When there is one
// with the user already, the messages move there, and it is a request no more when the user is
// `accepted`. Says which conversation it is.
[[nodiscard]] LocalConversation resolve(Round& round, const LocalConversation& id,
                                        const std::string& name, const wire::UserId& user,
                                        bool accepted);

// Adds a message at its place, and to the summary of its conversation, which is saved.
MessagePlace add(Round& round, ConversationRecord& conversation, MessageRecord& message);

[[nodiscard]] std::optional<MessagePlace> place_of(const View& view, const wire::MessageId& message,
                                                   const wire::UserId& sender);
// Ours first, when several senders used the id.
[[nodiscard]] std::optional<Found> find_message(const View& view, const wire::MessageId& message,
                                                const wire::UserId& own);
[[nodiscard]] std::optional<MessageRecord> load(const View& view, const MessagePlace& place);
void save(Round& round, const MessagePlace& place, const MessageRecord& record);
// As it is to be shown: what is queued has an entry in the outbox, and one whose entry is damaged
// will not be sent.
void see_outbox(const View& view, MessageRecord& message);

// Raises the status of one of ours, never lowers it; tells the app.
void raise_status(Round& round, const MessagePlace& place, Status status);
// Of what no device of the recipient is known to have.
void fail(Round& round, const MessagePlace& place, std::string why);
void tell_expired(Round& round, const MessagePlace& place);

}  // namespace history
}  // namespace godwit::core
