// crypto/sequence: the hash chain over the payloads of one device to another.
//   h_n = BLAKE2b-256(lab(seq) || h_{n-1} || len u32 || payload_n), h_0 = zeros, n from 1
// Thread: pure. Spec: schema/ENVELOPE.md, "Sequence".
#pragma once

#include "schema/wire/types.hpp"

namespace godwit::crypto {

// Of the unpadded payload.
[[nodiscard]] wire::Hash32 chain(const wire::Hash32& previous, wire::ByteView payload);

// Lengths in steps: 256 bytes up to 4 KiB, then 4 KiB (sodium_pad, ISO/IEC 7816-4).
[[nodiscard]] wire::Bytes pad(wire::ByteView plaintext);
[[nodiscard]] bool unpad(wire::Bytes& padded);  // false: no padding of ours

}  // namespace godwit::crypto
