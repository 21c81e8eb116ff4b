// On disk: device_keys: two signed keys of 116 bytes each, the seal key first.
//          one_time_keys: highest id u32 | n x (id u32 | key 32), the oldest first: one record a
//          device, so that handing one out is one read and one write. The highest id ever taken
//          stays when the keys are gone: an upload that is sent again cannot bring back a key that
//          was handed out.
#include "relay/slot/prekeys.hpp"

#include "relay/limits.hpp"
#include "schema/wire/bytes.hpp"

namespace godwit::relay::slot {
namespace {

constexpr std::size_t kSignedKeySize = 4 + 8 + 8 + 32 + 64;
constexpr std::size_t kOneTimeKeySize = 4 + 32;

wire::Bytes key_of(const wire::UserId& user, const wire::DeviceId& device) {
  wire::Bytes key(user.bytes.begin(), user.bytes.end());
  wire::append(key, device.view());
  return key;
}

void append_signed_key(wire::Bytes& to, const wire::SignedKey& key) {
  wire::append_le(to, key.id);
  wire::append_le(to, key.created);
  wire::append_le(to, key.expires);
  wire::append(to, key.key.view());
  wire::append(to, key.signature.view());
}

wire::SignedKey read_signed_key(wire::ByteView from) {
  wire::SignedKey key;
  key.id = wire::load_le<std::uint32_t>(from);
  key.created = wire::load_le<std::uint64_t>(from.subspan(4));
  key.expires = wire::load_le<std::uint64_t>(from.subspan(12));
  key.key = wire::Key::copy_of(from.subspan(20, 32));
  key.signature = wire::Signature::copy_of(from.subspan(52, 64));
  return key;
}

std::optional<DeviceKeys> read_device_keys(const std::optional<wire::Bytes>& value) {
  if (!value || value->size() != 2 * kSignedKeySize) return std::nullopt;
  const wire::ByteView view = *value;
  return DeviceKeys{read_signed_key(view), read_signed_key(view.subspan(kSignedKeySize))};
}

std::uint32_t count_of(wire::ByteView keys) {
  return static_cast<std::uint32_t>(keys.size() / kOneTimeKeySize);  // the 4 bytes before round off
}

// One of another size reads as absent, like one whose checksum is wrong.
std::optional<wire::Bytes> read_one_time_keys(Journal& journal, wire::ByteView key) {
  auto keys = journal.get(store::Table::one_time_keys, key);
  if (keys && keys->size() % kOneTimeKeySize != sizeof(std::uint32_t)) return std::nullopt;
  return keys;
}

}  // namespace

wire::ErrorCode Prekeys::put(const wire::UserId& user, const wire::DeviceId& device,
                             const std::optional<wire::SignedKey>& seal_key,
                             const std::optional<wire::SignedKey>& signed_prekey,
                             std::span<const wire::OneTimeKey> one_time) {
  const wire::Bytes key = key_of(user, device);
  wire::Bytes keys = read_one_time_keys(journal_, key).value_or(wire::Bytes(4));
  const std::size_t before = keys.size();
  std::uint32_t highest = wire::load_le<std::uint32_t>(keys);
  for (const wire::OneTimeKey& added : one_time) {
    if (added.id <= highest) continue;  // a retry of the same upload
    highest = added.id;
    wire::append_le(keys, added.id);
    wire::append(keys, added.key.view());
  }
  if (count_of(keys) > kOneTimeKeysMax) return wire::ErrorCode::too_large;
  if (journal_.full() && keys.size() > before) return wire::ErrorCode::store_full;
  wire::store_le(keys.data(), highest);

  if (seal_key || signed_prekey) {
    const auto current = read_device_keys(journal_.get(store::Table::device_keys, key));
    if (!current && !(seal_key && signed_prekey)) return wire::ErrorCode::bad_request;
    wire::Bytes value;
    value.reserve(2 * kSignedKeySize);
    append_signed_key(value, seal_key ? *seal_key : current->seal_key);
    append_signed_key(value, signed_prekey ? *signed_prekey : current->signed_prekey);
    journal_.put(store::Table::device_keys, key, std::move(value));
  }
  if (keys.size() != before) journal_.put(store::Table::one_time_keys, key, std::move(keys));
  return wire::ErrorCode::ok;
}

void Prekeys::remove(const wire::UserId& user, const wire::DeviceId& device) {
  const wire::Bytes key = key_of(user, device);
  journal_.put(store::Table::device_keys, key, std::nullopt);
  journal_.put(store::Table::one_time_keys, key, std::nullopt);
}

std::optional<wire::Bundle> Prekeys::bundle(const wire::UserId& user, const wire::DeviceId& device,
                                            bool with_one_time) {
  const wire::Bytes key = key_of(user, device);
  const auto keys = read_device_keys(journal_.get(store::Table::device_keys, key));
  if (!keys) return std::nullopt;
  wire::Bundle bundle{device, keys->seal_key, keys->signed_prekey, std::nullopt};
  if (!with_one_time) return bundle;
  auto left = read_one_time_keys(journal_, key);
  if (!left || count_of(*left) == 0) return bundle;
  const wire::ByteView first = wire::ByteView(*left).subspan(4, kOneTimeKeySize);
  bundle.one_time = wire::OneTimeKey{wire::load_le<std::uint32_t>(first),
                                     wire::Key::copy_of(first.subspan(4))};
  left->erase(left->begin() + 4, left->begin() + 4 + kOneTimeKeySize);
  journal_.put(store::Table::one_time_keys, key, std::move(*left));
  return bundle;
}

std::uint32_t Prekeys::one_time_left(const wire::UserId& user, const wire::DeviceId& device) {
  const auto left = read_one_time_keys(journal_, key_of(user, device));
  return left ? count_of(*left) : 0;
}

}  // namespace godwit::relay::slot
