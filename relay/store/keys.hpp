// store/keys: the tables by name, and the bytes of their keys.
// Spec: store.hpp, "On disk".
#pragma once

#include <array>
#include <string_view>

#include "relay/store/batch.hpp"
#include "relay/store/limits.hpp"
#include "schema/wire/bytes.hpp"

namespace godwit::relay::store {

// Every table of the environment. The number goes into each record's checksum: never renumber.
enum class TableId : std::uint8_t {
  log = 0,
  bodies = 1,
  body_refs = 2,
  users = 3,
  device_keys = 4,
  one_time_keys = 5,
  names = 6,
  quarantine = 7,
  meta = 8,
};
inline constexpr std::size_t kTableIdCount = 9;

struct TableSpec {
  TableId id;
  const char* name;
  bool integer_key;  // a native u64: LMDB compares numbers, and appends need no search
};

inline constexpr std::array<TableSpec, kTableIdCount> kTables{{
    {TableId::log, "log", true},
    {TableId::bodies, "bodies", true},
    {TableId::body_refs, "body_refs", true},
    {TableId::users, "users", false},
    {TableId::device_keys, "device_keys", false},
    {TableId::one_time_keys, "one_time_keys", false},
    {TableId::names, "names", false},
    {TableId::quarantine, "quarantine", false},
    {TableId::meta, "meta", false},
}};

inline constexpr std::string_view kMetaKey = "store";

[[nodiscard]] constexpr TableId table_id(Table table) {
  switch (table) {
    case Table::users:
      return TableId::users;
    case Table::device_keys:
      return TableId::device_keys;
    case Table::one_time_keys:
      return TableId::one_time_keys;
    case Table::names:
      return TableId::names;
  }
  return TableId::users;
}

// A log position or a body id as a key. The view lives as long as the object.
class U64Key {
 public:
  explicit U64Key(std::uint64_t value) : value_(value) {}
  [[nodiscard]] wire::ByteView view() const {
    return {reinterpret_cast<const std::uint8_t*>(&value_), sizeof value_};
  }

 private:
  std::uint64_t value_;
};

// Precondition: `key` is of a table with integer keys.
[[nodiscard]] inline std::uint64_t u64_of(wire::ByteView key) {
  return wire::load_le<std::uint64_t>(key);
}

// Where a damaged record is kept: its table, then its key.
[[nodiscard]] inline wire::Bytes quarantine_key(TableId table, wire::ByteView key) {
  wire::Bytes out{static_cast<std::uint8_t>(table)};
  // A key of full length loses its last byte here; the record is for a human to look at.
  wire::append(out, key.size() < kKeySizeMax ? key : key.first(kKeySizeMax - 1));
  return out;
}

}  // namespace godwit::relay::store
