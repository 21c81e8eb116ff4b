// core/account: who we are: the records of the account and the keys made from them.
// Owns:    the secret keys, wiped at the end.
// Spec:    schema/README.md, "Identities".
#pragma once

#include "client-sdk/src/core/new_account.hpp"
#include "client-sdk/src/core/round.hpp"

namespace godwit::core {

class LocalAccount {
 public:
  AccountRecord record;

  // Fresh keys but for the root, one device, the list signed.
  static void make(Round& round, const NewAccount& from);
  [[nodiscard]] static std::optional<LocalAccount> load(const View& view);
  void save(Round& round) const { round.save(name_bytes(kAccountName), record); }

  [[nodiscard]] const crypto::DeviceKeys& device() const { return device_; }
  [[nodiscard]] const crypto::DhKey& identity_dh() const { return identity_dh_; }
  [[nodiscard]] std::optional<wire::SecretKey> root_seed() const;
  [[nodiscard]] wire::ListVersion list_version() const { return list_version_; }
  [[nodiscard]] const wire::ListHash& list_hash() const { return list_hash_; }

  // Takes a list of our own that was verified; saves it.
  void take_list(Round& round, wire::SignedList list);
  // The list that follows `before`, of generation `gen_min` at least, with this device alone.
  // False: it is not our root's, or the root key is not here.
  [[nodiscard]] bool rebuild_list(Round& round, const wire::SignedListView& before,
                                  std::uint32_t gen_min = 0);

  // Of the app's idempotency key and the text; the same two are the same message for ever.
  [[nodiscard]] wire::MessageId message_id_of(std::string_view key, std::string_view text) const;
  // Hides what would tell something in the clear part of a database key.
  [[nodiscard]] wire::FixedBytes<struct BlindTag, 16> blind(wire::ByteView value) const;

 private:
  LocalAccount(AccountRecord account, const SecretsRecord& secrets);
  void read_list();

  crypto::DeviceKeys device_;
  crypto::DhKey identity_dh_;
  crypto::Secret list_seed_;
  crypto::Secret idempotency_;
  std::optional<crypto::Secret> root_seed_;
  wire::ListVersion list_version_;
  wire::ListHash list_hash_;
};

[[nodiscard]] wire::ListHash hash_of_list(wire::ByteView body);

}  // namespace godwit::core
