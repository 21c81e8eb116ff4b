// store/records: the bytes of every record, and the checksum that each carries.
//
// A record is checksum u64 | payload. LMDB has no page checksums: a flipped byte comes back with
// success, so no payload is looked at before its checksum is. The checksum covers table, key and
// payload: a record that turns up at another's place is damaged too. All integers little-endian:
//   log         slot u16 | device 16 | request 16 | expires u32 | kind u8 | size u32 |
//               kind 0: the bytes; kind 1: shared body id u64
//   bodies      the bytes
//   body_refs   count u64
//   meta        version u32 | store id 16 | generation u64 | boot u32 | next position u64
//   others      the value as it was put; in `quarantine` raw bytes without a checksum
// Thread: pure functions.
// Trust:  a disk may return anything; lengths are checked even behind a good checksum.
#pragma once

#include "relay/store/keys.hpp"
#include "relay/store/store.hpp"

namespace godwit::relay::store {

inline constexpr std::size_t kChecksumSize = 8;
inline constexpr std::size_t kLogHeaderSize = 2 + 16 + 16 + 4 + 1 + 4;

struct MetaRecord {
  std::uint32_t version = 0;
  Identity identity;
  std::uint64_t next_position = 1;  // of the log; no position is ever given twice
};

struct LogRecord {
  std::uint16_t slot = 0;
  wire::DeviceId device;
  RequestTag request;
  std::uint32_t expires = 0;
  std::uint32_t size = 0;       // of the envelope
  std::uint64_t shared_id = 0;  // 0: the bytes are here
  wire::ByteView bytes;         // empty when shared; lives as long as what was parsed
};

// The payload behind a good checksum; nothing when the record is damaged.
[[nodiscard]] std::optional<wire::ByteView> payload_of(TableId table, wire::ByteView key,
                                                       wire::ByteView raw);

// Fills `out` with checksum and payload; what was in it goes, its memory is used again.
void encode_value(TableId table, wire::ByteView key, wire::ByteView payload, wire::Bytes& out);
void encode_log(std::uint64_t position, const Append& append, wire::Bytes& out);
void encode_count(std::uint64_t body_id, std::uint64_t count, wire::Bytes& out);
void encode_meta(const MetaRecord& meta, wire::Bytes& out);

// Nothing: damaged.
[[nodiscard]] std::optional<LogRecord> parse_log(std::uint64_t position, wire::ByteView raw);
[[nodiscard]] std::optional<std::uint64_t> parse_count(std::uint64_t body_id, wire::ByteView raw);
// A record of a newer version yields its version only.
[[nodiscard]] std::optional<MetaRecord> parse_meta(wire::ByteView raw);

}  // namespace godwit::relay::store
