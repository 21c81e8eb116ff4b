#include "tests/unit/relay/slot/engine_fixture.hpp"

namespace godwit::relay::slot::testing {
namespace {

TEST_SUITE_BEGIN("relay/slot/journal");

const wire::Bytes kKey{1, 2, 3};

wire::Bytes value(std::uint8_t number) { return {number}; }

struct Fixture {
  test::MemoryRecords disk;
  Journal journal{disk};
  Effects effects;

  void finish(std::unique_ptr<store::Batch> batch) {
    disk.apply(*batch);
    journal.committed(effects);
  }
  [[nodiscard]] std::optional<wire::Bytes> get() {
    return journal.get(store::Table::names, kKey);
  }
  void put(std::optional<wire::Bytes> to) {
    journal.put(store::Table::names, kKey, std::move(to));
  }
  [[nodiscard]] bool pending() const { return journal.pending(store::Table::names, kKey); }
};

TEST_CASE_FIXTURE(Fixture, "a record is read as it was put last, and is pending until committed") {
  CHECK_FALSE(get());
  put(value(1));
  CHECK(get() == value(1));
  CHECK(pending());
  auto batch = journal.take();
  CHECK(get() == value(1));
  CHECK(pending());
  put(value(2));
  finish(std::move(batch));
  CHECK(get() == value(2));  // of the batch that gathers: still pending
  CHECK(pending());
  finish(journal.take());
  CHECK(get() == value(2));
  CHECK_FALSE(pending());
}

TEST_CASE_FIXTURE(Fixture, "a deleted record reads as absent before the disk knows") {
  put(value(1));
  finish(journal.take());
  put(std::nullopt);
  CHECK_FALSE(get());
  CHECK(pending());
  finish(journal.take());
  CHECK_FALSE(get());
  CHECK_FALSE(pending());
}

TEST_CASE_FIXTURE(Fixture, "the same key in another table is another record") {
  put(value(1));
  CHECK_FALSE(journal.get(store::Table::users, kKey));
}

TEST_CASE_FIXTURE(Fixture, "what waits for a commit is released by that commit, in order") {
  const auto wait = [&](std::uint32_t mark) {
    journal.after_commit(AnswerTo{{1, 0, mark, Origin::Kind::call}, Simple{}});
  };
  wait(1);
  wait(2);
  auto first = journal.take();
  wait(3);
  finish(std::move(first));
  REQUIRE(effects.size() == 2);
  CHECK(line_of(std::get<AnswerTo>(effects[0])) == "s1 call 1: ok");
  CHECK(line_of(std::get<AnswerTo>(effects[1])) == "s1 call 2: ok");
  CHECK_FALSE(journal.empty());
  finish(journal.take());
  CHECK(effects.size() == 3);
  CHECK(journal.empty());
}

TEST_SUITE_END();

}  // namespace
}  // namespace godwit::relay::slot::testing
