#include "relay/slot/directory.hpp"

#include <algorithm>
#include <cassert>

#include "relay/limits.hpp"
#include "schema/wire/bytes.hpp"

namespace godwit::relay::slot {
namespace {

constexpr std::size_t kFixedSize = 32 + 32 + 64 + 64 + 2;

wire::Bytes key_of(const wire::UserId& user) { return {user.bytes.begin(), user.bytes.end()}; }

wire::Bytes key_of(const std::string& name) { return {name.begin(), name.end()}; }

}  // namespace

// root 32 | list key 32 | delegation 64 | signature 64 | body length u16 | body | name
wire::Bytes encode_user(const UserRecord& record) {
  wire::Bytes bytes;
  bytes.reserve(kFixedSize + record.list.body.size() + record.name.size());
  wire::append(bytes, record.list.root.view());
  wire::append(bytes, record.list.list_key.view());
  wire::append(bytes, record.list.delegation.view());
  wire::append(bytes, record.list.signature.view());
  wire::append_le(bytes, static_cast<std::uint16_t>(record.list.body.size()));
  wire::append(bytes, record.list.body);
  wire::append(bytes, wire::as_bytes(record.name));
  return bytes;
}

std::optional<UserRecord> decode_user(wire::ByteView bytes) {
  if (bytes.size() < kFixedSize) return std::nullopt;
  UserRecord record;
  record.list.root = wire::Key::copy_of(bytes.subspan(0, 32));
  record.list.list_key = wire::Key::copy_of(bytes.subspan(32, 32));
  record.list.delegation = wire::Signature::copy_of(bytes.subspan(64, 64));
  record.list.signature = wire::Signature::copy_of(bytes.subspan(128, 64));
  const std::size_t body_size = wire::load_le<std::uint16_t>(bytes.subspan(192, 2));
  wire::ByteView rest = bytes.subspan(kFixedSize);
  if (rest.size() < body_size) return std::nullopt;
  record.list.body.assign(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(body_size));
  rest = rest.subspan(body_size);
  record.name.assign(rest.begin(), rest.end());
  return record;
}

std::size_t devices_of(wire::ByteView bytes) {
  const std::optional<UserRecord> record = decode_user(bytes);
  if (!record) return 0;
  const auto list = wire::parse_device_list(record->list.body);
  return list ? list->devices.size() : 0;
}

const Directory::Device* Directory::Known::find(const wire::DeviceId& id) const {
  const auto found = std::find_if(devices.begin(), devices.end(),
                                  [&](const Device& device) { return device.id == id; });
  return found == devices.end() ? nullptr : &*found;
}

const Directory::Known* Directory::known(const wire::UserId& user) {
  const auto cached = cache_.find(user);
  if (cached != cache_.end()) return &cached->second;
  const std::optional<UserRecord> record = load(user);
  if (!record) return nullptr;
  const auto list = wire::parse_device_list(record->list.body);
  if (!list) return nullptr;
  remember(user, *list);
  return &cache_.find(user)->second;
}

void Directory::remember(const wire::UserId& user, const wire::DeviceList& list) {
  // Whoever goes is read again when needed: any choice is right, this one is the cheapest.
  if (cache_.size() >= kDirectoryCacheMax && !cache_.contains(user)) cache_.erase(cache_.begin());
  Known& entry = cache_[user];
  entry.version = list.version;
  entry.devices.clear();
  for (const wire::DeviceRecord& device : list.devices) {
    entry.devices.push_back({device.id, device.transport});
  }
}

std::optional<UserRecord> Directory::load(const wire::UserId& user) {
  const auto value = journal_.get(store::Table::users, user.view());
  if (!value) return std::nullopt;
  return decode_user(*value);
}

bool Directory::pending(const wire::UserId& user) const {
  return journal_.pending(store::Table::users, user.view());
}

Directory::Put Directory::put(const PutUser& operation) {
  Put result;
  const wire::UserId user = operation.parsed.user;
  const std::optional<UserRecord> current = load(user);
  UserRecord next{operation.list, current ? current->name : std::string{}};
  wire::DeviceList old_list;
  if (current) {
    const auto parsed = wire::parse_device_list(current->list.body);
    if (parsed) old_list = *parsed;
    if (old_list.version == operation.parsed.version &&
        current->list.body == operation.list.body) {
      return result;  // the same again: answered as the first was
    }
    const bool follows = !operation.expected || *operation.expected == old_list.version;
    if (!follows || operation.parsed.version <= old_list.version) {
      result.code = wire::ErrorCode::conflict;
      return result;
    }
  }
  const std::size_t size_before = current ? current->list.body.size() : 0;
  if (journal_.full() && operation.list.body.size() > size_before) {
    result.code = wire::ErrorCode::store_full;
    return result;
  }
  for (const wire::DeviceRecord& device : operation.parsed.devices) {
    const wire::DeviceRecord* before = old_list.find(device.id);
    if (before == nullptr) result.added.push_back(device.id);
    if (before != nullptr && before->transport != device.transport) {
      result.rekeyed.push_back(device.id);
    }
  }
  for (const wire::DeviceRecord& device : old_list.devices) {
    if (operation.parsed.find(device.id) == nullptr) result.removed.push_back(device.id);
  }
  result.new_user = !current;
  journal_.put(store::Table::users, key_of(user), encode_user(next));
  remember(user, operation.parsed);
  return result;
}

std::optional<wire::UserId> Directory::claim_name(const ClaimName& operation) {
  const auto holder = resolve_name(operation.name);
  if (holder == operation.user) return std::nullopt;
  if (holder && holder != operation.void_holder) return holder;
  journal_.put(store::Table::names, key_of(operation.name), key_of(operation.user));
  return std::nullopt;
}

void Directory::release_name(const ReleaseName& operation) {
  const auto owner = resolve_name(operation.name);
  if (owner == operation.user) {
    journal_.put(store::Table::names, key_of(operation.name), std::nullopt);
  }
}

std::optional<wire::UserId> Directory::resolve_name(const std::string& name) {
  const auto value = journal_.get(store::Table::names, wire::as_bytes(name));
  if (!value || value->size() != wire::UserId::kSize) return std::nullopt;
  return wire::UserId::copy_of(*value);
}

bool Directory::name_pending(const std::string& name) const {
  return journal_.pending(store::Table::names, wire::as_bytes(name));
}

bool Directory::set_user_name(const SetUserName& operation) {
  std::optional<UserRecord> record = load(operation.user);
  if (!record) return false;
  if (record->name == operation.name) return true;
  record->name = operation.name;
  journal_.put(store::Table::users, key_of(operation.user), encode_user(*record));
  return true;
}

}  // namespace godwit::relay::slot
