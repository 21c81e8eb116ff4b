// store/batch: what a loop hands to the writer, and what comes back: the only way anything gets
// onto the disk.
//
// A batch travels loop -> writer -> loop as one object: the writer fills in the log positions and
// the loop finds them where it left its appends. Nothing in it names a sender.
#pragma once

#include <memory>
#include <optional>

#include "schema/wire/types.hpp"

namespace godwit::relay::store {

// Small records that are read by key. The log, bodies and their counts are the writer's own.
enum class Table : std::uint8_t {
  users,          // user id -> signed device list and username
  device_keys,    // user id | device id -> seal key and signed prekey
  one_time_keys,  // user id | device id -> one-time prekeys that are left
  names,          // folded username -> user id
};
inline constexpr std::size_t kTableCount = 4;

// Stands for (recipient device, request id): BLAKE2b-128 over both. A submit has one request id for
// all its recipients; kept as it is, it would link their mailboxes at rest.
using RequestTag = wire::FixedBytes<struct RequestTagTag, 16>;

// The bytes of one envelope. Immutable; several recipients of one submit share one Body, in memory
// and on disk.
struct Body {
  // 0: one recipient, and the bytes lie inside its log record; else shared_id_of().
  std::uint64_t shared_id = 0;
  wire::Bytes bytes;
};

// Unique for ever, since the boot counter rises with each start, and each loop counts for itself.
// 20 bits of boots, 8 of loops, 36 of bodies: years at any rate.
[[nodiscard]] constexpr std::uint64_t shared_id_of(std::uint32_t boot, std::uint32_t loop,
                                                   std::uint64_t number) {
  return std::uint64_t{boot} << 44 | std::uint64_t{loop} << 36 | number;
}
[[nodiscard]] constexpr std::uint32_t boot_of(std::uint64_t shared_id) {
  return static_cast<std::uint32_t>(shared_id >> 44);
}

struct Put {
  Table table{};
  wire::Bytes key;
  std::optional<wire::Bytes> value;  // nothing: delete
};

struct Append {
  std::uint16_t slot = 0;
  wire::DeviceId device;
  RequestTag request;
  std::uint32_t expires = 0;  // seconds since 1970
  std::shared_ptr<const Body> body;
  std::uint32_t owner = 0;     // the loop's own mark; the writer does not look at it
  std::uint64_t position = 0;  // out: where it stands in the log; 0: refused, the store is full
};

struct Batch {
  std::vector<Put> puts;          // in order; a later one for the same key wins
  std::vector<Append> appends;    // in order: log order is delivery order
  std::vector<std::uint64_t> removes;      // log positions; one that is gone already is fine
  std::vector<std::uint64_t> quarantines;  // log positions of records that failed their checksum

  [[nodiscard]] bool empty() const {
    return puts.empty() && appends.empty() && removes.empty() && quarantines.empty();
  }
};

}  // namespace godwit::relay::store
