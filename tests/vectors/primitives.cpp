// The primitives as this system's libsodium has them, and our own functions over them where the
// vectors fit their shape, against the RFCs and Wycheproof.
#include <doctest/doctest.h>
#include <sodium.h>

#include <optional>

#include "schema/wire/bytes.hpp"
#include "schema/wire/hash.hpp"
#include "schema/wire/identity.hpp"
#include "schema/wire/noise_cipher.hpp"
#include "schema/wire/x25519.hpp"
#include "tests/vectors/vector_files.hpp"

using namespace godwit::vectors;
using namespace godwit::wire;

namespace {

// Nothing when the shared secret is zero.
std::optional<Key> x25519(const SecretKey& scalar, const Key& point) {
  Key out;
  if (crypto_scalarmult(out.bytes.data(), scalar.bytes.data(), point.bytes.data()) != 0) return {};
  return out;
}

// Wycheproof: calls `check` with each test and its group.
template <class Check>
std::size_t for_each_test(const Json& file, const Check& check) {
  std::size_t checked = 0;
  for (const Json& group : file.at("testGroups")) {
    for (const Json& test : group.at("tests")) {
      INFO("tcId: " << test.at("tcId").get<int>());
      check(group, test);
      ++checked;
    }
  }
  return checked;
}

bool is_valid(const Json& test) {
  return test.at("result") == "valid";
}

// libsodium's functions for ChaCha20-Poly1305-IETF and XChaCha20-Poly1305 have one shape.
struct Aead {
  decltype(&crypto_aead_chacha20poly1305_ietf_encrypt) encrypt;
  decltype(&crypto_aead_chacha20poly1305_ietf_decrypt) decrypt;
  std::size_t nonce_size;
};
constexpr Aead kChaCha{crypto_aead_chacha20poly1305_ietf_encrypt,
                       crypto_aead_chacha20poly1305_ietf_decrypt,
                       crypto_aead_chacha20poly1305_ietf_NPUBBYTES};
constexpr Aead kXChaCha{crypto_aead_xchacha20poly1305_ietf_encrypt,
                        crypto_aead_xchacha20poly1305_ietf_decrypt,
                        crypto_aead_xchacha20poly1305_ietf_NPUBBYTES};

struct AeadVector {
  SecretKey key;
  Bytes nonce;
  Bytes ad;
  Bytes plaintext;
  Bytes sealed;  // tag included
  bool valid;
};

AeadVector wycheproof_aead(const Json& test) {
  AeadVector vector{fixed_from_hex<SecretKey>(test.at("key")),
                    from_hex(test.at("iv")),
                    from_hex(test.at("aad")),
                    from_hex(test.at("msg")),
                    from_hex(test.at("ct")),
                    is_valid(test)};
  append(vector.sealed, from_hex(test.at("tag")));
  return vector;
}

void check_aead(const Aead& aead, const AeadVector& vector) {
  REQUIRE(vector.nonce.size() == aead.nonce_size);
  Bytes opened(vector.plaintext.size());
  const bool open = aead.decrypt(opened.data(), nullptr, nullptr, vector.sealed.data(),
                                 vector.sealed.size(), vector.ad.data(), vector.ad.size(),
                                 vector.nonce.data(), vector.key.bytes.data()) == 0;
  CHECK(open == vector.valid);
  if (!vector.valid) return;
  CHECK(opened == vector.plaintext);
  Bytes sealed(vector.sealed.size());
  REQUIRE(aead.encrypt(sealed.data(), nullptr, vector.plaintext.data(), vector.plaintext.size(),
                       vector.ad.data(), vector.ad.size(), nullptr, vector.nonce.data(),
                       vector.key.bytes.data()) == 0);
  CHECK(sealed == vector.sealed);
}

// True when the vector's nonce is one that Noise can have: 4 zero bytes, then a counter.
bool fits_cipher_state(const AeadVector& vector) {
  return vector.nonce.size() == 12 && load_le<std::uint32_t>(vector.nonce) == 0;
}

void check_cipher_state(const AeadVector& vector) {
  const auto counter = load_le<std::uint64_t>(ByteView(vector.nonce).subspan(4));
  Bytes opened(vector.plaintext.size());
  CipherState receiver(vector.key, counter);
  CHECK(receiver.open(opened, vector.ad, vector.sealed).has_value() == vector.valid);
  if (!vector.valid) return;
  CHECK(opened == vector.plaintext);
  Bytes sealed(vector.sealed.size());
  CipherState sender(vector.key, counter);
  REQUIRE(sender.seal(sealed, vector.ad, vector.plaintext));
  CHECK(sealed == vector.sealed);
}

Key iterate_x25519(int rounds) {
  SecretKey scalar;
  scalar.bytes[0] = 9;
  Key point;
  point.bytes[0] = 9;
  for (int i = 0; i < rounds; ++i) {
    const auto next = x25519(scalar, point);
    REQUIRE(next);
    point = Key::copy_of(scalar.view());
    scalar = SecretKey::copy_of(next->view());
  }
  return Key::copy_of(scalar.view());
}

std::size_t check_conversion(const Json& vector) {
  const Key ed_public = fixed_from_hex<Key>(vector.at("ed_pk"));
  Key converted;
  const bool accepted =
      crypto_sign_ed25519_pk_to_curve25519(converted.bytes.data(), ed_public.bytes.data()) == 0;
  if (vector.contains("expect")) {
    CHECK(vector.at("expect") == "reject");
    CHECK_FALSE(accepted);
    return 1;
  }
  CHECK(accepted);
  CHECK(converted == fixed_from_hex<Key>(vector.at("x_pk")));
  Key made_public;
  std::array<std::uint8_t, crypto_sign_SECRETKEYBYTES> secret;
  REQUIRE(crypto_sign_seed_keypair(made_public.bytes.data(), secret.data(),
                                   fixed_from_hex<SecretKey>(vector.at("seed")).bytes.data()) == 0);
  CHECK(made_public == ed_public);
  SecretKey converted_secret;
  REQUIRE(crypto_sign_ed25519_sk_to_curve25519(converted_secret.bytes.data(), secret.data()) == 0);
  CHECK(converted_secret == fixed_from_hex<SecretKey>(vector.at("x_sk")));
  CHECK(key_pair_of(converted_secret).public_key == converted);
  return 1;
}

}  // namespace

TEST_SUITE_BEGIN("vectors/primitives");

TEST_CASE("X25519 gives the values of RFC 7748") {
  check_file("rfc7748_x25519.json", [](const Json& file) {
    for (const Json& vector : file.at("vectors")) {
      INFO("vector: " << vector.at("name").get<std::string>());
      const Key expected = fixed_from_hex<Key>(vector.at("out"));
      if (vector.contains("iterations")) {
        CHECK(iterate_x25519(vector.at("iterations").get<int>()) == expected);
      } else {
        CHECK(x25519(fixed_from_hex<SecretKey>(vector.at("k")),
                     fixed_from_hex<Key>(vector.at("u"))) == expected);
      }
    }
    return file.at("vectors").size();
  });
}

TEST_CASE("X25519 passes Wycheproof, and refuses exactly the points that give zero") {
  check_file("wycheproof_x25519.json", [](const Json& file) {
    return for_each_test(file, [](const Json&, const Json& test) {
      const Key expected = fixed_from_hex<Key>(test.at("shared"));
      const auto shared = x25519(fixed_from_hex<SecretKey>(test.at("private")),
                                 fixed_from_hex<Key>(test.at("public")));
      CHECK(shared.has_value() == (expected != Key{}));
      if (shared) CHECK(*shared == expected);
    });
  });
}

TEST_CASE("Ed25519 signs and verifies as RFC 8032 does") {
  check_file("rfc8032_ed25519.json", [](const Json& file) {
    for (const Json& vector : file.at("vectors")) {
      INFO("vector: " << vector.at("name").get<std::string>());
      const auto seed = fixed_from_hex<SecretKey>(vector.at("secretKey"));
      const Bytes message = from_hex(vector.at("message"));
      Key public_key;
      std::array<std::uint8_t, crypto_sign_SECRETKEYBYTES> secret;
      REQUIRE(crypto_sign_seed_keypair(public_key.bytes.data(), secret.data(), seed.bytes.data()) ==
              0);
      CHECK(public_key == fixed_from_hex<Key>(vector.at("publicKey")));
      Signature signature;
      REQUIRE(crypto_sign_detached(signature.bytes.data(), nullptr, message.data(), message.size(),
                                   secret.data()) == 0);
      CHECK(signature == fixed_from_hex<Signature>(vector.at("signature")));
      CHECK(verify_signature(public_key, message, signature));
    }
    return file.at("vectors").size();
  });
}

TEST_CASE("verify_signature passes Wycheproof") {
  check_file("wycheproof_ed25519.json", [](const Json& file) {
    return for_each_test(file, [](const Json& group, const Json& test) {
      const Key signer = fixed_from_hex<Key>(group.at("publicKey").at("pk"));
      const Bytes signature = from_hex(test.at("sig"));
      if (signature.size() != Signature::kSize) {  // no such value can be made
        CHECK_FALSE(is_valid(test));
        return;
      }
      CHECK(verify_signature(signer, from_hex(test.at("msg")), Signature::copy_of(signature)) ==
            is_valid(test));
    });
  });
}

TEST_CASE("ChaCha20-Poly1305 and XChaCha20-Poly1305 give the values of their specifications") {
  check_file("rfc8439_aead.json", [](const Json& file) {
    for (const Json& vector : file.at("vectors")) {
      INFO("vector: " << vector.at("name").get<std::string>());
      const bool extended = vector.at("alg") == "XChaCha20-Poly1305-IETF";
      check_aead(extended ? kXChaCha : kChaCha,
                 {fixed_from_hex<SecretKey>(vector.at("key")), from_hex(vector.at("nonce")),
                  from_hex(vector.at("aad")), from_hex(vector.at("pt")),
                  from_hex(vector.at("ct_tag")), true});
    }
    return file.at("vectors").size();
  });
}

TEST_CASE("ChaCha20-Poly1305 passes Wycheproof, and CipherState where the nonce is one of Noise") {
  check_file("wycheproof_chacha20poly1305.json", [](const Json& file) {
    std::size_t in_cipher_state = 0;
    const std::size_t checked = for_each_test(file, [&](const Json&, const Json& test) {
      const AeadVector vector = wycheproof_aead(test);
      check_aead(kChaCha, vector);
      if (!fits_cipher_state(vector)) return;
      check_cipher_state(vector);
      ++in_cipher_state;
    });
    CHECK(in_cipher_state > 0);
    return checked;
  });
}

TEST_CASE("XChaCha20-Poly1305 passes Wycheproof") {
  check_file("wycheproof_xchacha20poly1305.json", [](const Json& file) {
    return for_each_test(
        file, [](const Json&, const Json& test) { check_aead(kXChaCha, wycheproof_aead(test)); });
  });
}

TEST_CASE("BLAKE2b gives its authors' values, and ours is the one without a key") {
  check_file("blake2b_kat.json", [](const Json& file) {
    std::size_t ours = 0;
    for (const Json& vector : file.at("vectors")) {
      const Bytes input = from_hex(vector.at("in"));
      const Bytes key = from_hex(vector.at("key"));
      const Bytes expected = from_hex(vector.at("out"));
      Bytes out(expected.size());
      REQUIRE(crypto_generichash_blake2b(out.data(), out.size(), input.data(), input.size(),
                                         key.data(), key.size()) == 0);
      CHECK(out == expected);
      if (!key.empty()) continue;
      Bytes own(expected.size());
      blake2b(own, {input});
      CHECK(own == expected);
      ++ours;
    }
    CHECK(ours > 0);
    return file.at("vectors").size();
  });
}

TEST_CASE("HMAC-SHA-512 passes Wycheproof, whole and truncated") {
  check_file("wycheproof_hmac_sha512.json", [](const Json& file) {
    return for_each_test(file, [](const Json&, const Json& test) {
      const Bytes key = from_hex(test.at("key"));
      const Bytes message = from_hex(test.at("msg"));
      const Bytes tag = from_hex(test.at("tag"));
      crypto_auth_hmacsha512_state state;
      std::array<std::uint8_t, crypto_auth_hmacsha512_BYTES> out;
      REQUIRE(crypto_auth_hmacsha512_init(&state, key.data(), key.size()) == 0);
      REQUIRE(crypto_auth_hmacsha512_update(&state, message.data(), message.size()) == 0);
      REQUIRE(crypto_auth_hmacsha512_final(&state, out.data()) == 0);
      REQUIRE(tag.size() <= out.size());
      CHECK(equal_in_constant_time(ByteView(out).first(tag.size()), tag) == is_valid(test));
    });
  });
}

TEST_CASE("Ed25519 keys convert to X25519, and keys of small or mixed order do not") {
  check_file("ed25519_to_x25519.json", [](const Json& file) {
    std::size_t checked = 0;
    for (const Json& vector : file.at("vectors")) checked += check_conversion(vector);
    return checked;
  });
}

TEST_SUITE_END();
