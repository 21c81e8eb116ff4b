// power/interposer: preloaded into the relay: what it does to the file GODWIT_POWER_FILE is added
// to the log GODWIT_POWER_LOG. Both must be named.
//
// A sync takes a millisecond, as a disk's does. Meanwhile the relay goes on, and what it promises
// too early stands in the log before the sync that would have made it true.
#include <chrono>
#include <cstdlib>
#include <thread>

#include "tests/power/calls.hpp"
#include "tests/power/log.hpp"

namespace godwit::power {
namespace {

constexpr std::chrono::milliseconds kSyncTime{1};

const char* setting(const char* name) {
  const char* const value = std::getenv(name);
  if (value == nullptr) std::abort();
  return value;
}

}  // namespace

bool is_recorded(const std::filesystem::path& file) {
  // Never destroyed: the relay's last calls come late.
  static const auto& recorded = *new std::filesystem::path(setting("GODWIT_POWER_FILE"));
  return file == recorded;
}

void keep(Operation operation) {
  static const Log& log = *new Log(setting("GODWIT_POWER_LOG"));
  if (operation.kind == Operation::Kind::sync) std::this_thread::sleep_for(kSyncTime);
  log.append(operation);
}

}  // namespace godwit::power
