// policy/rate: token buckets. Pure: the clock is handed in.
// Thread: one owner; not shared.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <unordered_map>

#include "relay/limits.hpp"
#include "relay/time.hpp"

namespace godwit::relay::policy {

struct Rate {
  double per_second = 1;
  double burst = 1;
};

class TokenBucket {
 public:
  // Nothing when it was given, else how long until it will be. What costs several tokens is given
  // when there is one, and the others are owed: nothing costs more than a bucket can hold.
  [[nodiscard]] std::chrono::milliseconds take(const Rate& rate, Steady now, double cost = 1) {
    const std::chrono::duration<double> passed = now - last_;
    // Never used before: full.
    tokens_ = last_ == Steady{} ? rate.burst
                                : std::min(rate.burst, tokens_ + passed.count() * rate.per_second);
    last_ = now;
    if (tokens_ >= 1) {
      tokens_ -= cost;
      return {};
    }
    const double wait_s = (1 - tokens_) / rate.per_second;
    return std::chrono::milliseconds(static_cast<std::int64_t>(wait_s * 1'000) + 1);
  }

  [[nodiscard]] bool full(const Rate& rate, Steady now) const {
    const std::chrono::duration<double> passed = now - last_;
    return tokens_ + passed.count() * rate.per_second >= rate.burst;
  }

 private:
  double tokens_ = 0;
  Steady last_{};
};

// A bucket for each key that is not at rest: a full bucket says nothing, so it can be forgotten.
template <class Key, class Hash = std::hash<Key>>
class RateTable {
 public:
  explicit RateTable(Rate rate) : rate_(rate) {}

  [[nodiscard]] std::chrono::milliseconds take(const Key& key, Steady now, double cost = 1) {
    if (buckets_.size() >= kRateBucketsMax && !buckets_.contains(key)) forget(now);
    return buckets_[key].take(rate_, now, cost);
  }

  [[nodiscard]] std::size_t size() const { return buckets_.size(); }

 private:
  void forget(Steady now) {
    if (now - forgotten_ >= std::chrono::seconds(1)) {  // a full pass, so not for each newcomer
      forgotten_ = now;
      std::erase_if(buckets_, [&](const auto& entry) { return entry.second.full(rate_, now); });
    }
    // More keys at once than the table may hold: somebody changes keys to get around the rate.
    // Forgetting one of them gives it a burst, and bounds the memory.
    if (buckets_.size() >= kRateBucketsMax) buckets_.erase(buckets_.begin());
  }

  Rate rate_;
  Steady forgotten_{};
  std::unordered_map<Key, TokenBucket, Hash> buckets_;
};

}  // namespace godwit::relay::policy
