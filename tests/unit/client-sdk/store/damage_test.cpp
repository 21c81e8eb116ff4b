// A data.mdb that was altered or cut short: never a crash, and never a record that is not what was
// put. Each alteration is tried in a child, many to one child, since a crash would end it.

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <map>
#include <random>

#include "client-sdk/src/store/backend.hpp"
#include "client-sdk/src/store/lmdb_backend.hpp"
#include "client-sdk/src/store/lmdb_check.hpp"
#include "schema/net/descriptor.hpp"
#include "tests/unit/client-sdk/store/store_support.hpp"

namespace godwit::store {
namespace {

constexpr std::uint64_t kRecords = 12;  // in each table used
constexpr std::size_t kPageSize = 4096;
const wire::SecretKey kKey{{4, 5, 6}};

enum class Outcome : std::uint8_t { not_tried, refused, some_damaged, some_missing, all_there };

// What the parent sees of a child's work.
class Outcomes {
 public:
  explicit Outcomes(std::size_t count) : count_(count) {
    void* const at =
        ::mmap(nullptr, count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(at != MAP_FAILED);
    at_ = static_cast<Outcome*>(at);
  }
  Outcomes(const Outcomes&) = delete;
  Outcomes& operator=(const Outcomes&) = delete;
  ~Outcomes() { ::munmap(at_, count_); }
  [[nodiscard]] Outcome& operator[](std::size_t i) { return at_[i]; }
  [[nodiscard]] std::span<Outcome> all() { return {at_, count_}; }

 private:
  Outcome* at_ = nullptr;
  std::size_t count_;
};

class File {
 public:
  explicit File(const std::filesystem::path& directory)
      : directory_(directory), path_(directory / "data.mdb"), whole_(content_of(path_)) {
    used_ = whole_.size();
    while (used_ > 0 && whole_[used_ - 1] == 0) --used_;  // what only makes room
    used_ = (used_ + kPageSize - 1) / kPageSize * kPageSize;
  }
  [[nodiscard]] std::size_t used() const { return used_; }
  [[nodiscard]] const std::string& whole() const { return whole_; }

  void write_cut(std::size_t size) const { write(whole_.substr(0, std::min(size, used_)), size); }
  // All of it, with one bit flipped in each of these bytes.
  void write_flipped(std::size_t first, std::size_t count) const {
    std::string content = whole_.substr(0, used_);
    for (std::size_t i = first; i < first + count; ++i) {
      content[i] = static_cast<char>(content[i] ^ (1 << (i % 8)));
    }
    write(content, whole_.size());
  }

  // Opens what is there now, reads all of it and writes to it.
  [[nodiscard]] Outcome use() const {
    auto backend = LmdbBackend::open(directory_, false);
    if (!backend) return Outcome::refused;
    auto database = Database::over(std::move(*backend), wire::random_bytes, kKey);
    if (!database) return Outcome::refused;
    const auto check = database->check();
    if (!check) return Outcome::refused;
    for (const Table table : kTablesUsed) {
      for (std::uint64_t i = 0; i < kRecords; ++i) {
        const auto value = database->read()->get(table, some_name(), suffix_of(i));
        if (value && *value && **value != value_of(i, size_of(i))) ::_exit(2);  // a lie
      }
    }
    write_to(*database);
    if (check->damaged > 0) return Outcome::some_damaged;
    return check->records < kTablesUsed.size() * kRecords ? Outcome::some_missing
                                                          : Outcome::all_there;
  }

  // One in a table has pages of its own.
  [[nodiscard]] static std::size_t size_of(std::uint64_t number) { return number == 9 ? 2500 : 90; }

 private:
  void write(const std::string& content, std::size_t size) const {
    std::fstream stream(path_, std::ios::binary | std::ios::in | std::ios::out);
    stream << content;
    stream.close();
    std::filesystem::resize_file(path_, size);
  }

  static void write_to(Database& database) {
    for (std::uint64_t round = 0; round < 3; ++round) {
      auto txn = database.write();
      if (!txn) return;
      for (std::uint64_t i = 0; i < kRecords; i += 2) {
        const auto put = txn->put(Table::messages, some_name(), suffix_of(100 * round + i),
                                  value_of(i, 20 + 40 * round));
        const auto erased = txn->erase(Table::sessions, some_name(), suffix_of(i + round));
        if (!put || !erased) return;
      }
      if (!std::move(*txn).commit()) return;
    }
  }

  std::filesystem::path directory_;
  std::filesystem::path path_;
  std::string whole_;
  std::size_t used_ = 0;
};

// One commit of everything, then some that leave free pages behind; the last changes nothing, so
// that both meta pages lead to the same records.
void make_file(const std::filesystem::path& directory) {
  auto backend = LmdbBackend::create(directory);
  REQUIRE(backend);
  auto database = Database::over(std::move(*backend), wire::random_bytes, kKey);
  REQUIRE(database);
  for (int round = 0; round < 3; ++round) {
    auto txn = database->write();
    REQUIRE(txn);
    for (const Table table : kTablesUsed) {
      if (round > 0 && table != Table::messages) continue;
      for (std::uint64_t i = 0; i < kRecords; ++i) {
        if (round > 0 && i != 0) continue;
        REQUIRE(txn->put(table, some_name(), suffix_of(i), value_of(i, File::size_of(i))));
      }
    }
    REQUIRE(std::move(*txn).commit());
  }
}

// Where in the file each sealed value stands; a value that stands twice (once in a page that is
// free by now) is left out.
std::vector<std::pair<std::size_t, std::size_t>> sealed_values(
    const std::filesystem::path& directory, const std::string& file) {
  std::vector<std::pair<std::size_t, std::size_t>> out;
  auto backend = LmdbBackend::open(directory, false);
  REQUIRE(backend);
  auto txn = (*backend)->begin_read();
  REQUIRE(txn);
  for (const Table table : kTablesUsed) {
    REQUIRE((*txn)->scan(table, {}, Order::ascending, [&](ByteView, ByteView value) {
      const std::string bytes(value.begin(), value.end());
      const auto at = file.find(bytes);
      REQUIRE(at != std::string::npos);
      if (file.find(bytes, at + 1) == std::string::npos) out.emplace_back(at, bytes.size());
      return true;
    }));
  }
  return out;
}

// Every byte of the pages that are in use, and some of those that nobody looks at.
std::vector<std::size_t> places_to_flip(const File& file) {
  std::vector<std::size_t> out;
  for (std::size_t page = 0; page < file.used(); page += kPageSize) {
    file.write_flipped(page, kPageSize);
    const bool in_use = in_child([&] { return file.use() == Outcome::all_there ? 0 : 1; }) != 0;
    for (std::size_t i = 0; i < kPageSize; i += in_use ? 1 : 64) out.push_back(page + i);
  }
  return out;
}

}  // namespace

TEST_SUITE_BEGIN("client-sdk/store/damage");

TEST_CASE("a flipped byte anywhere in data.mdb never crashes, and in a sealed value is seen") {
  const TemporaryDirectory temporary;
  wire::init_crypto();
  make_file(temporary.path());
  const File file(temporary.path());
  const auto values = sealed_values(temporary.path(), file.whole());
  CHECK(values.size() > kRecords);
  std::vector<bool> is_sealed(file.used());
  for (const auto& [at, size] : values)
    std::fill_n(is_sealed.begin() + static_cast<long>(at), size, true);

  const auto places = places_to_flip(file);
  Outcomes outcomes(places.size());
  for (std::size_t next = 0; next < places.size(); ++next) {
    const int status = in_child([&] {
      for (std::size_t i = next; i < places.size(); ++i) {
        file.write_flipped(places[i], 1);
        outcomes[i] = file.use();
      }
      return 0;
    });
    while (next < places.size() && outcomes[next] != Outcome::not_tried) ++next;
    if (next == places.size()) break;
    CAPTURE(places[next]);
    CHECK(status == 0);  // the child died of this byte; the next child goes on behind it
  }
  std::map<Outcome, std::size_t> tally;
  for (std::size_t i = 0; i < places.size(); ++i) {
    ++tally[outcomes[i]];
    if (is_sealed[places[i]]) CHECK(outcomes[i] == Outcome::some_damaged);
  }
  CHECK(tally[Outcome::refused] > 100);
  CHECK(tally[Outcome::some_damaged] > kRecords * 300);
  CHECK(tally[Outcome::all_there] > 100);
  MESSAGE("bytes: ", places.size(), ", refused: ", tally[Outcome::refused],
          ", a damaged record: ", tally[Outcome::some_damaged],
          ", a missing record: ", tally[Outcome::some_missing],
          ", no effect: ", tally[Outcome::all_there]);
}

TEST_CASE("a data.mdb that was cut short anywhere is refused as truncated, or nothing is missing") {
  const TemporaryDirectory temporary;
  wire::init_crypto();
  make_file(temporary.path());
  const File file(temporary.path());
  std::vector<std::size_t> sizes{
      0, 1, 100, 511, 4095, 4097, 8191, 8193, file.used() - 1, file.used() + 1};
  for (std::size_t size = 0; size <= file.used() + 4 * kPageSize; size += kPageSize) {
    sizes.push_back(size);
    sizes.push_back(size + 1234);
  }
  std::size_t refused = 0;
  for (const std::size_t size : sizes) {
    CAPTURE(size);
    file.write_cut(size);
    const int status = in_child([&] {
      auto backend = LmdbBackend::open(temporary.path(), false);
      if (!backend) return backend.error() == StoreError::truncated ? 1 : 2;
      return file.use() == Outcome::all_there ? 0 : 3;
    });
    CHECK(status == (size < file.used() ? 1 : 0));
    refused += status == 1;
  }
  CHECK(refused > file.used() / kPageSize);
  std::filesystem::remove(temporary.path() / "data.mdb");
  CHECK(error_of(LmdbBackend::open(temporary.path(), false)) == StoreError::truncated);
}

TEST_CASE("whatever LMDB writes passes the check of its pages, and lies in room made for it") {
  const TemporaryDirectory temporary;
  wire::init_crypto();
  auto backend = LmdbBackend::create(temporary.path());
  REQUIRE(backend);
  auto database = Database::over(std::move(*backend), wire::random_bytes, kKey);
  REQUIRE(database);
  const net::Descriptor file(::open((temporary.path() / "data.mdb").c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(file.is_open());
  CHECK(check_lmdb_file(file.get(), true));  // no record at all

  fill(*database, 1);
  std::mt19937_64 random(7);
  std::optional<ReadTxn> reader;  // keeps old pages from being used again
  for (int round = 0; round < 400; ++round) {
    const bool growing = round % 100 < 60;
    auto txn = database->write();
    REQUIRE(txn);
    for (int i = 0; i < 60; ++i) {
      const auto table = static_cast<Table>(random() % kTables);
      const Bytes suffix = suffix_of(random() % 300);
      if (growing ? random() % 4 == 0 : random() % 8 != 0) {
        REQUIRE(txn->erase(table, some_name(), suffix));
      } else {
        const std::size_t size = random() % 10 == 0 ? random() % 20'000 : random() % 500;
        REQUIRE(txn->put(table, some_name(), suffix, Bytes(size)));
      }
    }
    if (random() % 10 != 0) REQUIRE(std::move(*txn).commit());
    if (round % 30 == 0) {
      auto begun = database->read();
      REQUIRE(begun);
      reader.emplace(std::move(*begun));
    }
    if (round % 30 == 20) reader.reset();
    CAPTURE(round);
    REQUIRE(check_lmdb_file(file.get(), true));
    // The backend makes the file longer by whole MiB; LMDB alone would by pages.
    REQUIRE(std::filesystem::file_size(temporary.path() / "data.mdb") % (1 << 20) == 0);
  }
  auto txn = database->write();
  REQUIRE(txn);
  for (std::size_t table = 0; table < kTables; ++table) {
    for (std::uint64_t i = 0; i < 300; ++i) {
      REQUIRE(txn->erase(static_cast<Table>(table), some_name(), suffix_of(i)));
    }
  }
  REQUIRE(std::move(*txn).commit());
  CHECK(check_lmdb_file(file.get(), true));  // empty again, all pages free
}

TEST_SUITE_END();

}  // namespace godwit::store
