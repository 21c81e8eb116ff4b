#include <fstream>

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

// LMDB's header of a record, and the key behind it: size u32 | flags u16 | size of the key u16.
wire::Bytes node_of(std::uint64_t key, std::uint32_t size, std::uint16_t flags = 0) {
  wire::Bytes out;
  wire::append_le(out, size);
  wire::append_le(out, flags);
  wire::append_le(out, std::uint16_t{sizeof key});
  wire::append_le(out, key);
  return out;
}

// The bits of the two sizes in a header.
std::vector<int> size_bits() {
  std::vector<int> bits;
  for (int bit = 0; bit < 64; ++bit) {
    if (bit < 32 || bit >= 48) bits.push_back(bit);
  }
  return bits;
}

wire::Bytes flipped(wire::Bytes bytes, int bit) {
  bytes[static_cast<std::size_t>(bit) / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
  return bytes;
}

// Wherever `from` stands in data.mdb, which may be open.
void flip_in_file(const Options& options, const wire::Bytes& from, int bit) {
  std::fstream file(options.directory / "data.mdb",
                    std::ios::in | std::ios::out | std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  const std::string old = text_of(from);
  const std::string altered = text_of(flipped(from, bit));
  std::size_t found = 0;
  for (auto at = bytes.find(old); at != std::string::npos; at = bytes.find(old, at + 1)) {
    file.seekp(static_cast<std::streamoff>(at));
    file.write(altered.data(), std::ssize(altered));
    ++found;
  }
  REQUIRE(file.flush());
  REQUIRE(found > 0);
}

constexpr std::uint16_t kOwnPages = 1;  // LMDB's flag of a value that has pages of its own
constexpr std::uint32_t kLogValueSize = kChecksumSize + kLogHeaderSize + 300;

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

  TEST_CASE("a batch quarantines the damaged and the lost, keeps the intact, and tells it once") {
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
      CHECK(store->figures().quarantined == 4);  // 999: a mailbox has it, and the log does not
      CHECK(look(*store, std::array<std::uint64_t, 4>{5, 6, 11, 12}) ==
            std::vector{kNo, kYes, kNo, kNo});
      writer.commit(Batch{{}, {}, {}, {6}});
      CHECK(store->identity().generation == 2);
      writer.commit(Batch{{}, {}, {}, {1000}});
      CHECK(store->identity().generation == 3);
    }
    const Dump dump = ClosedStore(options).dump();
    CHECK(dump.at("quarantine").size() == 3);
    CHECK(dump.at("bodies").empty());
    CHECK(dump.at("log").size() == 9);
  }

  // LMDB believes its pages: what stands in a record's header decides how much is read, and where
  // the neighbours go when it is removed.
  TEST_CASE("a flipped bit in a size of a record costs that record alone, at a start") {
    for (const std::uint64_t position : {1, 5}) {
      for (const int bit : size_bits()) {
        CAPTURE(position);
        CAPTURE(bit);
        const TemporaryDirectory directory;
        const Options options = small_options(directory.path());
        fill(options);
        flip_in_file(options, node_of(position, kLogValueSize), bit);
        for (int round = 0; round < 2; ++round) {
          auto store = open_store(options);
          // Behind a key of a wrong size an older copy of the page may have the right bytes.
          if (round == 1 || bit < 32) {
            CHECK(look(*store, std::array{position, position + 1}) ==
                  std::vector{round == 0 ? kDamaged : kNo, kYes});
          }
          CHECK(recover(*store).size() == 11);
          CHECK(store->figures().quarantined == (round == 0 ? 1 : 0));
          CHECK(store->identity().generation == 2);
        }
        {
          auto store = open_store(options);
          WriterUnderTest writer(*store);  // the page that it was in empties
          writer.commit(Batch{{}, {}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, {}});
          CHECK(look(*store, std::array<std::uint64_t, 2>{11, 12}) == std::vector{kYes, kYes});
        }
        CHECK(ClosedStore(options).records(TableId::log) == 2);
        CHECK(ClosedStore(options).records(TableId::quarantine) == 1);
      }
    }
  }

  TEST_CASE("a flipped bit in a size of a record costs that record alone, while it runs") {
    for (const int bit : size_bits()) {
      CAPTURE(bit);
      const TemporaryDirectory directory;
      const Options options = small_options(directory.path());
      fill(options);
      {
        auto store = open_store(options);
        WriterUnderTest writer(*store);
        for (const std::uint64_t position : {3, 6, 8}) {
          flip_in_file(options, node_of(position, kLogValueSize), bit);
        }
        // One by an ack, without a look at it, and two that were to be delivered.
        writer.commit(Batch{{}, {}, {2, 3, 4}, {}});
        CHECK(store->figures().quarantined == 1);
        if (bit >= 32) continue;  // as above, behind a key of a wrong size
        writer.commit(Batch{{}, {}, {9}, {6}});
        writer.commit(Batch{{}, {}, {}, {8}});
        CHECK(store->figures().quarantined == 3);
        CHECK(store->identity().generation == 3);
        CHECK(look(*store, std::array<std::uint64_t, 7>{1, 3, 5, 6, 7, 8, 9}) ==
              std::vector{kYes, kNo, kYes, kNo, kYes, kNo, kNo});
      }
      CHECK(ClosedStore(options).records(TableId::log) == 6);
    }
  }

  TEST_CASE("a flipped bit in the size of a record that has pages of its own") {
    constexpr std::uint32_t kLongSize = 20'000;
    constexpr std::uint32_t kValueSize = kLongSize + kChecksumSize + kLogHeaderSize;
    for (int bit = 0; bit < 32; ++bit) {
      CAPTURE(bit);
      const TemporaryDirectory directory;
      const Options options = small_options(directory.path());
      {
        auto store = open_store(options);
        WriterUnderTest writer(*store);
        writer.commit(appends_of(1, 3, kLongSize));
      }
      flip_in_file(options, node_of(2, kValueSize, kOwnPages), bit);
      auto store = open_store(options);
      CHECK(look(*store, std::array<std::uint64_t, 3>{1, 2, 3}) ==
            std::vector{kYes, kDamaged, kYes});
      CHECK(recover(*store).size() == 2);
      CHECK(store->figures().quarantined == 1);
      CHECK(store->identity().generation == 2);
    }
  }

  TEST_CASE("a flipped bit in the size of a shared body, which goes without being read") {
    constexpr std::uint32_t kBodySize = 500 + kChecksumSize;
    for (const int bit : size_bits()) {
      CAPTURE(bit);
      const TemporaryDirectory directory;
      const Options options = small_options(directory.path());
      fill(options);
      auto store = open_store(options);
      WriterUnderTest writer(*store);
      writer.commit(fan_out(8, 2, 500));
      writer.commit(fan_out(9, 2, 500));
      flip_in_file(options, node_of(8, kBodySize), bit);
      writer.commit(Batch{{}, {}, {13, 14}, {}});
      CHECK(look(*store, std::array<std::uint64_t, 4>{11, 12, 15, 16}) ==
            std::vector{kYes, kYes, kYes, kYes});
      CHECK(store->identity().generation == 1);
    }
  }

  TEST_CASE("a flipped bit in the size of a small record is no trouble for the next one") {
    for (int bit = 0; bit < 32; ++bit) {
      CAPTURE(bit);
      const TemporaryDirectory directory;
      const Options options = small_options(directory.path());
      fill(options);
      auto store = open_store(options);
      WriterUnderTest writer(*store);
      constexpr std::uint32_t kValueSize = kChecksumSize + 5;
      for (const std::string_view key : {"bad", "good"}) {
        wire::Bytes node = node_of(0, kValueSize);
        node.resize(6);
        wire::append_le(node, static_cast<std::uint16_t>(key.size()));
        wire::append(node, wire::as_bytes(key));
        flip_in_file(options, node, bit);
      }
      Batch batch;
      batch.puts.push_back({Table::users, bytes_of("bad"), bytes_of("better")});
      batch.puts.push_back({Table::users, bytes_of("good"), std::nullopt});
      writer.commit(std::move(batch));
      auto reader = required(Reader::open(*store));
      wire::Bytes value;
      CHECK(reader->get(Table::users, wire::as_bytes("bad"), value) == kYes);
      CHECK(value == bytes_of("better"));
      CHECK(reader->get(Table::users, wire::as_bytes("good"), value) == kNo);
      CHECK(store->count(Table::users) == 1);
    }
  }

  TEST_CASE("a page that LMDB cannot read, or a key of no size, is a store that cannot be read") {
    for (const int code : {MDB_CORRUPTED, MDB_PAGE_NOTFOUND, MDB_BAD_TXN}) {
      CHECK(to_failure({code, "scan a table"}).error == StoreError::not_a_store);
    }
    const TemporaryDirectory directory;
    const Options options = small_options(directory.path());
    fill(options);
    wire::Bytes node = node_of(0, kChecksumSize + 5);
    node.resize(6);
    wire::append_le(node, std::uint16_t{4});
    wire::append(node, wire::as_bytes("good"));
    flip_in_file(options, node, 58);  // the size of the key
    const auto recovered = open_store(options)->recover([](const Recovered&) {});
    REQUIRE_FALSE(recovered.has_value());
    CHECK(recovered.error().error == StoreError::not_a_store);
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
