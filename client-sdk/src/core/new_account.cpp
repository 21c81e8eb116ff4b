#include "client-sdk/src/core/new_account.hpp"

#include "client-sdk/src/crypto/recovery_code.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::core {

Result<std::string> folded_name(std::string_view name) {
  if (auto folded = wire::fold_name(name)) return *std::move(folded);
  return Error{ErrorCode::invalid_argument,
               "a name has 2 to 32 characters of a-z, 0-9, dot, dash and underscore, and is not 32 "
               "hex digits"};
}

Result<NewAccount> new_account(std::string_view relay, std::string_view name) {
  auto address = wire::parse_address(relay);
  if (!address) return Error{ErrorCode::invalid_argument, address.error()};
  auto folded = folded_name(name);
  if (!folded) return folded.error();
  return NewAccount{*std::move(address), *std::move(folded), {}};
}

Result<NewAccount> recovered_account(std::string_view relay, std::string_view code) {
  auto address = wire::parse_address(relay);
  if (!address) return Error{ErrorCode::invalid_argument, address.error()};
  wire::init_crypto();  // a code has a checksum
  auto root = crypto::parse_recovery_code(code);
  if (!root) return Error{ErrorCode::invalid_argument, root.error()};
  NewAccount account{*std::move(address), {}, crypto::Secret(*root)};
  wire::wipe(root->bytes);
  return account;
}

}  // namespace godwit::core
