#include "client-sdk/src/crypto/keys.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "schema/wire/hash.hpp"
#include "tests/support/fixed_random.hpp"

namespace godwit::crypto {
namespace {

using test::FixedRandom;
using wire::IdentityError;

constexpr std::uint64_t kNow = 1'700'000'000;  // seconds since 1970

// An account on its first device, and a second device that is not yet listed.
struct Account {
  explicit Account(std::string_view seed) : random(seed) {}

  FixedRandom random;
  RootKey root{SigningKey::draw(std::ref(random))};
  ListKey list_key{SigningKey::draw(std::ref(random))};
  DeviceKeys device = DeviceKeys::draw(std::ref(random));
  DeviceKeys other_device = DeviceKeys::draw(std::ref(random));

  [[nodiscard]] SignedDevice signed_device() const {
    return device.sign_device(root.user_id(), kNow, {1});
  }
  [[nodiscard]] SignedDevice other_signed_device() const {
    return other_device.sign_device(root.user_id(), kNow + 1, {1, 2});
  }
  [[nodiscard]] wire::SignedList first_list() const {
    auto list = make_first_list(root, list_key, std::vector{signed_device()});
    REQUIRE(list.has_value());
    return *list;
  }
};

[[nodiscard]] bool all_zero(const wire::SecretKey& secret) {
  return std::all_of(secret.bytes.begin(), secret.bytes.end(),
                     [](std::uint8_t byte) { return byte == 0; });
}

}  // namespace

TEST_SUITE("client-sdk/src/crypto/keys") {
  TEST_CASE("the same randomness makes the same keys, other randomness makes others") {
    const Account first("one");
    const Account again("one");
    const Account other("two");
    CHECK(first.root.user_id() == again.root.user_id());
    CHECK(first.device.device_id() == again.device.device_id());
    CHECK(first.device.transport().public_key() == again.device.transport().public_key());
    CHECK(first.root.user_id() != other.root.user_id());
    CHECK(first.device.device_id() != other.device.device_id());
    CHECK(first.device.transport().public_key() != other.device.transport().public_key());
  }

  TEST_CASE("a key that is kept as its seed comes back as the same key") {
    const Account account("seed");
    const SigningKey again = SigningKey::from_seed(account.device.identity().seed());
    CHECK(again.public_key() == account.device.identity().public_key());
    CHECK(again.sign(wire::as_bytes("hello")) ==
          account.device.identity().sign(wire::as_bytes("hello")));
    const DhKey transport = DhKey::from_secret(account.device.transport().secret());
    CHECK(transport.public_key() == account.device.transport().public_key());
    CHECK(transport.pair().secret == account.device.transport().secret());
  }

  TEST_CASE("a signature holds for its message and its signer alone") {
    const Account account("sign");
    const wire::Bytes message{1, 2, 3};
    const wire::Signature signature = account.device.identity().sign(message);
    CHECK(wire::verify_signature(account.device.identity().public_key(), message, signature));
    CHECK_FALSE(wire::verify_signature(account.device.identity().public_key(), wire::Bytes{1, 2, 4},
                                       signature));
    CHECK_FALSE(wire::verify_signature(account.root.public_key(), message, signature));
  }

  TEST_CASE("a secret leaves nothing behind where it was moved from") {
    FixedRandom random("move");
    Secret secret = Secret::draw(std::ref(random));
    const wire::SecretKey copy = secret.value();
    REQUIRE_FALSE(all_zero(copy));
    Secret taken(std::move(secret));
    CHECK(taken.value() == copy);
    CHECK(all_zero(secret.value()));  // NOLINT: what is left behind is the subject
    Secret assigned;
    assigned = std::move(taken);
    CHECK(assigned.value() == copy);
    CHECK(all_zero(taken.value()));  // NOLINT
  }

  TEST_CASE("a secret is overwritten when its holder is destroyed") {
    alignas(Secret) std::array<std::uint8_t, sizeof(Secret)> storage{};
    FixedRandom random("wipe");
    auto* secret = ::new (static_cast<void*>(storage.data())) Secret(Secret::draw(random));
    REQUIRE_FALSE(all_zero(secret->value()));
    secret->~Secret();
    CHECK(std::all_of(storage.begin(), storage.end(), [](auto byte) { return byte == 0; }));
  }

  TEST_CASE("the first list verifies and says generation 1, sequence 1, no predecessor") {
    const Account account("first");
    const auto verified = wire::verify_device_list(account.first_list().view());
    REQUIRE(verified.has_value());
    CHECK(verified->user == account.root.user_id());
    CHECK(verified->version == wire::ListVersion{1, 1});
    CHECK(verified->previous == wire::Hash32{});
    REQUIRE(verified->devices.size() == 1);
    CHECK(verified->devices[0].id == account.device.device_id());
    CHECK(verified->devices[0].transport == account.device.transport().public_key());
    CHECK(verified->devices[0].created == kNow);
    CHECK(verified->devices[0].suites == wire::Bytes{1});
  }

  TEST_CASE("the devices of a list come back as they went in, and serve for the next list") {
    Account account("carry");
    const std::vector devices{account.signed_device(), account.other_signed_device()};
    const auto list = make_first_list(account.root, account.list_key, devices);
    REQUIRE(list.has_value());
    const auto carried = devices_of(*list);
    REQUIRE(carried.has_value());
    REQUIRE(carried->size() == devices.size());
    for (std::size_t i = 0; i < devices.size(); ++i) {
      CHECK((*carried)[i].signature == devices[i].signature);
      CHECK(wire::device_record_bytes((*carried)[i].record) ==
            wire::device_record_bytes(devices[i].record));
    }
    const ListKey fresh(SigningKey::draw(std::ref(account.random)));
    const auto next = make_recovered_list(account.root, fresh, *list, *carried);
    REQUIRE(next.has_value());
    const auto verified = wire::verify_device_list(next->view());
    CHECK(verified->find(account.device.device_id()) != nullptr);
    REQUIRE(verified->find(account.other_device.device_id()) != nullptr);
    CHECK(verified->find(account.other_device.device_id())->suites == wire::Bytes{1, 2});
  }

  TEST_CASE("a list that its readers would refuse is not made") {
    const Account account("refuse");
    const Account stranger("stranger");
    SignedDevice forged = account.signed_device();
    forged.record.created += 1;
    CHECK(make_first_list(account.root, account.list_key, std::vector{forged}).error() ==
          IdentityError::bad_device);
    CHECK(make_first_list(account.root, account.list_key,
                          std::vector{account.signed_device(), account.signed_device()})
              .error() == IdentityError::malformed);
    // A record that was signed for another user.
    CHECK(make_first_list(account.root, account.list_key, std::vector{stranger.signed_device()})
              .error() == IdentityError::bad_device);
  }

  TEST_CASE("a recovered root key names a new list key, in a list that follows the last one") {
    Account account("recovered");
    const wire::SignedList first = account.first_list();
    const ListKey fresh(SigningKey::draw(std::ref(account.random)));
    const auto list =
        make_recovered_list(account.root, fresh, first, std::vector{account.other_signed_device()});
    REQUIRE(list.has_value());
    const auto verified = wire::verify_device_list(list->view());
    REQUIRE(verified.has_value());
    CHECK(verified->user == account.root.user_id());
    CHECK(verified->version == wire::ListVersion{2, 1});
    CHECK(verified->previous == wire::sha512_32(first.body));
    REQUIRE(verified->devices.size() == 1);
    CHECK(verified->devices[0].id == account.other_device.device_id());
  }

  TEST_CASE("a list is not recovered with another user's root key, or from a damaged list") {
    Account account("recovered");
    const Account stranger("stranger");
    wire::SignedList first = account.first_list();
    const ListKey fresh(SigningKey::draw(std::ref(account.random)));
    const std::vector devices{account.signed_device()};
    CHECK(make_recovered_list(stranger.root, fresh, first, devices).error() ==
          IdentityError::wrong_user);
    first.signature.bytes[0] ^= 1;
    CHECK(make_recovered_list(account.root, fresh, first, devices).error() ==
          IdentityError::bad_list_signature);
    CHECK(devices_of(first).error() == IdentityError::bad_list_signature);
  }

  TEST_CASE("a signed prekey and a seal key verify under their own kind") {
    const Account account("signed keys");
    FixedRandom random("pair");
    const DhKey pair = DhKey::draw(std::ref(random));
    const wire::UserId user = account.root.user_id();
    const wire::Key& identity = account.device.identity().public_key();
    for (const auto kind : {wire::SignedKeyKind::prekey, wire::SignedKeyKind::seal}) {
      const wire::SignedKey key =
          account.device.sign_key(kind, user, 7, {kNow, kNow + 60}, pair.public_key());
      CHECK(key.id == 7);
      CHECK(key.created == kNow);
      CHECK(key.expires == kNow + 60);
      CHECK(key.key == pair.public_key());
      CHECK(wire::verify_signed_key(kind, user, identity, key).has_value());
    }
  }
}

}  // namespace godwit::crypto
