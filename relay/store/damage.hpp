// store/damage: counts the records found damaged by this process, each once.
// Owns:    the keys of at most kQuarantineMax records; beyond that each finding counts.
// Thread:  any.
#pragma once

#include <atomic>
#include <mutex>
#include <unordered_set>

#include "relay/store/keys.hpp"

namespace godwit::relay::store {

class Damage {
 public:
  void note(TableId table, wire::ByteView key) {
    const wire::Bytes place = quarantine_key(table, key);
    const std::scoped_lock lock(mutex_);
    std::string name(place.begin(), place.end());
    if (known_.contains(name)) return;
    if (known_.size() < kQuarantineMax) known_.insert(std::move(name));
    ++count_;
  }
  [[nodiscard]] std::uint64_t count() const { return count_; }

 private:
  std::mutex mutex_;  // taken only when something is broken
  std::unordered_set<std::string> known_;
  std::atomic<std::uint64_t> count_{0};
};

}  // namespace godwit::relay::store
