#include "schema/wire/hash.hpp"

#include <sodium.h>

#include <algorithm>
#include <cassert>
#include <cstdlib>

#include "schema/wire/bytes.hpp"

namespace godwit::wire {

void init_crypto() {
  if (sodium_init() < 0) std::abort();  // no random source: nothing we could do is safe
}

void random_bytes(std::span<std::uint8_t> out) {
  randombytes_buf(out.data(), out.size());
}

void blake2b(std::span<std::uint8_t> out, std::initializer_list<ByteView> parts) {
  assert(out.size() >= crypto_generichash_blake2b_BYTES_MIN &&
         out.size() <= crypto_generichash_blake2b_BYTES_MAX);
  // libsodium's BLAKE2b fails only for sizes out of range, which the assert above excludes.
  crypto_generichash_blake2b_state state;
  [[maybe_unused]] int failed = crypto_generichash_blake2b_init(&state, nullptr, 0, out.size());
  for (ByteView part : parts) {
    failed |= crypto_generichash_blake2b_update(&state, part.data(), part.size());
  }
  failed |= crypto_generichash_blake2b_final(&state, out.data(), out.size());
  assert(failed == 0);
  sodium_memzero(&state, sizeof state);  // keys pass through here when this serves an HMAC
}

Bytes label(std::string_view name, std::uint8_t suite) {
  constexpr std::string_view kPrefix = "godwit/";
  Bytes out(kPrefix.size() + name.size() + 2);
  const auto after_prefix = std::ranges::copy(kPrefix, out.begin()).out;
  std::ranges::copy(name, after_prefix);
  out.back() = suite;  // the byte before it stays zero
  return out;
}

std::uint64_t siphash(const SipKey& key, ByteView bytes) {
  static_assert(sizeof(SipKey) == crypto_shorthash_siphash24_KEYBYTES);
  std::array<std::uint8_t, crypto_shorthash_siphash24_BYTES> digest;
  [[maybe_unused]] const int failed =
      crypto_shorthash_siphash24(digest.data(), bytes.data(), bytes.size(), key.data());
  assert(failed == 0);
  return load_le<std::uint64_t>(digest);
}

Hash32 sha512_32(ByteView bytes) {
  std::array<std::uint8_t, crypto_hash_sha512_BYTES> digest;
  [[maybe_unused]] const int failed = crypto_hash_sha512(digest.data(), bytes.data(), bytes.size());
  assert(failed == 0);
  return Hash32::copy_of(ByteView(digest).first(Hash32::kSize));
}

bool equal_in_constant_time(ByteView left, ByteView right) {
  // Lengths are no secret in this protocol; only the content is compared in constant time.
  return left.size() == right.size() && sodium_memcmp(left.data(), right.data(), left.size()) == 0;
}

void wipe(std::span<std::uint8_t> secret) {
  sodium_memzero(secret.data(), secret.size());
}

}  // namespace godwit::wire
