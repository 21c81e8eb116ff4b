#include "tests/support/memory_records.hpp"

#include <algorithm>
#include <cassert>

namespace godwit::test {

using relay::slot::Records;
namespace store = relay::store;

Records::Found MemoryRecords::get(store::Table table, wire::ByteView key, wire::Bytes& value) {
  const RecordKey wanted = record_key(table, key);
  const auto found = records_.find(wanted);
  if (found == records_.end()) return Found::no;
  if (damaged_.contains(wanted)) return Found::damaged;
  value = found->second;
  return Found::yes;
}

const wire::Bytes& MemoryRecords::bytes_of(const Entry& entry) const {
  return entry.shared_id == 0 ? entry.bytes : bodies_.at(entry.shared_id).bytes;
}

void MemoryRecords::envelopes(std::span<const std::uint64_t> positions,
                              const std::function<void(std::size_t, Found, const store::RequestTag&,
                                                       wire::ByteView)>& on_one) {
  assert(std::ranges::is_sorted(positions));
  for (std::size_t i = 0; i < positions.size(); ++i) {
    const auto found = log_.find(positions[i]);
    if (found == log_.end()) {
      on_one(i, Found::no, {}, {});
    } else if (found->second.damaged) {
      on_one(i, Found::damaged, {}, {});
    } else {
      on_one(i, Found::yes, found->second.request, bytes_of(found->second));
    }
  }
}

std::optional<store::RequestTag> MemoryRecords::request_at(std::uint64_t position) {
  const auto found = log_.find(position);
  if (found == log_.end() || found->second.damaged) return std::nullopt;
  return found->second.request;
}

void MemoryRecords::apply(store::Batch& batch) {
  for (const store::Put& put : batch.puts) {
    const RecordKey key = record_key(put.table, put.key);
    damaged_.erase(key);
    if (put.value) {
      records_[key] = *put.value;
    } else {
      records_.erase(key);
    }
  }
  for (store::Append& one : batch.appends) append(one);
  for (const std::uint64_t position : batch.removes) release(position);
  for (const std::uint64_t position : batch.quarantines) {
    const auto found = log_.find(position);
    // As the store does: what reads well after all stays, and what is not there is lost.
    if (found != log_.end() && !found->second.damaged) continue;
    quarantined_.insert(position);
    release(position);
  }
}

void MemoryRecords::append(store::Append& append) {
  if (!room_) {
    full_ = true;
    append.position = 0;
    return;
  }
  append.position = next_position_++;
  Entry entry{append.slot,    append.device, append.request,
              append.expires, append.body->shared_id, {}, false};
  if (entry.shared_id == 0) {
    entry.bytes = append.body->bytes;
  } else {
    Shared& shared = bodies_[entry.shared_id];
    if (shared.count++ == 0) shared.bytes = append.body->bytes;
  }
  log_.emplace(append.position, std::move(entry));
}

void MemoryRecords::release(std::uint64_t position) {
  const auto found = log_.find(position);
  if (found == log_.end()) return;
  const std::uint64_t shared_id = found->second.shared_id;
  if (shared_id != 0 && --bodies_.at(shared_id).count == 0) bodies_.erase(shared_id);
  log_.erase(found);
}

void MemoryRecords::restore_into(const EngineOf& engine_of) const {
  for (const auto& [position, entry] : log_) {
    engine_of(entry.slot).restore(entry.device, entry.request, position,
                                  static_cast<std::uint32_t>(bytes_of(entry).size()),
                                  entry.expires);
  }
}

bool MemoryRecords::holds(const wire::DeviceId& device, const wire::RequestId& request) const {
  const store::RequestTag tag = relay::slot::request_tag(device, request);
  return std::ranges::any_of(log_, [&](const auto& one) {
    return one.second.request == tag;
  });
}

}  // namespace godwit::test
