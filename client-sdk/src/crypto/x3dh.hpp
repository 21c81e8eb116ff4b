// crypto/x3dh: the secrets on which two devices begin a session, and the header that names them.
// Refuses: to verify the signed prekey (the caller did) or to find its secret half.
// Thread:  pure functions.
// Trust:   keys and headers of the peer are hostile; a Diffie-Hellman that gives zero is refused.
//          X25519 has aliases of a key, so the raw bytes of each go into the transcript.
// Spec:    schema/ENVELOPE.md, "Sessions"; X3DH revision 1.
#pragma once

#include "client-sdk/src/crypto/packed.hpp"
#include "client-sdk/src/crypto/session.hpp"

namespace godwit::crypto {

// The public values of a first message, as both ends see them.
struct Beginning {
  PartyId initiator;
  PartyId responder;
  PrekeyHeader header;
  wire::Key signed_prekey;
  std::optional<wire::Key> one_time_key;  // exactly when the header names one
};

using TranscriptHash = wire::FixedBytes<struct TranscriptHashTag, 64>;

struct Agreement {
  TranscriptHash th;
  wire::Bytes ad;           // the associated data of every message of the session
  StateKey root;            // SK
  StateKey header_ab;       // HK_AB: of the initiator's first chain
  StateKey next_header_ba;  // NHK_BA: of the responder's first chain
  StateKey ephemeral_ab;
  StateKey ephemeral_ba;
};

// `base`: the secret half of the header's base key. `invite` in both: exactly when the header names
// one. Fails with bad_key only.
[[nodiscard]] tl::expected<Agreement, SessionError> agree_as_initiator(const Beginning& beginning,
                                                                       const SigningKey& identity,
                                                                       const DhKey& base,
                                                                       const InviteSecret* invite);
// `one_time`: exactly when the header names one.
[[nodiscard]] tl::expected<Agreement, SessionError> agree_as_responder(const Beginning& beginning,
                                                                       const SigningKey& identity,
                                                                       const DhKey& signed_prekey,
                                                                       const DhKey* one_time,
                                                                       const InviteSecret* invite);

void append_prekey_header(wire::Bytes& out, const PrekeyHeader& header);
// Takes a header from the front of `from`. Nothing when there is none that a client writes.
[[nodiscard]] std::optional<PrekeyHeader> take_prekey_header(wire::ByteView& from);

}  // namespace godwit::crypto
