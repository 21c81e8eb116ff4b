// The identities of the design's own vectors, both ways: made from their seeds by the SDK's keys,
// and verified as they stand by what both ends share.
#include "schema/wire/identity.hpp"

#include <doctest/doctest.h>

#include <functional>

#include "client-sdk/src/crypto/keys.hpp"
#include "tests/support/fixed_random.hpp"
#include "tests/vectors/vector_files.hpp"

using namespace godwit::vectors;
using namespace godwit::wire;
namespace crypto = godwit::crypto;

namespace {

// The model dates every signed key of the file alike; the file does not repeat it.
constexpr crypto::Validity kValidity{.created = 1'700'000'000,
                                     .expires = 1'700'000'000 + 30 * 86'400};

bool is_identity(const Json& value) {
  return value.is_object() && value.contains("root_seed") && value.contains("list_body");
}

// Calls `check` for every identity in the file, however deep, and returns how many there were.
std::size_t for_every_identity(const Json& value, const std::function<void(const Json&)>& check) {
  if (is_identity(value)) {
    check(value);
    return 1;
  }
  std::size_t count = 0;
  if (value.is_structured()) {
    for (const Json& part : value) count += for_every_identity(part, check);
  }
  return count;
}

crypto::SigningKey signing_key(const Json& seed) {
  return crypto::SigningKey::from_seed(fixed_from_hex<SecretKey>(seed));
}

crypto::DhKey dh_key(const Json& secret) {
  return crypto::DhKey::from_secret(fixed_from_hex<SecretKey>(secret));
}

crypto::DeviceKeys device_keys(const Json& identity) {
  return {signing_key(identity.at("ik_seed")), dh_key(identity.at("noise_sk"))};
}

SignedList list_of(const Json& identity) {
  return {.root = fixed_from_hex<Key>(identity.at("root_pk")),
          .list_key = fixed_from_hex<Key>(identity.at("list_pk")),
          .delegation = fixed_from_hex<Signature>(identity.at("delegation_sig")),
          .body = from_hex(identity.at("list_body")),
          .signature = fixed_from_hex<Signature>(identity.at("list_sig"))};
}

SignedKey seal_key_of(const Json& identity) {
  return {.id = identity.at("seal_id").get<std::uint32_t>(),
          .created = kValidity.created,
          .expires = kValidity.expires,
          .key = dh_key(identity.at("seal_sk")).public_key(),
          .signature = fixed_from_hex<Signature>(identity.at("seal_sig"))};
}

SignedKey prekey_of(const Json& session) {
  return {.id = session.at("spk_id").get<std::uint32_t>(),
          .created = kValidity.created,
          .expires = kValidity.expires,
          .key = fixed_from_hex<Key>(session.at("spk_pk")),
          .signature = fixed_from_hex<Signature>(session.at("spk_sig"))};
}

void check_making(const Json& identity) {
  const crypto::RootKey root(signing_key(identity.at("root_seed")));
  const crypto::ListKey list_key(signing_key(identity.at("list_seed")));
  const crypto::DeviceKeys device = device_keys(identity);
  const UserId user = root.user_id();
  CHECK(root.public_key() == fixed_from_hex<Key>(identity.at("root_pk")));
  CHECK(list_key.public_key() == fixed_from_hex<Key>(identity.at("list_pk")));
  CHECK(device.identity().public_key() == fixed_from_hex<Key>(identity.at("ik_pk")));
  CHECK(user == fixed_from_hex<UserId>(identity.at("user_id")));
  CHECK(device.device_id() == fixed_from_hex<DeviceId>(identity.at("device_id")));

  const ListVersion version{1, 1};
  CHECK(delegation_bytes(user, version.gen, list_key.public_key()) ==
        from_hex(identity.at("delegation")));
  CHECK(root.delegate(version.gen, list_key.public_key()) ==
        fixed_from_hex<Signature>(identity.at("delegation_sig")));

  // When the record was created and what it can do is the file's choice; the rest must follow.
  const auto given = parse_device_list(from_hex(identity.at("list_body")));
  REQUIRE(given);
  REQUIRE(given->devices.size() == 1);
  const crypto::SignedDevice signed_device =
      device.sign_device(user, given->devices[0].created, given->devices[0].suites);
  CHECK(device_record_bytes(signed_device.record) == from_hex(identity.at("device_record")));
  CHECK(signed_device.signature == fixed_from_hex<Signature>(identity.at("device_record_sig")));

  const auto list = crypto::make_first_list(root, list_key, std::vector{signed_device});
  REQUIRE(list);
  CHECK(list->body == from_hex(identity.at("list_body")));
  CHECK(list->signature == fixed_from_hex<Signature>(identity.at("list_sig")));

  const SignedKey seal_key = seal_key_of(identity);
  CHECK(
      device.sign_key(SignedKeyKind::seal, user, seal_key.id, kValidity, seal_key.key).signature ==
      seal_key.signature);
}

void check_verifying(const Json& identity) {
  const SignedList list = list_of(identity);
  CHECK(user_id_of(list.root) == fixed_from_hex<UserId>(identity.at("user_id")));
  const auto verified = verify_device_list(list.view());
  REQUIRE(verified);
  CHECK(verified->user == fixed_from_hex<UserId>(identity.at("user_id")));
  CHECK(verified->version == ListVersion{1, 1});
  CHECK(verified->previous == Hash32{});
  REQUIRE(verified->devices.size() == 1);
  const DeviceRecord& device = verified->devices[0];
  CHECK(device.id == fixed_from_hex<DeviceId>(identity.at("device_id")));
  CHECK(device.identity == fixed_from_hex<Key>(identity.at("ik_pk")));
  CHECK(device_record_bytes(device) == from_hex(identity.at("device_record")));
  CHECK(verify_signed_key(SignedKeyKind::seal, verified->user, device.identity,
                          seal_key_of(identity)));
}

// Every byte of a part of the list, changed, must be noticed.
void check_each_flip(SignedList list,
                     const std::function<std::span<std::uint8_t>(SignedList&)>& part) {
  for (std::uint8_t& byte : part(list)) {
    byte ^= 0x40;
    CHECK_FALSE(verify_device_list(list.view()));
    byte ^= 0x40;
  }
}

void check_flips(const Json& identity) {
  const SignedList list = list_of(identity);
  check_each_flip(list, [](SignedList& from) { return std::span(from.body); });
  check_each_flip(list, [](SignedList& from) { return std::span(from.signature.bytes); });
  check_each_flip(list, [](SignedList& from) { return std::span(from.delegation.bytes); });
  check_each_flip(list, [](SignedList& from) { return std::span(from.root.bytes); });
  check_each_flip(list, [](SignedList& from) { return std::span(from.list_key.bytes); });

  const UserId user = user_id_of(list.root);
  const Key identity_key = fixed_from_hex<Key>(identity.at("ik_pk"));
  SignedKey seal_key = seal_key_of(identity);
  for (std::uint8_t& byte : seal_key.signature.bytes) {
    byte ^= 0x40;
    CHECK_FALSE(verify_signed_key(SignedKeyKind::seal, user, identity_key, seal_key));
    byte ^= 0x40;
  }
}

void check_prekeys(const Json& session) {
  const Json& bob = session.at("bob");
  const UserId user = fixed_from_hex<UserId>(bob.at("user_id"));
  const Key identity = fixed_from_hex<Key>(bob.at("ik_pk"));
  const SignedKey prekey = prekey_of(session);
  CHECK(verify_signed_key(SignedKeyKind::prekey, user, identity, prekey));
  CHECK_FALSE(verify_signed_key(SignedKeyKind::seal, user, identity, prekey));
  CHECK(device_keys(bob)
            .sign_key(SignedKeyKind::prekey, user, prekey.id, kValidity, prekey.key)
            .signature == prekey.signature);

  // The prekeys are Bob's first draws.
  godwit::test::FixedRandom random(from_hex(session.at("rngB_seed")));
  CHECK(crypto::DhKey::draw(std::ref(random)).public_key() == prekey.key);
  if (session.at("opk").get<bool>()) {
    const auto key = crypto::DhKey::draw(std::ref(random));
    CHECK(key.public_key() == fixed_from_hex<Key>(session.at("opk_pk")));
    CHECK(key.secret() == fixed_from_hex<SecretKey>(session.at("opk_sk")));
  }
}

}  // namespace

TEST_SUITE("tests/vectors/identity") {
  TEST_CASE("the keys of every identity make its ids, records, lists and signatures") {
    check_file("design_kat.json",
               [](const Json& file) { return for_every_identity(file, check_making); });
  }

  TEST_CASE("every identity verifies from its root key down") {
    check_file("design_kat.json",
               [](const Json& file) { return for_every_identity(file, check_verifying); });
  }

  TEST_CASE("no identity verifies with a byte of a body, key or signature changed") {
    check_file("design_kat.json",
               [](const Json& file) { return for_every_identity(file, check_flips); });
  }

  TEST_CASE("the signed prekey of every session is its owner's, and its draws make it") {
    check_file("design_kat.json", [](const Json& file) {
      for (const Json& session : file.at("sessions")) check_prekeys(session);
      return file.at("sessions").size();
    });
  }
}
