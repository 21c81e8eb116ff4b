// crypto/packed: reads back what the pack() functions of this folder append.
// Thread: pure. Trust: lengths are checked; what the values mean is the reader's business.
#pragma once

#include "schema/wire/bytes.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::crypto {

// A key that is copied along with its session, and overwritten wherever one of its copies ends.
struct StateKey : wire::SecretKey {
  StateKey() = default;
  explicit StateKey(const wire::SecretKey& from) : wire::SecretKey(from) {}
  StateKey(const StateKey&) = default;
  StateKey& operator=(const StateKey&) = default;
  ~StateKey() { wire::wipe(bytes); }
  // In constant time: the operator of any value would end at the first byte that differs.
  friend bool operator==(const StateKey& left, const StateKey& right) {
    return wire::equal_in_constant_time(left.view(), right.view());
  }
};

// Both take the value from the front of `from`; false when it is too short.
template <std::unsigned_integral Int>
[[nodiscard]] bool take(wire::ByteView& from, Int& value) {
  if (from.size() < sizeof value) return false;
  value = wire::load_le<Int>(from);
  from = from.subspan(sizeof value);
  return true;
}

template <class Tag, std::size_t Size>
[[nodiscard]] bool take(wire::ByteView& from, wire::FixedBytes<Tag, Size>& value) {
  if (from.size() < Size) return false;
  std::memcpy(value.bytes.data(), from.data(), Size);
  from = from.subspan(Size);
  return true;
}

}  // namespace godwit::crypto
