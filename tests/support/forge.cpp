#include "tests/support/forge.hpp"

#include <doctest/doctest.h>

#include "client-sdk/src/crypto/sequence.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::test {
namespace {

using store::Table;

void collect(const SimDevice& device, Table table, Snapshot& into) {
  auto txn = device.database->read();
  REQUIRE(txn);
  REQUIRE(txn->scan_all(table, [&](std::optional<wire::ByteView> value) {
    REQUIRE(value);
    into.emplace_back(value->begin(), value->end());
    return true;
  }));
}

template <class Record>
Record load(const SimDevice& device, wire::ByteView name, wire::ByteView suffix = {}) {
  auto txn = device.database->read();
  REQUIRE(txn);
  auto record = core::View(*txn).load<Record>(name, suffix);
  REQUIRE(record);
  return std::move(*record);
}

std::vector<crypto::SignedDevice> entries_of(const wire::SignedList& list) {
  auto entries = crypto::devices_of(list);
  REQUIRE(entries);
  return std::move(*entries);
}

}  // namespace

wire::Bytes frame_of(const wire::RelayFrame& frame) {
  wire::Encoder encoder;
  const wire::ByteView bytes = encoder.encode(frame);
  return {bytes.begin(), bytes.end()};
}

ParsedFrame::ParsedFrame(wire::ByteView bytes) : storage_((bytes.size() + 7) / 8) {
  std::memcpy(storage_.data(), bytes.data(), bytes.size());
  auto parsed = wire::parse_relay_frame(
      {reinterpret_cast<const std::uint8_t*>(storage_.data()), bytes.size()});
  REQUIRE(parsed);
  value = std::move(*parsed);
}

void tell(SimDevice& device, const wire::RelayFrame& frame) {
  if (device.session) device.to_device.push_back(frame_of(frame));
}

void ack_for(SimDevice& device, std::uint32_t number) {
  static std::uint32_t id = 0x6000'0000;
  wire::Encoder encoder;
  const wire::Request ack{++id, wire::Ack{0, {number}}};
  const wire::ByteView frame = encoder.encode(ack);
  device.to_relay.emplace_back(frame.begin(), frame.end());
}

// ---- What a device has stored -------------------------------------------------------------------

Snapshot snapshot(const SimDevice& device, std::initializer_list<Table> tables) {
  Snapshot all;
  for (const Table table : tables) collect(device, table, all);
  std::ranges::sort(all, MemoryBackend::KeyLess{});
  return all;
}

Snapshot all_but_seen(const SimDevice& device) {
  Snapshot all;
  for (std::size_t i = 0; i < store::kTables; ++i) {
    if (const auto table = static_cast<Table>(i); table != Table::seen) {
      collect(device, table, all);
    }
  }
  std::ranges::sort(all, MemoryBackend::KeyLess{});
  return all;
}

std::size_t count(const SimDevice& device, Table table) {
  return snapshot(device, {table}).size();
}

// ---- Keys and lists -----------------------------------------------------------------------------

Keys keys_of(const SimDevice& device) {
  const auto secrets = load<core::SecretsRecord>(device, core::name_bytes(core::kSecretsName));
  return {crypto::SigningKey::from_seed(secrets.identity),
          crypto::RootKey(crypto::SigningKey::from_seed(secrets.root)),
          load<core::AccountRecord>(device, core::name_bytes(core::kAccountName)),
          load<core::UpkeepRecord>(device, core::name_bytes(core::kUpkeepName))};
}

wire::ListVersion version_of(const wire::SignedList& list) {
  const auto parsed = wire::parse_device_list(list.body);
  REQUIRE(parsed);
  return parsed->version;
}

wire::OneTimeKey one_time_key_of(const SimDevice& device, std::uint32_t id) {
  const std::array kind{static_cast<std::uint8_t>(core::PrekeyKind::one_time)};
  return {id, load<core::PrekeyRecord>(device, kind, core::order_bytes(id)).key};
}

wire::SignedList forked_list(const SimDevice& device, const crypto::SignedDevice& ghost) {
  const Keys keys = keys_of(device);
  auto entries = entries_of(keys.account.list);
  entries.push_back(ghost);
  auto list = crypto::make_first_list(
      keys.root, crypto::ListKey(crypto::SigningKey::draw(device.random)), entries);
  REQUIRE(list);
  return std::move(*list);
}

wire::SignedList list_after(const SimDevice& owner, const wire::SignedList& before,
                            std::span<const crypto::SignedDevice> devices) {
  const crypto::ListKey key(crypto::SigningKey::draw(owner.random));
  auto list = crypto::make_recovered_list(keys_of(owner).root, key, before, devices);
  REQUIRE(list);
  return std::move(*list);
}

wire::SignedList following_list(const SimDevice& device) {
  const wire::SignedList before = keys_of(device).account.list;
  return list_after(device, before, entries_of(before));
}

crypto::SignedDevice own_entry(const SimDevice& owner) {
  return entries_of(keys_of(owner).account.list).front();
}

// ---- Puppet -------------------------------------------------------------------------------------

Puppet::Puppet(SimDevice& device, const SimDevice& target)
    : device_(device),
      keys_(keys_of(device)),
      theirs_(keys_of(target)),
      list_hash_(wire::ListHash::copy_of(
          wire::sha512_32(keys_.account.list.body).view().first(wire::ListHash::kSize))) {}

void Puppet::begin(const std::optional<wire::OneTimeKey>& one_time, std::uint32_t gen) {
  begin(theirs_.upkeep.signed_prekey, one_time, gen);
}

void Puppet::begin(const wire::SignedKey& prekey, const std::optional<wire::OneTimeKey>& one_time,
                   std::uint32_t gen) {
  const auto listed = wire::parse_device_list(theirs_.account.list.body);
  REQUIRE(listed);
  auto session = crypto::Session::initiate(keys_.identity, keys_.account.user,
                                           {theirs_.account.user, listed->devices.front().identity},
                                           prekey, one_time, gen, device_.random);
  REQUIRE(session);
  session_.emplace(std::move(*session));
}

wire::Bytes Puppet::text(std::string_view text) {
  wire::Text body;
  device_.random(body.id.bytes);
  body.hlc = static_cast<std::uint64_t>(device_.world.now().wall.count()) << 16;
  body.text = text;
  return payload(body);
}

wire::Bytes Puppet::inner(const wire::Bytes& payload, std::uint64_t seq) {
  h = crypto::chain(h, payload);
  if (seq == 0) seq = next_seq++;
  const wire::Plaintext plaintext{wire::Plaintext::Kind::payload, seq, h, payload};
  return session_->encrypt(crypto::pad(wire::encode_plaintext(plaintext)), device_.random);
}

wire::Bytes Puppet::envelope(wire::ByteView inner) {
  return envelope_as(keys_.identity, keys_.account.user, inner);
}

wire::Bytes Puppet::envelope_as(const crypto::SigningKey& identity, const wire::UserId& user,
                                wire::ByteView inner) {
  const auto& seal_key = theirs_.upkeep.seal_key;
  crypto::StaticDh fresh;  // kept per pair of keys: `identity` may be any
  auto sealed = crypto::seal({theirs_.account.device, seal_key.id, seal_key.key},
                             crypto::dh_key_of(identity), user, inner, device_.random, fresh);
  REQUIRE(sealed);
  return std::move(*sealed);
}

void Puppet::submit(wire::ByteView envelope) {
  wire::Submit submit;
  device_.random(submit.request_id.bytes);
  submit.recipients.push_back(
      {theirs_.account.user, theirs_.account.device, version_of(theirs_.account.list), 0});
  submit.bodies.push_back(envelope);
  wire::Encoder encoder;
  const wire::Request request{++requests_, std::move(submit)};
  const wire::ByteView frame = encoder.encode(request);
  device_.to_relay.emplace_back(frame.begin(), frame.end());
}

}  // namespace godwit::test
