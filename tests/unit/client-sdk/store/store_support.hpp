// What the tests of the device's database share: directories, options, records that tell who they
// are, and children that may die.
#pragma once

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "client-sdk/src/store/database.hpp"
#include "schema/wire/hash.hpp"
#include "tests/support/temporary_directory.hpp"

namespace godwit::store {

using support::content_of;
using support::TemporaryDirectory;
using wire::Bytes;
using wire::ByteView;
using Order = ReadTxn::Order;

[[nodiscard]] inline OpenOptions options_of(const std::filesystem::path& directory,
                                            std::optional<std::string_view> passphrase = {}) {
  return {directory, passphrase, wire::random_bytes};
}

// What a call says: nothing when it succeeded.
template <class T>
[[nodiscard]] std::optional<StoreError> error_of(const Result<T>& result) {
  if (result) return {};
  return result.error();
}

[[nodiscard]] inline Bytes suffix_of(std::uint64_t number) {
  Bytes out(8);
  for (std::size_t i = 0; i < 8; ++i) out[i] = static_cast<std::uint8_t>(number >> (56 - 8 * i));
  return out;
}

// A value that says which record it is.
[[nodiscard]] inline Bytes value_of(std::uint64_t number, std::size_t size = 60) {
  Bytes out(size, static_cast<std::uint8_t>(number % 251));
  const std::string text = "value " + std::to_string(number) + ' ';
  std::copy_n(text.begin(), std::min(size, text.size()), out.begin());
  return out;
}

inline constexpr std::array kTablesUsed{Table::messages, Table::sessions, Table::prekeys,
                                        Table::secrets};

[[nodiscard]] inline ByteView some_name() {
  return wire::as_bytes("conversation with berta");
}

// `count` records in each of kTablesUsed, in one commit.
inline void fill(Database& database, std::uint64_t count, std::size_t size = 60) {
  auto txn = database.write();
  REQUIRE(txn);
  for (const Table table : kTablesUsed) {
    for (std::uint64_t i = 0; i < count; ++i) {
      REQUIRE(txn->put(table, some_name(), suffix_of(i), value_of(i, size)));
    }
  }
  REQUIRE(std::move(*txn).commit());
}

// Every one of them can be read and says what it should.
[[nodiscard]] inline bool holds_all(const Database& database, std::uint64_t count,
                                    std::size_t size = 60) {
  const auto txn = database.read();
  if (!txn) return false;
  for (const Table table : kTablesUsed) {
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto value = txn->get(table, some_name(), suffix_of(i));
      if (!value || *value != value_of(i, size)) return false;
    }
  }
  return true;
}

// Runs the function in a child: its answer, or 128 + the signal that ended it.
template <class Function>
[[nodiscard]] int in_child(const Function& function) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::_exit(function());
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace godwit::store
