// crypto/keys: the secrets of an account and what they sign: root key, list key, device keys,
// device lists, prekeys.
// Owns:    secret keys, in memory, overwritten when their holder is destroyed or moved from.
// Refuses: to keep anything on disk, to read a clock or a random device: randomness and times
//          are handed in.
// Thread:  each value has one owner; signing is const.
// Trust:   secrets come from us. Device lists and records of other devices may come from
//          anywhere: what was built on them is verified before it is handed out.
// Spec:    schema/README.md, "Identities".
#pragma once

#include <functional>
#include <optional>
#include <tl/expected.hpp>

#include "schema/wire/identity.hpp"
#include "schema/wire/types.hpp"

namespace godwit::crypto {

// Fills the span with secret random bytes: wire::random_bytes, or a fixed stream in tests and
// simulations.
using Random = std::function<void(std::span<std::uint8_t>)>;

// 32 secret bytes that are overwritten at the end. Moving leaves zeros behind.
class Secret {
 public:
  Secret() = default;
  explicit Secret(const wire::SecretKey& from) : value_(from) {}
  [[nodiscard]] static Secret draw(const Random& random);
  Secret(Secret&& from) noexcept;
  Secret& operator=(Secret&& from) noexcept;
  ~Secret();

  [[nodiscard]] const wire::SecretKey& value() const { return value_; }

 private:
  wire::SecretKey value_;
};

// An Ed25519 key that signs. The seed is the secret; the rest follows from it.
class SigningKey {
 public:
  [[nodiscard]] static SigningKey from_seed(const wire::SecretKey& seed);
  [[nodiscard]] static SigningKey draw(const Random& random);

  [[nodiscard]] const wire::Key& public_key() const { return public_key_; }
  [[nodiscard]] const wire::SecretKey& seed() const { return seed_.value(); }
  [[nodiscard]] wire::Signature sign(wire::ByteView message) const;

 private:
  SigningKey(Secret seed, const wire::Key& public_key);
  Secret seed_;
  wire::Key public_key_;
};

// An X25519 pair: transport key, seal key, signed prekey or one-time prekey.
class DhKey {
 public:
  [[nodiscard]] static DhKey from_secret(const wire::SecretKey& secret);
  [[nodiscard]] static DhKey draw(const Random& random);

  [[nodiscard]] const wire::Key& public_key() const { return public_key_; }
  [[nodiscard]] const wire::SecretKey& secret() const { return secret_.value(); }
  // A plain copy for wire::Channel; the caller wipes it.
  [[nodiscard]] wire::KeyPair pair() const { return {public_key_, secret_.value()}; }

 private:
  DhKey(Secret secret, const wire::Key& public_key);
  Secret secret_;
  wire::Key public_key_;
};

// An identity key as an X25519 key, for Diffie-Hellman; nothing for a key of small or mixed order.
[[nodiscard]] std::optional<wire::Key> dh_public_of(const wire::Key& identity);
[[nodiscard]] DhKey dh_key_of(const SigningKey& identity);
[[nodiscard]] Secret dh_secret_of(const SigningKey& identity);  // its secret half alone: cheaper

// R: makes the user id. Needed only to name a list key; its place is the recovery code.
class RootKey {
 public:
  explicit RootKey(SigningKey key) : key_(std::move(key)) {}

  [[nodiscard]] const wire::Key& public_key() const { return key_.public_key(); }
  [[nodiscard]] wire::UserId user_id() const { return wire::user_id_of(public_key()); }
  // The right of `list_key` to sign this user's device lists of generation `gen`.
  [[nodiscard]] wire::Signature delegate(std::uint32_t gen, const wire::Key& list_key) const;

 private:
  SigningKey key_;
};

// L: signs the device lists. Held by the primary device alone.
class ListKey {
 public:
  explicit ListKey(SigningKey key) : key_(std::move(key)) {}

  [[nodiscard]] const wire::Key& public_key() const { return key_.public_key(); }
  [[nodiscard]] wire::Signature sign(wire::ByteView list_body) const {
    return key_.sign(list_body);
  }

 private:
  SigningKey key_;
};

// A device's record with its own signature over it: its proof that it holds the identity key.
struct SignedDevice {
  wire::DeviceRecord record;
  wire::Signature signature;
};

// From when to when a signed prekey or seal key holds, in seconds since 1970.
struct Validity {
  std::uint64_t created = 0;
  std::uint64_t expires = 0;
};

// What one device holds: its identity (IK) and its transport key.
class DeviceKeys {
 public:
  DeviceKeys(SigningKey identity, DhKey transport)
      : identity_(std::move(identity)), transport_(std::move(transport)) {}
  [[nodiscard]] static DeviceKeys draw(const Random& random);

  [[nodiscard]] wire::DeviceId device_id() const {
    return wire::device_id_of(identity_.public_key());
  }
  [[nodiscard]] const SigningKey& identity() const { return identity_; }
  [[nodiscard]] const DhKey& transport() const { return transport_; }

  // `created`: seconds since 1970. `suites`: ascending, 1 to wire::kSuitesMax.
  [[nodiscard]] SignedDevice sign_device(const wire::UserId& user, std::uint64_t created,
                                         wire::Bytes suites) const;
  // `key`: the public half of the prekey or seal key.
  [[nodiscard]] wire::SignedKey sign_key(wire::SignedKeyKind kind, const wire::UserId& user,
                                         std::uint32_t id, Validity validity,
                                         const wire::Key& key) const;

 private:
  SigningKey identity_;
  DhKey transport_;
};

// The first list of an account: generation 1, sequence 1, no predecessor. Refused when a device
// stands twice or did not sign its record, as everybody who reads the list would.
// `devices`: 1 to wire::kDevicesMax.
[[nodiscard]] tl::expected<wire::SignedList, wire::IdentityError> make_first_list(
    const RootKey& root, const ListKey& list_key, std::span<const SignedDevice> devices);

// The list with which a new list key takes over, after the recovery code brought the root key back:
// next generation, but at least `gen_min`, sequence 1, chained by hash to `previous`, the last list
// that is known. Fails as make_first_list does, when `previous` does not verify, and with
// wrong_user when `root` is another user's.
[[nodiscard]] tl::expected<wire::SignedList, wire::IdentityError> make_recovered_list(
    const RootKey& root, const ListKey& fresh, const wire::SignedList& previous,
    std::span<const SignedDevice> devices, std::uint32_t gen_min = 0);

// The entries of a list with their signatures, to be carried over into the next one.
[[nodiscard]] tl::expected<std::vector<SignedDevice>, wire::IdentityError> devices_of(
    const wire::SignedList& list);

// In a prekey header this id means "no one-time key", so no key gets it.
inline constexpr std::uint32_t kNoOneTimeKey = 0xffff'ffff;

}  // namespace godwit::crypto
