// core/sealer: payloads into envelopes for one device of a peer: sequence, hash chain, padding,
// session, seal.
// Owns:    the kept static DHs.
// Refuses: to decide what is sent, and when.
// Spec:    schema/ENVELOPE.md.
#pragma once

#include "client-sdk/src/core/peers.hpp"
#include "client-sdk/src/crypto/sealed.hpp"

namespace godwit::core {

class Sealer {
 public:
  explicit Sealer(const LocalAccount& account) : account_(account) {}

  // True when an envelope could be made now: there is a session and a seal key.
  [[nodiscard]] static bool reachable(const Peer& peer) {
    return peer.sessions.current() != nullptr && peer.record.seal_expires != 0 &&
           peer.record.sent_seq != kNumbersLost;
  }
  // Of one that is reachable: its device still has the secret half of the seal key.
  [[nodiscard]] static bool has_good_key(const Peer& peer, Milliseconds wall) {
    const Milliseconds expires = peer.record.seal_expires;
    return expires > wall && expires <= wall + static_cast<Milliseconds>(kSealKeyUseMax.count());
  }

  // The payload under the next seq; `sent` says what it was, and is completed and saved.
  // Precondition of the three: reachable(peer).
  [[nodiscard]] OutboxRecord::Target seal(Round& round, Peer& peer, wire::Bytes payload,
                                          SentRecord sent);
  // What was sent under `seq` again, in the current session; nothing when it is not kept.
  [[nodiscard]] std::optional<OutboxRecord::Target> seal_again(Round& round, Peer& peer,
                                                               std::uint64_t seq);
  [[nodiscard]] wire::Bytes seal_typing(Round& round, Peer& peer, bool active);

  template <class Body>
  [[nodiscard]] wire::Bytes payload_of(Body body) const {
    return wire::encode_payload({account_.list_version(), account_.list_hash(), std::move(body)});
  }

  [[nodiscard]] crypto::StaticDh& kept() { return kept_; }
  [[nodiscard]] crypto::Ends ends(const Peer& peer) const {
    return {account_.device().identity(),
            account_.record.user,
            {peer.record.user, peer.record.identity}};
  }

 private:
  [[nodiscard]] wire::Bytes envelope(Round& round, const Peer& peer, wire::ByteView inner);
  [[nodiscard]] OutboxRecord::Target target(Round& round, Peer& peer,
                                            const wire::Plaintext& plaintext);

  const LocalAccount& account_;
  crypto::StaticDh kept_;
};

}  // namespace godwit::core
