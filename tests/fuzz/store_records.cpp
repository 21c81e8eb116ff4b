// The relay's records on disk: the log, counts, meta, users, keys. Behind a good checksum too,
// every length is checked; a record that turns up at another place, or with another byte, is
// damaged.
// About: relay/store/records.cpp relay/slot/directory.cpp relay/slot/prekeys.cpp
#include "relay/slot/directory.hpp"
#include "relay/slot/prekeys.hpp"
#include "relay/store/records.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/support/memory_records.hpp"

namespace godwit::fuzz {
namespace {

using namespace relay::store;

constexpr std::size_t kSharedSizeMax = 1 << 20;

// The same record as the store would write it.
wire::Bytes written(std::uint64_t position, const LogRecord& record) {
  auto body = std::make_shared<Body>();
  body->shared_id = record.shared_id;
  body->bytes = copy_of(record.bytes);
  if (record.shared_id != 0) body->bytes.resize(record.size);
  Append append;
  append.slot = record.slot;
  append.device = record.device;
  append.request = record.request;
  append.expires = record.expires;
  append.body = std::move(body);
  wire::Bytes out;
  encode_log(position, append, out);
  return out;
}

void read_log(std::uint64_t position, wire::ByteView raw) {
  const auto record = parse_log(position, raw);
  if (!record) return;
  require(record->shared_id != 0 || record->bytes.size() == record->size, "a size is right");
  if (record->shared_id != 0 && record->size > kSharedSizeMax) return;  // no room for its stand-in
  require(same(written(position, *record), raw), "a record of the log has one form");
}

void read_any(std::uint64_t number, wire::ByteView raw) {
  read_log(number, raw);
  if (const auto count = parse_count(number, raw)) {
    wire::Bytes again;
    encode_count(number, *count, again);
    require(same(again, raw), "a count has one form");
  }
  if (const auto meta = parse_meta(raw); meta && meta->identity.generation != 0) {
    wire::Bytes again;
    encode_meta(*meta, again);
    require(same(again, raw), "the meta record has one form");
  }
}

// The keys of a device, in both tables: as many are given as are said to be left.
void read_keys(wire::ByteView raw) {
  const wire::UserId user{{1}};
  const wire::DeviceId device{{2}};
  wire::Bytes key = copy_of(user.view());
  wire::append(key, device.view());
  test::MemoryRecords disk;
  relay::slot::Journal journal(disk);
  relay::slot::Prekeys prekeys(journal);
  journal.put(Table::device_keys, key, copy_of(raw));
  const bool is_whole = prekeys.bundle(user, device, false).has_value();
  const wire::SignedKey some{};
  const auto put = prekeys.put(user, device, some, {}, {});
  require((put == wire::ErrorCode::ok) == is_whole, "one key is added to one that is there");
  require(prekeys.put(user, device, some, some, {}) == wire::ErrorCode::ok, "keys are replaced");

  journal.put(Table::one_time_keys, key, copy_of(raw));
  const std::uint32_t left = prekeys.one_time_left(user, device);
  for (std::uint32_t i = 0; i <= left; ++i) {
    const auto bundle = prekeys.bundle(user, device, true);
    require(bundle && bundle->one_time.has_value() == (i < left), "each key is given once");
  }
}

// Any payload behind the checksum that belongs to it.
void sealed_payload(Input& in) {
  constexpr std::array kTables{TableId::log, TableId::body_refs, TableId::meta};
  const TableId table = kTables[in.below(kTables.size())];
  const std::uint64_t number = in.byte();
  const U64Key position(number);
  const auto key = table == TableId::meta ? wire::as_bytes(kMetaKey) : position.view();
  const auto payload = in.rest();
  wire::Bytes raw;
  encode_value(table, key, payload, raw);
  const auto read = payload_of(table, key, raw);
  require(read && same(*read, payload), "a payload is read as it was written");
  read_any(number, raw);
}

void altered_log(Input& in) {
  LogRecord record;
  record.slot = in.number<std::uint16_t>();
  record.expires = in.number<std::uint32_t>();
  record.shared_id = in.chance(64) ? in.number<std::uint64_t>() : 0;
  const wire::Bytes bytes = copy_of(in.bytes(2048));
  record.size = static_cast<std::uint32_t>(bytes.size());
  if (record.shared_id == 0) record.bytes = bytes;
  const std::uint64_t position = in.number<std::uint64_t>();
  wire::Bytes raw = written(position, record);
  const auto read = parse_log(position, raw);
  require(read && read->slot == record.slot && read->expires == record.expires &&
              read->size == record.size && read->shared_id == record.shared_id,
          "a record of the log is read as it was written");
  require(!parse_log(position ^ 1, raw), "a record belongs to its place");
  if (mutate(in, raw)) require(!parse_log(position, raw), "an altered record is damaged");
}

void read_user(wire::ByteView bytes) {
  const auto user = relay::slot::decode_user(bytes);
  if (user) require(same(relay::slot::encode_user(*user), bytes), "a user has one form");
}

}  // namespace
}  // namespace godwit::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace godwit::fuzz;
  Input in(data, size);
  switch (in.below(4)) {
    case 0: {
      const std::uint8_t number = in.byte();
      const auto raw = in.rest();
      read_any(number, raw);
      read_keys(raw);
      break;
    }
    case 1:
      sealed_payload(in);
      break;
    case 2:
      altered_log(in);
      break;
    default:
      read_user(in.rest());
  }
  return 0;
}
