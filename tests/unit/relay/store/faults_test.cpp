// One call of LMDB fails, each in turn: it is told, and what was handed back is never lost.
#include <algorithm>
#include <set>

#include "tests/unit/relay/store/failing_lmdb.hpp"
#include "tests/unit/relay/store/store_fixture.hpp"

using namespace godwit;
using namespace godwit::relay::store;
using namespace godwit::relay::store::testing;
using support::TemporaryDirectory;

namespace {

constexpr int kCallsMax = 5'000;

// Twelve envelopes, three of them of one shared body; records of a small table.
void make_model(const std::filesystem::path& directory) {
  const auto store = open_store(small_options(directory));
  (void)recover(*store);
  WriterUnderTest writer(*store);
  (void)writer.commit(appends_of(1, 9));
  (void)writer.commit(fan_out(500, 3, 2'000));
  Batch puts;
  puts.puts.push_back({Table::users, bytes_of("ada"), bytes_of("lovelace")});
  puts.puts.push_back({Table::users, bytes_of("alan"), bytes_of("turing")});
  (void)writer.commit(std::move(puts));
}

std::set<std::uint64_t> positions_now(Store& store) {
  std::set<std::uint64_t> positions;
  for (const Recovered& one : recover(store)) positions.insert(one.position);
  return positions;
}

// Something of everything that a batch can hold.
Batch mixed_batch() {
  Batch batch = appends_of(100, 2);
  for (Append& append : fan_out(600, 2, 1'000).appends) batch.appends.push_back(append);
  batch.puts.push_back({Table::users, bytes_of("ada"), std::nullopt});
  batch.puts.push_back({Table::users, bytes_of("grace"), bytes_of("hopper")});
  batch.removes = {1, 2, 10};
  batch.quarantines = {3};
  return batch;
}

}  // namespace

TEST_SUITE("relay/store/faults") {
  TEST_CASE("a start in which any call fails is refused, and the next one finds everything") {
    const TemporaryDirectory temporary;
    const auto model = temporary.path() / "model";
    const auto path = temporary.path() / "store";
    std::filesystem::create_directory(model);
    make_model(model);
    {
      ClosedStore closed(small_options(model));  // so that recovery has something to repair
      closed.flip(TableId::log, U64Key(4).view(), 9);
    }
    int calls = 0;
    for (bool failed = true; failed; ++calls) {
      CAPTURE(calls);
      REQUIRE(calls < kCallsMax);
      std::filesystem::remove_all(path);
      std::filesystem::copy(model, path, std::filesystem::copy_options::recursive);
      {
        fail_lmdb_after(calls);
        auto store = Store::open(small_options(path));
        const bool started = store && (*store)->recover([](const Recovered&) {}).has_value();
        failed = stop_failing_lmdb();
        CHECK(started == !failed);
      }
      const auto store = open_store(small_options(path));
      CHECK(positions_now(*store).size() == 11);
      CHECK(store->count(Table::users) == 2);
    }
    CHECK(calls > 50);
  }

  TEST_CASE("a commit in which any call fails is reported once, handed back or not, never half") {
    const TemporaryDirectory temporary;
    const auto model = temporary.path() / "model";
    const auto path = temporary.path() / "store";
    std::filesystem::create_directory(model);
    make_model(model);
    int calls = 0;
    for (bool failed = true; failed; ++calls) {
      CAPTURE(calls);
      REQUIRE(calls < kCallsMax);
      std::filesystem::remove_all(path);
      std::filesystem::copy(model, path, std::filesystem::copy_options::recursive);
      std::unique_ptr<Batch> done;
      {
        const auto store = open_store(small_options(path));
        (void)recover(*store);
        WriterUnderTest writer(*store);
        fail_lmdb_after(calls);
        writer.submit(0, mixed_batch());
        done = writer.next();
        writer.stop();
        failed = stop_failing_lmdb();
        CHECK(writer.failures().size() == (failed ? 1 : 0));
        if (!failed) REQUIRE(done != nullptr);
      }
      const auto store = open_store(small_options(path));
      const auto positions = positions_now(*store);
      const auto reader = required(Reader::open(*store));
      wire::Bytes value;
      const bool applied =
          reader->get(Table::users, bytes_of("grace"), value) == Reader::Found::yes;
      // All of the batch or nothing of it; and all of it when it was handed back.
      CHECK(positions.size() == (applied ? 13 : 12));
      CHECK(positions.contains(1) == !applied);
      CHECK((reader->get(Table::users, bytes_of("ada"), value) == Reader::Found::no) == applied);
      if (done != nullptr) {
        CHECK(applied);
        for (const std::uint64_t position : positions_of(*done))
          CHECK(positions.contains(position));
      }
    }
    CHECK(calls > 20);
  }

  TEST_CASE("of a batch whose envelopes a full store refuses the rest is committed, never half") {
    const TemporaryDirectory temporary;
    const auto model = temporary.path() / "model";
    const auto path = temporary.path() / "store";
    std::filesystem::create_directory(model);
    make_model(model);
    Options options = small_options(path);
    options.size_max = 16 << 20;
    int calls = 0;
    for (bool failed = true; failed; ++calls) {
      CAPTURE(calls);
      REQUIRE(calls < kCallsMax);
      std::filesystem::remove_all(path);
      std::filesystem::copy(model, path, std::filesystem::copy_options::recursive);
      std::unique_ptr<Batch> done;
      {
        const auto store = open_store(options);
        (void)recover(*store);
        WriterUnderTest writer(*store);
        Batch batch = mixed_batch();
        batch.appends = appends_of(100, 300, 60'000).appends;
        fail_lmdb_after(calls);
        writer.submit(0, std::move(batch));
        done = writer.next();
        writer.stop();
        failed = stop_failing_lmdb();
        if (!failed) REQUIRE(done != nullptr);
      }
      const auto store = open_store(options);
      const auto positions = positions_now(*store);
      const auto reader = required(Reader::open(*store));
      wire::Bytes value;
      const auto found = [&](const char* key) {
        return reader->get(Table::users, bytes_of(key), value) == Reader::Found::yes;
      };
      const bool applied = found("grace");
      CHECK(positions.size() == (applied ? 9 : 12));
      CHECK(positions.contains(1) == !applied);
      CHECK(found("ada") == !applied);
      if (done != nullptr) {
        CHECK(applied);
        CHECK(std::ranges::all_of(positions_of(*done), [](auto at) { return at == 0; }));
      }
    }
    CHECK(calls > 20);
  }

  TEST_CASE("a read that fails says damaged, and the quarantine keeps what is intact") {
    const TemporaryDirectory temporary;
    make_model(temporary.path());
    const auto store = open_store(small_options(temporary.path()));
    (void)recover(*store);
    const auto reader = required(Reader::open(*store));
    WriterUnderTest writer(*store);
    const std::vector<std::uint64_t> positions{1, 10};  // with a body of its own, and a shared one
    bool failed = true;
    for (int calls = 0; failed; ++calls) {
      CAPTURE(calls);
      REQUIRE(calls < 20);
      Batch repairs;
      wire::Bytes value;
      fail_lmdb_after(calls);
      const auto found = reader->get(Table::users, bytes_of("ada"), value);
      const auto tag = reader->request_at(1);
      reader->envelopes(positions, [&](std::size_t index, Reader::Found read, const auto&) {
        CHECK(read != Reader::Found::no);
        if (read == Reader::Found::damaged) repairs.quarantines.push_back(positions[index]);
      });
      failed = stop_failing_lmdb();
      const bool seen = found == Reader::Found::damaged || !tag || !repairs.quarantines.empty();
      CHECK(seen == failed);
      CHECK(found != Reader::Found::no);
      (void)writer.commit(std::move(repairs));
      reader->envelopes(positions, [&](std::size_t, Reader::Found read, const auto&) {
        CHECK(read == Reader::Found::yes);
      });
      CHECK(reader->get(Table::users, bytes_of("ada"), value) == Reader::Found::yes);
    }
    CHECK(store->identity().generation == 1);
  }
}
