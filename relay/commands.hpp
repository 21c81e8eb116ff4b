// commands: what godwit-relay does besides running: init, address, check-config, status; and what
// `run` needs before the server starts.
//
// Each returns the exit status: 0, 1 (it could not be done) or 2 (the command line is wrong). `out`
// gets what was asked for, `err` one line per error that says what is wrong and what to do.
// Thread: the main thread; they block.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>

#include "relay/config.hpp"
#include "relay/ops/directory.hpp"
#include "relay/ops/figures.hpp"
#include "schema/wire/types.hpp"

namespace godwit::relay {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

// Makes DIR/relay.toml and DIR/key and prints the relay's address. A key that is already there
// (from a backup) is kept; a relay.toml is never overwritten. `listen` empty: the default.
[[nodiscard]] int init(const std::filesystem::path& directory, const std::string& listen,
                       std::ostream& out, std::ostream& err);

// Prints the address; when the system chose the port, asks the running relay.
[[nodiscard]] int print_address(const std::filesystem::path& directory, std::ostream& out,
                                std::ostream& err);

// One line per fault on `err`: FILE:LINE: KEY: WHAT.
[[nodiscard]] int check_config(const std::filesystem::path& directory, std::ostream& out,
                               std::ostream& err);

// What the running relay says of itself: a table, one line of JSON, or Prometheus' text format.
enum class StatusForm : std::uint8_t { table, json, metrics };
[[nodiscard]] int print_status(const std::filesystem::path& directory, StatusForm form,
                               std::ostream& out, std::ostream& err);

// The table of `status`: aligned, with units.
[[nodiscard]] std::string status_table(const ops::Figures& figures);

// A directory that is ours as long as this lives.
struct OpenedDirectory {
  ops::DirectoryLock lock;
  Config config;
  wire::KeyPair key;
};
// Nothing when a relay cannot run there; the reason is on `err`.
[[nodiscard]] std::optional<OpenedDirectory> open_directory(const std::filesystem::path& directory,
                                                            std::ostream& err);

}  // namespace godwit::relay
