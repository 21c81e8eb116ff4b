// wire/hash: the hashes of the protocol, over libsodium.
// Thread: pure functions; call hash::init() (or any Noise function) first in the process.
// Spec:   schema/README.md, "Identities"; RFC 7693 (BLAKE2b); SipHash-2-4.
#pragma once

#include <initializer_list>
#include <string_view>

#include "schema/wire/types.hpp"

namespace godwit::wire {

// Makes libsodium ready. Idempotent, thread-safe. Aborts when the system has no random source.
void init_crypto();

// Fills `out` from the system's random source.
void random_bytes(std::span<std::uint8_t> out);

// BLAKE2b with a digest of out.size() bytes (16 to 64), over the parts end to end.
void blake2b(std::span<std::uint8_t> out, std::initializer_list<ByteView> parts);

// "godwit/" || name || 00 || suite. Suite 00: objects that do not depend on a suite.
[[nodiscard]] Bytes label(std::string_view name, std::uint8_t suite = 0);

using SipKey = std::array<std::uint8_t, 16>;
[[nodiscard]] std::uint64_t siphash(const SipKey& key, ByteView bytes);

// SHA-512(bytes)[:32].
[[nodiscard]] Hash32 sha512_32(ByteView bytes);

// True when the two are equal; takes the same time wherever they differ.
[[nodiscard]] bool equal_in_constant_time(ByteView left, ByteView right);

// Overwrites a secret in a way the compiler keeps.
void wipe(std::span<std::uint8_t> secret);

}  // namespace godwit::wire
