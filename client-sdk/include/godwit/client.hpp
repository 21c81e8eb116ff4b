// godwit/client: start here. One account on this device: its history, its outbox, its connection.
//
// Every call may come from any thread. Calls that change something return when the change is
// durable on this device; what has to travel goes on by itself, across crashes and offline days.
// Reads see the last committed state. No call waits for the network, but for those named wait_*.
//
// A home is a directory. One process at a time opens it. All in it is encrypted, with a key file
// beside it or with a passphrase.
//
// Events are pulled: next_event() takes one, descriptor() is readable while there is one. The
// queue is bounded; when it overflows the oldest leave and one events_lost tells. What nothing but
// its event would tell, such as a contact's new device, is kept on disk until you have taken it:
// have one thread pull, since its next call says that it has seen to the last one.
#pragma once

#include <filesystem>
#include <memory>
#include <span>

#include "godwit/error.hpp"
#include "godwit/events.hpp"
#include "godwit/types.hpp"

namespace godwit {

class Platform;

struct Options {
  std::filesystem::path home;
  std::optional<std::string> passphrase = {};  // not empty; none: a key file in the home
  std::size_t events_max = 4'096;
  // None: this machine. godwit/testing.hpp has another.
  std::shared_ptr<Platform> platform = {};
};

struct Outgoing {
  std::string to;    // the name of a user
  std::string text;  // UTF-8, 1 byte to 64 KiB, or to less where the relay's operator says so
  // Idempotency key, 1 to 256 bytes: the same key, text and recipient make one message, however
  // often and after whatever crash, also on a device that has recovered the account. With another
  // text or recipient it is `key_conflict` on the device that has sent the first.
  std::optional<std::string> key = {};
};

struct Sent {
  MessageId id;
  ConversationId conversation;
  Status status = Status::queued;  // of an earlier message with the same key: its status now
};

class Client {
 public:
  // Makes a home with a new account. `relay`: godwit://KEY@HOST:PORT. `name`: 2 to 32 of
  // [a-z0-9._-], and not 32 hex digits. No network: connect() registers it, and says so with an
  // event. Of what is refused as `invalid_argument` nothing is made.
  [[nodiscard]] static Result<Client> create(const Options& options, std::string_view relay,
                                             std::string_view name);
  // The account of a recovery code on this device, which takes the place of all earlier ones.
  [[nodiscard]] static Result<Client> recover(const Options& options, std::string_view relay,
                                              std::string_view code);
  [[nodiscard]] static Result<Client> open(const Options& options);

  // Another passphrase for a home that nobody has open; none: a key file in the home.
  // `wrong_key`: what `options` carry does not open it now. `home_in_use`: a Client has it open, in
  // this process or another. `invalid_argument`: `next` is empty. Only the key of the database is
  // wrapped anew, which takes no longer than opening the home once more.
  //
  // Cut off in the middle, and after `disk_full` or `storage`, the old one opens the home or the
  // new one does; where both do, the first that is used is the one that stays. A copy of the home
  // that was made before still opens with the old one; who has both can also read the home as it
  // is later, since that key stays the same.
  [[nodiscard]] static Result<void> change_passphrase(const Options& options,
                                                      const std::optional<std::string>& next);

  // One that was moved from may only be assigned to, or end.
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  // Ends the connection and the thread; what is not yet accepted stays in the outbox.
  ~Client();

  // Connects and stays connected: after a loss again, with growing, random delays. Returns at once.
  // A second call changes nothing while there is a connection. While there is none it does not wait
  // out the delay (call it when the network is back), and one that was given up (replaced, removed,
  // or a refusal) is tried once more. From the first call on the process ignores SIGPIPE.
  [[nodiscard]] Result<void> connect();
  // Returns when the connection and its thread have ended; ends every wait_* for the network that
  // is under way.
  void disconnect();

  [[nodiscard]] Account account() const;
  // The only way back to the account when the device is lost.
  [[nodiscard]] Result<std::string> recovery_code() const;
  // Before the registration: the name that it will ask for. After it: asks the relay, which has to
  // be connected (else `offline`), and asks again at the next login if the answer was lost;
  // account() tells when the name holds, the event `name_taken` when it does not.
  [[nodiscard]] Result<void> set_name(std::string_view name);

  [[nodiscard]] Result<Sent> send(const Outgoing& message);
  // Several in one transaction: all or none.
  [[nodiscard]] Result<std::vector<Sent>> send(std::span<const Outgoing> messages);
  // What came with or before `arrival` has been seen; the senders are told. Give the greatest
  // Message::arrival of those that were shown: what has come since stays unread. kLatest: all that
  // is there now, seen or not. `name` and `conversation` are two ways to say the same.
  static constexpr std::uint64_t kLatest = ~std::uint64_t{0};
  [[nodiscard]] Result<void> mark_read(std::string_view name, std::uint64_t arrival = kLatest);
  [[nodiscard]] Result<void> mark_read(const ConversationId& conversation,
                                       std::uint64_t arrival = kLatest);
  [[nodiscard]] Result<void> set_typing(std::string_view name, bool active);

  [[nodiscard]] Result<Page<Conversation>> conversations(const PageRequest& page) const;
  [[nodiscard]] Result<Page<Message>> messages(std::string_view name,
                                               const PageRequest& page) const;
  [[nodiscard]] Result<Page<Message>> messages(const ConversationId& conversation,
                                               const PageRequest& page) const;
  [[nodiscard]] Result<Message> message(const MessageId& id) const;
  [[nodiscard]] Result<MessageStatus> status(const MessageId& id) const;
  [[nodiscard]] Result<Explanation> explain(const MessageId& id) const;
  // How many of our messages wait to be sent, or to be sent again because they did not arrive, in
  // all conversations. wait_settled() may be true while some wait for longer: until a recipient's
  // mailbox has room again, say.
  [[nodiscard]] Result<std::size_t> waiting() const;

  [[nodiscard]] Result<std::vector<Contact>> contacts() const;
  // 60 digits that both compare; needs a contact that was looked up.
  [[nodiscard]] Result<std::string> safety_number(std::string_view name) const;
  // Strangers' messages are held apart until accepted when the policy says so; under `open`
  // whoever writes is accepted, also who was held apart before. Of blocked users nothing is shown
  // or confirmed, and what still waits for them fails; what they sent meanwhile comes when they
  // are unblocked and accepted, if their device still has it.
  [[nodiscard]] Result<void> accept(std::string_view name);
  [[nodiscard]] Result<void> block(std::string_view name, bool blocked);
  enum class ContactPolicy : std::uint8_t { open, requests };
  [[nodiscard]] Result<void> set_contact_policy(ContactPolicy policy);

  [[nodiscard]] std::optional<Event> next_event();
  [[nodiscard]] int descriptor() const;  // for poll(): readable while an event waits
  // Waits until an event is there, at most so long. False: none came.
  [[nodiscard]] bool wait_event(std::chrono::milliseconds timeout);

  // These wait for the network, at most so long. `offline` (there is no connection; the message
  // says what its last problem was) and `timed_out` lose nothing: the work goes on. They do not
  // wait when nothing can come any more: not connected, `replaced`, `removed`.
  // `name_taken`: the account stands, but without a name, since the one it asked for is another
  // user's, or since the relay knows none after a recovery; choose one with set_name().
  [[nodiscard]] Result<void> wait_registered(std::chrono::milliseconds timeout);
  // Until a message has left `queued`; the status may be `failed`.
  [[nodiscard]] Result<Status> wait_accepted(const MessageId& id,
                                             std::chrono::milliseconds timeout);
  // Until caught up, all that can be sent (receipts too) is accepted, and all acks are confirmed.
  [[nodiscard]] Result<void> wait_settled(std::chrono::milliseconds timeout);

 private:
  struct State;
  explicit Client(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace godwit
