// What is derived from keys and payloads: HMAC and HKDF against the published vectors, the sequence
// and the safety number against the design's own.
#include <doctest/doctest.h>

#include "client-sdk/src/crypto/hkdf.hpp"
#include "client-sdk/src/crypto/safety_number.hpp"
#include "client-sdk/src/crypto/sequence.hpp"
#include "schema/wire/bytes.hpp"
#include "schema/wire/hash.hpp"
#include "tests/vectors/vector_files.hpp"

using namespace godwit::crypto;
using namespace godwit::vectors;
using namespace godwit::wire;

namespace {

// Wycheproof: calls `check` with each test.
template <class Check>
std::size_t for_each_test(const Json& file, const Check& check) {
  std::size_t checked = 0;
  for (const Json& group : file.at("testGroups")) {
    for (const Json& test : group.at("tests")) {
      INFO("tcId: " << test.at("tcId").get<int>());
      check(test);
      ++checked;
    }
  }
  return checked;
}

void check_hmac(const Json& test) {
  const Bytes message = from_hex(test.at("msg"));
  const Bytes expected = from_hex(test.at("tag"));
  // In two parts, since that is how it is used.
  const ByteView front = ByteView(message).first(message.size() / 2);
  const ByteView back = ByteView(message).subspan(front.size());
  Bytes tag(expected.size());
  hmac_sha512(tag, from_hex(test.at("key")), {front, back});
  CHECK((tag == expected) == (test.at("result") == "valid"));
}

void check_hkdf(const Json& test) {
  REQUIRE(test.at("result") == "valid");
  Bytes out(test.at("size").get<std::size_t>());
  hkdf_sha512(out, from_hex(test.at("salt")), from_hex(test.at("ikm")),
              {from_hex(test.at("info"))});
  CHECK(out == from_hex(test.at("okm")));
}

}  // namespace

TEST_SUITE("tests/vectors/derivations") {
  TEST_CASE("our HMAC-SHA-512 passes Wycheproof, whole and truncated") {
    check_file("wycheproof_hmac_sha512.json",
               [](const Json& file) { return for_each_test(file, check_hmac); });
  }

  TEST_CASE("our HKDF-SHA-512 passes Wycheproof") {
    check_file("wycheproof_hkdf_sha512.json",
               [](const Json& file) { return for_each_test(file, check_hkdf); });
  }

  TEST_CASE("our HKDF-SHA-512 gives the values for the inputs of RFC 5869") {
    check_file("rfc5869_hkdf.json", [](const Json& file) {
      std::size_t checked = 0;
      for (const Json& vector : file.at("vectors")) {
        if (vector.at("hash") != "SHA-512") continue;
        INFO("vector: " << vector.at("name").get<std::string>());
        Bytes out(vector.at("L").get<std::size_t>());
        hkdf_sha512(out, from_hex(vector.at("salt")), from_hex(vector.at("ikm")),
                    {from_hex(vector.at("info"))});
        CHECK(out == from_hex(vector.at("okm")));
        ++checked;
      }
      return checked;
    });
  }

  TEST_CASE("each payload extends the sequence as the file has it") {
    check_file("design_kat.json", [](const Json& file) {
      Hash32 hash;
      for (const Json& step : file.at("sequence_hash")) {
        hash = chain(hash, from_hex(step.at("payload")));
        CHECK(hash == fixed_from_hex<Hash32>(step.at("h")));
      }
      return file.at("sequence_hash").size();
    });
  }

  TEST_CASE("two people see the safety number of the file, whoever asks") {
    check_file("design_kat.json", [](const Json& file) {
      const Json& vector = file.at("safety_number");
      const auto key_a = fixed_from_hex<Key>(vector.at("key_a"));
      const auto key_b = fixed_from_hex<Key>(vector.at("key_b"));
      const auto user_a = fixed_from_hex<UserId>(vector.at("id_a"));
      const auto user_b = fixed_from_hex<UserId>(vector.at("id_b"));
      const auto digits = vector.at("digits").get<std::string>();
      CHECK(fingerprint(key_a, user_a) == fixed_from_hex<Hash32>(vector.at("fp_a")));
      CHECK(fingerprint(key_b, user_b) == fixed_from_hex<Hash32>(vector.at("fp_b")));
      CHECK(safety_number(key_a, user_a, key_b, user_b) == digits);
      CHECK(safety_number(key_b, user_b, key_a, user_a) == digits);
      return std::size_t{1};
    });
  }
}
