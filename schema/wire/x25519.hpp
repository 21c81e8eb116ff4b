// wire/x25519: key pairs for the Noise handshake.
// Thread: pure functions; call init_crypto() first in the process.
// Spec:   RFC 7748.
#pragma once

#include "schema/wire/types.hpp"

namespace godwit::wire {

[[nodiscard]] KeyPair key_pair_of(const SecretKey& secret);
[[nodiscard]] KeyPair random_key_pair();

}  // namespace godwit::wire
