#include "client-sdk/src/crypto/keys.hpp"

#include <sodium.h>

#include <algorithm>
#include <cassert>
#include <limits>

#include "schema/wire/bytes.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::crypto {
namespace {

using tl::unexpected;
using wire::IdentityError;

// libsodium's form of an Ed25519 secret key: the seed and the public key, here for one call.
class ExpandedKey {
 public:
  ExpandedKey(const wire::SecretKey& seed, wire::Key& public_key) {
    const int made =
        crypto_sign_ed25519_seed_keypair(public_key.bytes.data(), bytes_.data(), seed.bytes.data());
    assert(made == 0);
    static_cast<void>(made);
  }
  ExpandedKey(const ExpandedKey&) = delete;
  ExpandedKey& operator=(const ExpandedKey&) = delete;
  ~ExpandedKey() { wire::wipe(bytes_); }

  [[nodiscard]] const std::uint8_t* data() const { return bytes_.data(); }

 private:
  std::array<std::uint8_t, crypto_sign_ed25519_SECRETKEYBYTES> bytes_{};
};

// Everything of a list but its devices.
struct ListFrame {
  wire::UserId user;
  wire::ListVersion version;
  wire::Hash32 previous;
  wire::Key root;
  wire::Signature delegation;
};

[[nodiscard]] tl::expected<wire::SignedList, IdentityError> make_list(
    const ListFrame& frame, const ListKey& list_key, std::span<const SignedDevice> devices) {
  assert(!devices.empty() && devices.size() <= wire::kDevicesMax);
  wire::DeviceList list{frame.user, frame.version, frame.previous, {}};
  std::vector<wire::Signature> signatures;
  for (const SignedDevice& device : devices) {
    list.devices.push_back(device.record);
    signatures.push_back(device.signature);
  }
  wire::SignedList made{.root = frame.root,
                        .list_key = list_key.public_key(),
                        .delegation = frame.delegation,
                        .body = wire::list_body(list, signatures),
                        .signature = {}};
  made.signature = list_key.sign(made.body);
  // A list that contacts would refuse must not leave this device.
  if (auto verified = wire::verify_device_list(made.view()); !verified) {
    return unexpected(verified.error());
  }
  return made;
}

}  // namespace

Secret Secret::draw(const Random& random) {
  Secret secret;
  random(secret.value_.bytes);
  return secret;
}

Secret::Secret(Secret&& from) noexcept : value_(from.value_) {
  wire::wipe(from.value_.bytes);
}

Secret& Secret::operator=(Secret&& from) noexcept {
  if (this == &from) return *this;
  value_ = from.value_;
  wire::wipe(from.value_.bytes);
  return *this;
}

Secret::~Secret() {
  wire::wipe(value_.bytes);
}

SigningKey::SigningKey(Secret seed, const wire::Key& public_key)
    : seed_(std::move(seed)), public_key_(public_key) {}

SigningKey SigningKey::from_seed(const wire::SecretKey& seed) {
  wire::Key public_key;
  const ExpandedKey expanded(seed, public_key);
  return {Secret(seed), public_key};
}

SigningKey SigningKey::draw(const Random& random) {
  return from_seed(Secret::draw(random).value());
}

wire::Signature SigningKey::sign(wire::ByteView message) const {
  wire::Key public_key;
  const ExpandedKey expanded(seed_.value(), public_key);
  // A key that was moved from holds zeros, whose public key is another.
  assert(public_key == public_key_);
  wire::Signature signature;
  const int signed_it = crypto_sign_ed25519_detached(
      signature.bytes.data(), nullptr, message.data(), message.size(), expanded.data());
  assert(signed_it == 0);
  static_cast<void>(signed_it);
  return signature;
}

DhKey::DhKey(Secret secret, const wire::Key& public_key)
    : secret_(std::move(secret)), public_key_(public_key) {}

DhKey DhKey::from_secret(const wire::SecretKey& secret) {
  wire::Key public_key;
  const int made = crypto_scalarmult_base(public_key.bytes.data(), secret.bytes.data());
  assert(made == 0);
  static_cast<void>(made);
  return {Secret(secret), public_key};
}

DhKey DhKey::draw(const Random& random) {
  return from_secret(Secret::draw(random).value());
}

std::optional<wire::Key> dh_public_of(const wire::Key& identity) {
  wire::Key converted;
  if (crypto_sign_ed25519_pk_to_curve25519(converted.bytes.data(), identity.bytes.data()) != 0) {
    return {};
  }
  return converted;
}

DhKey dh_key_of(const SigningKey& identity) {
  return DhKey::from_secret(dh_secret_of(identity).value());
}

Secret dh_secret_of(const SigningKey& identity) {
  // The conversion reads the seed alone, so the half with the public key may stay empty.
  std::array<std::uint8_t, crypto_sign_ed25519_SECRETKEYBYTES> expanded{};
  std::ranges::copy(identity.seed().bytes, expanded.begin());
  wire::SecretKey scalar;
  const int made = crypto_sign_ed25519_sk_to_curve25519(scalar.bytes.data(), expanded.data());
  assert(made == 0);
  static_cast<void>(made);
  Secret secret(scalar);
  wire::wipe(scalar.bytes);
  wire::wipe(expanded);
  return secret;
}

wire::Signature RootKey::delegate(std::uint32_t gen, const wire::Key& list_key) const {
  return key_.sign(wire::delegation_bytes(user_id(), gen, list_key));
}

DeviceKeys DeviceKeys::draw(const Random& random) {
  SigningKey identity = SigningKey::draw(random);
  return {std::move(identity), DhKey::draw(random)};
}

SignedDevice DeviceKeys::sign_device(const wire::UserId& user, std::uint64_t created,
                                     wire::Bytes suites) const {
  SignedDevice device{.record = {.id = device_id(),
                                 .identity = identity_.public_key(),
                                 .transport = transport_.public_key(),
                                 .created = created,
                                 .suites = std::move(suites)},
                      .signature = {}};
  const wire::Bytes record = wire::device_record_bytes(device.record);
  device.signature = identity_.sign(wire::signed_device_bytes(user, record));
  return device;
}

wire::SignedKey DeviceKeys::sign_key(wire::SignedKeyKind kind, const wire::UserId& user,
                                     std::uint32_t id, Validity validity,
                                     const wire::Key& key) const {
  wire::SignedKey made{.id = id,
                       .created = validity.created,
                       .expires = validity.expires,
                       .key = key,
                       .signature = {}};
  made.signature = identity_.sign(wire::signed_key_bytes(kind, user, made));
  return made;
}

tl::expected<wire::SignedList, IdentityError> make_first_list(
    const RootKey& root, const ListKey& list_key, std::span<const SignedDevice> devices) {
  constexpr wire::ListVersion version{.gen = 1, .seq = 1};
  return make_list({.user = root.user_id(),
                    .version = version,
                    .previous = {},
                    .root = root.public_key(),
                    .delegation = root.delegate(version.gen, list_key.public_key())},
                   list_key, devices);
}

tl::expected<wire::SignedList, IdentityError> make_recovered_list(
    const RootKey& root, const ListKey& fresh, const wire::SignedList& previous,
    std::span<const SignedDevice> devices, std::uint32_t gen_min) {
  const auto before = wire::verify_device_list(previous.view());
  if (!before) return unexpected(before.error());
  if (before->user != root.user_id()) return unexpected(IdentityError::wrong_user);
  assert(before->version.gen < std::numeric_limits<std::uint32_t>::max());
  const wire::ListVersion version{std::max(before->version.gen + 1, gen_min), 1};
  return make_list({.user = before->user,
                    .version = version,
                    .previous = wire::sha512_32(previous.body),
                    .root = root.public_key(),
                    .delegation = root.delegate(version.gen, fresh.public_key())},
                   fresh, devices);
}

tl::expected<std::vector<SignedDevice>, IdentityError> devices_of(const wire::SignedList& list) {
  auto parsed = wire::verify_device_list(list.view());
  if (!parsed) return unexpected(parsed.error());
  // Read from the back, where an entry ends with its signature; the form has just been checked.
  std::vector<SignedDevice> devices(parsed->devices.size());
  std::size_t end = list.body.size();
  for (std::size_t i = devices.size(); i-- > 0;) {
    const std::size_t start = end - wire::Signature::kSize;
    devices[i].signature =
        wire::Signature::copy_of(wire::ByteView(list.body).subspan(start, end - start));
    const std::size_t record_size = wire::device_record_bytes(parsed->devices[i]).size();
    devices[i].record = std::move(parsed->devices[i]);
    end = start - record_size - sizeof(std::uint16_t);
  }
  return devices;
}

}  // namespace godwit::crypto
