// support/process: what /proc says of a process. Nothing when there is none, or it may not be read.
// Thread: pure functions.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

namespace godwit::support {

[[nodiscard]] std::optional<std::uint64_t> resident_bytes(pid_t pid);
[[nodiscard]] std::optional<std::uint64_t> private_bytes(pid_t pid);  // without mapped files
[[nodiscard]] std::optional<double> cpu_seconds(pid_t pid);           // user and system
[[nodiscard]] double own_cpu_seconds();                               // finer than by /proc

}  // namespace godwit::support
