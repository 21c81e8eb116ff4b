// wire/bytes: integers at fixed byte orders, and appending to byte strings.
// The protocol is little-endian, but for the length of a record (Noise's own custom).
#pragma once

#include <bit>
#include <concepts>
#include <cstring>

#include "schema/wire/types.hpp"

namespace godwit::wire {

static_assert(std::endian::native == std::endian::little,
              "load_le and append_le copy; a big-endian machine needs a byte swap here");

// Precondition: `from` holds at least sizeof(Int) bytes.
template <std::unsigned_integral Int>
[[nodiscard]] Int load_le(ByteView from) {
  Int value;
  std::memcpy(&value, from.data(), sizeof value);
  return value;
}

template <std::unsigned_integral Int>
void store_le(std::uint8_t* to, Int value) {
  std::memcpy(to, &value, sizeof value);
}

// resize() and copy rather than insert(): g++ 12 warns of overflows in insert() that are not there.
inline void append(Bytes& to, ByteView from) {
  const std::size_t end = to.size();
  to.resize(end + from.size());
  if (!from.empty()) std::memcpy(to.data() + end, from.data(), from.size());
}

template <std::unsigned_integral Int>
void append_le(Bytes& to, Int value) {
  append(to, {reinterpret_cast<const std::uint8_t*>(&value), sizeof value});
}

[[nodiscard]] inline std::uint16_t load_u16_be(ByteView from) {
  return static_cast<std::uint16_t>((from[0] << 8) | from[1]);
}

inline void store_u16_be(std::uint8_t* to, std::uint16_t value) {
  to[0] = static_cast<std::uint8_t>(value >> 8);
  to[1] = static_cast<std::uint8_t>(value);
}

[[nodiscard]] inline std::string to_hex(ByteView bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

}  // namespace godwit::wire
