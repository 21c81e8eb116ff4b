// wire/types: the fixed-size values of the protocol, each with a type of its own, so that a user
// id cannot be handed in where a device id belongs.
// Spec: schema/README.md, "Identities".
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace godwit::wire {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;  // the holder of a view says how long it lives

// `Tag` only makes the types differ.
template <class Tag, std::size_t Size>
struct FixedBytes {
  static constexpr std::size_t kSize = Size;
  std::array<std::uint8_t, Size> bytes{};

  friend auto operator<=>(const FixedBytes&, const FixedBytes&) = default;
  [[nodiscard]] ByteView view() const { return bytes; }
  // Precondition: `from.size() == Size`.
  [[nodiscard]] static FixedBytes copy_of(ByteView from) {
    FixedBytes value;
    std::memcpy(value.bytes.data(), from.data(), Size);
    return value;
  }
};

using UserId = FixedBytes<struct UserIdTag, 16>;
using DeviceId = FixedBytes<struct DeviceIdTag, 16>;
using RequestId = FixedBytes<struct RequestIdTag, 16>;
using StoreId = FixedBytes<struct StoreIdTag, 16>;

using Key = FixedBytes<struct KeyTag, 32>;              // a public key, Ed25519 or X25519
using SecretKey = FixedBytes<struct SecretKeyTag, 32>;  // X25519 scalar, Ed25519 seed or a PSK
using Hash32 = FixedBytes<struct Hash32Tag, 32>;
using Signature = FixedBytes<struct SignatureTag, 64>;

struct KeyPair {  // X25519
  Key public_key;
  SecretKey secret;
};

// Where a device list stands: only a greater version replaces a lesser one.
struct ListVersion {
  std::uint32_t gen = 0;
  std::uint64_t seq = 0;
  friend auto operator<=>(const ListVersion&, const ListVersion&) = default;
};

// Ids are already uniform; a map that hostile ids may fill wants a keyed hash instead.
struct IdHash {
  template <class Tag, std::size_t Size>
  // noexcept, so that the tables of the standard library keep no copy of it.
  std::size_t operator()(const FixedBytes<Tag, Size>& id) const noexcept {
    std::size_t value = 0;
    std::memcpy(&value, id.bytes.data(), sizeof value);
    return value;
  }
};

[[nodiscard]] inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace godwit::wire
