#include "tools/load/histogram.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>

using godwit::load::Histogram;
using std::chrono::nanoseconds;

namespace {

// From 16 ns to a minute, as many in each decade.
std::vector<std::int64_t> spread_values(std::uint64_t seed, std::size_t count) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> exponent(std::log(16.0), std::log(60e9));
  std::vector<std::int64_t> values(count);
  for (auto& value : values) value = static_cast<std::int64_t>(std::exp(exponent(random)));
  return values;
}

Histogram histogram_of(const std::vector<std::int64_t>& values) {
  Histogram histogram;
  for (const auto value : values) histogram.record(nanoseconds(value));
  return histogram;
}

void check_same(const Histogram& left, const Histogram& right) {
  const auto those = left.buckets();
  const auto these = right.buckets();
  REQUIRE(those.size() == these.size());
  for (std::size_t i = 0; i < those.size(); ++i) {
    CHECK(those[i].from_us == these[i].from_us);
    CHECK(those[i].count == these[i].count);
  }
  CHECK(left.count() == right.count());
  CHECK(left.max_us() == right.max_us());
}

}  // namespace

TEST_SUITE("load/histogram") {
  TEST_CASE("a quantile is never below the true one and at most 1/64 or 16 ns above it") {
    for (const std::size_t count : {1U, 2U, 10U, 999U, 20'000U}) {
      auto values = spread_values(count, count);
      const Histogram histogram = histogram_of(values);
      std::sort(values.begin(), values.end());
      for (const double share : {0.0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0}) {
        const double rank = std::max(1.0, std::ceil(share * static_cast<double>(count)));
        const double exact = static_cast<double>(values[static_cast<std::size_t>(rank) - 1]) / 1e3;
        CAPTURE(count);
        CAPTURE(share);
        CHECK(histogram.quantile_us(share) >= exact);
        CHECK(histogram.quantile_us(share) <= exact + std::max(exact / 64, 0.016));
      }
    }
  }

  TEST_CASE("the maximum is exact, also beyond the last bucket") {
    Histogram histogram;
    histogram.record(nanoseconds(1'234'567'891));
    CHECK(histogram.max_us() == 1'234'567.891);
    CHECK(histogram.quantile_us(1) == 1'234'567.891);
    histogram.record(std::chrono::hours(5));
    CHECK(histogram.max_us() == 18e9);
    CHECK(histogram.quantile_us(1) == 18e9);
    CHECK(histogram.buckets().back().to_us >= 18e9);
  }

  TEST_CASE("nothing recorded is zero, and a time below zero counts as zero") {
    Histogram histogram;
    CHECK(histogram.quantile_us(0.99) == 0);
    CHECK(histogram.buckets().empty());
    histogram.record(nanoseconds(-5));
    CHECK(histogram.count() == 1);
    CHECK(histogram.quantile_us(1) == 0);
  }

  TEST_CASE("buckets ascend, do not overlap, are narrow and hold each value once") {
    const Histogram histogram = histogram_of(spread_values(7, 5'000));
    std::uint64_t total = 0;
    double end = 0;
    for (const auto& bucket : histogram.buckets()) {
      CHECK(bucket.from_us >= end);
      CHECK(bucket.to_us - bucket.from_us <= std::max(bucket.from_us / 64, 0.016) * 1.000001);
      CHECK(bucket.count > 0);
      end = bucket.to_us;
      total += bucket.count;
    }
    CHECK(total == 5'000);
  }

  TEST_CASE("two histograms added are the histogram of both") {
    const auto left = spread_values(1, 3'000);
    const auto right = spread_values(2, 2'000);
    auto both = left;
    both.insert(both.end(), right.begin(), right.end());
    Histogram sum = histogram_of(left);
    sum.add(histogram_of(right));
    check_same(sum, histogram_of(both));
  }
}
