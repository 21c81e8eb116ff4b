// Happy path of verify_device_list: read the form of the body, compare its user with the root key,
// check every key, then the signatures from the root key down to each device's own.
// Failure: the first thing that does not hold is the answer; nothing of the list is used.

#include "schema/wire/identity.hpp"

#include <sodium.h>

#include <algorithm>
#include <cassert>
#include <functional>

#include "schema/wire/bytes.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::wire {
namespace {

using tl::unexpected;

// Cuts a body into fields. A field that does not fit ends the reading.
class Reader {
 public:
  explicit Reader(ByteView from) : rest_(from) {}

  [[nodiscard]] std::optional<ByteView> take(std::size_t size) {
    if (rest_.size() < size) return {};
    const ByteView taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }

  template <std::unsigned_integral Int>
  [[nodiscard]] std::optional<Int> take_int() {
    const auto raw = take(sizeof(Int));
    if (!raw) return {};
    return load_le<Int>(*raw);
  }

  template <class Fixed>
  [[nodiscard]] bool take_into(Fixed& to) {
    const auto raw = take(Fixed::kSize);
    if (raw) to = Fixed::copy_of(*raw);
    return raw.has_value();
  }

  [[nodiscard]] bool empty() const { return rest_.empty(); }

 private:
  ByteView rest_;
};

struct Entry {
  ByteView record;  // the bytes that the device signed, without label and user
  Signature signature;
};

struct ParsedList {
  DeviceList list;
  std::vector<Entry> entries;  // one for each device of the list
};

// `raw` must be one record exactly.
[[nodiscard]] std::optional<DeviceRecord> parse_device_record(ByteView raw) {
  Reader reader(raw);
  DeviceRecord record;
  if (!reader.take_into(record.identity) || !reader.take_into(record.transport)) return {};
  const auto created = reader.take_int<std::uint64_t>();
  const auto count = reader.take_int<std::uint8_t>();
  if (!created || !count || *count == 0 || *count > kSuitesMax) return {};
  const auto suites = reader.take(*count);
  if (!suites || !reader.empty()) return {};
  const bool ascending =
      std::adjacent_find(suites->begin(), suites->end(), std::greater_equal<>()) == suites->end();
  if (!ascending) return {};
  record.created = *created;
  record.suites.assign(suites->begin(), suites->end());
  record.id = device_id_of(record.identity);
  return record;
}

[[nodiscard]] tl::expected<ParsedList, IdentityError> parse_list(ByteView body) {
  Reader reader(body);
  ParsedList parsed;
  DeviceList& list = parsed.list;
  const Bytes expected_label = label("devs");
  const auto found_label = reader.take(expected_label.size());
  if (!found_label || !std::equal(found_label->begin(), found_label->end(), expected_label.begin(),
                                  expected_label.end())) {
    return unexpected(IdentityError::malformed);
  }
  if (!reader.take_into(list.user)) return unexpected(IdentityError::malformed);
  const auto gen = reader.take_int<std::uint32_t>();
  const auto seq = reader.take_int<std::uint64_t>();
  if (!gen || !seq || !reader.take_into(list.previous)) {
    return unexpected(IdentityError::malformed);
  }
  list.version = {*gen, *seq};

  const auto count = reader.take_int<std::uint8_t>();
  if (!count || *count == 0 || *count > kDevicesMax) return unexpected(IdentityError::malformed);
  for (std::size_t i = 0; i < *count; ++i) {
    const auto size = reader.take_int<std::uint16_t>();
    const auto raw = size ? reader.take(*size) : std::nullopt;
    Entry entry;
    if (!raw || !reader.take_into(entry.signature)) return unexpected(IdentityError::malformed);
    auto record = parse_device_record(*raw);
    if (!record) return unexpected(IdentityError::malformed);
    if (list.find(record->id) != nullptr) return unexpected(IdentityError::malformed);
    entry.record = *raw;
    list.devices.push_back(std::move(*record));
    parsed.entries.push_back(entry);
  }
  if (!reader.empty()) return unexpected(IdentityError::malformed);
  return parsed;
}

// Canonical, on the curve, in the main subgroup and not of small order: of one key there is then
// exactly one encoding, so that an identity cannot stand under two names.
[[nodiscard]] bool is_sound_ed25519(const Key& key) {
  return crypto_core_ed25519_is_valid_point(key.bytes.data()) == 1;
}

// X25519 with a low-order point yields zero whatever the scalar is, so any one scalar tells.
[[nodiscard]] bool is_sound_x25519(const Key& key) {
  constexpr std::array<std::uint8_t, crypto_scalarmult_SCALARBYTES> scalar{1};
  std::array<std::uint8_t, crypto_scalarmult_BYTES> product{};
  return crypto_scalarmult(product.data(), scalar.data(), key.bytes.data()) == 0;
}

[[nodiscard]] bool all_keys_sound(const SignedListView& view, const DeviceList& list) {
  return is_sound_ed25519(view.root) && is_sound_ed25519(view.list_key) &&
         std::all_of(list.devices.begin(), list.devices.end(), [](const DeviceRecord& device) {
           return is_sound_ed25519(device.identity) && is_sound_x25519(device.transport);
         });
}

}  // namespace

const DeviceRecord* DeviceList::find(const DeviceId& id) const {
  const auto found = std::find_if(devices.begin(), devices.end(),
                                  [&](const DeviceRecord& device) { return device.id == id; });
  return found == devices.end() ? nullptr : &*found;
}

UserId user_id_of(const Key& root) {
  UserId id;
  blake2b(id.bytes, {label("user"), root.view()});
  return id;
}

DeviceId device_id_of(const Key& identity) {
  DeviceId id;
  blake2b(id.bytes, {label("dev"), identity.view()});
  return id;
}

Bytes delegation_bytes(const UserId& user, std::uint32_t gen, const Key& list_key) {
  Bytes out = label("deleg");
  append(out, user.view());
  append_le(out, gen);
  append(out, list_key.view());
  return out;
}

Bytes device_record_bytes(const DeviceRecord& record) {
  assert(!record.suites.empty() && record.suites.size() <= kSuitesMax);
  Bytes out;
  append(out, record.identity.view());
  append(out, record.transport.view());
  append_le(out, record.created);
  append_le(out, static_cast<std::uint8_t>(record.suites.size()));
  append(out, record.suites);
  return out;
}

Bytes signed_device_bytes(const UserId& user, ByteView device_record) {
  Bytes out = label("dev");
  append(out, user.view());
  append(out, device_record);
  return out;
}

Bytes signed_key_bytes(SignedKeyKind kind, const UserId& user, const SignedKey& key) {
  Bytes out = label(kind == SignedKeyKind::prekey ? "spk" : "seal");
  append(out, user.view());
  append_le(out, key.id);
  append_le(out, key.created);
  append_le(out, key.expires);
  append(out, key.key.view());
  return out;
}

Bytes list_body(const DeviceList& list, std::span<const Signature> signatures) {
  assert(signatures.size() == list.devices.size());
  assert(!list.devices.empty() && list.devices.size() <= kDevicesMax);
  Bytes out = label("devs");
  append(out, list.user.view());
  append_le(out, list.version.gen);
  append_le(out, list.version.seq);
  append(out, list.previous.view());
  append_le(out, static_cast<std::uint8_t>(list.devices.size()));
  for (std::size_t i = 0; i < list.devices.size(); ++i) {
    const Bytes record = device_record_bytes(list.devices[i]);
    append_le(out, static_cast<std::uint16_t>(record.size()));
    append(out, record);
    append(out, signatures[i].view());
  }
  return out;
}

tl::expected<DeviceList, IdentityError> parse_device_list(ByteView body) {
  auto parsed = parse_list(body);
  if (!parsed) return unexpected(parsed.error());
  return std::move(parsed->list);
}

tl::expected<DeviceList, IdentityError> verify_device_list(const SignedListView& view) {
  auto parsed = parse_list(view.body);
  if (!parsed) return unexpected(parsed.error());
  DeviceList& list = parsed->list;
  if (list.user != user_id_of(view.root)) return unexpected(IdentityError::wrong_user);
  if (!all_keys_sound(view, list)) return unexpected(IdentityError::bad_key);

  const Bytes delegation = delegation_bytes(list.user, list.version.gen, view.list_key);
  if (!verify_signature(view.root, delegation, view.delegation)) {
    return unexpected(IdentityError::bad_delegation);
  }
  if (!verify_signature(view.list_key, view.body, view.signature)) {
    return unexpected(IdentityError::bad_list_signature);
  }
  for (std::size_t i = 0; i < list.devices.size(); ++i) {
    const Entry& entry = parsed->entries[i];
    const Bytes proof = signed_device_bytes(list.user, entry.record);
    if (!verify_signature(list.devices[i].identity, proof, entry.signature)) {
      return unexpected(IdentityError::bad_device);
    }
  }
  return std::move(list);
}

tl::expected<void, IdentityError> verify_signed_key(SignedKeyKind kind, const UserId& user,
                                                    const Key& identity, const SignedKey& key) {
  if (!is_sound_ed25519(identity) || !is_sound_x25519(key.key)) {
    return unexpected(IdentityError::bad_key);
  }
  if (!verify_signature(identity, signed_key_bytes(kind, user, key), key.signature)) {
    return unexpected(IdentityError::bad_key_signature);
  }
  return {};
}

bool verify_signature(const Key& signer, ByteView message, const Signature& signature) {
  // libsodium refuses non-canonical and small-order keys and R, and an S that is not reduced.
  return crypto_sign_ed25519_verify_detached(signature.bytes.data(), message.data(), message.size(),
                                             signer.bytes.data()) == 0;
}

std::optional<std::string> fold_name(std::string_view name) {
  if (name.size() < kNameSizeMin || name.size() > kNameSizeMax) return {};
  std::string folded;
  folded.reserve(name.size());
  bool hex = true;
  for (const char letter : name) {
    const bool upper = letter >= 'A' && letter <= 'Z';
    const char lower = upper ? static_cast<char>(letter - 'A' + 'a') : letter;
    const bool allowed = (lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9') ||
                         lower == '.' || lower == '_' || lower == '-';
    if (!allowed) return {};
    folded.push_back(lower);
    hex &= (lower >= 'a' && lower <= 'f') || (lower >= '0' && lower <= '9');
  }
  if (hex && folded.size() == 2 * UserId::kSize) return {};
  return folded;
}

}  // namespace godwit::wire
