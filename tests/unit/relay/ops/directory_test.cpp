#include "relay/ops/directory.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include "schema/wire/hash.hpp"
#include "schema/wire/x25519.hpp"
#include "tests/support/small_disk.hpp"
#include "tests/support/temporary_directory.hpp"

namespace godwit::relay::ops {
namespace {

using support::content_of;
using support::mode_of;
using support::put_file;
using support::TemporaryDirectory;

std::string read_key_error(const path& directory) {
  const auto key = read_key(directory);
  REQUIRE_FALSE(key.has_value());
  return key.error();
}

TEST_SUITE("relay/ops/directory") {
  TEST_CASE("a directory is made for its owner alone, with those above it") {
    const TemporaryDirectory temporary;
    const auto directory = temporary.path() / "a" / "b";
    REQUIRE(prepare_directory(directory).has_value());
    CHECK(mode_of(directory) == 0700);
    CHECK(mode_of(temporary.path() / "a") == 0700);
    REQUIRE(chmod(directory.c_str(), 0750) == 0);
    CHECK(prepare_directory(directory).has_value());
    CHECK(mode_of(directory) == 0750);
  }

  TEST_CASE("a file in the place of the directory is refused") {
    const TemporaryDirectory temporary;
    put_file(temporary.path() / "file", "");
    CHECK(prepare_directory(temporary.path() / "file").error() ==
          (temporary.path() / "file").string() + " is a file; name a directory");
    CHECK_FALSE(prepare_directory(temporary.path() / "file" / "below").has_value());
  }

  TEST_CASE("a written file has its content and exactly its mode, and leaves nothing beside it") {
    const TemporaryDirectory temporary;
    const auto file = temporary.path() / "file";
    put_file(temporary.path() / "file.new", "what a crash left");
    REQUIRE(write_atomically(file, "first", 0600).has_value());
    CHECK(mode_of(file) == 0600);
    const mode_t before = umask(0077);
    REQUIRE(write_atomically(file, "second", 0644).has_value());
    umask(before);
    CHECK(content_of(file) == "second");
    CHECK(mode_of(file) == 0644);
    CHECK_FALSE(std::filesystem::exists(temporary.path() / "file.new"));
  }

  TEST_CASE("a write that fails leaves the old content") {
    const TemporaryDirectory temporary;
    const auto file = temporary.path() / "file";
    REQUIRE(write_atomically(file, "old", 0600).has_value());
    std::filesystem::create_directories(temporary.path() / "file.new" / "in the way");
    const auto written = write_atomically(file, "new", 0600);
    REQUIRE_FALSE(written.has_value());
    CHECK(written.error().find(file.string() + " cannot be written: ") == 0);
    CHECK(content_of(file) == "old");
  }

  TEST_CASE("a key is read back as it was written, from a file for its owner alone") {
    wire::init_crypto();
    const TemporaryDirectory temporary;
    const auto pair = wire::random_key_pair();
    REQUIRE(write_key(temporary.path(), pair.secret).has_value());
    CHECK(mode_of(key_file(temporary.path())) == 0600);
    const auto key = read_key(temporary.path());
    REQUIRE(key.has_value());
    CHECK(key->secret == pair.secret);
    CHECK(key->public_key == pair.public_key);
  }

  TEST_CASE("a key that others may read is refused with the command that mends it") {
    wire::init_crypto();
    const TemporaryDirectory temporary;
    const auto file = key_file(temporary.path());
    REQUIRE(write_key(temporary.path(), wire::random_key_pair().secret).has_value());
    for (const mode_t mode : {0640u, 0604u, 0620u, 0601u}) {
      CAPTURE(mode);
      REQUIRE(chmod(file.c_str(), mode) == 0);
      CHECK(read_key_error(temporary.path()).find("; run: chmod 600 " + file.string()) !=
            std::string::npos);
    }
    REQUIRE(chmod(file.c_str(), 0400) == 0);
    CHECK(read_key(temporary.path()).has_value());
  }

  TEST_CASE("a key that is missing, damaged or no file is refused") {
    const TemporaryDirectory temporary;
    const auto file = key_file(temporary.path());
    CHECK(read_key_error(temporary.path()).find("restore it from a backup") != std::string::npos);
    const std::string text = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    for (const std::string& bad : {std::string(), text.substr(1), text + "A", text + "\n\n",
                                   text.substr(0, 42) + "=", text + std::string(1000, 'A')}) {
      CAPTURE(bad);
      put_file(file, bad);
      REQUIRE(chmod(file.c_str(), 0600) == 0);
      CHECK(read_key_error(temporary.path()).find("is damaged") != std::string::npos);
    }
    put_file(file, text);
    CHECK(read_key(temporary.path()).has_value());
    REQUIRE(unlink(file.c_str()) == 0);
    REQUIRE(mkfifo(file.c_str(), 0600) == 0);
    CHECK(read_key_error(temporary.path()).find("is not a file") != std::string::npos);
  }

  TEST_CASE("a directory is locked by one holder, who is named, until that one lets go") {
    const TemporaryDirectory temporary;
    std::optional<tl::expected<DirectoryLock, std::string>> first =
        DirectoryLock::acquire(temporary.path());
    REQUIRE(first->has_value());
    const auto second = DirectoryLock::acquire(temporary.path());
    REQUIRE_FALSE(second.has_value());
    CHECK(second.error() == "another relay runs on " + temporary.path().string() + " (pid " +
                                std::to_string(getpid()) + "); stop it or use another directory");
    first.reset();
    CHECK(DirectoryLock::acquire(temporary.path()).has_value());
  }

  TEST_CASE("what stands in the lock file is not trusted to be a process id") {
    const TemporaryDirectory temporary;
    const auto held = DirectoryLock::acquire(temporary.path());
    REQUIRE(held.has_value());
    put_file(lock_file(temporary.path()), "\x1b[31m");
    CHECK(DirectoryLock::acquire(temporary.path()).error().find("(pid unknown)") !=
          std::string::npos);
  }

  // It is what lets a full store be drained; the process id is for an error message alone.
  TEST_CASE("a full disk does not keep a directory from being locked" *
            doctest::skip(!support::SmallDisk::allowed())) {
    const support::SmallDisk disk("1m");
    put_file(lock_file(disk.path()), "");
    disk.fill();
    const auto held = DirectoryLock::acquire(disk.path());
    CHECK(held.has_value());
    CHECK_FALSE(DirectoryLock::acquire(disk.path()).has_value());
  }

  TEST_CASE("a holder with a shorter number leaves nothing of the one before") {
    const TemporaryDirectory temporary;
    put_file(lock_file(temporary.path()), std::string(18, '9') + "\n");
    const auto held = DirectoryLock::acquire(temporary.path());
    REQUIRE(held.has_value());
    CHECK(content_of(lock_file(temporary.path())) == std::to_string(getpid()) + "\n");
  }
}

}  // namespace
}  // namespace godwit::relay::ops
