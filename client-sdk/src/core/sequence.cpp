#include "client-sdk/src/core/sequence.hpp"

#include <algorithm>

#include "client-sdk/src/core/round.hpp"

namespace godwit::core {

bool in_ranges(const std::vector<wire::SeqRange>& ranges, std::uint64_t seq) {
  return std::ranges::any_of(
      ranges, [&](const auto& range) { return range.first <= seq && seq <= range.last; });
}

bool has_arrived(const DeviceRecord& device, std::uint64_t seq) {
  return seq <= device.seq || in_ranges(device.ranges, seq);
}

bool has_gap(const DeviceRecord& device) {
  return !device.ranges.empty() || device.beyond > device.seq;
}

// seq and each range's first are at least 2; the largest number there is has no successor.
bool note_early(DeviceRecord& device, std::uint64_t seq) {
  auto& ranges = device.ranges;
  const auto after =
      std::ranges::find_if(ranges, [&](const auto& range) { return range.last >= seq - 1; });
  if (after == ranges.end() || after->first - 1 > seq) {
    if (ranges.size() >= wire::kReceiptRangesMax) return false;
    ranges.insert(after, {seq, seq});
    return true;
  }
  after->first = std::min(after->first, seq);
  after->last = std::max(after->last, seq);
  if (const auto next = after + 1; next != ranges.end() && next->first - 1 == after->last) {
    after->last = next->last;
    ranges.erase(next);
  }
  return true;
}

std::uint64_t early_count(const DeviceRecord& device) {
  std::uint64_t count = 0;
  for (const wire::SeqRange& range : device.ranges) count += range.last - range.first + 1;
  return count;
}

void advance(DeviceRecord& device) {
  ++device.seq;
  if (device.ranges.empty()) return;
  wire::SeqRange& first = device.ranges.front();
  if (first.first != device.seq) return;
  if (first.first == first.last) {
    device.ranges.erase(device.ranges.begin());
  } else {
    ++first.first;
  }
}

std::uint64_t highest(const DeviceRecord& device) {
  const std::uint64_t taken = device.ranges.empty() ? device.seq : device.ranges.back().last;
  return std::max(taken, device.beyond);
}

void open_gap(DeviceRecord& device, Milliseconds wall) {
  device.gap_since = wall;
  device.asked = 0;
  device.asked_at = 0;
}

void owe(DeviceRecord& device, Milliseconds wall) {
  if (device.seq == 0 && !has_gap(device) && !device.ask_dropped) return;
  device.receipt_owed = true;
  if (has_gap(device)) open_gap(device, wall);
}

bool owes_again(const DeviceRecord& device, Milliseconds wall) {
  const bool heard = device.sent_seq - device.their_delivered <= 2 * kUnreceiptedMax;
  const auto pause = heard ? kRepairInterval : kRepairIntervalMax;
  return is_over(device.receipted_at, pause, wall);
}

std::vector<std::uint64_t> missing(const DeviceRecord& device, std::size_t most) {
  std::vector<std::uint64_t> seqs;
  std::uint64_t next = device.seq + 1;
  for (const wire::SeqRange& range : device.ranges) {
    for (; next < range.first && seqs.size() < most; ++next) seqs.push_back(next);
    next = range.last + 1;
  }
  if (!device.ranges.empty() && device.ranges.back().last >= device.beyond) return seqs;
  for (; next <= device.beyond && seqs.size() < most; ++next) seqs.push_back(next);
  return seqs;
}

}  // namespace godwit::core
