// store/seal: which key seals which table, and the keys of records.
// Thread: values are const once made.
#pragma once

#include <algorithm>
#include <cassert>

#include "client-sdk/src/crypto/at_rest.hpp"
#include "client-sdk/src/store/database.hpp"

namespace godwit::store {

// As sealed records name them; the order is that of Table.
inline constexpr std::array<std::string_view, kTables> kTableNames{
    "account", "secrets",       "prekeys",         "sessions", "contacts",  "names",
    "devices", "conversations", "conversation_of", "recent",   "messages",  "message_ids",
    "outbox",  "sent",          "early",           "seen",     "attention", "blocked",
    "notices"};
static_assert(!kTableNames.back().empty(), "a table without a name");

// Sealed with the session DEK: what must not be found again in pages that LMDB left behind.
inline constexpr std::array kSessionTables{Table::secrets, Table::prekeys, Table::sessions};

[[nodiscard]] constexpr std::size_t index_of(Table table) {
  return static_cast<std::size_t>(table);
}

// PRF(table, name) 16 || suffix
class RecordKey {
 public:
  RecordKey(const crypto::NameHash& name, wire::ByteView suffix)
      : size_(crypto::NameHash::kSize + suffix.size()) {
    assert(suffix.size() <= kSuffixSizeMax);
    std::ranges::copy(name.bytes, bytes_.begin());
    std::ranges::copy(suffix, bytes_.begin() + crypto::NameHash::kSize);
  }
  // Not below any key of the name.
  [[nodiscard]] static RecordKey last_of(const crypto::NameHash& name) {
    RecordKey key(name, {});
    key.size_ = key.bytes_.size();
    std::fill(key.bytes_.begin() + crypto::NameHash::kSize, key.bytes_.end(), std::uint8_t{0xff});
    return key;
  }
  [[nodiscard]] wire::ByteView view() const { return {bytes_.data(), size_}; }

 private:
  std::array<std::uint8_t, crypto::NameHash::kSize + kSuffixSizeMax + 1> bytes_;
  std::size_t size_;
};

// Bytes that a record was opened into; overwritten at the end.
class Opened {
 public:
  Opened() = default;
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
  ~Opened();
  [[nodiscard]] std::span<std::uint8_t> room(std::size_t size);

 private:
  void wipe();
  wire::Bytes bytes_;
};

// The keys at one moment. Whoever reads holds the ones of its view, so that a rotation under way
// does not take them from it.
class KeySet {
 public:
  // `retiring` seals nothing any more.
  KeySet(std::shared_ptr<const crypto::RecordKeys> lasting, crypto::RecordKeys session,
         std::optional<crypto::RecordKeys> retiring);

  // What seals a record of this table now.
  [[nodiscard]] const crypto::RecordKeys& sealing(Table table) const;
  // What sealed this one; nothing when it is damaged.
  [[nodiscard]] const crypto::RecordKeys* opening(Table table, wire::ByteView record) const;

 private:
  std::shared_ptr<const crypto::RecordKeys> lasting_;
  crypto::RecordKeys session_;
  std::optional<crypto::RecordKeys> retiring_;
};

}  // namespace godwit::store
