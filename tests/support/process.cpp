#include "tests/support/process.hpp"

#include <sys/resource.h>

#include <ctime>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

namespace godwit::support {
namespace {

// The number in a line of /proc/PID/status.
std::optional<std::uint64_t> status_number(pid_t pid, std::string_view name) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with(name)) continue;
    std::istringstream number(line.substr(name.size()));
    std::uint64_t value = 0;
    if (number >> value) return value;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> status_bytes(pid_t pid, std::string_view name) {
  const auto kilobytes = status_number(pid, name);
  return kilobytes ? std::optional(*kilobytes * 1024) : std::nullopt;
}

}  // namespace

std::optional<std::string> command_of(pid_t pid) {
  std::ifstream comm("/proc/" + std::to_string(pid) + "/comm");
  std::string name;
  return std::getline(comm, name) ? std::optional(name) : std::nullopt;
}

std::optional<std::uint64_t> resident_bytes(pid_t pid) {
  return status_bytes(pid, "VmRSS:");
}

std::optional<std::uint64_t> private_bytes(pid_t pid) {
  return status_bytes(pid, "RssAnon:");
}

std::optional<std::uint64_t> peak_bytes(pid_t pid) {
  return status_bytes(pid, "VmHWM:");
}

std::optional<std::uint64_t> descriptor_room(pid_t pid) {
  return status_number(pid, "FDSize:");
}

std::optional<double> cpu_seconds(pid_t pid) {
  clockid_t clock{};
  timespec time{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &time) != 0) {
    return std::nullopt;
  }
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

double own_cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto to_seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return to_seconds(usage.ru_utime) + to_seconds(usage.ru_stime);
}

}  // namespace godwit::support
