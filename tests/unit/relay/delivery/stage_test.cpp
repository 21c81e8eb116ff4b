#include "relay/delivery/stage.hpp"

#include <doctest/doctest.h>

#include "relay/limits.hpp"

namespace godwit::relay::delivery {
namespace {

using namespace std::chrono_literals;

TEST_SUITE_BEGIN("relay/delivery/stage");

struct Fixture {
  Stage stage;
  Steady start = Steady{} + 1h;

  StagedIndex add(std::size_t size, std::chrono::milliseconds hold) {
    Staged staged;
    auto body = std::make_shared<store::Body>();
    body->bytes.resize(size);
    staged.body = std::move(body);
    const StagedIndex index = stage.add(std::move(staged));
    stage.hold(index, start + hold);
    return index;
  }
  std::vector<StagedIndex> due(std::chrono::milliseconds after) {
    std::vector<StagedIndex> found;
    stage.take_due(start + after, found);
    return found;
  }
};

TEST_CASE_FIXTURE(Fixture, "holds end in the order of their time, equal ones in that of arrival") {
  const StagedIndex late = add(1, 5ms);
  const StagedIndex first = add(1, 2ms);
  const StagedIndex second = add(1, 2ms);
  CHECK(stage.next_due() == start + 2ms);
  CHECK(due(1ms).empty());
  CHECK(due(2ms) == std::vector{first, second});
  CHECK(stage.at(first).state == Staged::State::handed);
  CHECK(stage.next_due() == start + 5ms);
  CHECK(due(5ms) == std::vector{late});
  CHECK_FALSE(stage.next_due());
}

TEST_CASE_FIXTURE(Fixture, "a new hold takes the place of the old one") {
  const StagedIndex one = add(1, 2ms);
  stage.hold(one, start + 9ms);
  CHECK(stage.next_due() == start + 9ms);
  CHECK(due(8ms).empty());
  CHECK(due(9ms) == std::vector{one});
  CHECK(due(99ms).empty());
}

TEST_CASE_FIXTURE(Fixture, "the hold of a freed envelope says nothing about the one in its place") {
  const StagedIndex freed = add(1, 2ms);
  stage.free(freed);
  CHECK_FALSE(stage.next_due());
  const StagedIndex reused = add(1, 9ms);
  REQUIRE(reused == freed);
  CHECK(due(8ms).empty());
  CHECK(due(9ms) == std::vector{reused});
}

TEST_CASE_FIXTURE(Fixture, "the bytes that are staged are counted, handed out or not") {
  const StagedIndex one = add(10, 2ms);
  const StagedIndex two = add(30, 2ms);
  CHECK(stage.bytes() == 40 + 2 * kStagedOverhead);
  CHECK(due(2ms).size() == 2);
  CHECK(stage.bytes() == 40 + 2 * kStagedOverhead);
  stage.free(one);
  CHECK(stage.bytes() == 30 + kStagedOverhead);
  stage.free(two);
  CHECK(stage.bytes() == 0);
}

TEST_CASE_FIXTURE(Fixture, "a body that many share is counted once, for as long as one has it") {
  auto body = std::make_shared<store::Body>();
  body->bytes.resize(1'000);
  body->shared_id = 7;
  std::vector<StagedIndex> all;
  for (int i = 0; i < 3; ++i) {
    Staged staged;
    staged.body = body;
    all.push_back(stage.add(std::move(staged)));
  }
  CHECK(stage.bytes() == 1'000 + 3 * kStagedOverhead);
  stage.free(all[0]);
  stage.free(all[2]);
  CHECK(stage.bytes() == 1'000 + kStagedOverhead);
  stage.free(all[1]);
  CHECK(stage.bytes() == 0);
}

TEST_CASE_FIXTURE(Fixture, "what is acknowledged while nothing is taken leaves few holds behind") {
  const StagedIndex stays = add(1, 1ms);
  std::vector<StagedIndex> some;
  for (int i = 0; i < 10; ++i) some.push_back(add(1, std::chrono::milliseconds(10 + i)));
  for (int i = 0; i < 100'000; ++i) stage.free(add(1, 5ms));
  CHECK(stage.holds() < 2'000);
  CHECK(due(1ms) == std::vector{stays});
  CHECK(due(99ms) == some);
}

TEST_SUITE_END();

}  // namespace
}  // namespace godwit::relay::delivery
