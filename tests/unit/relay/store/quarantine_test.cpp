#include "tests/unit/relay/store/store_fixture.hpp"

using namespace godwit;
using namespace godwit::relay::store;
using namespace godwit::relay::store::testing;
using support::TemporaryDirectory;

namespace {

// Ten envelopes at 1..10, a body (id 7) for two more at 11 and 12, and two records per small table.
void fill(const Options& options) {
  auto store = open_store(options);
  WriterUnderTest writer(*store);
  writer.commit(appends_of(1, 10));
  writer.commit(fan_out(7, 2, 500));
  Batch batch;
  for (const Table table : {Table::users, Table::device_keys, Table::one_time_keys, Table::names}) {
    batch.puts.push_back({table, bytes_of("bad"), bytes_of("value")});
    batch.puts.push_back({table, bytes_of("good"), bytes_of("value")});
  }
  writer.commit(std::move(batch));
}

std::vector<Reader::Found> look(const Store& store, std::span<const std::uint64_t> positions) {
  auto reader = required(Reader::open(store));
  std::vector<Reader::Found> found;
  reader->envelopes(positions, [&](std::size_t, Reader::Found one, const Reader::Envelope&) {
    found.push_back(one);
  });
  return found;
}

constexpr auto kYes = Reader::Found::yes;
constexpr auto kNo = Reader::Found::no;
constexpr auto kDamaged = Reader::Found::damaged;

}  // namespace

TEST_SUITE("relay/store/quarantine") {
  TEST_CASE("a flipped bit anywhere in a log record is seen, and its neighbours are read") {
    const TemporaryDirectory directory;
    const Options options = small_options(directory.path());
    fill(options);
    const std::size_t record_size = kChecksumSize + kLogHeaderSize + 300;
    for (std::size_t at = 0; at < record_size; at += (at < 60 ? 1 : 48)) {
      CAPTURE(at);
      ClosedStore(options).flip(TableId::log, U64Key(5).view(), at);
      {
        auto store = open_store(options);
        CHECK(look(*store, std::array<std::uint64_t, 3>{4, 5, 6}) ==
              std::vector{kYes, kDamaged, kYes});
      }
      ClosedStore(options).flip(TableId::log, U64Key(5).view(), at);  // well again
    }
  }

  TEST_CASE("recovery moves damaged log records away and the generation rises once") {
    const TemporaryDirectory directory;
    const Options options = small_options(directory.path());
    fill(options);
    wire::Bytes as_found;
    {
      ClosedStore closed(options);
      closed.flip(TableId::log, U64Key(5).view(), 100);
      closed.flip(TableId::log, U64Key(9).view(), 3);
      const U64Key key(5);
      as_found = closed.dump().at("log").at(text_of(key.view()));
    }
    for (int round = 0; round < 2; ++round) {
      auto store = open_store(options);
      CHECK(recover(*store).size() == 10);
      CHECK(store->identity().generation == 2);
      CHECK(store->figures().quarantined == (round == 0 ? 2 : 0));
      CHECK(look(*store, std::array<std::uint64_t, 4>{4, 5, 9, 10}) ==
            std::vector{kYes, kNo, kNo, kYes});
    }
    const Dump dump = ClosedStore(options).dump();
    CHECK(dump.at("quarantine").size() == 2);
    CHECK(dump.at("quarantine").at(text_of(quarantine_key(TableId::log, U64Key(5).view()))) ==
          as_found);
  }

  TEST_CASE("a damaged shared body is lost with each envelope that names it") {
    const TemporaryDirectory directory;
    const Options options = small_options(directory.path());
    fill(options);
    ClosedStore(options).flip(TableId::bodies, U64Key(7).view(), 200);
    {
      auto store = open_store(options);
      CHECK(look(*store, std::array<std::uint64_t, 3>{10, 11, 12}) ==
            std::vector{kYes, kDamaged, kDamaged});
      CHECK(recover(*store).size() == 10);
      CHECK(store->identity().generation == 2);
    }
    const Dump dump = ClosedStore(options).dump();
    CHECK(dump.at("bodies").empty());
    CHECK(dump.at("body_refs").empty());
    CHECK(dump.at("quarantine").size() == 3);
  }

  TEST_CASE("a damaged count loses nothing: the body stays and is counted again") {
    const TemporaryDirectory directory;
    const Options options = small_options(directory.path());
    fill(options);
    ClosedStore(options).flip(TableId::body_refs, U64Key(7).view(), 12);
    {
      auto store = open_store(options);
      WriterUnderTest writer(*store);
      writer.commit(Batch{{}, {}, {11}, {}});
      CHECK(look(*store, std::array<std::uint64_t, 1>{12}) == std::vector{kYes});
    }
    {
      auto store = open_store(options);
      CHECK(recover(*store).size() == 11);
      CHECK(store->figures().quarantined == 1);
      CHECK(store->identity().generation == 1);
    }
    const Dump dump = ClosedStore(options).dump();
    CHECK(parse_count(7, dump.at("body_refs").begin()->second) == 1);
  }

  TEST_CASE("a damaged record of a small table is told apart, counted once, and moved away") {
    const TemporaryDirectory directory;
    const Options options = small_options(directory.path());
    fill(options);
    Table table{};
    SUBCASE("users") {
      table = Table::users;
    }
    SUBCASE("device keys") {
      table = Table::device_keys;
    }
    SUBCASE("one-time keys") {
      table = Table::one_time_keys;
    }
    SUBCASE("names") {
      table = Table::names;
    }
    ClosedStore(options).flip(table_id(table), wire::as_bytes("bad"), 9);
    {
      auto store = open_store(options);
      auto reader = required(Reader::open(*store));
      wire::Bytes value;
      for (int round = 0; round < 3; ++round) {
        CHECK(reader->get(table, wire::as_bytes("bad"), value) == kDamaged);
        CHECK(reader->get(table, wire::as_bytes("good"), value) == kYes);
      }
      CHECK(store->figures().quarantined == 1);
      CHECK(recover(*store).size() == 12);
      CHECK(store->figures().quarantined == 1);
      CHECK(reader->get(table, wire::as_bytes("bad"), value) == kNo);
      CHECK(store->identity().generation == 2);
    }
    CHECK(ClosedStore(options).records(TableId::quarantine) == 1);
  }

  TEST_CASE("a record that stands under another's key is damaged") {
    const TemporaryDirectory directory;
    const Options options = small_options(directory.path());
    fill(options);
    {
      ClosedStore closed(options);
      const U64Key from(3);
      const U64Key to(4);
      const Dump dump = closed.dump();
      closed.put_raw(TableId::log, to.view(), dump.at("log").at(text_of(from.view())));
    }
    auto store = open_store(options);
    CHECK(look(*store, std::array<std::uint64_t, 2>{3, 4}) == std::vector{kYes, kDamaged});
  }

  TEST_CASE("a batch quarantines the damaged, keeps the intact, and the generation rises once") {
    const TemporaryDirectory directory;
    const Options options = small_options(directory.path());
    fill(options);
    {
      ClosedStore closed(options);
      closed.flip(TableId::log, U64Key(5).view(), 70);
      closed.flip(TableId::bodies, U64Key(7).view(), 70);
    }
    {
      auto store = open_store(options);
      WriterUnderTest writer(*store);
      writer.commit(Batch{{}, {}, {}, {5, 6, 11, 12, 999}});
      CHECK(store->identity().generation == 2);
      CHECK(store->figures().quarantined == 3);
      CHECK(look(*store, std::array<std::uint64_t, 4>{5, 6, 11, 12}) ==
            std::vector{kNo, kYes, kNo, kNo});
      writer.commit(Batch{{}, {}, {}, {5, 6}});
      CHECK(store->identity().generation == 2);
    }
    const Dump dump = ClosedStore(options).dump();
    CHECK(dump.at("quarantine").size() == 3);
    CHECK(dump.at("bodies").empty());
    CHECK(dump.at("log").size() == 9);
  }

  TEST_CASE("the quarantine is bounded; further damaged records are only deleted") {
    const TemporaryDirectory directory;
    const Options options = small_options(directory.path());
    const std::size_t count = kQuarantineMax + 10;
    {
      auto store = open_store(options);
      WriterUnderTest writer(*store);
      writer.commit(appends_of(1, count + 1, 10));
    }
    ClosedStore(options).spoil_log(count);
    {
      auto store = open_store(options);
      CHECK(recover(*store).size() == 1);
      CHECK(store->figures().quarantined == count);
      CHECK(store->identity().generation == 2);
    }
    const ClosedStore closed(options);
    CHECK(closed.records(TableId::quarantine) == kQuarantineMax);
    CHECK(closed.records(TableId::log) == 1);
  }
}
