// crypto/sealed: the sealed envelope. What the relay carries: who wrote it is inside.
//
//   01 | seal_id u32 | Noise_X_25519_ChaChaPoly_BLAKE2b(payload = user_id 16 || inner)
//
// Owns:    StaticDh: shared secrets of pairs of static keys, wiped when they leave.
// Refuses: to decide whether the sender is the one it claims to be: the caller compares the static
//          key with the device list, and drops what does not match without a reply.
// Thread:  pure functions, but for StaticDh, which has one owner.
// Trust:   an envelope is hostile.
// Spec:    schema/ENVELOPE.md, "Sealed envelope"; Noise revision 34, pattern X.
#pragma once

#include <memory>
#include <optional>

#include "client-sdk/src/crypto/keys.hpp"
#include "schema/wire/payload.hpp"

namespace godwit::crypto {

enum class SealedError : std::uint8_t {
  malformed,      // lengths or kind that no client writes
  bad_key,        // a key of small order
  not_authentic,  // other keys, another recipient, or altered bytes
};

// What fits into an envelope of two Noise messages: beside kind and seal id, both keys, the tags
// and the user id.
inline constexpr std::size_t kSealedInnerMax =
    wire::kEnvelopeSizeMax - 5 - 96 - wire::kNoiseTagSize - wire::UserId::kSize;

// BLAKE2b-128: its seen key.
[[nodiscard]] wire::EnvelopeHash envelope_hash(wire::ByteView envelope);

// The static-static DH costs as much as the rest of an envelope, so it is kept for the pairs that
// talk. At most kPairsMax; the oldest leaves.
class StaticDh {
 public:
  static constexpr std::size_t kPairsMax = 1'024;
  // X25519(own secret, peer); nothing when it is zero.
  [[nodiscard]] std::optional<wire::SecretKey> of(const DhKey& own, const wire::Key& peer);
  StaticDh();
  ~StaticDh();
  StaticDh(const StaticDh&) = delete;
  StaticDh& operator=(const StaticDh&) = delete;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct SealTo {
  wire::DeviceId device;
  std::uint32_t seal_id = 0;
  wire::Key seal_key;  // verified under the device's IK
};

// Randomness: the ephemeral secret, 32 bytes. `own`: dh_key_of(own identity). Precondition: `inner`
// has at most kSealedInnerMax bytes.
[[nodiscard]] tl::expected<wire::Bytes, SealedError> seal(const SealTo& to, const DhKey& own,
                                                          const wire::UserId& own_user,
                                                          wire::ByteView inner,
                                                          const Random& random, StaticDh& cache);

struct Unsealed {
  wire::UserId user;     // claimed
  wire::Key static_key;  // authentic: the sender's IK as X25519
  wire::Bytes inner;
};

// The seal id, to find the secret with; nothing when this is no sealed envelope.
[[nodiscard]] std::optional<std::uint32_t> seal_id_of(wire::ByteView envelope);
[[nodiscard]] tl::expected<Unsealed, SealedError> unseal(wire::ByteView envelope,
                                                         const wire::DeviceId& own_device,
                                                         const DhKey& seal_key, StaticDh& cache);

}  // namespace godwit::crypto
