#include <fstream>

#include "tests/unit/relay/store/store_fixture.hpp"

using namespace godwit;
using namespace godwit::relay::store;
using namespace godwit::relay::store::testing;
using support::TemporaryDirectory;

namespace {

void fill(const Options& options) {
  auto store = open_store(options);
  WriterUnderTest writer(*store);
  writer.commit(appends_of(1, 50));
  writer.commit(fan_out(7, 20, 3'000));
  Batch batch;
  for (const Table table : {Table::users, Table::device_keys, Table::one_time_keys, Table::names}) {
    batch.puts.push_back({table, bytes_of("a"), bytes_of("value")});
  }
  writer.commit(std::move(batch));
}

}  // namespace

TEST_SUITE("relay/store/recover") {
  TEST_CASE("opening and recovering twice changes nothing") {
    const TemporaryDirectory directory;
    const Options options = small_options(directory.path());
    fill(options);
    const Dump before = ClosedStore(options).dump();
    CHECK(before.at("log").size() == 70);
    Identity identity;
    for (int round = 0; round < 2; ++round) {
      auto store = open_store(options);
      CHECK(recover(*store).size() == 70);
      const std::uint64_t commits = store->figures().commits;
      CHECK(recover(*store).size() == 70);
      CHECK(store->figures().commits == commits);
      if (round == 1) {
        CHECK(store->identity().id == identity.id);
        CHECK(store->identity().generation == identity.generation);
        CHECK(store->identity().boot == identity.boot + 1);
      }
      identity = store->identity();
    }
    CHECK(ClosedStore(options).dump() == before);
  }

  TEST_CASE("envelopes come in delivery order") {
    const TemporaryDirectory directory;
    const Options options = small_options(directory.path());
    fill(options);
    auto store = open_store(options);
    std::uint64_t previous = 0;
    for (const Recovered& one : recover(*store)) {
      CHECK(one.position > previous);
      previous = one.position;
    }
  }

  TEST_CASE("wrong counts are counted again and bodies that nobody needs go") {
    const TemporaryDirectory directory;
    const Options options = small_options(directory.path());
    fill(options);
    {
      ClosedStore closed(options);
      wire::Bytes record;
      encode_count(7, 3, record);  // 20 is right
      closed.put_raw(TableId::body_refs, U64Key(7).view(), record);
      encode_count(8, 1, record);  // no such body
      closed.put_raw(TableId::body_refs, U64Key(8).view(), record);
      encode_value(TableId::bodies, U64Key(9).view(), bytes_of("orphan"), record);
      closed.put_raw(TableId::bodies, U64Key(9).view(), record);
    }
    {
      auto store = open_store(options);
      CHECK(recover(*store).size() == 70);
      CHECK(store->identity().generation == 1);  // nothing was lost
    }
    const ClosedStore closed(options);
    const Dump dump = closed.dump();
    REQUIRE(dump.at("body_refs").size() == 1);
    CHECK(parse_count(7, dump.at("body_refs").begin()->second) == 20);
    CHECK(dump.at("bodies").size() == 1);
  }

  TEST_CASE("a store of a newer version is refused and left as it is") {
    const TemporaryDirectory directory;
    const Options options = small_options(directory.path());
    fill(options);
    {
      MetaRecord meta;
      meta.version = 2;
      wire::Bytes record;
      encode_meta(meta, record);
      ClosedStore(options).put_raw(TableId::meta, wire::as_bytes(kMetaKey), record);
    }
    for (int round = 0; round < 2; ++round) {
      const auto store = Store::open(options);
      REQUIRE_FALSE(store.has_value());
      CHECK(store.error().error == StoreError::newer_version);
      CHECK(store.error().detail.find("data version 2") != std::string::npos);
    }
  }

  TEST_CASE("files that are not a store are refused") {
    const TemporaryDirectory directory;
    const Options options = small_options(directory.path());
    const auto file = directory.path() / "data.mdb";
    SUBCASE("some other file") {
      support::put_file(file, std::string(20'000, 'x'));
    }
    SUBCASE("some other file, and a short one") {
      support::put_file(file, "my notes");
    }
    SUBCASE("a store that was cut short") {
      fill(options);
      std::filesystem::resize_file(file, 16'384);
    }
    const auto store = Store::open(options);
    REQUIRE_FALSE(store.has_value());
    CHECK(store.error().error == StoreError::not_a_store);
    CHECK_FALSE(store.error().detail.empty());
  }

  TEST_CASE("a start that was cut off in its first write to the disk begins anew") {
    const TemporaryDirectory directory;
    const Options options = small_options(directory.path());
    const auto file = directory.path() / "data.mdb";
    open_store(options).reset();
    for (const std::uintmax_t size : {1, 17, 20, 512, 4'096, 8'191}) {
      INFO(size);
      std::filesystem::resize_file(file, size);
      auto store = open_store(options);
      CHECK(recover(*store).empty());
    }
    support::put_file(file, std::string(4'096, '\0'));  // grown, and then the power went
    CHECK(recover(*open_store(options)).empty());
  }

  TEST_CASE("a damaged meta record makes a new store id and keeps the mail") {
    const TemporaryDirectory directory;
    const Options options = small_options(directory.path());
    fill(options);
    wire::StoreId id;
    {
      auto store = open_store(options);
      id = store->identity().id;
    }
    ClosedStore(options).flip(TableId::meta, wire::as_bytes(kMetaKey), 14);
    auto store = open_store(options);
    CHECK(store->identity().id != id);
    CHECK(store->figures().quarantined == 1);
    CHECK(recover(*store).size() == 70);
    WriterUnderTest writer(*store);
    CHECK(writer.commit(appends_of(1, 1)).appends[0].position == 71);
  }

  // As a relay does that makes its first shared body after each start.
  TEST_CASE("after a damaged meta record a new shared body is not taken for one of the old mail") {
    const TemporaryDirectory directory;
    const Options options = small_options(directory.path());
    {
      auto store = open_store(options);
      WriterUnderTest writer(*store);
      writer.commit(fan_out(shared_id_of(store->identity().boot, 0, 1), 2, 300));
    }
    ClosedStore(options).flip(TableId::meta, wire::as_bytes(kMetaKey), 14);
    auto store = open_store(options);
    CHECK(recover(*store).size() == 2);
    WriterUnderTest writer(*store);
    Batch batch = appends_of(7, 2, 0);
    const auto body = std::make_shared<const Body>(
        Body{shared_id_of(store->identity().boot, 0, 1), envelope_bytes(7, 300)});
    for (Append& append : batch.appends) append.body = body;
    const auto positions = positions_of(writer.commit(std::move(batch)));
    auto reader = required(Reader::open(*store));
    reader->envelopes(positions, [&](std::size_t, Reader::Found found,
                                     const Reader::Envelope& envelope) {
      CHECK(found == Reader::Found::yes);
      CHECK(text_of(envelope.bytes) == text_of(body->bytes));
    });
  }
}
