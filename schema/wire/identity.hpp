// wire/identity: verifies who a user and a device are: ids, delegation, device list, signed keys.
// Owns:    nothing.
// Refuses: to sign (that is the device's business) or to remember what was seen before.
// Thread:  pure functions.
// Trust:   input is hostile; each length is checked before use, each signature is verified.
// Spec:    schema/README.md, "Identities".
#pragma once

#include <optional>
#include <string_view>
#include <tl/expected.hpp>

#include "schema/wire/limits.hpp"
#include "schema/wire/types.hpp"

namespace godwit::wire {

enum class IdentityError : std::uint8_t {
  malformed,          // lengths, counts or the label do not fit, or a device stands twice
  wrong_user,         // the list names another user than its root key does
  bad_delegation,     // the root key did not sign this list key for this gen
  bad_list_signature, // the list key did not sign these bytes
  bad_device,         // a device did not sign its own record
  bad_key,            // a key that no honest device would use (small order, not canonical)
  bad_key_signature,  // the device did not sign this prekey or seal key
};

struct DeviceRecord {
  DeviceId id;            // BLAKE2b-128(label("dev") || identity)
  Key identity;           // Ed25519
  Key transport;          // X25519, the Noise static key of this device
  std::uint64_t created = 0;  // seconds since 1970
  Bytes suites;           // ascending, at least one
};

struct DeviceList {
  UserId user;
  ListVersion version;
  Hash32 previous;        // SHA-512(previous body)[:32]; the first: zeros
  std::vector<DeviceRecord> devices;

  [[nodiscard]] const DeviceRecord* find(const DeviceId& id) const;
};

// As it travels. The views live as long as the frame or record they were read from.
struct SignedListView {
  Key root;
  Key list_key;
  Signature delegation;
  ByteView body;
  Signature signature;
};

// The same, owning its bytes.
struct SignedList {
  Key root;
  Key list_key;
  Signature delegation;
  Bytes body;
  Signature signature;

  [[nodiscard]] SignedListView view() const {
    return {root, list_key, delegation, body, signature};
  }
  [[nodiscard]] static SignedList copy_of(const SignedListView& from) {
    return {from.root, from.list_key, from.delegation, Bytes(from.body.begin(), from.body.end()),
            from.signature};
  }
};

// A signed prekey or a seal key.
struct SignedKey {
  std::uint32_t id = 0;
  std::uint64_t created = 0;  // seconds since 1970
  std::uint64_t expires = 0;  // seconds since 1970
  Key key;                    // X25519
  Signature signature;
};

struct OneTimeKey {
  std::uint32_t id = 0;
  Key key;  // X25519
};

enum class SignedKeyKind : std::uint8_t { prekey, seal };

[[nodiscard]] UserId user_id_of(const Key& root);
[[nodiscard]] DeviceId device_id_of(const Key& identity);

// The bytes that get signed; shared by the device that signs and by everyone who verifies.
[[nodiscard]] Bytes delegation_bytes(const UserId&, std::uint32_t gen, const Key& list_key);
[[nodiscard]] Bytes device_record_bytes(const DeviceRecord&);
[[nodiscard]] Bytes signed_device_bytes(const UserId&, ByteView device_record);
[[nodiscard]] Bytes signed_key_bytes(SignedKeyKind, const UserId&, const SignedKey&);
// `signatures[i]` belongs to `list.devices[i]`.
[[nodiscard]] Bytes list_body(const DeviceList&, std::span<const Signature> signatures);

// Reads a body that was verified before (a record of our own store). Checks form, not signatures.
[[nodiscard]] tl::expected<DeviceList, IdentityError> parse_device_list(ByteView body);
// Checks everything, from the root key down to each device's proof of possession.
[[nodiscard]] tl::expected<DeviceList, IdentityError> verify_device_list(const SignedListView&);
[[nodiscard]] tl::expected<void, IdentityError> verify_signed_key(SignedKeyKind, const UserId&,
                                                                  const Key& identity,
                                                                  const SignedKey&);
// True when the Ed25519 signature holds. Small-order and non-canonical keys never verify.
[[nodiscard]] bool verify_signature(const Key& signer, ByteView message, const Signature&);

// Lower-cases ASCII and checks the length and the alphabet [a-z0-9._-]. Nobody is called what could
// be somebody's user id in hex.
[[nodiscard]] std::optional<std::string> fold_name(std::string_view name);

}  // namespace godwit::wire
