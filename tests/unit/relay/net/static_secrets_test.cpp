// Secrets from the table beside secrets that are computed.
#include "relay/net/static_secrets.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "schema/wire/x25519.hpp"

namespace godwit::relay::net {
namespace {

const wire::SipKey kHashKey{1, 2, 3};

TEST_SUITE_BEGIN("relay/net/static_secrets");

TEST_CASE("a secret is the one of its two keys, kept or not, whoever pushed whom out") {
  wire::init_crypto();
  const wire::KeyPair own = wire::random_key_pair();
  std::vector<wire::KeyPair> devices(40);
  for (wire::KeyPair& device : devices) device = wire::random_key_pair();
  for (const std::size_t places : {2, 8, 1'024}) {
    StaticSecrets secrets(own, places, kHashKey);
    for (int round = 0; round < 3; ++round) {
      for (const wire::KeyPair& device : devices) {
        wire::SecretKey expected;
        REQUIRE(wire::diffie_hellman(expected, device.secret, own.public_key));
        REQUIRE(secrets.with(device.public_key) == expected);
        REQUIRE(secrets.with(device.public_key) == expected);  // kept now
      }
    }
  }
}

TEST_CASE("what is kept is not computed again") {
  const wire::KeyPair device = wire::random_key_pair();
  wire::KeyPair own = wire::random_key_pair();
  StaticSecrets secrets(own, 2, kHashKey);
  const auto before = secrets.with(device.public_key);
  own = wire::random_key_pair();  // now it would be another one
  CHECK(secrets.with(device.public_key) == before);
  // Of two places, both by those who came since.
  CHECK(secrets.with(wire::random_key_pair().public_key));
  CHECK(secrets.with(device.public_key) == before);
  CHECK(secrets.with(wire::random_key_pair().public_key));
  CHECK(secrets.with(device.public_key) != before);
}

TEST_CASE("a point of small order has no secret, in an empty table too") {
  const wire::KeyPair own = wire::random_key_pair();
  StaticSecrets secrets(own, 2, kHashKey);
  wire::Key zero;
  wire::Key one;
  one.bytes[0] = 1;
  wire::Key zero_again;  // modulo 2^255 - 19
  zero_again.bytes.fill(0xff);
  zero_again.bytes[0] = 0xed;
  zero_again.bytes[31] = 0x7f;
  for (const wire::Key& key : {zero, one, zero_again}) {
    CHECK_FALSE(secrets.with(key));
    CHECK_FALSE(secrets.with(key));
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace godwit::relay::net
