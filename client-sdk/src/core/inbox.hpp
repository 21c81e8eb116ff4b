// core/inbox: what the relay delivers, until it stands in the history and is acknowledged.
//
// Happy path: not seen before -> unseal -> the sender's device by its key -> session -> sequence ->
// payload -> history, `seen`, the ratchet, all in the round's transaction; the ack leaves after it.
// Whatever is a duplicate, a replay, undecryptable or malformed is acknowledged too: an envelope
// that is never acknowledged would block the mailbox. An envelope of a user or device that we do
// not know is parked, unacknowledged, while the relay is asked; the window of the relay bounds how
// many. While it refuses to be asked so much, and most are nobody, strangers may have half of that.
// Refuses: to answer strangers in any way before a message of theirs has authenticated.
// Spec:    schema/ENVELOPE.md.
#pragma once

#include "client-sdk/src/core/receipts.hpp"
#include "client-sdk/src/core/upkeep.hpp"

namespace godwit::core {

class Inbox {
 public:
  Inbox(const LocalAccount& account, Peers& peers, Sealer& sealer, Outbox& outbox,
        Receipts& receipts, Requests& requests, Upkeep& upkeep, HybridClock& clock)
      : account_(account),
        peers_(peers),
        sealer_(sealer),
        outbox_(outbox),
        receipts_(receipts),
        requests_(requests),
        upkeep_(upkeep),
        clock_(clock) {}

  void on_welcome(const wire::Limits& limits);
  void on_deliver(Round& round, const wire::Deliver& deliver);
  void on_disconnected();
  // Sends the acks of this round's numbers.
  void pump(Round& round);
  // A list has come, or will not: what waits for it goes on.
  void on_user(Round& round, const UserAsked& asked, const wire::User* user,
               const wire::Refused* refused);
  // The name that a contact claims: is it the contact's?
  void on_name(Round& round, const UserAsked& asked, const wire::User* user,
               const wire::Refused* refused);

  [[nodiscard]] std::optional<milliseconds> deadline() const { return ask_again_at_; }
  [[nodiscard]] bool idle() const { return parked_.empty() && to_ack_.empty(); }
  // Drops what is older than any retry can be, by our clock and by the relay's.
  void sweep_seen(Round& round, Milliseconds relay_time);

 private:
  struct Parked {
    std::uint32_t number = 0;
    std::size_t size = 0;  // of the envelope
    wire::EnvelopeHash hash;
    crypto::Unsealed unsealed;
    bool asked = false;  // the relay's newest list was looked at
  };
  enum class Verdict : std::uint8_t { done, park };

  [[nodiscard]] Verdict open(Round& round, Parked& envelope);
  void undecryptable(Round& round, Peer& peer, const ContactRecord& contact, const Parked& envelope,
                     crypto::SessionError error);
  // True: it held a text, of which a duplicate will owe a receipt.
  [[nodiscard]] bool take_plaintext(Round& round, Peer& peer, ContactRecord& contact,
                                    wire::Bytes plaintext);
  enum class Place : std::uint8_t {
    taken,
    known,    // the number was there already: nothing of the payload counts
    no_room,  // to note it: only a repair request counts, which does nothing that lasts
  };
  [[nodiscard]] Place take_seq(Round& round, Peer& peer, const wire::Plaintext& plaintext,
                               bool text);
  // Keeps what came beyond a gap. False: there is no room, and only how far to ask is noted.
  [[nodiscard]] static bool keep_early(Round& round, Peer& peer, const wire::Plaintext& plaintext);
  void close_gap(Round& round, Peer& peer);
  void take_text(Round& round, Peer& peer, ContactRecord& contact, std::uint64_t seq,
                 const wire::Text& text);
  // True: it opened.
  [[nodiscard]] bool take_typing(Round& round, Peer& peer, wire::ByteView frame);
  void check_list(Round& round, const ContactRecord& contact, const wire::Payload& payload);
  void ask_again(Round& round);
  void drop_strangers(Round& round);
  void ask_list(Round& round, const wire::UserId& user, wire::ListVersion claimed = {});
  void finish(Round& round, const Parked& envelope, const wire::DeviceId& sender);  // seen, and ack
  [[nodiscard]] bool seen_before(Round& round, const wire::EnvelopeHash& hash);
  [[nodiscard]] wire::Bytes seen_key(Milliseconds wall, const wire::EnvelopeHash& hash) const;

  const LocalAccount& account_;
  Peers& peers_;
  Sealer& sealer_;
  Outbox& outbox_;
  Receipts& receipts_;
  Requests& requests_;
  Upkeep& upkeep_;
  HybridClock& clock_;
  std::vector<Parked> parked_;
  std::map<wire::UserId, wire::ListVersion> asking_;  // and the version the user claims to have
  std::optional<milliseconds> ask_again_at_;          // the relay refused for a while
  bool strained_ = false;                             // and because it was asked too often
  std::size_t nobodies_ = 0, newcomers_ = 0;          // of those looked up, since all were through
  std::size_t window_envelopes_ = 0, window_bytes_ = 0;
  std::vector<std::uint32_t> to_ack_;
};

}  // namespace godwit::core
