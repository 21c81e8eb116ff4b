// wire/x25519: key pairs and shared secrets for the Noise handshake.
// Thread: pure functions; call init_crypto() first in the process.
// Spec:   RFC 7748.
#pragma once

#include "schema/wire/types.hpp"

namespace godwit::wire {

[[nodiscard]] KeyPair key_pair_of(const SecretKey& secret);
[[nodiscard]] KeyPair random_key_pair();

// False when the result is zero: the peer's point has small order, and the secret is no secret.
[[nodiscard]] bool diffie_hellman(SecretKey& shared, const SecretKey& own, const Key& peer);

}  // namespace godwit::wire
