#include "tests/unit/relay/store/store_fixture.hpp"

using namespace godwit;
using namespace godwit::relay::store;
using namespace godwit::relay::store::testing;
using support::TemporaryDirectory;

namespace {

Batch puts_of(Table table, std::initializer_list<std::pair<const char*, const char*>> records) {
  Batch batch;
  for (const auto& [key, value] : records) {
    batch.puts.push_back({table, bytes_of(key), bytes_of(value)});
  }
  return batch;
}

}  // namespace

TEST_SUITE("relay/store/reader") {
  TEST_CASE("tables are apart: a key of one is not found in another") {
    const TemporaryDirectory directory;
    auto store = open_store(small_options(directory.path()));
    WriterUnderTest writer(*store);
    writer.commit(puts_of(Table::users, {{"key", "value"}}));
    auto reader = required(Reader::open(*store));
    wire::Bytes value = bytes_of("old");
    CHECK(reader->get(Table::names, wire::as_bytes("key"), value) == Reader::Found::no);
    CHECK(value.empty());
    CHECK(reader->get(Table::users, wire::as_bytes("key"), value) == Reader::Found::yes);
    CHECK(value == bytes_of("value"));
    CHECK(store->count(Table::users) == 1);
    CHECK(store->count(Table::names) == 0);
  }

  TEST_CASE("envelopes of every size come back byte for byte, removed ones as not there") {
    const TemporaryDirectory directory;
    auto store = open_store(small_options(directory.path()));
    WriterUnderTest writer(*store);
    const std::vector<std::size_t> sizes{0, 1, 300, 1'900, 2'000, 2'100, 4'096, 9'000, 72 * 1024};
    Batch batch;
    for (const std::size_t size : sizes) batch.appends.push_back(append_of(size, size));
    const auto positions = positions_of(writer.commit(std::move(batch)));
    writer.commit(Batch{{}, {}, {positions[2]}, {}});
    auto reader = required(Reader::open(*store));
    std::size_t calls = 0;
    const auto check = [&](std::size_t i, Reader::Found found, const Reader::Envelope& envelope) {
      CHECK(i == calls++);
      CHECK(found == (i == 2 ? Reader::Found::no : Reader::Found::yes));
      if (i == 2) return;
      CHECK(std::ranges::equal(envelope.bytes, envelope_bytes(sizes[i], sizes[i])));
      CHECK(envelope.request == id_of<RequestTag>(sizes[i]));
    };
    reader->envelopes(positions, check);
    CHECK(calls == sizes.size());
  }

  TEST_CASE("the request id of a queued envelope is found, of one that is gone it is not") {
    const TemporaryDirectory directory;
    auto store = open_store(small_options(directory.path()));
    WriterUnderTest writer(*store);
    const auto positions = positions_of(writer.commit(appends_of(40, 2)));
    auto reader = required(Reader::open(*store));
    CHECK(reader->request_at(positions[1]) == id_of<RequestTag>(41));
    writer.commit(Batch{{}, {}, {positions[1]}, {}});
    CHECK(reader->request_at(positions[1]) == std::nullopt);
    CHECK(reader->request_at(999) == std::nullopt);
  }

  TEST_CASE("readers hold no old pages between calls: put and delete rounds keep the file's size") {
    const TemporaryDirectory directory;
    auto store = open_store(small_options(directory.path()));
    WriterUnderTest writer(*store);
    auto reader = required(Reader::open(*store));
    std::uint64_t settled = 0;
    for (std::uint64_t round = 0; round < 60; ++round) {
      const auto positions = positions_of(writer.commit(appends_of(round * 1000, 1'000, 700)));
      CHECK(reader->request_at(positions[0]).has_value());
      writer.commit(Batch{{}, {}, positions, {}});
      if (round == 9) settled = store->figures().file_bytes;
    }
    CHECK(store->figures().file_bytes == settled);
    CHECK(std::filesystem::file_size(directory.path() / "data.mdb") == settled);
    // Nothing is queued, so nearly all of what was used is free.
    CHECK(store->figures().used_bytes < 200'000);
    CHECK(store->figures().reclaimable_bytes > 1'000'000);
  }
}
