#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <set>

#include "tests/unit/relay/store/store_fixture.hpp"

using namespace godwit;
using support::TemporaryDirectory;
using namespace godwit::relay::store;
using namespace godwit::relay::store::testing;

namespace {

template <class Txn>
concept CanPut = requires(const RawTable& table, Txn& txn, wire::ByteView bytes) {
  table.put(txn, bytes, bytes);
};
template <class Txn>
concept CanErase = requires(const RawTable& table, Txn& txn, wire::ByteView key) {
  table.erase(txn, key);
};
static_assert(CanPut<WriteTxn> && CanErase<WriteTxn>);
static_assert(!CanPut<ReadTxn> && !CanErase<ReadTxn>, "a write inside a read does not compile");
static_assert(!std::is_copy_constructible_v<ReadTxn> && !std::is_copy_constructible_v<WriteTxn>);

Put put_of(Table table, std::string_view key, std::string_view value) {
  return {table, bytes_of(key), bytes_of(value)};
}

// LMDB's descriptors of data.mdb that are written without O_DSYNC: the one for pages.
std::vector<int> page_descriptors(const std::filesystem::path& directory) {
  std::vector<int> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code code;
    const auto target = std::filesystem::read_symlink(entry.path(), code);
    if (code || target != std::filesystem::canonical(directory) / "data.mdb") continue;
    const int fd = std::stoi(entry.path().filename());
    if ((::fcntl(fd, F_GETFL) & O_DSYNC) == 0) found.push_back(fd);
  }
  return found;
}

// What the killed process says, one write each: what it is about to remove, before the writer
// hears of it, and what the writer has handed back.
struct Word {
  enum Kind : std::uint64_t { about_to_remove, handed_back };
  Kind kind = handed_back;
  std::array<std::uint64_t, 8> appended{};
  std::array<std::uint64_t, 4> removed{};
};

bool hear(int pipe_end, Word& word) {
  return ::read(pipe_end, &word, sizeof word) == sizeof word;
}

void say(int pipe_end, const Word& word) {
  // Far below PIPE_BUF, hence whole or not at all.
  if (::write(pipe_end, &word, sizeof word) != sizeof word) ::_exit(2);
}

void note(const Word& word, std::set<std::uint64_t>& held, std::set<std::uint64_t>& removed) {
  for (const std::uint64_t position : word.removed) {
    held.erase(position);
    if (word.kind == Word::handed_back && position != 0) removed.insert(position);
  }
  if (word.kind == Word::handed_back) held.insert(word.appended.begin(), word.appended.end());
}

// Appends 8 and removes 4 of the 8 before, batch after batch.
[[noreturn]] void write_until_killed(const Options& options, int pipe_end) {
  auto store = Store::open(options);
  if (!store) ::_exit(1);
  std::mutex mutex;
  std::condition_variable changed;
  std::unique_ptr<Batch> back;
  auto writer = Writer::start(
      **store,
      [&](std::uint32_t, std::unique_ptr<Batch> batch) {
        Word word;
        for (std::size_t i = 0; i < 8; ++i) word.appended[i] = batch->appends[i].position;
        std::ranges::copy(batch->removes, word.removed.begin());
        say(pipe_end, word);
        const std::scoped_lock lock(mutex);
        back = std::move(batch);
        changed.notify_one();
      },
      [](const Failure&) { ::_exit(3); });
  if (!writer) ::_exit(4);
  Batch next = appends_of(1, 8);
  for (;;) {
    (*writer)->submit(0, std::make_unique<Batch>(next));
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return back != nullptr; });
    next = appends_of(1, 8);
    Word word;
    word.kind = Word::about_to_remove;
    for (std::size_t i = 0; i < 4; ++i) word.removed[i] = back->appends[i].position;
    next.removes.assign(word.removed.begin(), word.removed.end());
    back.reset();
    say(pipe_end, word);
  }
}

}  // namespace

TEST_SUITE("relay/store/writer") {
  TEST_CASE("what was handed back is there after closing and opening again") {
    const TemporaryDirectory directory;
    const Options options = small_options(directory.path());
    std::vector<std::uint64_t> positions;
    {
      auto store = open_store(options);
      WriterUnderTest writer(*store);
      Batch batch = appends_of(1, 10);
      batch.puts.push_back(put_of(Table::users, "alice", "list"));
      batch.puts.push_back(put_of(Table::names, "al", "alice"));
      positions = positions_of(writer.commit(std::move(batch)));
      CHECK(store->figures().stored == 10);
    }
    auto store = open_store(options);
    const auto found = recover(*store);
    REQUIRE(found.size() == 10);
    auto reader = required(Reader::open(*store));
    for (std::size_t i = 0; i < found.size(); ++i) {
      const Append sent = append_of(i + 1);
      CHECK(found[i].position == positions[i]);
      CHECK(found[i].slot == sent.slot);
      CHECK(found[i].device == sent.device);
      CHECK(found[i].request == sent.request);
      CHECK(found[i].expires == sent.expires);
      CHECK(found[i].size == sent.body->bytes.size());
    }
    std::size_t read = 0;
    reader->envelopes(positions, [&](std::size_t i, Reader::Found is, const Reader::Envelope& one) {
      const wire::ByteView bytes = one.bytes;
      CHECK(is == Reader::Found::yes);
      CHECK(std::ranges::equal(bytes, envelope_bytes(i + 1, 300)));
      ++read;
    });
    CHECK(read == 10);
    CHECK(store->count(Table::users) == 1);
    wire::Bytes value;
    CHECK(reader->get(Table::names, wire::as_bytes("al"), value) == Reader::Found::yes);
    CHECK(value == bytes_of("alice"));
  }

  TEST_CASE("a destroyed writer has committed what was handed in") {
    const TemporaryDirectory directory;
    const Options options = small_options(directory.path());
    {
      auto store = open_store(options);
      WriterUnderTest writer(*store);
      for (std::uint32_t n = 0; n < 20; ++n) writer.submit(n % 2, appends_of(n * 10, 10));
      writer.stop();
      CHECK(writer.handed_back() == 20);
    }
    auto store = open_store(options);
    CHECK(recover(*store).size() == 200);
  }

  TEST_CASE("a stop waits for what the disk does not answer as long as it is told to") {
    using namespace std::chrono_literals;
    const TemporaryDirectory directory;
    auto store = open_store(small_options(directory.path()));
    std::mutex answers;  // on the writer's thread, where a sync of the disk is too
    std::unique_lock disk(answers);
    auto writer = required(Writer::start(
        *store, [&](auto, auto) { const std::scoped_lock lock(answers); }, [](const Failure&) {}));
    writer->submit(0, std::make_unique<Batch>(appends_of(1, 1)));
    CHECK_FALSE(writer->stop(100ms));
    disk.unlock();
    CHECK(writer->stop(20s));
  }

  TEST_CASE("positions rise in the order in which each loop handed its appends in") {
    const TemporaryDirectory directory;
    auto store = open_store(small_options(directory.path()));
    WriterUnderTest writer(*store);
    for (std::uint64_t round = 0; round < 50; ++round) {
      writer.submit(0, appends_of(round * 10, 10));
      writer.submit(1, appends_of(100'000 + round * 10, 10));
    }
    std::map<bool, std::uint64_t> last_position;
    std::map<bool, std::uint64_t> next_number{{false, 0}, {true, 100'000}};
    for (int n = 0; n < 100; ++n) {
      const auto batch = writer.next();
      REQUIRE(batch != nullptr);
      for (const Append& append : batch->appends) {
        const auto number = wire::load_le<std::uint64_t>(append.request.view());
        const bool second = number >= 100'000;
        CHECK(number == next_number[second]++);
        CHECK(append.position > last_position[second]);
        last_position[second] = append.position;
      }
    }
  }

  TEST_CASE("a position is never given twice, not even after the log was emptied and reopened") {
    const TemporaryDirectory directory;
    std::set<std::uint64_t> given;
    std::uint32_t boot = 0;
    for (int round = 0; round < 4; ++round) {
      auto store = open_store(small_options(directory.path()));
      CHECK(store->identity().boot > boot);
      boot = store->identity().boot;
      WriterUnderTest writer(*store);
      const auto positions = positions_of(writer.commit(appends_of(1, 5)));
      if (round == 0) CHECK(positions.front() == 1);
      for (const std::uint64_t position : positions) CHECK(given.insert(position).second);
      writer.commit(Batch{{}, {}, positions, {}});
      CHECK(recover(*store).empty());
    }
  }

  TEST_CASE("a shared body is stored once and goes with its last recipient") {
    const TemporaryDirectory directory;
    const Options options = small_options(directory.path());
    std::vector<std::uint64_t> positions;
    {
      auto store = open_store(options);
      WriterUnderTest writer(*store);
      positions = positions_of(writer.commit(fan_out(7, 120, 5'000)));
      const auto more = positions_of(writer.commit(fan_out(7, 80, 5'000)));  // the other loop's
      positions.insert(positions.end(), more.begin(), more.end());
    }
    {
      const ClosedStore closed(options);
      CHECK(closed.records(TableId::log) == 200);
      CHECK(closed.records(TableId::bodies) == 1);
      const Dump dump = closed.dump();
      const auto& [key, raw] = *dump.at("body_refs").begin();
      CHECK(parse_count(u64_of(wire::as_bytes(key)), raw) == 200);
    }
    {
      auto store = open_store(options);
      auto reader = required(Reader::open(*store));
      std::size_t good = 0;
      reader->envelopes(positions, [&](std::size_t, Reader::Found found,
                                       const Reader::Envelope& one) {
        const wire::ByteView bytes = one.bytes;
        good += found == Reader::Found::yes && std::ranges::equal(bytes, envelope_bytes(7, 5'000));
      });
      CHECK(good == 200);
      WriterUnderTest writer(*store);
      Batch most;
      most.removes.assign(positions.begin() + 1, positions.end());
      writer.commit(most);
      writer.commit(most);  // gone already: fine, and not counted twice
    }
    CHECK(ClosedStore(options).records(TableId::bodies) == 1);
    {
      auto store = open_store(options);
      WriterUnderTest writer(*store);
      writer.commit(Batch{{}, {}, {positions.front()}, {}});
    }
    const ClosedStore closed(options);
    CHECK(closed.records(TableId::log) == 0);
    CHECK(closed.records(TableId::bodies) == 0);
    CHECK(closed.records(TableId::body_refs) == 0);
  }

  TEST_CASE("the later put for a key wins, and a put without a value deletes") {
    const TemporaryDirectory directory;
    auto store = open_store(small_options(directory.path()));
    WriterUnderTest writer(*store);
    auto reader = required(Reader::open(*store));
    Batch batch;
    batch.puts.push_back(put_of(Table::users, "a", "first"));
    batch.puts.push_back(put_of(Table::users, "b", "stays"));
    batch.puts.push_back(put_of(Table::users, "a", "second"));
    writer.commit(std::move(batch));
    wire::Bytes value;
    CHECK(reader->get(Table::users, wire::as_bytes("a"), value) == Reader::Found::yes);
    CHECK(value == bytes_of("second"));
    Batch removal;
    removal.puts.push_back({Table::users, bytes_of("a"), std::nullopt});
    removal.puts.push_back({Table::users, bytes_of("never was"), std::nullopt});
    writer.commit(std::move(removal));
    CHECK(reader->get(Table::users, wire::as_bytes("a"), value) == Reader::Found::no);
    CHECK(reader->get(Table::users, wire::as_bytes("b"), value) == Reader::Found::yes);
    CHECK(store->count(Table::users) == 1);
  }

  TEST_CASE("a failed commit is reported once and nothing is handed back after it") {
    const TemporaryDirectory directory;
    const Options options = small_options(directory.path());
    {
      auto store = open_store(options);
      WriterUnderTest writer(*store);
      CHECK(positions_of(writer.commit(appends_of(1, 5))).back() == 5);
      const auto descriptors = page_descriptors(directory.path());
      REQUIRE(descriptors.size() == 1);
      const int writable = ::dup(descriptors[0]);
      const int read_only = ::open((directory.path() / "data.mdb").c_str(), O_RDONLY | O_CLOEXEC);
      REQUIRE(::dup2(read_only, descriptors[0]) >= 0);
      writer.submit(0, appends_of(6, 5));
      CHECK(writer.next() == nullptr);
      REQUIRE(::dup2(writable, descriptors[0]) >= 0);  // the disk is well again: too late
      ::close(read_only);
      ::close(writable);
      writer.submit(0, appends_of(11, 5));
      writer.submit(1, appends_of(16, 5));
      writer.stop();
      CHECK(writer.handed_back() == 0);
      REQUIRE(writer.failures().size() == 1);
      CHECK(writer.failures()[0].error == StoreError::io);
      CHECK(writer.failures()[0].detail.find("commit") != std::string::npos);
    }
    auto store = open_store(options);
    CHECK(recover(*store).size() == 5);
  }

  TEST_CASE("kill -9 at any moment loses nothing that was handed back") {
    const TemporaryDirectory directory;
    const Options options = small_options(directory.path());
    std::mt19937 random(20);
    std::set<std::uint64_t> held;
    for (int round = 0; round < 20; ++round) {
      int ends[2];
      REQUIRE(::pipe(ends) == 0);
      const pid_t child = ::fork();
      REQUIRE(child >= 0);
      if (child == 0) {
        ::close(ends[0]);
        write_until_killed(options, ends[1]);
      }
      ::close(ends[1]);
      std::set<std::uint64_t> removed;
      std::size_t told = 0;
      Word word;
      const std::size_t enough = 2 + random() % 80;
      for (; told < enough && hear(ends[0], word); ++told) note(word, held, removed);
      REQUIRE(told == enough);
      REQUIRE(::kill(child, SIGKILL) == 0);
      while (hear(ends[0], word)) note(word, held, removed);
      ::close(ends[0]);
      int status = 0;
      REQUIRE(::waitpid(child, &status, 0) == child);
      CHECK(WIFSIGNALED(status));

      auto store = open_store(options);
      std::set<std::uint64_t> found;
      for (const Recovered& one : recover(*store)) found.insert(one.position);
      CHECK(store->figures().quarantined == 0);
      CHECK(std::ranges::includes(found, held));
      for (const std::uint64_t position : removed) CHECK_FALSE(found.contains(position));
      held = found;
    }
  }
}
