// load/processes: one load by as many processes as the scenario says, in step. One: this one plays.
// More: this one forks them, says when each phase begins, adds up what they count, kills and
// measures the relay, and judges; a child plays its part and tells what it has counted when it is
// asked.
//
// Thread:  one; there is none beside it, and no loop, when the children are forked.
// Trust:   a child may be killed or hang up: that is a fault of the run.
#pragma once

#include <filesystem>

#include "schema/wire/address.hpp"
#include "tests/support/relay_process.hpp"
#include "tools/load/meter.hpp"

namespace godwit::load {

struct Target {
  wire::RelayAddress address;
  std::string name;  // HOST:PORT as it was given; in `address` the host is numeric
  support::RelayProcess* own = nullptr;  // may be killed and started again; none: it is somebody's
  std::optional<pid_t> pid;
  std::filesystem::path homes;  // a directory that is the caller's to remove
};

// What this machine has too little of for the load, as a sentence; nothing when it is enough.
// `descriptors`: that a process may have.
[[nodiscard]] std::optional<std::string> missing_for(const Scenario& scenario, const Target& target,
                                                     std::uint64_t descriptors);

[[nodiscard]] Report play(const Scenario& scenario, const Target& target, Progress& progress);

}  // namespace godwit::load
