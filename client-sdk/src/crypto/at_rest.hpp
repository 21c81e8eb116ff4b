// crypto/at_rest: the keys of a device's database and what they seal: records, and one another.
//
//   passphrase or key file -> KEK -> wraps the DEK -> wraps the session DEK
//   a DEK -> one key per table for its records -> `01 | kid u32 | nonce 24 | ciphertext + 16`
//   the DEK -> one key per table for the names in its keys
//
// Owns:    derived keys, in guarded memory that is not swapped out and is overwritten at its end.
// Refuses: to do I/O, and to know what a table or a record means.
// Thread:  const functions from any thread.
// Trust:   records and wraps may have been altered: they open as they were sealed, or not at all.
// Spec:    schema/ENVELOPE.md, "At rest".
#pragma once

#include <initializer_list>
#include <memory>
#include <optional>
#include <string_view>

#include "client-sdk/src/crypto/keys.hpp"
#include "schema/wire/types.hpp"

namespace godwit::crypto {

inline constexpr std::size_t kNonceSize = 24;
inline constexpr std::size_t kRecordOverhead = 1 + 4 + kNonceSize + 16;
inline constexpr std::size_t kRecordKeySizeMax = 511;  // LMDB's own limit
inline constexpr std::size_t kTableNameSizeMax = 32;
using Nonce = std::array<std::uint8_t, kNonceSize>;
using NameHash = wire::FixedBytes<struct NameHashTag, 16>;
using Salt = wire::FixedBytes<struct SaltTag, 16>;

// Several secrets in a block between guard pages, locked in memory as far as the system lets us.
class LockedSecrets {
 public:
  explicit LockedSecrets(std::size_t count);
  [[nodiscard]] wire::SecretKey& operator[](std::size_t i) { return block_[i]; }
  [[nodiscard]] const wire::SecretKey& operator[](std::size_t i) const { return block_[i]; }

 private:
  struct Free {
    void operator()(wire::SecretKey* block) const;
  };
  std::unique_ptr<wire::SecretKey[], Free> block_;
};

// What one DEK seals records with. A table is meant by its index among the names.
class RecordKeys {
 public:
  // `tables`: names of at most kTableNameSizeMax bytes.
  RecordKeys(const wire::SecretKey& dek, std::uint32_t kid,
             std::span<const std::string_view> tables);

  [[nodiscard]] std::uint32_t kid() const { return kid_; }
  // `out`: plaintext.size() + kRecordOverhead bytes. `key`: at most kRecordKeySizeMax.
  void seal(std::span<std::uint8_t> out, std::size_t table, wire::ByteView key, const Nonce& nonce,
            wire::ByteView plaintext) const;
  // `out`: record.size() - kRecordOverhead bytes. Preconditions: kid_of(record) == kid().
  // False when the record is not as it was sealed, or not for this table and key.
  [[nodiscard]] bool open(std::span<std::uint8_t> out, std::size_t table, wire::ByteView key,
                          wire::ByteView record) const;

 private:
  struct Prefix {  // of the associated data: all that does not depend on the record's key
    std::array<std::uint8_t, 12 + 1 + kTableNameSizeMax + 4> bytes;
    std::size_t size;
  };
  class AssociatedData;
  std::uint32_t kid_;
  LockedSecrets keys_;
  std::vector<Prefix> prefixes_;
};

// Which DEK sealed the record; nothing when it is no record of this version.
[[nodiscard]] std::optional<std::uint32_t> kid_of(wire::ByteView record);

// Hides the names in keys: BLAKE2b-128 keyed per table. They do not change with the session DEK.
class NameKeys {
 public:
  NameKeys(const wire::SecretKey& dek, std::span<const std::string_view> tables);
  [[nodiscard]] NameHash hash(std::size_t table, wire::ByteView name) const;

 private:
  LockedSecrets keys_;
};

// What unlocks a database. The commitment is public: it says whether the key is the right one.
struct Kek {
  Secret wrap;
  wire::Hash32 commitment;
};

struct PasswordCost {
  std::uint32_t passes = 0;
  std::uint64_t memory = 0;  // bytes
};
inline constexpr PasswordCost kPasswordCost{3, std::uint64_t{256} << 20};
inline constexpr PasswordCost kPasswordCostMax{16, std::uint64_t{1} << 30};

// Argon2id. Nothing when the memory cannot be had, or the cost is out of bounds (above
// kPasswordCostMax, or below what Argon2id allows).
[[nodiscard]] std::optional<Kek> kek_of_passphrase(std::string_view passphrase, const Salt& salt,
                                                   const PasswordCost& cost);
[[nodiscard]] Kek kek_of_key(const wire::SecretKey& key);
// The key that a DEK wraps the session DEK with.
[[nodiscard]] Secret wrap_key_of(const wire::SecretKey& dek);

// nonce 24 | ciphertext 32 + 16
inline constexpr std::size_t kWrapSize = kNonceSize + wire::SecretKey::kSize + 16;
using Wrap = wire::FixedBytes<struct WrapTag, kWrapSize>;

[[nodiscard]] Wrap wrap(const wire::SecretKey& with, const wire::SecretKey& key,
                        wire::ByteView associated, const Random& random);
// Nothing when it was not wrapped with this key and this associated data.
[[nodiscard]] std::optional<Secret> unwrap(const wire::SecretKey& with, const Wrap& wrapped,
                                           wire::ByteView associated);

}  // namespace godwit::crypto
