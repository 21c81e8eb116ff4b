// crypto/session: one end-to-end session between two devices: X3DH, then the Double Ratchet with
// header encryption. Suite 1.
// Owns:    the ratchet's secrets, skipped keys included; wiped when it dies.
// Refuses: to keep anything on disk, to choose between sessions, to pad, to read a clock.
// Thread:  a value with one owner.
// Trust:   messages are hostile. One that does not authenticate leaves the session as it was, to
//          the bit.
// Spec:    schema/ENVELOPE.md, "Sessions"; X3DH revision 1; The Double Ratchet with header
//          encryption, revision 1.
#pragma once

#include <memory>
#include <optional>
#include <tl/expected.hpp>
#include <vector>

#include "client-sdk/src/crypto/keys.hpp"

namespace godwit::crypto {

using SessionId = wire::FixedBytes<struct SessionIdTag, 16>;

enum class SessionError : std::uint8_t {
  malformed,         // lengths, kind, suite or flags that no client writes
  not_authentic,     // no key of this session opens it
  replayed,          // its message key was used before
  too_many_skipped,  // it would skip more than kSkippedPerChainMax messages
  bad_key,           // a key of small order
  gen_refused,       // a session number far beyond ours
  base_key_used,     // the same first message opened a session before
  unknown_prekey,    // it was made for a signed prekey, one-time key or invite that we do not have
};

inline constexpr std::uint8_t kSuite1 = 0x01;
inline constexpr std::uint32_t kSkippedPerChainMax = 1'000;
inline constexpr std::size_t kSkippedPerSessionMax = 2'000;
inline constexpr std::size_t kSkippedHeaderKeysMax = 32;
inline constexpr std::uint32_t kMessageNumberMax = std::uint32_t{1} << 31;  // exclusive

// User and Ed25519 identity of one end: the ID of the design, 48 bytes.
struct PartyId {
  wire::UserId user;
  wire::Key identity;
};

// The secret of a contact link. With it, who only sees the servers cannot stand in the middle of
// the first session.
using InviteSecret = wire::FixedBytes<struct InviteSecretTag, 16>;
using InviteId = wire::FixedBytes<struct InviteIdTag, 8>;
[[nodiscard]] InviteId invite_id_of(const InviteSecret& secret);

// What the first messages of an initiator open with, until the first authenticated reply.
struct PrekeyHeader {
  wire::Key base_key;  // EKa
  std::uint32_t gen = 0;
  std::uint32_t signed_prekey_id = 0;
  std::uint32_t one_time_key_id = kNoOneTimeKey;
  std::optional<InviteId> invite;
  friend bool operator==(const PrekeyHeader&, const PrekeyHeader&) = default;
};

// An inner message cut into its parts; views point into the message.
struct InnerMessage {
  std::optional<PrekeyHeader> prekey;
  wire::ByteView ratchet;  // 01 suite 02 00 | nonce | header | body
};
[[nodiscard]] tl::expected<InnerMessage, SessionError> parse_inner(wire::ByteView inner);

class Session {
 public:
  // Alice. `bundle_prekey` must have been verified. Randomness: EKa's secret, then the ratchet
  // key's, in this order (and 24 bytes with each encrypt()).
  [[nodiscard]] static tl::expected<Session, SessionError> initiate(
      const SigningKey& own_identity, const wire::UserId& own_user, const PartyId& peer,
      const wire::SignedKey& bundle_prekey, const std::optional<wire::OneTimeKey>& one_time,
      std::uint32_t gen, const Random& random, const InviteSecret* invite = nullptr);
  // Bob. `one_time` and `invite` are given exactly when the header names them.
  [[nodiscard]] static tl::expected<Session, SessionError> respond(
      const SigningKey& own_identity, const wire::UserId& own_user, const PartyId& peer,
      const PrekeyHeader& header, const DhKey& signed_prekey, const DhKey* one_time,
      const InviteSecret* invite = nullptr);

  // Precondition: a responder has opened a message.
  // The inner message: prekey header while unanswered, then the ratchet message. The caller
  // commits the advanced state before the result leaves.
  [[nodiscard]] wire::Bytes encrypt(wire::ByteView plaintext, const Random& random);
  // `ratchet`: InnerMessage::ratchet. On failure nothing has changed.
  [[nodiscard]] tl::expected<wire::Bytes, SessionError> decrypt(wire::ByteView ratchet,
                                                                const Random& random);

  // Frames that are never queued (typing): outside ratchet and sequence.
  [[nodiscard]] wire::Bytes encrypt_ephemeral(wire::ByteView plaintext, const Random& random) const;
  [[nodiscard]] tl::expected<wire::Bytes, SessionError> decrypt_ephemeral(
      wire::ByteView frame) const;

  [[nodiscard]] const SessionId& id() const;
  [[nodiscard]] std::uint32_t gen() const;
  [[nodiscard]] const PrekeyHeader& header() const;  // names the session, in both roles
  [[nodiscard]] bool answered() const;  // initiator: a message of the peer has authenticated
  [[nodiscard]] std::size_t skipped() const;

  void pack(wire::Bytes& out) const;  // the whole state, for a sealed record
  [[nodiscard]] std::size_t packed_size_max() const;  // what pack() appends is no longer
  [[nodiscard]] static std::optional<Session> unpack(wire::ByteView& from);  // consumes its part

  Session(const Session&);
  Session& operator=(const Session&);
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

 private:
  struct State;
  explicit Session(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace godwit::crypto
