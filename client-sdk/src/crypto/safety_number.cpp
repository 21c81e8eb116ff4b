#include "client-sdk/src/crypto/safety_number.hpp"

#include <sodium.h>

#include <algorithm>
#include <cassert>

#include "schema/wire/bytes.hpp"

namespace godwit::crypto {
namespace {

constexpr int kRounds = 5'200;
constexpr std::size_t kGroups = 6;
constexpr std::size_t kGroupBytes = 5;
constexpr std::size_t kGroupDigits = 5;

std::string digits_of(const wire::Hash32& half) {
  std::string digits;
  for (std::size_t group = 0; group < kGroups; ++group) {
    std::uint64_t number = 0;  // 40 bits, big-endian
    for (std::size_t i = 0; i < kGroupBytes; ++i) {
      number = number << 8 | half.bytes[group * kGroupBytes + i];
    }
    const std::string shown = std::to_string(number % 100'000);
    digits.append(kGroupDigits - shown.size(), '0');
    digits += shown;
  }
  return digits;
}

}  // namespace

wire::Hash32 fingerprint(const wire::Key& root, const wire::UserId& user) {
  wire::Bytes input{0, 0};  // the version of the method
  wire::append(input, root.view());
  wire::append(input, user.view());
  wire::append(input, root.view());
  std::array<std::uint8_t, crypto_hash_sha512_BYTES> hash;
  for (int round = 0; round < kRounds; ++round) {
    [[maybe_unused]] const int failed = crypto_hash_sha512(hash.data(), input.data(), input.size());
    assert(failed == 0);
    input.assign(hash.begin(), hash.end());
    wire::append(input, root.view());
  }
  return wire::Hash32::copy_of(wire::ByteView(hash).first(wire::Hash32::kSize));
}

std::string safety_number(const wire::Key& root_a, const wire::UserId& user_a,
                          const wire::Key& root_b, const wire::UserId& user_b) {
  const std::string a = digits_of(fingerprint(root_a, user_a));
  const std::string b = digits_of(fingerprint(root_b, user_b));
  return std::min(a, b) + std::max(a, b);
}

}  // namespace godwit::crypto
