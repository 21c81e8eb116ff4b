// crypto/safety_number: sixty digits that two people compare to know that nobody sits between them.
// Thread: pure; about 10 ms. Spec: schema/ENVELOPE.md, "Safety number".
#pragma once

#include <string>

#include "schema/wire/types.hpp"

namespace godwit::crypto {

// The 32-byte half of one user: SHA-512 iterated 5,200 times over the root key.
[[nodiscard]] wire::Hash32 fingerprint(const wire::Key& root, const wire::UserId& user);
// 60 digits; the same for both.
[[nodiscard]] std::string safety_number(const wire::Key& root_a, const wire::UserId& user_a,
                                        const wire::Key& root_b, const wire::UserId& user_b);

}  // namespace godwit::crypto
