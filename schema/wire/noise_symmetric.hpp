// wire/noise_symmetric: what a Noise handshake has agreed on so far: the SymmetricState with
// BLAKE2b, so hashes and chaining keys of 64 bytes of which ciphers take the first 32 as a key.
// Owns:    chaining key, transcript hash, the current handshake key; all wiped when it dies.
// Refuses: to know a pattern or a Diffie-Hellman.
// Thread:  one owner; not shared.
// Trust:   a ciphertext is hostile; the transcript advances only when its tag holds.
// Spec:    The Noise Protocol Framework, revision 34, sections 4.3 and 5.2.
#pragma once

#include <optional>
#include <string_view>

#include "schema/wire/noise_cipher.hpp"

namespace godwit::wire {

inline constexpr std::size_t kNoiseHashSize = 64;
using NoiseHash = std::array<std::uint8_t, kNoiseHashSize>;

// HMAC-BLAKE2b (block 128, hash 64) of `data || more`. Not BLAKE2b's own keyed mode: Noise asks for
// HMAC. Precondition: `key` is no longer than a block.
[[nodiscard]] NoiseHash hmac_blake2b(ByteView key, ByteView data, ByteView more = {});

class SymmetricState {
 public:
  // Precondition: the name has at most kNoiseHashSize bytes (so it is padded, never hashed).
  explicit SymmetricState(std::string_view protocol_name);
  SymmetricState(SymmetricState&&) noexcept = default;
  SymmetricState& operator=(SymmetricState&&) noexcept = default;
  ~SymmetricState();

  void mix_hash(ByteView data);
  void mix_key(ByteView input);
  void mix_key_and_hash(ByteView input);

  // Preconditions: a key was mixed in; sizes as in CipherState.
  [[nodiscard]] tl::expected<void, CipherError> seal_and_hash(std::span<std::uint8_t> out,
                                                              ByteView plaintext);
  // `out` and `ciphertext` must not overlap: the ciphertext is hashed after it was opened.
  [[nodiscard]] tl::expected<void, CipherError> open_and_hash(std::span<std::uint8_t> out,
                                                              ByteView ciphertext);

  struct Pair {
    CipherState from_initiator;
    CipherState from_responder;
  };
  [[nodiscard]] Pair split() const;

  // Binds to everything both ends saw; equal at both once the handshake is complete.
  [[nodiscard]] const NoiseHash& hash() const { return hash_; }

 private:
  NoiseHash chaining_key_{};
  NoiseHash hash_{};
  std::optional<CipherState> cipher_;
};

}  // namespace godwit::wire
