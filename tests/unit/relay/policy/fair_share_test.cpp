#include "relay/policy/fair_share.hpp"

#include <doctest/doctest.h>

namespace godwit::relay::policy {
namespace {

TEST_SUITE_BEGIN("relay/policy/fair_share");

constexpr wire::UserId kAnna{{1}};
constexpr wire::UserId kBerta{{2}};

TEST_CASE("a mailbox is half full by its envelopes or by its bytes") {
  const Room quota{100, 1'000};
  CHECK_FALSE(half_full({49, 499}, quota));
  CHECK(half_full({50, 0}, quota));
  CHECK(half_full({0, 500}, quota));
}

TEST_CASE("each sender may add an eighth of the envelopes, whatever the others added") {
  FairShare shares;
  const Room quota{80, 1'000'000};
  for (int i = 0; i < 10; ++i) CHECK(shares.take(kAnna, 1, quota));
  CHECK_FALSE(shares.take(kAnna, 1, quota));
  for (int i = 0; i < 10; ++i) CHECK(shares.take(kBerta, 1, quota));
  CHECK_FALSE(shares.take(kBerta, 1, quota));
}

TEST_CASE("each sender may add an eighth of the bytes, and what was refused does not count") {
  FairShare shares;
  const Room quota{1'000, 8'000};
  CHECK(shares.take(kAnna, 600, quota));
  CHECK_FALSE(shares.take(kAnna, 401, quota));
  CHECK(shares.take(kAnna, 400, quota));
  CHECK_FALSE(shares.take(kAnna, 1, quota));
  CHECK(shares.take(kBerta, 1'000, quota));
}

TEST_CASE("the first envelope of a sender is taken, however small the share is") {
  FairShare shares;
  CHECK(shares.take(kAnna, 60, {3, 100}));
  CHECK_FALSE(shares.take(kAnna, 1, {3, 100}));
  CHECK(shares.take(kBerta, 60, {3, 100}));
}

TEST_SUITE_END();

}  // namespace
}  // namespace godwit::relay::policy
