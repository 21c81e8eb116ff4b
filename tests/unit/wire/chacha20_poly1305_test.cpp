#include "schema/wire/chacha20_poly1305.hpp"

#include <doctest/doctest.h>
#include <sodium.h>

#include "tests/support/fixed_random.hpp"

using namespace godwit::wire;

namespace {

struct Text {
  SecretKey key;
  AeadNonce nonce;
  Bytes ad;
  Bytes plaintext;
};

Text some_text(std::size_t size, std::size_t ad_size) {
  godwit::test::FixedRandom random("text " + std::to_string(size));
  Text text{{}, {}, Bytes(ad_size), Bytes(size)};
  random(text.key.bytes);
  random(text.nonce);
  random(text.ad);
  random(text.plaintext);
  return text;
}

Bytes sealed_by_libsodium(const Text& text) {
  Bytes sealed(text.plaintext.size() + kAeadTagSize);
  REQUIRE(crypto_aead_chacha20poly1305_ietf_encrypt(
              sealed.data(), nullptr, text.plaintext.data(), text.plaintext.size(), text.ad.data(),
              text.ad.size(), nullptr, text.nonce.data(), text.key.bytes.data()) == 0);
  return sealed;
}

// Both sides of each border: a block, a stride, and where libsodium takes over.
constexpr std::size_t kSizes = 1'100;

}  // namespace

TEST_SUITE_BEGIN("schema/wire/chacha20_poly1305");

TEST_CASE("every size is sealed as libsodium seals it, and opened again, also in place") {
  for (std::size_t size = 0; size < kSizes; ++size) {
    CAPTURE(size);
    const Text text = some_text(size, size % 37);
    const Bytes expected = sealed_by_libsodium(text);
    Bytes bytes = text.plaintext;
    bytes.resize(size + kAeadTagSize);
    chacha20_poly1305_seal(bytes, text.key, text.nonce, text.ad, ByteView(bytes).first(size));
    REQUIRE(bytes == expected);
    Bytes elsewhere(size);
    REQUIRE(chacha20_poly1305_open(elsewhere, text.key, text.nonce, text.ad, bytes));
    REQUIRE(elsewhere == text.plaintext);
    REQUIRE(
        chacha20_poly1305_open(std::span(bytes).first(size), text.key, text.nonce, text.ad, bytes));
    bytes.resize(size);
    REQUIRE(bytes == text.plaintext);
  }
}

TEST_CASE("at every size one altered bit of text, tag or associated data is refused") {
  for (std::size_t size = 0; size < kSizes; ++size) {
    CAPTURE(size);
    const Text text = some_text(size, 1 + size % 37);
    const Bytes sealed = sealed_by_libsodium(text);
    const auto refused = [&](ByteView ad, ByteView altered) {
      Bytes out(size, 0x55);
      return !chacha20_poly1305_open(out, text.key, text.nonce, ad, altered) &&
             out == Bytes(size, 0);
    };
    for (const std::size_t at : {std::size_t{0}, size / 2, size, size + kAeadTagSize - 1}) {
      Bytes altered = sealed;
      altered[at] = static_cast<std::uint8_t>(altered[at] ^ (1u << (size % 8)));
      REQUIRE(refused(text.ad, altered));
    }
    Bytes ad = text.ad;
    ad.back() ^= 1;
    REQUIRE(refused(ad, sealed));
    REQUIRE(refused(ByteView(text.ad).first(text.ad.size() - 1), sealed));
  }
}

TEST_SUITE_END();
