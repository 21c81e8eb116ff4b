// load/histogram: how long things took, in buckets that are never wider than 1/64 of their value.
//
// Owns:    a fixed 15 KiB of counts, whatever is recorded.
// Refuses: to keep single values.
// Thread:  one owner.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace godwit::load {

class Histogram {
 public:
  void record(std::chrono::nanoseconds value);  // below zero counts as zero
  void add(const Histogram& other);

  [[nodiscard]] std::uint64_t count() const { return count_; }
  // The value that `share` (0 to 1) of all do not exceed, in microseconds; 0 when there are none.
  // Never too low; too high by at most 1/64 of itself or 16 ns. The maximum is exact.
  [[nodiscard]] double quantile_us(double share) const;
  [[nodiscard]] double max_us() const { return static_cast<double>(max_ns_) / 1e3; }

  struct Bucket {
    double from_us = 0;
    double to_us = 0;
    std::uint64_t count = 0;
  };
  // Those that are not empty, ascending.
  [[nodiscard]] std::vector<Bucket> buckets() const;

  // All that it knows as numbers, and back: index and count of each bucket that is not empty.
  using Filled = std::vector<std::pair<std::uint32_t, std::uint64_t>>;
  [[nodiscard]] Filled filled() const;
  [[nodiscard]] std::uint64_t max_ns() const { return max_ns_; }
  // Nothing when there is no such bucket.
  [[nodiscard]] static std::optional<Histogram> of(const Filled& filled, std::uint64_t max_ns);

 private:
  // 64 linear buckets up to 64 units, then 64 for each doubling; a unit is 16 ns, the end 18 min:
  // what took longer is in the last bucket.
  static constexpr std::size_t kBuckets = 64 + 64 * 30;
  [[nodiscard]] static std::size_t bucket_of(std::uint64_t ns);
  [[nodiscard]] static std::uint64_t lower_ns(std::size_t bucket);
  [[nodiscard]] std::uint64_t end_ns(std::size_t bucket) const;

  std::array<std::uint64_t, kBuckets> counts_{};
  std::uint64_t count_ = 0;
  std::uint64_t max_ns_ = 0;
};

}  // namespace godwit::load
