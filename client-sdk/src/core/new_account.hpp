// core/new_account: what an account is made of, checked before a home is made for it.
// Thread: pure functions. Trust: a person typed it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "client-sdk/src/crypto/keys.hpp"
#include "godwit/error.hpp"
#include "schema/wire/address.hpp"

namespace godwit::core {

struct NewAccount {
  wire::RelayAddress relay;
  std::string name;                    // empty: the relay knows it
  std::optional<crypto::Secret> root;  // of a recovery code; none: drawn
};

// Each error is one `invalid_argument` for the person who typed it.
[[nodiscard]] Result<NewAccount> new_account(std::string_view relay, std::string_view name);
[[nodiscard]] Result<NewAccount> recovered_account(std::string_view relay, std::string_view code);
[[nodiscard]] Result<std::string> folded_name(std::string_view name);

}  // namespace godwit::core
