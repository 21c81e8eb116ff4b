#include "schema/wire/identity.hpp"

#include <doctest/doctest.h>
#include <sodium.h>

#include <functional>

#include "client-sdk/src/crypto/keys.hpp"
#include "schema/wire/hash.hpp"
#include "tests/support/fixed_random.hpp"

namespace godwit::test {
namespace {

using crypto::DeviceKeys;
using crypto::DhKey;
using crypto::ListKey;
using crypto::RootKey;
using crypto::SignedDevice;
using crypto::SigningKey;
using wire::IdentityError;

// Where the parts of a list body stand.
constexpr std::size_t kUserAt = 13;
constexpr std::size_t kCountAt = kUserAt + 16 + 4 + 8 + 32;
constexpr std::size_t kRecordSizeAt = kCountAt + 1;
constexpr std::size_t kSuiteCountAt = kRecordSizeAt + 2 + 32 + 32 + 8;

// An account whose lists can be signed whatever stands in them.
class Account {
 public:
  explicit Account(std::string_view seed) : random_(seed) {}

  [[nodiscard]] wire::UserId user() const { return root.user_id(); }
  [[nodiscard]] wire::Bytes body(std::vector<SignedDevice> devices) const {
    wire::DeviceList list{user(), {1, 1}, {}, {}};
    std::vector<wire::Signature> signatures;
    for (auto& entry : devices) {
      list.devices.push_back(std::move(entry.record));
      signatures.push_back(entry.signature);
    }
    return wire::list_body(list, signatures);
  }
  [[nodiscard]] wire::SignedList signed_list(wire::Bytes list_body) const {
    wire::SignedList list{.root = root.public_key(),
                          .list_key = list_key.public_key(),
                          .delegation = root.delegate(1, list_key.public_key()),
                          .body = std::move(list_body),
                          .signature = {}};
    list.signature = list_key.sign(list.body);
    return list;
  }
  [[nodiscard]] SignedDevice device_record() const {
    return device.sign_device(user(), 1'700'000'000, {1, 2});
  }
  [[nodiscard]] wire::SignedList list() const { return signed_list(body({device_record()})); }

  // A record as this device would sign it if it were that careless.
  [[nodiscard]] SignedDevice resigned(wire::DeviceRecord record) const {
    const wire::Bytes bytes = wire::device_record_bytes(record);
    return {std::move(record), device.identity().sign(wire::signed_device_bytes(user(), bytes))};
  }

 private:
  FixedRandom random_;

 public:
  RootKey root{SigningKey::draw(std::ref(random_))};
  ListKey list_key{SigningKey::draw(std::ref(random_))};
  DeviceKeys device = DeviceKeys::draw(std::ref(random_));
  DeviceKeys second_device = DeviceKeys::draw(std::ref(random_));
};

[[nodiscard]] std::optional<IdentityError> refusal(const wire::SignedList& list) {
  const auto verified = wire::verify_device_list(list.view());
  if (verified) return {};
  return verified.error();
}

// The answer to a list with `body` that its list key did sign.
[[nodiscard]] std::optional<IdentityError> body_refusal(const Account& account, wire::Bytes body) {
  const auto parsed = wire::parse_device_list(body);
  const auto refused = refusal(account.signed_list(std::move(body)));
  // What does not parse is refused for its form, and by both.
  if (!parsed) CHECK(refused == parsed.error());
  return refused;
}

template <std::size_t Size>
[[nodiscard]] std::array<std::uint8_t, Size> from_hex(std::string_view hex) {
  std::array<std::uint8_t, Size> bytes{};
  std::size_t size = 0;
  REQUIRE(sodium_hex2bin(bytes.data(), Size, hex.data(), hex.size(), nullptr, &size, nullptr) == 0);
  REQUIRE(size == Size);
  return bytes;
}

[[nodiscard]] wire::Key key_from_hex(std::string_view hex) {
  return {from_hex<32>(hex)};
}

// Ed25519 encodings that no honest key has.
[[nodiscard]] std::vector<wire::Key> unsound_ed25519_keys(const wire::Key& honest) {
  // A point of order 8; added to a key it gives one outside of the main subgroup.
  const wire::Key torsion =
      key_from_hex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a");
  wire::Key mixed;
  REQUIRE(crypto_core_ed25519_add(mixed.bytes.data(), honest.bytes.data(), torsion.bytes.data()) ==
          0);
  return {
      key_from_hex("0000000000000000000000000000000000000000000000000000000000000000"),
      key_from_hex("0100000000000000000000000000000000000000000000000000000000000000"),
      key_from_hex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
      torsion,
      mixed,
      // Not canonical: the field element 3 written as p + 3.
      key_from_hex("f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
      // Not on the curve.
      key_from_hex("0200000000000000000000000000000000000000000000000000000000000000"),
  };
}

// X25519 points of low order, one of them in a form that is not reduced.
[[nodiscard]] std::vector<wire::Key> low_order_x25519_keys() {
  return {
      key_from_hex("0000000000000000000000000000000000000000000000000000000000000000"),
      key_from_hex("0100000000000000000000000000000000000000000000000000000000000000"),
      key_from_hex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
      key_from_hex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
      key_from_hex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
      key_from_hex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
      key_from_hex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
      key_from_hex("0000000000000000000000000000000000000000000000000000000000000080"),
  };
}

}  // namespace

TEST_SUITE("schema/wire/identity") {
  TEST_CASE("a list verifies from the root key down to each device") {
    const Account account("list");
    const auto second = account.second_device.sign_device(account.user(), 5, {2, 7});
    const auto list = account.signed_list(account.body({account.device_record(), second}));
    const auto verified = wire::verify_device_list(list.view());
    REQUIRE(verified.has_value());
    CHECK(verified->user == wire::user_id_of(account.root.public_key()));
    CHECK(verified->version == wire::ListVersion{1, 1});
    REQUIRE(verified->devices.size() == 2);
    const wire::DeviceRecord* found = verified->find(account.second_device.device_id());
    REQUIRE(found != nullptr);
    CHECK(found->identity == account.second_device.identity().public_key());
    CHECK(found->transport == account.second_device.transport().public_key());
    CHECK(found->created == 5);
    CHECK(found->suites == wire::Bytes{2, 7});
    CHECK(verified->find(wire::DeviceId{}) == nullptr);
  }

  TEST_CASE("a list with any byte of its body, keys or signatures changed does not verify") {
    const Account account("flip");
    const wire::SignedList list = account.list();
    const auto flip_each = [&](auto bytes_of) {
      wire::SignedList changed = list;
      std::span<std::uint8_t> bytes = bytes_of(changed);
      for (std::uint8_t& byte : bytes) {
        byte ^= 1;
        CHECK(refusal(changed).has_value());
        byte ^= 1;
      }
      CHECK_FALSE(refusal(changed).has_value());
    };
    using Span = std::span<std::uint8_t>;
    flip_each([](wire::SignedList& from) -> Span { return from.body; });
    flip_each([](wire::SignedList& from) -> Span { return from.root.bytes; });
    flip_each([](wire::SignedList& from) -> Span { return from.list_key.bytes; });
    flip_each([](wire::SignedList& from) -> Span { return from.delegation.bytes; });
    flip_each([](wire::SignedList& from) -> Span { return from.signature.bytes; });
  }

  TEST_CASE("a body that is cut short or goes on is malformed, however it is signed") {
    const Account account("cut");
    const wire::Bytes whole = account.body({account.device_record()});
    for (std::size_t size = 0; size < whole.size(); ++size) {
      CAPTURE(size);
      const wire::Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      CHECK(body_refusal(account, cut) == IdentityError::malformed);
    }
    wire::Bytes longer = whole;
    longer.push_back(0);
    CHECK(body_refusal(account, longer) == IdentityError::malformed);
  }

  TEST_CASE("a body under another label is malformed") {
    const Account account("label");
    wire::Bytes body = account.body({account.device_record()});
    body[kUserAt - 1] = 1;  // the suite of the label
    CHECK(body_refusal(account, body) == IdentityError::malformed);
  }

  TEST_CASE("a list has 1 to kDevicesMax devices") {
    const Account account("count");
    FixedRandom random("devices");
    std::vector<SignedDevice> devices;
    for (std::size_t i = 0; i < wire::kDevicesMax; ++i) {
      devices.push_back(DeviceKeys::draw(std::ref(random))
                            .sign_device(account.user(), i, wire::Bytes{1, 2, 3, 4, 5, 6, 7, 8}));
    }
    wire::Bytes body = account.body(devices);
    CHECK(body.size() == wire::kListBodySizeMax);
    CHECK_FALSE(body_refusal(account, body).has_value());

    const wire::Bytes one = account.body({account.device_record()});
    body.insert(body.end(), one.begin() + static_cast<std::ptrdiff_t>(kRecordSizeAt), one.end());
    body[kCountAt] += 1;
    CHECK(body_refusal(account, body) == IdentityError::malformed);

    wire::Bytes none(one.begin(), one.begin() + static_cast<std::ptrdiff_t>(kRecordSizeAt));
    none[kCountAt] = 0;
    CHECK(body_refusal(account, none) == IdentityError::malformed);
  }

  TEST_CASE("suites ascend strictly, and there are 1 to kSuitesMax") {
    const Account account("suites");
    const auto refused = [&](wire::Bytes suites) {
      return refusal(account.signed_list(
          account.body({account.device.sign_device(account.user(), 1, std::move(suites))})));
    };
    CHECK_FALSE(refused({1}).has_value());
    CHECK_FALSE(refused({1, 2, 3, 4, 5, 6, 7, 255}).has_value());
    CHECK(refused({2, 1}) == IdentityError::malformed);
    CHECK(refused({1, 1}) == IdentityError::malformed);

    // The counts that list_body() would not write.
    wire::Bytes none = account.body({account.device.sign_device(account.user(), 1, {1})});
    none[kSuiteCountAt] = 0;
    none[kRecordSizeAt] -= 1;
    none.erase(none.begin() + static_cast<std::ptrdiff_t>(kSuiteCountAt) + 1);
    CHECK(body_refusal(account, none) == IdentityError::malformed);
    wire::Bytes nine =
        account.body({account.device.sign_device(account.user(), 1, {1, 2, 3, 4, 5, 6, 7, 8})});
    nine[kSuiteCountAt] += 1;
    nine[kRecordSizeAt] += 1;
    nine.insert(nine.begin() + static_cast<std::ptrdiff_t>(kSuiteCountAt) + 9, 9);
    CHECK(body_refusal(account, nine) == IdentityError::malformed);
  }

  TEST_CASE("a list of another user than its root key's is refused") {
    const Account account("mine");
    const Account other("other");
    wire::SignedList list = account.signed_list(other.body({other.device_record()}));
    CHECK(refusal(list) == IdentityError::wrong_user);
  }

  TEST_CASE("a list key without the root key's word for this generation is refused") {
    const Account account("delegation");
    wire::SignedList list = account.list();
    list.delegation = account.root.delegate(2, account.list_key.public_key());
    CHECK(refusal(list) == IdentityError::bad_delegation);
    const Account other("other");
    list.delegation = other.root.delegate(1, account.list_key.public_key());
    CHECK(refusal(list) == IdentityError::bad_delegation);
  }

  TEST_CASE("a list that another key signed is refused") {
    const Account account("signer");
    wire::SignedList list = account.list();
    list.signature = account.device.identity().sign(list.body);
    CHECK(refusal(list) == IdentityError::bad_list_signature);
  }

  TEST_CASE("a device that did not sign its own record is refused") {
    const Account account("possession");
    // The list's owner claims somebody else's device.
    SignedDevice claimed = account.second_device.sign_device(account.user(), 1, {1});
    claimed.signature = account.device.identity().sign(
        wire::signed_device_bytes(account.user(), wire::device_record_bytes(claimed.record)));
    CHECK(refusal(account.signed_list(account.body({claimed}))) == IdentityError::bad_device);
    // A record signed for another user does not serve here.
    const Account other("other");
    CHECK(refusal(account.signed_list(account.body({other.device_record()}))) ==
          IdentityError::bad_device);
  }

  TEST_CASE("a device that stands twice is refused, with the same record or another") {
    const Account account("twice");
    const SignedDevice device = account.device_record();
    const SignedDevice later = account.device.sign_device(account.user(), 9, {1});
    CHECK(body_refusal(account, account.body({device, device})) == IdentityError::malformed);
    CHECK(body_refusal(account, account.body({device, later})) == IdentityError::malformed);
  }

  TEST_CASE("an identity key that is not canonical or not in the main subgroup is refused") {
    const Account account("unsound");
    for (const wire::Key& key : unsound_ed25519_keys(account.device.identity().public_key())) {
      wire::SignedList list = account.list();
      list.list_key = key;
      CHECK(refusal(list) == IdentityError::bad_key);

      SignedDevice device = account.device_record();
      device.record.identity = key;
      CHECK(refusal(account.signed_list(account.body({device}))) == IdentityError::bad_key);

      list = account.list();
      list.root = key;
      const wire::UserId user = wire::user_id_of(key);
      std::copy(user.bytes.begin(), user.bytes.end(), list.body.begin() + kUserAt);
      CHECK(refusal(list) == IdentityError::bad_key);
    }
  }

  TEST_CASE("a transport key of low order is refused though its device signed it") {
    const Account account("transport");
    for (const wire::Key& key : low_order_x25519_keys()) {
      wire::DeviceRecord record = account.device_record().record;
      record.transport = key;
      CHECK(refusal(account.signed_list(account.body({account.resigned(record)}))) ==
            IdentityError::bad_key);
    }
  }

  TEST_CASE("a signed key verifies for its kind, user, identity and content alone") {
    using Kind = wire::SignedKeyKind;
    const Account account("signed key");
    const Account other("other");
    const wire::Key& identity = account.device.identity().public_key();
    FixedRandom random("pair");
    const DhKey pair = DhKey::draw(std::ref(random));
    const wire::SignedKey key =
        account.device.sign_key(Kind::prekey, account.user(), 7, {1, 2}, pair.public_key());
    const auto holds = [&](const wire::SignedKey& changed) {
      return wire::verify_signed_key(Kind::prekey, account.user(), identity, changed);
    };
    CHECK(holds(key).has_value());
    CHECK(wire::verify_signed_key(Kind::seal, account.user(), identity, key).error() ==
          IdentityError::bad_key_signature);
    CHECK(wire::verify_signed_key(Kind::prekey, other.user(), identity, key).error() ==
          IdentityError::bad_key_signature);
    CHECK(wire::verify_signed_key(Kind::prekey, account.user(),
                                  other.device.identity().public_key(), key)
              .error() == IdentityError::bad_key_signature);

    for (auto change :
         {+[](wire::SignedKey& to) { to.id ^= 1; }, +[](wire::SignedKey& to) { to.created ^= 1; },
          +[](wire::SignedKey& to) { to.expires ^= 1; },
          +[](wire::SignedKey& to) { to.key.bytes[3] ^= 1; },
          +[](wire::SignedKey& to) { to.signature.bytes[40] ^= 1; }}) {
      wire::SignedKey changed = key;
      change(changed);
      CHECK(holds(changed).error() == IdentityError::bad_key_signature);
    }
  }

  TEST_CASE("a signed key of low order or by an unsound identity is refused") {
    const Account account("low order");
    const auto kind = wire::SignedKeyKind::seal;
    const wire::Key& identity = account.device.identity().public_key();
    for (const wire::Key& low : low_order_x25519_keys()) {
      const auto key = account.device.sign_key(kind, account.user(), 1, {1, 2}, low);
      CHECK(wire::verify_signed_key(kind, account.user(), identity, key).error() ==
            IdentityError::bad_key);
    }
    const auto key = account.device.sign_key(kind, account.user(), 1, {1, 2},
                                             account.device.transport().public_key());
    for (const wire::Key& unsound : unsound_ed25519_keys(identity)) {
      CHECK(wire::verify_signed_key(kind, account.user(), unsound, key).error() ==
            IdentityError::bad_key);
    }
  }

  TEST_CASE("a key of small order signs nothing") {
    // R = the neutral element and s = 0: a verifier that only solves the equation accepts it
    // for any message under a neutral public key.
    wire::Signature forged;
    forged.bytes[0] = 1;
    wire::Key neutral;
    neutral.bytes[0] = 1;
    CHECK_FALSE(wire::verify_signature(neutral, wire::as_bytes("anything"), forged));
  }

  TEST_CASE("names are folded to lower case and hold 2 to 32 of a-z 0-9 . _ -") {
    CHECK(wire::fold_name("Bar-Tailed_Godwit.7") == "bar-tailed_godwit.7");
    CHECK(wire::fold_name("ab") == "ab");
    CHECK(wire::fold_name(std::string(32, 'Z')) == std::string(32, 'z'));
    CHECK_FALSE(wire::fold_name("0123456789abcdef0123456789ABCDEF").has_value());  // a user id
    CHECK(wire::fold_name("0123456789abcdef0123456789abcde").has_value());
    CHECK(wire::fold_name("0123456789abcdef0123456789abcdeg").has_value());
    CHECK_FALSE(wire::fold_name("").has_value());
    CHECK_FALSE(wire::fold_name("a").has_value());
    CHECK_FALSE(wire::fold_name(std::string(33, 'a')).has_value());
    const std::string_view allowed =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    for (int byte = 0; byte <= 255; ++byte) {
      CAPTURE(byte);
      const auto letter = static_cast<char>(byte);
      const std::string name{'x', letter};
      CHECK(wire::fold_name(name).has_value() == (allowed.find(letter) != std::string_view::npos));
    }
  }
}

}  // namespace godwit::test
