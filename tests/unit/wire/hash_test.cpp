#include "schema/wire/hash.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace godwit::wire;

TEST_SUITE_BEGIN("schema/wire/hash");

TEST_CASE("BLAKE2b hashes its parts as if they were one string") {
  std::array<std::uint8_t, 64> whole;
  std::array<std::uint8_t, 64> parts;
  blake2b(whole, {as_bytes("abc")});
  blake2b(parts, {as_bytes("a"), {}, as_bytes("bc")});
  CHECK(whole == parts);
  CHECK(whole[0] == 0xba);  // RFC 7693, appendix A
  CHECK(whole[1] == 0x80);
  CHECK(whole[63] == 0x23);
}

TEST_CASE("a shorter BLAKE2b digest is another hash, not a prefix of the longer one") {
  std::array<std::uint8_t, 64> longer;
  std::array<std::uint8_t, 16> shorter;
  blake2b(longer, {as_bytes("abc")});
  blake2b(shorter, {as_bytes("abc")});
  CHECK_FALSE(std::ranges::equal(shorter, std::span(longer).first(16)));
}

TEST_CASE("a label is godwit/, the name, a zero byte and the suite") {
  const std::string_view expected("godwit/dev\0\0", 12);
  CHECK(std::ranges::equal(label("dev"), as_bytes(expected)));
  CHECK(label("x3dh", 2).back() == 2);
  CHECK(label("x3dh", 2).size() == 13);
}

TEST_CASE("SipHash-2-4 gives the value of its reference") {
  SipKey key;
  std::array<std::uint8_t, 15> input;
  for (std::uint8_t i = 0; i < key.size(); ++i) key[i] = i;
  for (std::uint8_t i = 0; i < input.size(); ++i) input[i] = i;
  CHECK(siphash(key, input) == 0xa129ca6149be45e5);  // the paper's appendix A
  key[0] ^= 1;
  CHECK(siphash(key, input) != 0xa129ca6149be45e5);
}

TEST_CASE("sha512_32 is the first half of SHA-512") {
  const Hash32 expected{
      {0xdd, 0xaf, 0x35, 0xa1, 0x93, 0x61, 0x7a, 0xba, 0xcc, 0x41, 0x73,
       0x49, 0xae, 0x20, 0x41, 0x31, 0x12, 0xe6, 0xfa, 0x4e, 0x89, 0xa9,
       0x7e, 0xa2, 0x0a, 0x9e, 0xee, 0xe6, 0x4b, 0x55, 0xd3, 0x9a}};  // FIPS 180-2, appendix C.1
  CHECK(sha512_32(as_bytes("abc")) == expected);
}

TEST_CASE("the constant-time comparison tells every difference, the length included") {
  const std::array<std::uint8_t, 32> left{1, 2, 3};
  CHECK(equal_in_constant_time(left, left));
  CHECK(equal_in_constant_time({}, {}));
  CHECK_FALSE(equal_in_constant_time(left, ByteView(left).first(31)));
  for (std::size_t bit = 0; bit < left.size() * 8; ++bit) {
    auto right = left;
    right[bit / 8] = static_cast<std::uint8_t>(right[bit / 8] ^ (1u << (bit % 8)));
    REQUIRE_FALSE(equal_in_constant_time(left, right));
  }
}

TEST_CASE("wiping leaves zeros") {
  std::array<std::uint8_t, 32> secret;
  secret.fill(0xa5);
  wipe(secret);
  CHECK(std::ranges::all_of(secret, [](std::uint8_t byte) { return byte == 0; }));
}

TEST_CASE("random bytes fill the whole span and never repeat") {
  init_crypto();
  std::array<std::uint8_t, 32> first{};
  std::array<std::uint8_t, 32> second{};
  random_bytes(first);
  random_bytes(second);
  CHECK(first != second);
  CHECK(std::ranges::any_of(std::span(first).last(16), [](std::uint8_t b) { return b != 0; }));
}

TEST_SUITE_END();
