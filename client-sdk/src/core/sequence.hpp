// core/sequence: which numbers of a peer device have arrived: all up to one, and ranges beyond it.
// Thread: pure functions over a DeviceRecord. Spec: schema/ENVELOPE.md, "Sequence".
#pragma once

#include "client-sdk/src/core/records.hpp"

namespace godwit::core {

[[nodiscard]] bool has_arrived(const DeviceRecord& device, std::uint64_t seq);

// Something is missing.
[[nodiscard]] bool has_gap(const DeviceRecord& device);

// Notes a number above `device.seq` + 1 among the ranges. False: it would need more ranges than a
// receipt can tell, and nothing was noted.
[[nodiscard]] bool note_early(DeviceRecord& device, std::uint64_t seq);

// How many numbers the ranges hold.
[[nodiscard]] std::uint64_t early_count(const DeviceRecord& device);

// Moves `device.seq` one on; a range that begins right behind it shrinks by one as it is passed.
void advance(DeviceRecord& device);

// The numbers that are missing, at most `most`, ascending.
[[nodiscard]] std::vector<std::uint64_t> missing(const DeviceRecord& device, std::size_t most);

// Of those that are known to have been sent; 0: none is.
[[nodiscard]] std::uint64_t highest(const DeviceRecord& device);

// What is missing is asked for from now on.
void open_gap(DeviceRecord& device, Milliseconds wall);

// A receipt, and the request for what is missing, if anything has come from it, or was dropped.
void owe(DeviceRecord& device, Milliseconds wall);

// Whether a receipt is owed since a text came again: its sender may have missed the last one.
// Seldom to whom confirms none of ours: whoever has an envelope can have it come again without end.
[[nodiscard]] bool owes_again(const DeviceRecord& device, Milliseconds wall);

// What stands both in the record of a device and with its sessions.
template <class From, class To>
void copy_numbers(const From& from, To& to) {
  to.sent_seq = from.sent_seq;
  to.sent_h = from.sent_h;
  to.seq = from.seq;
  to.h = from.h;
  to.ranges = from.ranges;
  to.beyond = from.beyond;
  to.begins_anew = from.begins_anew;
}

[[nodiscard]] bool in_ranges(const std::vector<wire::SeqRange>& ranges, std::uint64_t seq);

}  // namespace godwit::core
