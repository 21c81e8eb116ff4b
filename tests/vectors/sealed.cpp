// The sealed envelope of the design's own vectors, both ways.
#include "client-sdk/src/crypto/sealed.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/vectors/vector_files.hpp"

using namespace godwit::crypto;
using namespace godwit::vectors;
using namespace godwit::wire;

namespace {

DhKey identity_dh(const Json& identity) {
  return dh_key_of(SigningKey::from_seed(fixed_from_hex<SecretKey>(identity.at("ik_seed"))));
}

std::size_t check_seal(const Json& file) {
  const Json& vector = file.at("sealed_envelope");
  const Json& bob = vector.at("bob");
  const DhKey alice = identity_dh(vector.at("alice"));
  const DhKey seal_key = DhKey::from_secret(fixed_from_hex<SecretKey>(bob.at("seal_sk")));
  const auto ephemeral = fixed_from_hex<SecretKey>(vector.at("ephemeral_sk"));
  const auto user = fixed_from_hex<UserId>(vector.at("alice").at("user_id"));
  const auto device = fixed_from_hex<DeviceId>(bob.at("device_id"));
  const auto seal_id = bob.at("seal_id").get<std::uint32_t>();
  const Bytes inner = from_hex(vector.at("inner"));
  const Bytes envelope = from_hex(vector.at("envelope"));

  StaticDh cache;
  const auto draw = [&](std::span<std::uint8_t> out) {
    std::ranges::copy(ephemeral.bytes, out.begin());
  };
  const auto sealed =
      seal({device, seal_id, seal_key.public_key()}, alice, user, inner, draw, cache);
  REQUIRE(sealed);
  CHECK(*sealed == envelope);
  CHECK(envelope_hash(envelope) == fixed_from_hex<EnvelopeHash>(vector.at("seen_key")));

  CHECK(seal_id_of(envelope) == seal_id);
  const auto opened = unseal(envelope, device, seal_key, cache);
  REQUIRE(opened);
  CHECK(opened->user == user);
  CHECK(opened->static_key == alice.public_key());
  CHECK(opened->static_key == fixed_from_hex<Key>(vector.at("alice").at("ik_x25519")));
  CHECK(opened->inner == inner);
  return 1;
}

}  // namespace

TEST_SUITE("tests/vectors/sealed") {
  TEST_CASE("the sealed envelope is made and opened as the file has it") {
    check_file("design_kat.json", check_seal);
  }
}
