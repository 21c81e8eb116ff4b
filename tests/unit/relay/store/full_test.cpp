#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "tests/support/small_disk.hpp"
#include "tests/unit/relay/store/store_fixture.hpp"

using namespace godwit;
using namespace godwit::relay::store;
using namespace godwit::relay::store::testing;
using support::SmallDisk;
using support::TemporaryDirectory;

namespace {

bool all_refused(const Batch& batch) {
  return std::ranges::all_of(batch.appends, [](const Append& a) { return a.position == 0; });
}

// Appends `make(round)` until one is refused; the positions of those that were taken.
template <class Make>
std::vector<std::uint64_t> fill_up_with(WriterUnderTest& writer, Make&& make) {
  std::vector<std::uint64_t> taken;
  for (std::uint64_t round = 0; round < 10'000; ++round) {
    const Batch done = writer.commit(make(round));
    if (all_refused(done)) return taken;
    for (const std::uint64_t position : positions_of(done)) {
      REQUIRE(position != 0);  // a batch's appends are taken or refused together
      taken.push_back(position);
    }
  }
  FAIL("the store never became full");
  return taken;
}

std::vector<std::uint64_t> fill_up(WriterUnderTest& writer, std::size_t size) {
  return fill_up_with(writer, [&](std::uint64_t r) { return appends_of(r * 40, 40, size); });
}

// In an order in which each has a leaf of its own.
void scatter(std::vector<std::uint64_t>& positions) {
  std::ranges::shuffle(positions, std::mt19937_64(7));
}

// Removes all, so many a batch.
void remove_each(WriterUnderTest& writer, std::span<const std::uint64_t> positions,
                 std::size_t each) {
  for (std::size_t begin = 0; begin < positions.size(); begin += each) {
    const auto some = positions.subspan(begin, std::min(each, positions.size() - begin));
    writer.commit(Batch{{}, {}, {some.begin(), some.end()}, {}});
  }
}

// Removes from the front, in batches, until the store says by itself that it is not full.
std::size_t drain_until_open(WriterUnderTest& writer, const Store& store,
                             std::span<const std::uint64_t> positions) {
  std::size_t removed = 0;
  while (store.full() && removed < positions.size()) {
    const std::size_t now = std::min<std::size_t>(50, positions.size() - removed);
    const auto slice = positions.subspan(removed, now);
    writer.commit(Batch{{}, {}, {slice.begin(), slice.end()}, {}});
    removed += now;
  }
  return removed;
}

// Empty batches go to and fro until the writer has asked the disk again, at most 20 s.
bool becomes_open(WriterUnderTest& writer, const Store& store) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (store.full() && std::chrono::steady_clock::now() < deadline) writer.commit({});
  return !store.full();
}

Options tiny_options(const std::filesystem::path& directory) {
  Options options = small_options(directory);
  options.grow_step = 1 << 20;
  options.reserve = 2 << 20;
  return options;
}

}  // namespace

TEST_SUITE("relay/store/full") {
  TEST_CASE("a full map refuses appends, still removes, and opens again by itself") {
    const TemporaryDirectory directory;
    Options options = small_options(directory.path());
    options.size_max = 4 << 20;
    auto store = open_store(options);
    WriterUnderTest writer(*store);
    std::size_t size = 0;
    SUBCASE("texts") {
      size = 700;
    }
    SUBCASE("values longer than a page") {
      size = 9'000;
    }
    for (int round = 0; round < 3; ++round) {
      CAPTURE(round);
      const auto taken = fill_up(writer, size);
      CHECK(taken.size() > 50);
      CHECK(store->full());
      CHECK(store->figures().full);
      CHECK(store->figures().at_size_max);
      CHECK(store->figures().used_bytes <= options.size_max * kMapPercentMax / 100);

      // A refused batch is refused whole, but its removal and its put are not.
      Batch mixed = appends_of(1, 3, size);
      mixed.removes.push_back(taken[0]);
      mixed.puts.push_back({Table::names, bytes_of("name"), bytes_of("value")});
      auto reader = required(Reader::open(*store));
      if (all_refused(writer.commit(std::move(mixed)))) {
        CHECK_FALSE(reader->request_at(taken[0]).has_value());
        wire::Bytes value;
        CHECK(reader->get(Table::names, wire::as_bytes("name"), value) == Reader::Found::yes);
      }

      const std::size_t removed = drain_until_open(writer, *store, taken);
      CHECK_FALSE(store->full());
      CHECK_FALSE(store->figures().at_size_max);
      CHECK(removed < taken.size());
      CHECK_FALSE(all_refused(writer.commit(appends_of(1, 5, size))));
      std::vector<std::uint64_t> all;
      for (const Recovered& one : recover(*store)) all.push_back(one.position);
      writer.commit(Batch{{}, {}, all, {}});
      CHECK(recover(*store).empty());
    }
    CHECK(writer.failures().empty());
    CHECK(std::filesystem::file_size(directory.path() / "data.mdb") <= options.size_max);
  }

  TEST_CASE("a disk without room for a new store is told, whichever of its pages has none" *
            doctest::skip(!SmallDisk::allowed())) {
    const SmallDisk disk("1m");
    for (std::uint64_t pages = 0; pages < 8; ++pages) {
      disk.fill(pages);
      const auto store = Store::open(tiny_options(disk.path() / "store"));
      REQUIRE_FALSE(store);
      CHECK(store.error().error == StoreError::no_space);
      std::filesystem::remove_all(disk.path() / "store");
    }
  }

  TEST_CASE("a full disk fails no commit: appends are refused until there is room again" *
            doctest::skip(!SmallDisk::allowed())) {
    const SmallDisk disk("16m");
    std::size_t size = 0;
    SUBCASE("texts") {
      size = 700;
    }
    SUBCASE("values longer than a page") {
      size = 9'000;
    }
    const Options options = tiny_options(disk.path() / "store");
    auto store = open_store(options);
    WriterUnderTest writer(*store);
    writer.commit(appends_of(1, 100, size));
    disk.fill();

    const auto taken = fill_up(writer, size);
    CHECK(store->full());
    CHECK_FALSE(store->figures().at_size_max);
    // Every acknowledged envelope can be removed though the disk has no room at all.
    for (std::size_t i = 0; i < taken.size(); i += 3) {
      writer.commit(Batch{{}, {}, {taken[i]}, {}});
    }
    for (const Recovered& one : recover(*store)) {
      writer.commit(Batch{{}, {}, {one.position}, {}});
    }
    CHECK(recover(*store).empty());
    CHECK(writer.failures().empty());

    disk.make_room();
    CHECK(becomes_open(writer, *store));
    CHECK_FALSE(all_refused(writer.commit(appends_of(1, 10, size))));
    CHECK(writer.failures().empty());
  }

  TEST_CASE("texts that left a full disk make room for others, round after round" *
            doctest::skip(!SmallDisk::allowed())) {
    const SmallDisk disk("16m");
    auto store = open_store(tiny_options(disk.path() / "store"));
    WriterUnderTest writer(*store);
    std::vector<std::size_t> taken_in_round;
    for (int round = 0; round < 4; ++round) {
      CAPTURE(round);
      const auto taken = fill_up(writer, 700);
      taken_in_round.push_back(taken.size());
      CHECK(store->full());
      CHECK(drain_until_open(writer, *store, taken) <= taken.size());
      std::vector<std::uint64_t> rest;
      for (const Recovered& one : recover(*store)) rest.push_back(one.position);
      writer.commit(Batch{{}, {}, rest, {}});
      CHECK_FALSE(store->full());
    }
    // The last round takes about as much as the first: no page is lost on the way.
    CHECK(taken_in_round.back() > taken_in_round.front() / 2);
    CHECK(writer.failures().empty());
  }

  // The pages that acknowledging copies come from the end of the file as long as the free ones are
  // young, so that draining itself eats the reserve there.
  TEST_CASE("a store that filled its disk opens again when it is empty, however it was drained" *
            doctest::skip(!SmallDisk::allowed())) {
    const SmallDisk disk("40m");
    std::size_t each = 0;
    std::size_t size = 0;
    std::uint64_t reserve = 8 << 20;
    SUBCASE("texts, many at a time") {
      each = 256;
      size = 300;
    }
    SUBCASE("texts, more at a time than the reserve has pages for") {
      each = 256;
      size = 300;
      reserve = 1 << 20;
    }
    SUBCASE("texts, few at a time") {
      each = 40;
      size = 300;
    }
    SUBCASE("values longer than a page") {
      each = 20;
      size = 9'000;
    }
    Options options = small_options(disk.path() / "store");
    options.grow_step = 4 << 20;
    options.reserve = reserve;
    auto store = open_store(options);
    WriterUnderTest writer(*store);
    for (int round = 0; round < 3; ++round) {
      CAPTURE(round);
      auto taken = fill_up(writer, size);
      CHECK(store->full());
      scatter(taken);
      remove_each(writer, taken, each);
      REQUIRE(recover(*store).empty());
      REQUIRE(becomes_open(writer, *store));
      CHECK_FALSE(all_refused(writer.commit(appends_of(1, 10, size))));
      // More at once than the whole disk: it is refused, and keeps nobody else out.
      CHECK(all_refused(writer.commit(appends_of(1, 600, 70'000))));
      REQUIRE(becomes_open(writer, *store));
      std::vector<std::uint64_t> rest;
      for (const Recovered& one : recover(*store)) rest.push_back(one.position);
      writer.commit(Batch{{}, {}, rest, {}});
    }
    CHECK(writer.failures().empty());
  }

  // Dozens of short records share a leaf of the log and four texts another, so that the mean says
  // little of what a removal changes.
  TEST_CASE("texts behind a crowd of short records can be removed from a full disk" *
            doctest::skip(!SmallDisk::allowed())) {
    const SmallDisk disk("64m");
    Options options = small_options(disk.path() / "store");
    options.grow_step = 1 << 20;
    options.reserve = 4 << 20;
    auto store = open_store(options);
    WriterUnderTest writer(*store);
    for (std::uint64_t body = 1; body <= 160; ++body) writer.commit(fan_out(body, 1'000, 300));
    std::vector<std::uint64_t> texts;
    for (std::uint64_t round = 0; round < 60; ++round) {
      const Batch done = writer.commit(appends_of(1'000'000 + 100 * round, 100, 900));
      REQUIRE_FALSE(all_refused(done));
      std::ranges::copy(positions_of(done), std::back_inserter(texts));
    }
    disk.fill();
    Batch apart;
    for (std::size_t i = 0; i < texts.size(); i += 4) apart.removes.push_back(texts[i]);
    writer.commit(std::move(apart));
    CHECK(writer.failures().empty());
    CHECK(recover(*store).size() == 160'000 + texts.size() - (texts.size() + 3) / 4);
  }

  TEST_CASE("pictures fit into the holes that others left, each into its own" *
            doctest::skip(!SmallDisk::allowed())) {
    const SmallDisk disk("40m");
    auto store = open_store(tiny_options(disk.path() / "store"));
    WriterUnderTest writer(*store);
    fill_up(writer, 70'000);
    for (int round = 0; round < 3; ++round) {
      CAPTURE(round);
      Batch holes;
      const auto all = recover(*store);
      for (std::size_t i = 0; i < all.size(); i += 2) holes.removes.push_back(all[i].position);
      const std::size_t held = all.size();
      writer.commit(std::move(holes));
      REQUIRE(becomes_open(writer, *store));
      fill_up(writer, 70'000);
      CHECK(recover(*store).size() > held * 3 / 4);
    }
    CHECK(writer.failures().empty());
  }

  TEST_CASE("what the smallest reserve cannot take at once is committed in parts" *
            doctest::skip(!SmallDisk::allowed())) {
    const SmallDisk disk("16m");
    Options options = tiny_options(disk.path() / "store");
    options.reserve = 1 << 20;
    auto store = open_store(options);
    WriterUnderTest writer(*store);
    auto taken = fill_up_with(writer, [](std::uint64_t round) {
      Batch batch;
      for (std::uint64_t body = 1; body <= 20; ++body) {
        Batch one = fan_out(round * 20 + body, 2, 300);
        std::ranges::move(one.appends, std::back_inserter(batch.appends));
      }
      return batch;
    });
    disk.fill();
    scatter(taken);
    SUBCASE("removals of shared bodies") {
      remove_each(writer, taken, 300);
      CHECK(recover(*store).empty());
    }
    SUBCASE("records of the directory") {
      Batch batch;
      for (int n = 0; n < 300; ++n) {
        batch.puts.push_back({Table::names, bytes_of(std::to_string(n)), bytes_of("value")});
      }
      writer.commit(batch);
      CHECK(store->count(Table::names) == 300);
    }
    SUBCASE("records to look at for damage") {
      taken.resize(100);
      writer.commit(Batch{{}, {}, {}, taken});
    }
    SUBCASE("records that a start finds damaged") {
      writer.stop();
      store.reset();
      ClosedStore(options).spoil_log(100);
      store = open_store(options);
      CHECK(recover(*store).size() == taken.size() - 100);
      CHECK(store->figures().quarantined == 100);
    }
    CHECK(writer.failures().empty());
  }

  // What a reader may still look at LMDB does not write over: it takes new pages, from the end.
  TEST_CASE("a full disk fails no commit while a reader looks at what is removed" *
            doctest::skip(!SmallDisk::allowed())) {
    const SmallDisk disk("16m");
    auto store = open_store(tiny_options(disk.path() / "store"));
    WriterUnderTest writer(*store);
    auto taken = fill_up(writer, 300);
    disk.fill();
    scatter(taken);
    auto reader = required(Reader::open(*store));
    bool waits = false;
    std::size_t removed = 0;
    reader->envelopes(std::span(taken).last(1), [&](auto&&...) {
      for (; !waits && removed + 40 < taken.size(); removed += 40) {
        const auto some = std::span(taken).subspan(removed, 40);
        writer.submit(0, Batch{{}, {}, {some.begin(), some.end()}, {}});
        // A machine that is slower than this looks at less, and finds nothing wrong.
        waits = writer.next(std::chrono::seconds(3)) == nullptr;
      }
    });
    CHECK(writer.failures().empty());
    REQUIRE(waits);                   // else the disk was not full
    CHECK(writer.next() != nullptr);  // the snapshot is gone, and the pages are free
    CHECK(recover(*store).size() == taken.size() - removed);
  }

  TEST_CASE("a store on a full disk opens, so that it can be drained" *
            doctest::skip(!SmallDisk::allowed())) {
    const SmallDisk disk("16m");
    const Options options = tiny_options(disk.path() / "store");
    std::vector<std::uint64_t> taken;
    {
      auto store = open_store(options);
      WriterUnderTest writer(*store);
      taken = fill_up(writer, 700);
      disk.fill();
    }
    auto store = open_store(options);
    CHECK(recover(*store).size() == taken.size());
    CHECK(store->full());
    WriterUnderTest writer(*store);
    writer.commit(Batch{{}, {}, taken, {}});
    CHECK(recover(*store).empty());
    CHECK(writer.failures().empty());
  }

  TEST_CASE("a disk without room for the reserve is refused at the start" *
            doctest::skip(!SmallDisk::allowed())) {
    const SmallDisk disk("1m");
    const auto store = Store::open(tiny_options(disk.path() / "store"));
    REQUIRE_FALSE(store.has_value());
    CHECK(store.error().error == StoreError::no_space);
    CHECK(store.error().detail.ends_with("; free disk space or lower store.reserve"));
  }
}
