#include "schema/wire/noise_cipher.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <new>
#include <optional>

using namespace godwit::wire;

namespace {

SecretKey test_key() {
  SecretKey key;
  for (std::uint8_t i = 0; i < SecretKey::kSize; ++i) key.bytes[i] = i;
  return key;
}

template <class Cipher, class... Ad>
Bytes seal(Cipher& cipher, ByteView plaintext, Ad... ad) {
  Bytes out(plaintext.size() + kNoiseTagSize);
  REQUIRE(cipher.seal(out, ad..., plaintext));
  return out;
}

// What comes out, or nothing.
template <class Cipher, class... Ad>
std::optional<Bytes> open(Cipher& cipher, ByteView ciphertext, Ad... ad) {
  Bytes out(ciphertext.size() < kNoiseTagSize ? 0 : ciphertext.size() - kNoiseTagSize);
  if (!cipher.open(out, ad..., ciphertext)) return {};
  return out;
}

Bytes text(std::string_view characters) {
  return Bytes(as_bytes(characters).begin(), as_bytes(characters).end());
}

}  // namespace

TEST_SUITE_BEGIN("schema/wire/noise_cipher");

TEST_CASE("what one end seals the other opens, in order, empty messages included") {
  CipherState sender(test_key());
  CipherState receiver(test_key());
  const ByteView ad = as_bytes("ad");
  for (const auto* message : {"first", "", "third"}) {
    CHECK(open(receiver, seal(sender, as_bytes(message), ad), ad) == text(message));
  }
  CHECK(receiver.nonce() == 3);
}

TEST_CASE("sealing and opening work in place") {
  CipherState sender(test_key());
  CipherState receiver(test_key());
  Bytes buffer = text("message");
  buffer.resize(7 + kNoiseTagSize);
  REQUIRE(sender.seal(buffer, {}, ByteView(buffer).first(7)));
  REQUIRE(receiver.open(std::span(buffer).first(7), {}, buffer));
  buffer.resize(7);
  CHECK(buffer == text("message"));
}

TEST_CASE("every flipped bit is refused, releases nothing and does not count") {
  CipherState sender(test_key());
  CipherState receiver(test_key());
  const Bytes sealed = seal(sender, as_bytes("message"), ByteView{});
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    Bytes altered = sealed;
    altered[bit / 8] = static_cast<std::uint8_t>(altered[bit / 8] ^ (1u << (bit % 8)));
    Bytes out(7, 0x55);
    REQUIRE(receiver.open(out, {}, altered).error() == CipherError::not_authentic);
    REQUIRE(out == Bytes(7, 0));
  }
  CHECK(receiver.nonce() == 0);
  CHECK(open(receiver, sealed, ByteView{}) == text("message"));
}

TEST_CASE("other associated data, another order, a replay and a stump are refused") {
  CipherState sender(test_key());
  CipherState receiver(test_key());
  const Bytes first = seal(sender, as_bytes("first"), as_bytes("ad"));
  const Bytes second = seal(sender, as_bytes("second"), as_bytes("ad"));
  CHECK_FALSE(open(receiver, first, as_bytes("da")));
  CHECK_FALSE(open(receiver, second, as_bytes("ad")));
  CHECK_FALSE(open(receiver, ByteView(first).first(kNoiseTagSize - 1), as_bytes("ad")));
  CHECK(open(receiver, first, as_bytes("ad")));
  CHECK_FALSE(open(receiver, first, as_bytes("ad")));
}

TEST_CASE("the last nonce is never used for a message") {
  constexpr std::uint64_t kLast = std::numeric_limits<std::uint64_t>::max();
  CipherState sender(test_key(), kLast - 1);
  CipherState receiver(test_key(), kLast - 1);
  const Bytes sealed = seal(sender, as_bytes("last"), ByteView{});
  CHECK(open(receiver, sealed, ByteView{}) == text("last"));

  Bytes out(4 + kNoiseTagSize);
  CHECK(sender.seal(out, {}, as_bytes("more")).error() == CipherError::nonce_exhausted);
  CHECK(receiver.open(std::span(out).first(4), {}, out).error() == CipherError::nonce_exhausted);
}

TEST_CASE("rekeying changes the key at both ends alike and keeps the counter") {
  CipherState sender(test_key());
  CipherState receiver(test_key());
  CipherState old_key(test_key());
  sender.rekey();
  const Bytes sealed = seal(sender, as_bytes("message"), ByteView{});
  CHECK_FALSE(open(old_key, sealed, ByteView{}));
  receiver.rekey();
  CHECK(open(receiver, sealed, ByteView{}) == text("message"));
  CHECK(sender.nonce() == 1);
}

TEST_CASE("records rekey after exactly the interval, again and again") {
  RecordCipher sender(CipherState(test_key()), 3);
  CipherState by_hand(test_key());
  for (int i = 0; i < 10; ++i) {
    if (i > 0 && i % 3 == 0) by_hand.rekey();
    REQUIRE(open(by_hand, seal(sender, as_bytes("record")), ByteView{}) == text("record"));
  }
}

TEST_CASE("without being told otherwise, records rekey after exactly 2^20") {
  constexpr std::uint64_t kInterval = std::uint64_t{1} << 20;
  // The nonce is the count of records, so a cipher two before the limit stands for the rest.
  RecordCipher sender(CipherState(test_key(), kInterval - 2));
  RecordCipher receiver(CipherState(test_key(), kInterval - 2));
  CipherState old_key(test_key(), kInterval - 2);
  const Bytes second_to_last = seal(sender, as_bytes("one"));
  const Bytes last = seal(sender, as_bytes("two"));
  const Bytes first_of_next = seal(sender, as_bytes("three"));

  CHECK(open(old_key, second_to_last, ByteView{}));
  CHECK(open(old_key, last, ByteView{}));
  CHECK_FALSE(open(old_key, first_of_next, ByteView{}));
  old_key.rekey();
  CHECK(open(old_key, first_of_next, ByteView{}) == text("three"));

  CHECK(open(receiver, second_to_last) == text("one"));
  CHECK(open(receiver, last) == text("two"));
  CHECK(open(receiver, first_of_next) == text("three"));
}

TEST_CASE("a record that is refused does not count towards the rekeying") {
  RecordCipher sender(CipherState(test_key()), 2);
  RecordCipher receiver(CipherState(test_key()), 2);
  CHECK_FALSE(open(receiver, Bytes(30)));
  for (int i = 0; i < 5; ++i) REQUIRE(open(receiver, seal(sender, as_bytes("x"))) == text("x"));
}

TEST_CASE("nothing of a key is left where a cipher was") {
  alignas(CipherState) std::array<std::uint8_t, sizeof(CipherState)> memory{};
  SecretKey key;
  key.bytes.fill(0xa5);
  auto* cipher = new (memory.data()) CipherState(key);
  CHECK(std::ranges::count(memory, 0xa5) == SecretKey::kSize);
  cipher->~CipherState();
  CHECK(std::ranges::count(memory, 0xa5) == 0);
}

TEST_SUITE_END();
