// crypto/hkdf: HMAC-SHA-512 and HKDF-SHA-512.
// Thread: pure functions; call wire::init_crypto() first in the process.
// Spec:   RFC 2104, RFC 5869; schema/ENVELOPE.md, "Conventions".
#pragma once

#include <initializer_list>

#include "schema/wire/types.hpp"

namespace godwit::crypto {

inline constexpr std::size_t kHmacSize = 64;

// The first out.size() bytes of the tag, at most kHmacSize, over the parts end to end.
void hmac_sha512(std::span<std::uint8_t> out, wire::ByteView key,
                 std::initializer_list<wire::ByteView> parts);

// Extract, then expand, to at most 255 x kHmacSize bytes. An empty salt is the 64 zero bytes of the
// specification. `info`: parts, end to end.
void hkdf_sha512(std::span<std::uint8_t> out, wire::ByteView salt, wire::ByteView ikm,
                 std::initializer_list<wire::ByteView> info);

}  // namespace godwit::crypto
