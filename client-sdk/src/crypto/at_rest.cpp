#include "client-sdk/src/crypto/at_rest.hpp"

#include <sodium.h>

#include <algorithm>
#include <cassert>
#include <cstdlib>

#include "client-sdk/src/crypto/aead.hpp"
#include "client-sdk/src/crypto/hkdf.hpp"
#include "schema/wire/bytes.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::crypto {
namespace {

using wire::ByteView;
using wire::SecretKey;

constexpr std::uint8_t kRecordVersion = 1;
constexpr std::size_t kHeaderSize = 1 + 4;
static_assert(kNonceSize == kAeadNonceSize);
static_assert(kRecordOverhead == kHeaderSize + kNonceSize + kAeadTagSize);

// lab(name) || len u8 || table
[[nodiscard]] wire::Bytes table_label(std::string_view name, std::string_view table) {
  assert(table.size() <= kTableNameSizeMax);
  wire::Bytes out = wire::label(name);
  out.push_back(static_cast<std::uint8_t>(table.size()));
  wire::append(out, wire::as_bytes(table));
  return out;
}

[[nodiscard]] LockedSecrets derive(const SecretKey& dek, std::string_view name,
                                   std::span<const std::string_view> tables) {
  LockedSecrets keys(tables.size());
  for (std::size_t i = 0; i < tables.size(); ++i) {
    hkdf_sha512(keys[i].bytes, {}, dek.bytes, {table_label(name, tables[i])});
  }
  return keys;
}

[[nodiscard]] Kek split(std::span<const std::uint8_t, 64> from) {
  SecretKey wrap_key = SecretKey::copy_of(from.first<32>());
  Kek kek{Secret(wrap_key), wire::Hash32::copy_of(from.last<32>())};
  wire::wipe(wrap_key.bytes);
  return kek;
}

}  // namespace

// ---- Locked memory ------------------------------------------------------------------------------

LockedSecrets::LockedSecrets(std::size_t count)
    : block_(static_cast<SecretKey*>(sodium_allocarray(count, sizeof(SecretKey)))) {
  if (block_ == nullptr) std::abort();  // out of memory, as operator new would
}

void LockedSecrets::Free::operator()(SecretKey* block) const {
  sodium_free(block);  // overwrites it
}

// ---- Records ------------------------------------------------------------------------------------

// lab(rec) || len u8 || table || kid u32 || klen u32 || key, without a heap block.
class RecordKeys::AssociatedData {
 public:
  AssociatedData(const Prefix& prefix, ByteView key) : size_(prefix.size + 4 + key.size()) {
    assert(key.size() <= kRecordKeySizeMax);
    std::memcpy(bytes_.data(), prefix.bytes.data(), prefix.size);
    wire::store_le(bytes_.data() + prefix.size, static_cast<std::uint32_t>(key.size()));
    std::ranges::copy(key, bytes_.data() + prefix.size + 4);
  }
  [[nodiscard]] ByteView view() const { return {bytes_.data(), size_}; }

 private:
  std::array<std::uint8_t, sizeof(Prefix::bytes) + 4 + kRecordKeySizeMax> bytes_;
  std::size_t size_;
};

RecordKeys::RecordKeys(const SecretKey& dek, std::uint32_t kid,
                       std::span<const std::string_view> tables)
    : kid_(kid), keys_(derive(dek, "rec", tables)) {
  prefixes_.reserve(tables.size());
  for (const std::string_view table : tables) {
    wire::Bytes bytes = table_label("rec", table);
    wire::append_le(bytes, kid);
    Prefix prefix{.bytes = {}, .size = bytes.size()};
    std::ranges::copy(bytes, prefix.bytes.begin());
    prefixes_.push_back(prefix);
  }
}

void RecordKeys::seal(std::span<std::uint8_t> out, std::size_t table, ByteView key,
                      const Nonce& nonce, ByteView plaintext) const {
  assert(out.size() == plaintext.size() + kRecordOverhead);
  out[0] = kRecordVersion;
  wire::store_le(out.data() + 1, kid_);
  std::ranges::copy(nonce, out.data() + kHeaderSize);
  const AssociatedData associated(prefixes_[table], key);
  aead_seal(out.subspan(kHeaderSize + kNonceSize), keys_[table], nonce, associated.view(),
            plaintext);
}

bool RecordKeys::open(std::span<std::uint8_t> out, std::size_t table, ByteView key,
                      ByteView record) const {
  assert(kid_of(record) == kid_ && out.size() == record.size() - kRecordOverhead);
  const AssociatedData associated(prefixes_[table], key);
  return aead_open(out, keys_[table], record.subspan(kHeaderSize, kNonceSize), associated.view(),
                   record.subspan(kHeaderSize + kNonceSize));
}

std::optional<std::uint32_t> kid_of(ByteView record) {
  if (record.size() < kRecordOverhead || record[0] != kRecordVersion) return {};
  return wire::load_le<std::uint32_t>(record.subspan(1));
}

// ---- Names --------------------------------------------------------------------------------------

NameKeys::NameKeys(const SecretKey& dek, std::span<const std::string_view> tables)
    : keys_(derive(dek, "name", tables)) {}

NameHash NameKeys::hash(std::size_t table, ByteView name) const {
  NameHash out;
  [[maybe_unused]] const int failed =
      crypto_generichash_blake2b(out.bytes.data(), out.bytes.size(), name.data(), name.size(),
                                 keys_[table].bytes.data(), SecretKey::kSize);
  assert(failed == 0);  // it fails for sizes out of range only
  return out;
}

// ---- Keys that wrap keys ------------------------------------------------------------------------

std::optional<Kek> kek_of_passphrase(std::string_view passphrase, const Salt& salt,
                                     const PasswordCost& cost) {
  static_assert(Salt::kSize == crypto_pwhash_argon2id_SALTBYTES);
  if (cost.passes > kPasswordCostMax.passes || cost.memory > kPasswordCostMax.memory) return {};
  std::array<std::uint8_t, 64> out;
  if (crypto_pwhash_argon2id(out.data(), out.size(), passphrase.data(), passphrase.size(),
                             salt.bytes.data(), cost.passes, cost.memory,
                             crypto_pwhash_argon2id_ALG_ARGON2ID13) != 0) {
    return {};
  }
  Kek kek = split(out);
  wire::wipe(out);
  return kek;
}

Kek kek_of_key(const SecretKey& key) {
  std::array<std::uint8_t, 64> out;
  hkdf_sha512(out, {}, key.bytes, {wire::label("kek")});
  Kek kek = split(out);
  wire::wipe(out);
  return kek;
}

Secret wrap_key_of(const SecretKey& dek) {
  SecretKey key;
  hkdf_sha512(key.bytes, {}, dek.bytes, {wire::label("wrap")});
  Secret out(key);
  wire::wipe(key.bytes);
  return out;
}

Wrap wrap(const SecretKey& with, const SecretKey& key, ByteView associated, const Random& random) {
  Wrap out;
  random(std::span(out.bytes).first(kNonceSize));
  aead_seal(std::span(out.bytes).subspan(kNonceSize), with, out.view().first(kNonceSize),
            associated, key.bytes);
  return out;
}

std::optional<Secret> unwrap(const SecretKey& with, const Wrap& wrapped, ByteView associated) {
  SecretKey key;
  const bool opened = aead_open(key.bytes, with, wrapped.view().first(kNonceSize), associated,
                                wrapped.view().subspan(kNonceSize));
  std::optional<Secret> out;
  if (opened) out.emplace(key);
  wire::wipe(key.bytes);
  return out;
}

}  // namespace godwit::crypto
