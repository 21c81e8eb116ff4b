// support/process: what the system says of a process. Nothing when there is none, or it may not be
// read.
// Thread: pure functions.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace godwit::support {

[[nodiscard]] std::optional<std::string> command_of(pid_t pid);  // its name, 15 bytes at the most
[[nodiscard]] std::optional<std::uint64_t> resident_bytes(pid_t pid);
[[nodiscard]] std::optional<std::uint64_t> peak_bytes(pid_t pid);     // resident, at the most
[[nodiscard]] std::optional<std::uint64_t> private_bytes(pid_t pid);  // without mapped files
// How many descriptors the kernel's table has room for, before it has to grow.
[[nodiscard]] std::optional<std::uint64_t> descriptor_room(pid_t pid);
// User and system, all threads, those that have ended too: by the clock of the process, to the
// nanosecond, where /proc/PID/stat counts ticks of 10 ms.
[[nodiscard]] std::optional<double> cpu_seconds(pid_t pid);
[[nodiscard]] double own_cpu_seconds();

}  // namespace godwit::support
