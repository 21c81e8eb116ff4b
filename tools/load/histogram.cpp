#include "tools/load/histogram.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>

namespace godwit::load {

namespace {

constexpr std::uint64_t kUnitNs = 16;
constexpr std::size_t kPerDoubling = 64;

}  // namespace

std::size_t Histogram::bucket_of(std::uint64_t ns) {
  const std::uint64_t units = ns / kUnitNs;
  if (units < kPerDoubling) return units;
  // The upper seven bits say which bucket: the first is always set, so 64 remain for each doubling.
  const auto doubling = static_cast<std::size_t>(std::bit_width(units)) - 7;
  return std::min(doubling * kPerDoubling + (units >> doubling), kBuckets - 1);
}

std::uint64_t Histogram::lower_ns(std::size_t bucket) {
  if (bucket < kPerDoubling) return bucket * kUnitNs;
  const std::size_t doubling = bucket / kPerDoubling - 1;
  return ((kPerDoubling + bucket % kPerDoubling) << doubling) * kUnitNs;
}

std::uint64_t Histogram::end_ns(std::size_t bucket) const {
  return bucket + 1 < kBuckets ? lower_ns(bucket + 1) : max_ns_ + 1;
}

void Histogram::record(std::chrono::nanoseconds value) {
  const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(value.count(), 0));
  ++counts_[bucket_of(ns)];
  ++count_;
  max_ns_ = std::max(max_ns_, ns);
}

void Histogram::add(const Histogram& other) {
  for (std::size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  max_ns_ = std::max(max_ns_, other.max_ns_);
}

double Histogram::quantile_us(double share) const {
  assert(share >= 0 && share <= 1);
  if (count_ == 0) return 0;
  const double rank = std::max(1.0, std::ceil(share * static_cast<double>(count_)));
  std::uint64_t seen = 0;
  std::size_t bucket = 0;
  while (bucket < kBuckets && static_cast<double>(seen += counts_[bucket]) < rank) ++bucket;
  // The last value that the bucket can hold: never less than the true one.
  const std::uint64_t ns = bucket < kBuckets ? std::min(end_ns(bucket) - 1, max_ns_) : max_ns_;
  return static_cast<double>(ns) / 1e3;
}

std::vector<Histogram::Bucket> Histogram::buckets() const {
  std::vector<Bucket> buckets;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    if (counts_[i] == 0) continue;
    buckets.push_back({.from_us = static_cast<double>(lower_ns(i)) / 1e3,
                       .to_us = static_cast<double>(end_ns(i)) / 1e3,
                       .count = counts_[i]});
  }
  return buckets;
}

Histogram::Filled Histogram::filled() const {
  Filled filled;
  for (std::uint32_t i = 0; i < kBuckets; ++i) {
    if (counts_[i] > 0) filled.emplace_back(i, counts_[i]);
  }
  return filled;
}

std::optional<Histogram> Histogram::of(const Filled& filled, std::uint64_t max_ns) {
  Histogram made;
  made.max_ns_ = max_ns;
  for (const auto& [index, count] : filled) {
    if (index >= kBuckets) return std::nullopt;
    made.counts_[index] += count;
    made.count_ += count;
  }
  return made;
}

}  // namespace godwit::load
