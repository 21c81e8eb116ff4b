// crypto/recovery_code: the root key as something a person can write down and type again.
//   32 bytes and the first 19 bits of BLAKE2b-128(lab(code) || them), in Crockford's base32:
//   11 groups of 5 letters and digits, "XXXXX-XXXXX-...".
// Thread: pure. Trust: what is typed is checked; O reads as 0, I and L as 1; case, spaces and
// dashes do not matter.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "schema/wire/types.hpp"

namespace godwit::crypto {

[[nodiscard]] std::string format_recovery_code(const wire::SecretKey& root_seed);
// The error is one sentence for the person who typed it: too short, too long, a character that
// no code has (which, and where), or a checksum that does not hold.
[[nodiscard]] tl::expected<wire::SecretKey, std::string> parse_recovery_code(std::string_view code);

}  // namespace godwit::crypto
