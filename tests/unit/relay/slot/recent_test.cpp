#include "relay/slot/recent.hpp"

#include <doctest/doctest.h>

#include <deque>
#include <random>
#include <set>

#include "relay/limits.hpp"

namespace godwit::relay::slot {
namespace {

store::RequestTag tag_of(std::uint64_t number) {
  store::RequestTag tag;
  std::memcpy(tag.bytes.data(), &number, sizeof number);
  return tag;
}

// Hashes as bad as they may get: few values, so that neighbours run into each other.
std::uint64_t crowded(std::uint64_t number) { return number % 1'000; }

}  // namespace

TEST_SUITE("relay/slot/recent") {
  TEST_CASE("a request is known once it was added, and only with its own tag") {
    Recent recent;
    CHECK(!recent.contains(7, tag_of(1)));
    recent.add(7, tag_of(1));
    CHECK(recent.contains(7, tag_of(1)));
    CHECK(!recent.contains(7, tag_of(2)));
    CHECK(!recent.contains(8, tag_of(1)));
  }

  TEST_CASE("the last requests are known and older ones forgotten, when hashes spread") {
    Recent recent;
    std::mt19937_64 draws(1);
    std::deque<std::pair<std::uint64_t, store::RequestTag>> expected;
    for (std::uint64_t i = 0; i < 3 * kRecentRequestsMax; ++i) {
      expected.emplace_back(draws(), tag_of(i));
      recent.add(expected.back().first, expected.back().second);
      if (expected.size() <= kRecentRequestsMax) continue;
      const auto [hash, tag] = expected.front();
      CHECK_FALSE_MESSAGE(recent.contains(hash, tag), i);
      expected.pop_front();
    }
    for (const auto& [hash, tag] : expected) CHECK(recent.contains(hash, tag));
  }

  TEST_CASE("requests whose hashes collide are told apart and forgotten one by one") {
    Recent recent;
    for (std::uint64_t i = 0; i < kRecentRequestsMax; ++i) recent.add(i, tag_of(i));
    // From here on each newcomer shares its place with many, and pushes out one of the oldest.
    for (std::uint64_t i = 0; i < 2'000; ++i) {
      recent.add(crowded(i), tag_of(kRecentRequestsMax + i));
    }
    for (std::uint64_t i = 0; i < 2'000; ++i) {
      CHECK(!recent.contains(i, tag_of(i)));
      CHECK(recent.contains(crowded(i), tag_of(kRecentRequestsMax + i)));
    }
    for (std::uint64_t i = 2'000; i < kRecentRequestsMax; ++i) CHECK(recent.contains(i, tag_of(i)));
  }

  TEST_CASE("a request that is added again takes no second place") {
    Recent recent;
    recent.add(1, tag_of(1));
    for (std::uint64_t i = 2; i <= kRecentRequestsMax; ++i) recent.add(i, tag_of(i));
    recent.add(kRecentRequestsMax, tag_of(kRecentRequestsMax));
    CHECK(recent.contains(1, tag_of(1)));
  }
}

}  // namespace godwit::relay::slot
