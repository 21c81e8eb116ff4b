#include "relay/store/records.hpp"

#include <cassert>
#include <limits>

#include "relay/store/limits.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::relay::store {
namespace {

using wire::append_le;
using wire::Bytes;
using wire::ByteView;
using wire::load_le;

constexpr std::uint8_t kInline = 0;
constexpr std::uint8_t kShared = 1;
constexpr std::size_t kMetaSize = 4 + 16 + 8 + 4 + 8;
static_assert(kChecksumSize + kLogHeaderSize + wire::kEnvelopeSizeMax <= kValueSizeMax);

// Not a secret: it guards against decay, not against an adversary with the disk in hand.
constexpr wire::SipKey kChecksumKey{'g', 'o', 'd', 'w', 'i', 't', '/', 's',
                                    't', 'o', 'r', 'e', '/', 's', 'u', 'm'};

// The key of the record becomes part of the hash's key, so that the payload needs no copy.
std::uint64_t checksum(TableId table, ByteView key, ByteView payload) {
  std::array<std::uint8_t, 1 + kKeySizeMax> place{static_cast<std::uint8_t>(table)};
  assert(key.size() <= kKeySizeMax);
  std::memcpy(place.data() + 1, key.data(), key.size());
  wire::SipKey sip_key = kChecksumKey;
  const std::uint64_t tweak = wire::siphash(kChecksumKey, {place.data(), 1 + key.size()});
  wire::store_le(sip_key.data(), load_le<std::uint64_t>(sip_key) ^ tweak);
  return wire::siphash(sip_key, payload);
}

void begin_record(Bytes& out) {
  out.clear();
  out.resize(kChecksumSize);
}

void end_record(TableId table, ByteView key, Bytes& out) {
  wire::store_le(out.data(), checksum(table, key, ByteView(out).subspan(kChecksumSize)));
}

}  // namespace

std::optional<ByteView> payload_of(TableId table, ByteView key, ByteView raw) {
  if (raw.size() < kChecksumSize) return std::nullopt;
  const ByteView payload = raw.subspan(kChecksumSize);
  if (load_le<std::uint64_t>(raw) != checksum(table, key, payload)) return std::nullopt;
  return payload;
}

void encode_value(TableId table, ByteView key, ByteView payload, Bytes& out) {
  begin_record(out);
  wire::append(out, payload);
  end_record(table, key, out);
}

void encode_log(std::uint64_t position, const Append& append, Bytes& out) {
  const Body& body = *append.body;
  assert(body.bytes.size() <= std::numeric_limits<std::uint32_t>::max());
  begin_record(out);
  append_le(out, append.slot);
  wire::append(out, append.device.view());
  wire::append(out, append.request.view());
  append_le(out, append.expires);
  out.push_back(body.shared_id == 0 ? kInline : kShared);
  append_le(out, static_cast<std::uint32_t>(body.bytes.size()));
  if (body.shared_id == 0) {
    wire::append(out, body.bytes);
  } else {
    append_le(out, body.shared_id);
  }
  end_record(TableId::log, U64Key(position).view(), out);
}

void encode_count(std::uint64_t body_id, std::uint64_t count, Bytes& out) {
  begin_record(out);
  append_le(out, count);
  end_record(TableId::body_refs, U64Key(body_id).view(), out);
}

void encode_meta(const MetaRecord& meta, Bytes& out) {
  begin_record(out);
  append_le(out, meta.version);
  wire::append(out, meta.identity.id.view());
  append_le(out, meta.identity.generation);
  append_le(out, meta.identity.boot);
  append_le(out, meta.next_position);
  end_record(TableId::meta, wire::as_bytes(kMetaKey), out);
}

std::optional<LogRecord> parse_log(std::uint64_t position, ByteView raw) {
  const auto payload = payload_of(TableId::log, U64Key(position).view(), raw);
  if (!payload || payload->size() < kLogHeaderSize) return std::nullopt;
  LogRecord record;
  record.slot = load_le<std::uint16_t>(*payload);
  record.device = wire::DeviceId::copy_of(payload->subspan(2, 16));
  record.request = RequestTag::copy_of(payload->subspan(18, 16));
  record.expires = load_le<std::uint32_t>(payload->subspan(34));
  const std::uint8_t kind = (*payload)[38];
  record.size = load_le<std::uint32_t>(payload->subspan(39));
  const ByteView rest = payload->subspan(kLogHeaderSize);
  if (kind == kInline && rest.size() == record.size) {
    record.bytes = rest;
    return record;
  }
  if (kind == kShared && rest.size() == sizeof(std::uint64_t)) {
    record.shared_id = load_le<std::uint64_t>(rest);
    if (record.shared_id == 0) return std::nullopt;  // would say that the bytes are here
    return record;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> parse_count(std::uint64_t body_id, ByteView raw) {
  const auto payload = payload_of(TableId::body_refs, U64Key(body_id).view(), raw);
  if (!payload || payload->size() != sizeof(std::uint64_t)) return std::nullopt;
  return load_le<std::uint64_t>(*payload);
}

std::optional<MetaRecord> parse_meta(ByteView raw) {
  const auto payload = payload_of(TableId::meta, wire::as_bytes(kMetaKey), raw);
  if (!payload || payload->size() < sizeof(std::uint32_t)) return std::nullopt;
  MetaRecord meta;
  meta.version = load_le<std::uint32_t>(*payload);
  if (meta.version > kDataVersion) return meta;
  if (meta.version == 0 || payload->size() != kMetaSize) return std::nullopt;
  meta.identity.id = wire::StoreId::copy_of(payload->subspan(4, 16));
  meta.identity.generation = load_le<std::uint64_t>(payload->subspan(20));
  meta.identity.boot = load_le<std::uint32_t>(payload->subspan(28));
  meta.next_position = load_le<std::uint64_t>(payload->subspan(32));
  return meta;
}

}  // namespace godwit::relay::store
