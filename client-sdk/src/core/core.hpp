// core/core: the client without its socket, thread and clock: input and now in, frames and events
// out.
//
// A round: any number of inputs, then end_round(). All that the inputs changed is one transaction;
// frames, events and acks leave only after it has committed. So what was sent is never ahead of
// what is stored, and what was acknowledged is never ahead of what is kept.
// Owns:    the state of the connection as seen from here, the queue of what is to be sent; not the
//          database.
// Refuses: to open a socket, read a clock, start a thread, draw randomness of its own.
// Thread:  one at a time (the client holds a mutex); the const reads come from any thread.
// Trust:   frames come from a relay that may lie; envelopes from anybody.
// Spec:    schema/README.md, schema/ENVELOPE.md.
#pragma once

#include <chrono>
#include <memory>

#include "client-sdk/src/core/new_account.hpp"
#include "client-sdk/src/store/database.hpp"
#include "godwit/client.hpp"
#include "schema/wire/messages.hpp"

namespace godwit::core {

struct Now {
  std::chrono::milliseconds wall{};    // since 1970; may jump
  std::chrono::milliseconds steady{};  // never goes back; deadlines are of this one
};

class Core {
 public:
  // Puts an account into an empty database, in one transaction.
  [[nodiscard]] static Result<void> make_account(store::Database& database,
                                                 const crypto::Random& random, Now now,
                                                 const NewAccount& from);
  // Loads the account and the outbox. `database` and `random` outlive the core.
  [[nodiscard]] static Result<std::unique_ptr<Core>> open(store::Database& database,
                                                          crypto::Random random, Now now);
  ~Core();

  // ---- Inputs. Each belongs to the round that the next end_round() ends.
  [[nodiscard]] Result<std::vector<Sent>> send(std::span<const Outgoing> messages, Now now);
  [[nodiscard]] Result<void> mark_read(const ConversationId& conversation, std::uint64_t arrival,
                                       Now now);
  [[nodiscard]] Result<void> set_typing(std::string_view name, bool active, Now now);
  [[nodiscard]] Result<void> set_name(std::string_view name, Now now);
  [[nodiscard]] Result<void> accept(std::string_view name, Now now);
  [[nodiscard]] Result<void> block(std::string_view name, bool blocked, Now now);
  [[nodiscard]] Result<void> set_contact_policy(Client::ContactPolicy policy, Now now);
  void forget_event(EventKind kind, std::uint64_t number, Now now);  // the app has taken it

  void on_connected(Now now);  // the channel stands: log in
  // `frame` and its views live during the call.
  void on_frame(const wire::RelayFrame& frame, Now now);
  void on_disconnected(Now now);
  void on_time(Now now);

  // Commits. On an error nothing of the round has happened, its outputs are gone, and the core is
  // of no more use: close the connection and open another core over the database.
  [[nodiscard]] Result<void> end_round(Now now);

  // Between rounds: true when Database::rotate_session_key() is due; afterwards say so.
  [[nodiscard]] bool session_key_due(Now now) const;
  void on_session_key_replaced(Now now);

  // ---- Outputs of the rounds that have ended.
  [[nodiscard]] std::vector<wire::Bytes> take_frames();  // bodies, in order, for the channel
  [[nodiscard]] std::vector<Event> take_events();
  // When on_time() wants to be called; a point of Now::steady.
  [[nodiscard]] std::optional<std::chrono::milliseconds> deadline() const;
  // What the connection is to do: the core has seen Closing, or Welcome.
  struct Link {
    bool logged_in = false;                   // lifts the channel's frame limit
    bool close = false;                       // close this connection; set until on_disconnected()
    bool give_up = false;                     // replaced or removed: no reconnect
    std::chrono::milliseconds retry_after{};  // at least so long before the next attempt
    std::string reason;                       // of the close, for the event and for errors
  };
  [[nodiscard]] const Link& link() const;
  [[nodiscard]] bool registered() const;
  // `asked`: it has none, and the answer for one is to come.
  enum class Naming : std::uint8_t { named, asked, nameless };
  [[nodiscard]] Naming naming() const;
  // Caught up, nothing that could be sent is unaccepted, every ack is confirmed, no look-up is
  // under way.
  [[nodiscard]] bool settled() const;
  [[nodiscard]] std::size_t waiting() const;  // texts that are to be sent, or sent again

  // Also says what a message waits on, which is no record.
  [[nodiscard]] Result<Explanation> explain(const MessageId& id) const;
  [[nodiscard]] Account account() const;
  [[nodiscard]] wire::KeyPair transport_keys() const;  // for the channel; the caller wipes it
  [[nodiscard]] Result<std::string> recovery_code() const;

  // ---- Reads of the committed state; any thread, also while a round is open.
  [[nodiscard]] Result<ConversationId> conversation_of(std::string_view name) const;
  [[nodiscard]] Result<Page<Conversation>> conversations(const PageRequest& page) const;
  [[nodiscard]] Result<Page<Message>> messages(const ConversationId& conversation,
                                               const PageRequest& page) const;
  [[nodiscard]] Result<Message> message(const MessageId& id) const;
  [[nodiscard]] Result<MessageStatus> status(const MessageId& id) const;
  [[nodiscard]] Result<std::vector<Contact>> contacts() const;
  [[nodiscard]] Result<std::string> safety_number(std::string_view name) const;
  // What the app has not taken for sure, the oldest first.
  [[nodiscard]] std::vector<Event> kept_events() const;

 private:
  struct State;
  explicit Core(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace godwit::core
