// crypto/aead: XChaCha20-Poly1305 over byte strings.
// Thread: pure functions. Trust: what is opened is hostile.
// Spec:   draft-irtf-cfrg-xchacha-03, as libsodium has it.
#pragma once

#include "schema/wire/types.hpp"

namespace godwit::crypto {

inline constexpr std::size_t kAeadNonceSize = 24;
inline constexpr std::size_t kAeadTagSize = 16;

// Writes ciphertext and tag. A nonce is never used twice with one key.
// Precondition: out.size() == plaintext.size() + kAeadTagSize.
void aead_seal(std::span<std::uint8_t> out, const wire::SecretKey& key, wire::ByteView nonce,
               wire::ByteView ad, wire::ByteView plaintext);
// Appends them to `out`, in which `plaintext` and `ad` must not lie.
void aead_append(wire::Bytes& out, const wire::SecretKey& key, wire::ByteView nonce,
                 wire::ByteView ad, wire::ByteView plaintext);
// Precondition: out.size() + kAeadTagSize == sealed.size(). On failure `out` tells nothing.
[[nodiscard]] bool aead_open(std::span<std::uint8_t> out, const wire::SecretKey& key,
                             wire::ByteView nonce, wire::ByteView ad, wire::ByteView sealed);

}  // namespace godwit::crypto
