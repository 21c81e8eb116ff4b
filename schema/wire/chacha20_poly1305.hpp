// wire/chacha20_poly1305: the AEAD of RFC 8439, quick for the short records of a connection.
// Refuses: what is not authentic; nothing of it is released.
// Thread:  pure functions.
// Trust:   what is opened is hostile. Time and addresses depend on sizes only.
// Spec:    RFC 8439, section 2.8; the same bytes as libsodium's crypto_aead_chacha20poly1305_ietf.
#pragma once

#include "schema/wire/types.hpp"

namespace godwit::wire {

inline constexpr std::size_t kAeadTagSize = 16;
using AeadNonce = std::array<std::uint8_t, 12>;  // never used twice with one key to seal

// Precondition: `out` is kAeadTagSize longer than `plaintext`; they may begin at one address.
void chacha20_poly1305_seal(std::span<std::uint8_t> out, const SecretKey& key,
                            const AeadNonce& nonce, ByteView ad, ByteView plaintext);
// Precondition: `out` is kAeadTagSize shorter than `sealed`; they may begin at one address. False,
// and `out` zeroed: the tag does not hold.
[[nodiscard]] bool chacha20_poly1305_open(std::span<std::uint8_t> out, const SecretKey& key,
                                          const AeadNonce& nonce, ByteView ad, ByteView sealed);

}  // namespace godwit::wire
