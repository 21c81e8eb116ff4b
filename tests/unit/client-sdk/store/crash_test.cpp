// The process dies before each call that changes the disk, or in the middle of a write; or that
// call fails. The next open works, and nothing that was committed is missing.

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>

#include <algorithm>

#include "client-sdk/src/crypto/at_rest.hpp"
#include "client-sdk/src/store/backend.hpp"
#include "client-sdk/src/store/lmdb_backend.hpp"
#include "schema/wire/bytes.hpp"
#include "tests/unit/client-sdk/store/store_support.hpp"

namespace {

constexpr int kCrashed = 77;

struct Crash {
  int calls_left = -1;  // negative: never
  bool torn = false;    // half of a write lands first
  bool fails = false;   // the call fails, and the process lives on
} g_crash;

bool g_disk_is_full = false;  // no file grows

// True when the process is to die at this call.
bool is_due() {
  if (g_crash.calls_left < 0) return false;
  return g_crash.calls_left-- == 0;
}

int die_or_fail() {
  if (!g_crash.fails) ::_exit(kCrashed);
  errno = EIO;
  return -1;
}

int counted(long call, auto... arguments) {
  if (is_due()) return die_or_fail();
  return static_cast<int>(::syscall(call, arguments...));
}

ssize_t counted_pwrite(int file, const void* bytes, size_t size, off_t at) {
  if (is_due()) {
    if (g_crash.torn) ::syscall(SYS_pwrite64, file, bytes, size / 2, at);
    return die_or_fail();
  }
  return ::syscall(SYS_pwrite64, file, bytes, size, at);
}

}  // namespace

// In the place of the C library's, for this program and the libraries that it loads.
extern "C" {
ssize_t crash_pwrite(int file, const void* bytes, size_t size, off_t at) __asm__("pwrite");
ssize_t crash_pwrite64(int file, const void* bytes, size_t size, off_t at) __asm__("pwrite64");
ssize_t crash_writev(int file, const void* parts, int count) __asm__("writev");
int crash_allocate(int file, off_t at, off_t size) __asm__("posix_fallocate");
int crash_allocate64(int file, off_t at, off_t size) __asm__("posix_fallocate64");
int crash_fsync(int file) __asm__("fsync");
int crash_fdatasync(int file) __asm__("fdatasync");
int crash_renameat(int from, const char* name, int to, const char* other) __asm__("renameat");
int crash_unlinkat(int directory, const char* name, int flags) __asm__("unlinkat");

ssize_t crash_pwrite(int file, const void* bytes, size_t size, off_t at) {
  return counted_pwrite(file, bytes, size, at);
}
ssize_t crash_pwrite64(int file, const void* bytes, size_t size, off_t at) {
  return counted_pwrite(file, bytes, size, at);
}
ssize_t crash_writev(int file, const void* parts, int count) {
  return counted(SYS_writev, file, parts, count);
}
int crash_allocate(int file, off_t at, off_t size) {
  if (g_disk_is_full) return ENOSPC;
  return ::syscall(SYS_fallocate, file, 0, at, size) == 0 ? 0 : errno;
}
int crash_allocate64(int file, off_t at, off_t size) {
  return crash_allocate(file, at, size);
}
int crash_fsync(int file) {
  return counted(SYS_fsync, file);
}
int crash_fdatasync(int file) {
  return counted(SYS_fdatasync, file);
}
int crash_renameat(int from, const char* name, int to, const char* other) {
  return counted(SYS_renameat2, from, name, to, other, 0);
}
int crash_unlinkat(int directory, const char* name, int flags) {
  return counted(SYS_unlinkat, directory, name, flags);
}
}

namespace godwit::store {
namespace {

constexpr std::uint64_t kRecords = 30;
constexpr std::size_t kSlotDistance = 4096;

// Runs `action` in children that die at their first, second, ... call, until one survives it;
// `verify` looks at what each left. Returns the number that died.
template <class Prepare, class Action, class Verify>
int crash_everywhere(bool torn, const Prepare& prepare, const Action& action,
                     const Verify& verify) {
  for (int calls = 0;; ++calls) {
    CAPTURE(calls);
    CAPTURE(torn);
    prepare();
    const int status = in_child([&] { return action(Crash{calls, torn}); });
    REQUIRE((status == 0 || status == kCrashed));
    verify(status == kCrashed);
    if (status == 0) return calls;
    REQUIRE(calls < 200);
  }
}

// Runs `action` with its first, second, ... call failing, until none does; `verify` looks at what
// it said and left. Returns how often it failed.
template <class Prepare, class Action, class Verify>
int fail_everywhere(const Prepare& prepare, const Action& action, const Verify& verify) {
  int failed = 0;
  for (int calls = 0;; ++calls) {
    CAPTURE(calls);
    REQUIRE(calls < 200);
    prepare();
    const auto result = action(Crash{calls, false, true});
    const bool reached = g_crash.calls_left < 0;
    g_crash = {};
    failed += result ? 0 : 1;
    verify(result);
    if (!reached) return failed;
  }
}

// The session key ids of the slots of a keyring that are not empty.
std::vector<std::uint32_t> session_kids(const std::filesystem::path& directory) {
  const std::string ring = content_of(directory / "keyring");
  std::vector<std::uint32_t> kids;
  for (const std::size_t slot : {2U, 3U}) {
    const std::string bytes = ring.substr(slot * kSlotDistance, 256);
    if (std::ranges::all_of(bytes, [](char byte) { return byte == 0; })) continue;
    kids.push_back(wire::load_le<std::uint32_t>(wire::as_bytes(bytes)));
  }
  return kids;
}

// Every record of a session table names this key.
bool all_sealed_with(const std::filesystem::path& directory, std::uint32_t kid) {
  auto backend = LmdbBackend::open(directory, false);
  REQUIRE(backend);
  auto txn = (*backend)->begin_read();
  REQUIRE(txn);
  bool all = true;
  for (const Table table : {Table::secrets, Table::prekeys, Table::sessions}) {
    REQUIRE((*txn)->scan(table, {}, Order::ascending, [&](ByteView, ByteView value) {
      all = all && crypto::kid_of(value) == kid;
      return true;
    }));
  }
  return all;
}

}  // namespace

TEST_SUITE_BEGIN("client-sdk/store/crash");

TEST_CASE("a crash anywhere in create() leaves nothing, or a whole database") {
  const TemporaryDirectory temporary;
  const auto path = temporary.path() / "db";
  int whole = 0;
  for (const bool torn : {false, true}) {
    const int died = crash_everywhere(
        torn, [&] { std::filesystem::remove_all(path); },
        [&](const Crash& crash) {
          g_crash = crash;
          return Database::create(options_of(path)) ? 0 : 1;
        },
        [&](bool) {
          auto database = Database::open(options_of(path));
          if (database) {
            ++whole;
          } else {
            CHECK(database.error() == StoreError::not_found);
            database = Database::create(options_of(path));
            REQUIRE(database);
          }
          fill(*database, 3);
          CHECK(holds_all(*database, 3));
          CHECK(database->check()->records == 12);
        });
    CHECK(died > 10);
  }
  CHECK(whole >= 2);
}

TEST_CASE("a crash anywhere in a rotation is finished by the next open, and the old key is gone") {
  const TemporaryDirectory temporary;
  const auto model = temporary.path() / "model";
  const auto path = temporary.path() / "db";
  {
    auto database = Database::create(options_of(model));
    REQUIRE(database);
    fill(*database, kRecords);
  }
  int resumed = 0;
  for (const bool torn : {false, true}) {
    const int died = crash_everywhere(
        torn,
        [&] {
          std::filesystem::remove_all(path);
          std::filesystem::copy(model, path);
        },
        [&](const Crash& crash) {
          auto database = Database::open(options_of(path));
          if (!database) return 1;
          g_crash = crash;
          return database->rotate_session_key() ? 0 : 1;
        },
        [&](bool) {
          resumed += session_kids(path).size() == 2 ? 1 : 0;
          {
            auto database = Database::open(options_of(path));
            REQUIRE(database);
            CHECK(holds_all(*database, kRecords));
          }
          const auto kids = session_kids(path);
          REQUIRE(kids.size() == 1);  // the other slot is zeros
          CHECK(all_sealed_with(path, kids.front()));
          auto database = Database::open(options_of(path));
          REQUIRE(database);
          REQUIRE(database->rotate_session_key());
          CHECK(holds_all(*database, kRecords));
        });
    CHECK(died > 6);
  }
  CHECK(resumed >= 4);
}

TEST_CASE("a rotation on a full disk leaves both keys in force, and a later one finishes it") {
  const TemporaryDirectory temporary;
  const auto path = temporary.path() / "db";
  constexpr std::uint64_t kMany = 3'000;  // to seal them anew takes more than the file has
  {
    auto database = Database::create(options_of(path));
    REQUIRE(database);
    fill(*database, kMany);
    g_disk_is_full = true;
    CHECK(error_of(database->rotate_session_key()) == StoreError::disk_full);
    CHECK(holds_all(*database, kMany));
  }
  CHECK(session_kids(path).size() == 2);
  auto database = Database::open(options_of(path));
  REQUIRE(database);
  CHECK(holds_all(*database, kMany));
  CHECK(error_of(database->rotate_session_key()) == StoreError::disk_full);
  g_disk_is_full = false;
  CHECK(database->rotate_session_key());
  CHECK(session_kids(path).size() == 1);
  CHECK(holds_all(*database, kMany));
}

TEST_CASE("a rotation that was finished by an open may crash again there") {
  const TemporaryDirectory temporary;
  const auto model = temporary.path() / "model";
  const auto path = temporary.path() / "db";
  {
    auto database = Database::create(options_of(model));
    REQUIRE(database);
    fill(*database, kRecords);
  }
  // After the new wrap: its write and its sync.
  CHECK(in_child([&] {
          auto database = Database::open(options_of(model));
          g_crash = {2, false};
          return database && database->rotate_session_key() ? 0 : 1;
        }) == kCrashed);
  REQUIRE(session_kids(model).size() == 2);
  const int died = crash_everywhere(
      false,
      [&] {
        std::filesystem::remove_all(path);
        std::filesystem::copy(model, path);
      },
      [&](const Crash& crash) {
        g_crash = crash;
        return Database::open(options_of(path)) ? 0 : 1;
      },
      [&](bool) {
        auto database = Database::open(options_of(path));
        REQUIRE(database);
        CHECK(holds_all(*database, kRecords));
        CHECK(session_kids(path) == std::vector<std::uint32_t>{3});
      });
  CHECK(died > 4);
}

TEST_CASE(
    "a crash anywhere in a change from key file to passphrase leaves one of them that opens") {
  const TemporaryDirectory temporary;
  const auto model = temporary.path() / "model";
  const auto path = temporary.path() / "db";
  {
    auto database = Database::create(options_of(model));
    REQUIRE(database);
    fill(*database, 3);
  }
  const int died = crash_everywhere(
      true,
      [&] {
        std::filesystem::remove_all(path);
        std::filesystem::copy(model, path);
      },
      [&](const Crash& crash) {
        auto database = Database::open(options_of(path));
        if (!database) return 1;
        g_crash = crash;
        return database->change_passphrase("a passphrase") ? 0 : 1;
      },
      [&](bool) {
        auto database = Database::open(options_of(path));
        if (!database) database = Database::open(options_of(path, "a passphrase"));
        REQUIRE(database);
        CHECK(holds_all(*database, 3));
      });
  CHECK(died > 6);
}

TEST_CASE("a disk that fails at any call of create() is told, and the next create() works") {
  const TemporaryDirectory temporary;
  const auto path = temporary.path() / "db";
  const int failed = fail_everywhere([&] { std::filesystem::remove_all(path); },
                                     [&](const Crash& crash) {
                                       g_crash = crash;
                                       return Database::create(options_of(path));
                                     },
                                     [&](const Result<Database>& made) {
                                       if (made) return;
                                       auto database = Database::open(options_of(path));
                                       if (!database) database = Database::create(options_of(path));
                                       REQUIRE(database);
                                       fill(*database, 3);
                                       CHECK(holds_all(*database, 3));
                                     });
  CHECK(failed > 5);
}

TEST_CASE("a disk that fails at any call of a rotation is told, and the next open finishes it") {
  const TemporaryDirectory temporary;
  const auto model = temporary.path() / "model";
  const auto path = temporary.path() / "db";
  {
    auto database = Database::create(options_of(model));
    REQUIRE(database);
    fill(*database, kRecords);
  }
  const int failed = fail_everywhere(
      [&] {
        std::filesystem::remove_all(path);
        std::filesystem::copy(model, path);
      },
      [&](const Crash& crash) -> Result<void> {
        auto database = Database::open(options_of(path));
        REQUIRE(database);
        g_crash = crash;
        auto rotated = database->rotate_session_key();
        if (!rotated) CHECK(error_of(database->write()) == StoreError::io);
        return rotated;
      },
      [&](const Result<void>&) {
        auto database = Database::open(options_of(path));
        REQUIRE(database);
        CHECK(holds_all(*database, kRecords));
        const auto kids = session_kids(path);
        REQUIRE(kids.size() == 1);
        CHECK(all_sealed_with(path, kids.front()));
      });
  CHECK(failed > 4);
}

TEST_CASE("a disk that fails at any call of a change of passphrase leaves one key that opens") {
  const TemporaryDirectory temporary;
  const auto model = temporary.path() / "model";
  const auto path = temporary.path() / "db";
  {
    auto database = Database::create(options_of(model, "before"));
    REQUIRE(database);
    fill(*database, 3);
  }
  std::optional<std::string> after;
  SUBCASE("another passphrase") {
    after = "after";
  }
  SUBCASE("a key file") {}
  const int failed = fail_everywhere(
      [&] {
        std::filesystem::remove_all(path);
        std::filesystem::copy(model, path);
      },
      [&](const Crash& crash) {
        auto database = Database::open(options_of(path, "before"));
        REQUIRE(database);
        g_crash = crash;
        return database->change_passphrase(after);
      },
      [&](const Result<void>& changed) {
        auto database = Database::open(options_of(path, after));
        CHECK((database || !changed));
        if (!database) database = Database::open(options_of(path, "before"));
        REQUIRE(database);
        CHECK(holds_all(*database, 3));
      });
  CHECK(failed > 1);
}

TEST_SUITE_END();

}  // namespace godwit::store
