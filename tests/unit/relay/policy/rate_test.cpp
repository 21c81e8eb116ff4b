#include "relay/policy/rate.hpp"

#include <doctest/doctest.h>

namespace godwit::relay::policy {
namespace {

using namespace std::chrono_literals;

TEST_SUITE_BEGIN("relay/policy/rate");

constexpr Steady kStart = Steady{} + 1h;

TEST_CASE("a bucket gives its burst, then one token for each that came back") {
  TokenBucket bucket;
  const Rate rate{2, 3};
  for (int i = 0; i < 3; ++i) CHECK(bucket.take(rate, kStart) == 0ms);
  CHECK(bucket.take(rate, kStart) > 0ms);
  CHECK(bucket.take(rate, kStart + 499ms) > 0ms);
  CHECK(bucket.take(rate, kStart + 500ms) == 0ms);
  CHECK(bucket.take(rate, kStart + 500ms) > 0ms);
}

TEST_CASE("the advice of a refusal is right: then, and not long before, there is a token") {
  TokenBucket bucket;
  const Rate rate{0.2, 1};
  CHECK(bucket.take(rate, kStart) == 0ms);
  const auto wait = bucket.take(rate, kStart + 1s);
  CHECK(wait >= 4s);
  CHECK(wait <= 4s + 2ms);
  CHECK(bucket.take(rate, kStart + 1s + wait) == 0ms);
}

TEST_CASE("what costs more than there is leaves a debt, and what follows waits for it") {
  TokenBucket bucket;
  const Rate rate{10, 3};
  CHECK(bucket.take(rate, kStart, 2) == 0ms);
  CHECK(bucket.take(rate, kStart, 64) == 0ms);  // more than a burst can be
  const auto wait = bucket.take(rate, kStart);
  CHECK(wait >= 6'400ms);
  CHECK(wait <= 6'402ms);
  CHECK_FALSE(bucket.full(rate, kStart + wait));
  CHECK(bucket.take(rate, kStart + wait - 2ms) > 0ms);
  CHECK(bucket.take(rate, kStart + wait) == 0ms);
}

TEST_CASE("a bucket never holds more than its burst") {
  TokenBucket bucket;
  const Rate rate{100, 2};
  CHECK(bucket.take(rate, kStart) == 0ms);
  CHECK(bucket.take(rate, kStart + 24h) == 0ms);
  CHECK(bucket.take(rate, kStart + 24h) == 0ms);
  CHECK(bucket.take(rate, kStart + 24h) > 0ms);
}

TEST_CASE("each key has a bucket of its own") {
  RateTable<int> table({1, 1});
  CHECK(table.take(1, kStart) == 0ms);
  CHECK(table.take(1, kStart) > 0ms);
  CHECK(table.take(2, kStart) == 0ms);
}

TEST_CASE("a table is bounded, and forgets full buckets before it forgets one that is in use") {
  RateTable<std::size_t> table({1, 2});
  for (std::size_t key = 0; key < kRateBucketsMax; ++key) CHECK(table.take(key, kStart) == 0ms);
  CHECK(table.size() == kRateBucketsMax);
  // All of them are full again but key 7.
  CHECK(table.take(7, kStart + 10s) == 0ms);
  CHECK(table.take(7, kStart + 10s) == 0ms);
  CHECK(table.take(kRateBucketsMax, kStart + 10s) == 0ms);
  CHECK(table.size() == 2);
  CHECK(table.take(7, kStart + 10s) > 0ms);
}

TEST_CASE("a table stays bounded when more keys are in use than it may hold") {
  RateTable<std::size_t> table({0.001, 1});
  for (std::size_t key = 0; key < kRateBucketsMax + 100; ++key) {
    CHECK(table.take(key, kStart) == 0ms);
  }
  CHECK(table.size() == kRateBucketsMax);
}

TEST_SUITE_END();

}  // namespace
}  // namespace godwit::relay::policy
