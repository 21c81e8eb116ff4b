// The directory of a database: who may open it, with which key, what lies in its files, and what
// happens when the disk is full.

#include <algorithm>

#include "tests/support/small_disk.hpp"
#include "tests/unit/client-sdk/store/store_support.hpp"

namespace godwit::store {
namespace {

using support::mode_of;
using support::SmallDisk;

constexpr std::size_t kSlotDistance = 4096;
const std::string kPassphrase = "correct horse battery staple";

void overwrite(const std::filesystem::path& file, std::size_t at, std::string_view with) {
  std::fstream stream(file, std::ios::binary | std::ios::in | std::ios::out);
  stream.seekp(static_cast<std::streamoff>(at));
  stream << with;
  REQUIRE(stream.flush().good());
}

bool slot_is_empty(const std::filesystem::path& directory, std::size_t slot) {
  const std::string bytes = content_of(directory / "keyring").substr(slot * kSlotDistance, 512);
  REQUIRE_FALSE(bytes.empty());
  return std::ranges::all_of(bytes, [](char byte) { return byte == 0; });
}

// Whether a file of the directory holds these bytes.
bool finds(const std::filesystem::path& directory, std::string_view what) {
  for (const auto& file : std::filesystem::directory_iterator(directory)) {
    if (content_of(file.path()).find(what) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

TEST_SUITE_BEGIN("client-sdk/store/directory");

TEST_CASE("a database is there once created, for its owner alone, and keeps what was committed") {
  const TemporaryDirectory temporary;
  const auto path = temporary.path() / "db";
  CHECK(error_of(Database::open(options_of(path))) == StoreError::not_found);
  {
    auto database = Database::create(options_of(path));
    REQUIRE(database);
    fill(*database, 10);
  }
  CHECK(mode_of(path) == 0700);
  for (const char* file : {"data.mdb", "keyring", "key", "lock"})
    CHECK(mode_of(path / file) == 0600);
  CHECK(error_of(Database::create(options_of(path))) == StoreError::exists);
  auto database = Database::open(options_of(path));
  REQUIRE(database);
  CHECK(holds_all(*database, 10));
  CHECK(error_of(Database::open(options_of(temporary.path()))) == StoreError::not_found);
  CHECK(error_of(Database::create(options_of(path / "no" / "parent"))) == StoreError::not_found);
}

TEST_CASE("a database whose keyring is gone is not taken for none, and not made anew") {
  const TemporaryDirectory temporary;
  { REQUIRE(Database::create(options_of(temporary.path()))); }
  const auto content = content_of(temporary.path() / "data.mdb");
  std::filesystem::rename(temporary.path() / "keyring", temporary.path() / "elsewhere");
  CHECK(error_of(Database::open(options_of(temporary.path()))) == StoreError::no_keyring);
  CHECK(error_of(Database::create(options_of(temporary.path()))) == StoreError::no_keyring);
  CHECK(content_of(temporary.path() / "data.mdb") == content);
  std::filesystem::rename(temporary.path() / "elsewhere", temporary.path() / "keyring");
  CHECK(Database::open(options_of(temporary.path())));
}

TEST_CASE("a key file that is there already is somebody's, and is not made anew") {
  const TemporaryDirectory temporary;
  const std::string content(32, 'k');
  support::put_file(temporary.path() / "key", content);
  CHECK(error_of(Database::create(options_of(temporary.path()))) == StoreError::no_keyring);
  CHECK(error_of(Database::open(options_of(temporary.path()))) == StoreError::no_keyring);
  CHECK(content_of(temporary.path() / "key") == content);
}

TEST_CASE("a directory that another process has open is in use, until that one ends") {
  const TemporaryDirectory temporary;
  const auto path = temporary.path() / "db";
  {
    auto database = Database::create(options_of(path));
    REQUIRE(database);
    const auto tries = [&] {
      const bool refused = error_of(Database::open(options_of(path))) == StoreError::in_use &&
                           error_of(Database::create(options_of(path))) == StoreError::in_use;
      return refused ? 0 : 1;
    };
    CHECK(in_child(tries) == 0);
    CHECK(error_of(Database::open(options_of(path))) == StoreError::in_use);
  }
  // Its lock goes with a process, however it ends.
  CHECK(in_child([&] { return Database::open(options_of(path)) ? 0 : 1; }) == 0);
  CHECK(Database::open(options_of(path)));
}

TEST_CASE("only its own key file opens a database") {
  const TemporaryDirectory temporary;
  const auto path = temporary.path() / "db";
  { REQUIRE(Database::create(options_of(path))); }
  const std::string key = content_of(path / "key");
  REQUIRE(key.size() == 32);
  overwrite(path / "key", 0, std::string(32, 'x'));
  CHECK(error_of(Database::open(options_of(path))) == StoreError::wrong_key);
  std::filesystem::resize_file(path / "key", 31);
  CHECK(error_of(Database::open(options_of(path))) == StoreError::wrong_key);
  std::filesystem::remove(path / "key");
  CHECK(error_of(Database::open(options_of(path))) == StoreError::wrong_key);
  CHECK(error_of(Database::open(options_of(path, "a guess"))) == StoreError::wrong_key);
  std::ofstream(path / "key", std::ios::binary) << key;
  CHECK(Database::open(options_of(path)));
}

TEST_CASE("a passphrase opens a database until it is changed, and then the new one does") {
  const TemporaryDirectory temporary;
  const auto path = temporary.path() / "db";
  {
    auto database = Database::create(options_of(path, kPassphrase));
    REQUIRE(database);
    fill(*database, 5);
  }
  CHECK_FALSE(std::filesystem::exists(path / "key"));
  CHECK(error_of(Database::open(options_of(path))) == StoreError::wrong_key);
  CHECK(error_of(Database::open(options_of(path, "another"))) == StoreError::wrong_key);
  {
    auto database = Database::open(options_of(path, kPassphrase));
    REQUIRE(database);
    REQUIRE(database->change_passphrase("another"));
    CHECK(holds_all(*database, 5));
  }
  CHECK(slot_is_empty(path, 0));  // the old wrap is gone from the file
  CHECK_FALSE(slot_is_empty(path, 1));
  CHECK(error_of(Database::open(options_of(path, kPassphrase))) == StoreError::wrong_key);
  {
    auto database = Database::open(options_of(path, "another"));
    REQUIRE(database);
    CHECK(holds_all(*database, 5));
    REQUIRE(database->change_passphrase(std::nullopt));
  }
  CHECK(error_of(Database::open(options_of(path, "another"))) == StoreError::wrong_key);
  {
    auto database = Database::open(options_of(path));
    REQUIRE(database);
    CHECK(holds_all(*database, 5));
    REQUIRE(database->change_passphrase(std::nullopt));  // to the key file that is there
  }
  auto database = Database::open(options_of(path));
  REQUIRE(database);
  REQUIRE(database->change_passphrase(kPassphrase));
  CHECK_FALSE(std::filesystem::exists(path / "key"));
}

TEST_CASE("a keyring of a later version is not touched, and one that was altered does not pass") {
  const TemporaryDirectory temporary;
  const auto path = temporary.path() / "db";
  { REQUIRE(Database::create(options_of(path))); }
  std::string ring = content_of(path / "keyring");
  constexpr std::size_t kBody = 135;  // of the main slot, before its checksum
  const auto with_checksum = [&](std::size_t at, char to) {
    std::string slot = ring.substr(0, kBody);
    slot[at] = to;
    std::array<std::uint8_t, 16> sum;
    wire::blake2b(sum, {wire::as_bytes(slot)});
    slot.append(sum.begin(), sum.end());
    overwrite(path / "keyring", 0, slot);
    return error_of(Database::open(options_of(path)));
  };
  CHECK(with_checksum(0, 2) == StoreError::newer);
  CHECK(with_checksum(0, 0) == StoreError::damaged);  // an older one: bound to the wrapped key
  CHECK(with_checksum(2, 1) == StoreError::wrong_key);
  CHECK(with_checksum(40, static_cast<char>(ring[40] ^ 1)) == StoreError::wrong_key);
  CHECK(with_checksum(100, static_cast<char>(ring[100] ^ 1)) == StoreError::damaged);
  CHECK(with_checksum(0, 1) == std::nullopt);
}

TEST_CASE("a flipped byte anywhere in the keyring is an error, or nothing is lost by it") {
  const TemporaryDirectory temporary;
  const auto path = temporary.path() / "db";
  {
    auto database = Database::create(options_of(path));
    REQUIRE(database);
    fill(*database, 3);
  }
  const std::string ring = content_of(path / "keyring");
  std::size_t refused = 0;
  for (std::size_t slot = 0; slot < 4; ++slot) {
    for (std::size_t i = 0; i < 160; ++i) {
      const std::size_t at = slot * kSlotDistance + i;
      overwrite(path / "keyring", at, std::string(1, static_cast<char>(ring[at] ^ 0x20)));
      {
        const auto database = Database::open(options_of(path));
        if (database) {
          CHECK(holds_all(*database, 3));
        } else {
          CHECK(error_of(database) == StoreError::damaged);
          ++refused;
        }
      }
      overwrite(path / "keyring", 0, ring);
    }
  }
  CHECK(refused == 151 + 76);  // every byte of the main slot and of session slot A
}

TEST_CASE("after a rotation the old session key is gone, and a view from before still reads") {
  const TemporaryDirectory temporary;
  const auto path = temporary.path() / "db";
  {
    auto database = Database::create(options_of(path));
    REQUIRE(database);
    fill(*database, 700);  // more than one batch
    CHECK_FALSE(slot_is_empty(path, 2));
    CHECK(slot_is_empty(path, 3));
    const auto before = database->read();
    REQUIRE(before);
    REQUIRE(database->rotate_session_key());
    CHECK(slot_is_empty(path, 2));
    CHECK_FALSE(slot_is_empty(path, 3));
    CHECK(holds_all(*database, 700));
    CHECK(before->get(Table::sessions, some_name(), suffix_of(1)).value() == value_of(1));
    CHECK(before->get(Table::messages, some_name(), suffix_of(1)).value() == value_of(1));
    REQUIRE(database->rotate_session_key());
    CHECK_FALSE(slot_is_empty(path, 2));
    CHECK(slot_is_empty(path, 3));
    CHECK(before->get(Table::sessions, some_name(), suffix_of(1)).value() == value_of(1));
  }
  const auto database = Database::open(options_of(path));
  REQUIRE(database);
  CHECK(holds_all(*database, 700));
}

TEST_CASE("no file of the directory holds a name, a value or the passphrase") {
  const TemporaryDirectory temporary;
  const auto path = temporary.path() / "db";
  constexpr std::string_view kName = "the name of a conversation";
  constexpr std::string_view kValue = "the text of a message, or a ratchet's key";
  const auto database = Database::create(options_of(path, kPassphrase));
  REQUIRE(database);
  auto txn = const_cast<Database&>(*database).write();
  REQUIRE(txn);
  for (std::size_t table = 0; table < kTables; ++table) {
    REQUIRE(txn->put(static_cast<Table>(table), wire::as_bytes(kName), suffix_of(1),
                     wire::as_bytes(kValue)));
  }
  REQUIRE(std::move(*txn).commit());
  for (const auto secret : {kName, kValue, std::string_view(kPassphrase)}) {
    CHECK_FALSE(finds(path, secret));
    // The search would have found it.
    std::ofstream(path / "planted", std::ios::binary) << "before " << secret << " after";
    CHECK(finds(path, secret));
    std::filesystem::remove(path / "planted");
  }
}

TEST_CASE("a disk without room for a database is told, whichever of its pages has none" *
          doctest::skip(!SmallDisk::allowed())) {
  const SmallDisk disk("512k");
  int made = 0;
  for (std::uint64_t pages = 0; pages < 48; ++pages) {
    disk.fill(pages);
    {
      const auto database = Database::create(options_of(disk.path() / "db"));
      CHECK((database || error_of(database) == StoreError::disk_full));
      made += database ? 1 : 0;
    }
    std::filesystem::remove_all(disk.path() / "db");
  }
  CHECK(made > 0);
}

TEST_CASE("on a full disk nothing is written, nothing is lost, and with room it goes on" *
          doctest::skip(!SmallDisk::allowed())) {
  const SmallDisk disk("6m");
  const auto ballast = disk.path() / "ballast";
  std::ofstream(ballast, std::ios::binary) << std::string(2 << 20, 'x');
  auto database = Database::create(options_of(disk.path() / "db"));
  REQUIRE(database);
  fill(*database, 10);

  std::uint64_t stored = 0;
  std::optional<StoreError> error;
  while (!error) {
    auto txn = database->write();
    REQUIRE(txn);
    for (std::uint64_t i = 0; i < 5; ++i) {
      REQUIRE(txn->put(Table::outbox, some_name(), suffix_of(stored + i), value_of(i, 3000)));
    }
    error = error_of(std::move(*txn).commit());
    if (!error) stored += 5;
    REQUIRE(stored < 10'000);
  }
  CHECK(error == StoreError::disk_full);
  CHECK(stored > 100);
  CHECK(database->check()->records == stored + 40);
  CHECK(database->check()->damaged == 0);

  std::filesystem::remove(ballast);
  fill(*database, 20);
  CHECK(holds_all(*database, 20));
  CHECK(database->check()->records == stored + 80);
}

TEST_SUITE_END();

}  // namespace godwit::store
