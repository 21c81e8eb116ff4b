// faults/fault: what the driver and the preloaded library both know: which calls can be made to
// fail, how a fault is written down, and where the calls are counted.
// Thread: pure functions; the counters are atomic, and shared between the two processes.
#pragma once

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace godwit::faults {

// Several functions of the C library are one call here, when they fail for the same reasons. Reads
// and writes of files and of sockets are told apart by what their descriptor is.
enum class Call : std::uint8_t {
  open,        // open, openat, fopen
  read,        // read, pread: of a file
  write,       // write, writev, pwrite: to a file
  sync,        // fsync, fdatasync
  allocate,    // posix_fallocate
  truncate,    // ftruncate
  map,         // mmap of a file
  lock,        // flock, and locks by fcntl
  receive,     // read, recv: of a socket
  send,        // write, writev, send, sendmsg: to a socket
  socket,      // socket
  connect,     // connect
  bind,        // bind
  listen,      // listen
  accept,      // accept4
  wait,        // epoll_wait, epoll_pwait
  descriptor,  // epoll_create1, eventfd, pipe2
  thread,      // pthread_create
  rename,      // rename, renameat
  unlink,      // unlink, unlinkat
  mkdir,       // mkdir
  chmod,       // fchmod
};
inline constexpr std::array<std::string_view, 22> kCallNames{
    "open",       "read",   "write",  "sync",    "allocate", "truncate", "map",    "lock",
    "receive",    "send",   "socket", "connect", "bind",     "listen",   "accept", "wait",
    "descriptor", "thread", "rename", "unlink",  "mkdir",    "chmod"};

struct ErrorName {
  std::string_view name;
  int code;
};
inline constexpr int kShort = -1;  // no error: half of the bytes, or one byte of what came
inline constexpr std::array kErrorNames{
    ErrorName{"short", kShort},
    ErrorName{"EADDRINUSE", EADDRINUSE},
    ErrorName{"EAGAIN", EAGAIN},
    ErrorName{"ECONNABORTED", ECONNABORTED},
    ErrorName{"ECONNREFUSED", ECONNREFUSED},
    ErrorName{"ECONNRESET", ECONNRESET},
    ErrorName{"EINTR", EINTR},
    ErrorName{"EIO", EIO},
    ErrorName{"EMFILE", EMFILE},
    ErrorName{"ENETUNREACH", ENETUNREACH},
    ErrorName{"ENFILE", ENFILE},
    ErrorName{"ENOBUFS", ENOBUFS},
    ErrorName{"ENOLCK", ENOLCK},
    ErrorName{"ENOMEM", ENOMEM},
    ErrorName{"ENOSPC", ENOSPC},
    ErrorName{"EPIPE", EPIPE},
};

struct Fault {
  Call call{};
  int error = 0;            // a number of errno, or kShort
  std::uint64_t index = 0;  // the call that fails, counted from 1 since the process began
  bool lasting = false;     // and each one after it
};

// "write:EIO:17", and "write:EIO:17+" for a lasting one. Nothing when it is no such text.
[[nodiscard]] inline std::optional<Fault> parse_fault(std::string_view text) {
  const auto take = [&text](char end) {
    const auto at = text.find(end);
    const std::string_view word = text.substr(0, at);
    text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
    return word;
  };
  const std::string_view call = take(':');
  const std::string_view error = take(':');
  Fault fault;
  bool known = false;
  for (std::size_t i = 0; i < kCallNames.size(); ++i) {
    if (kCallNames[i] != call) continue;
    fault.call = static_cast<Call>(i);
    known = true;
  }
  for (const ErrorName& one : kErrorNames) {
    if (one.name == error) fault.error = one.code;
  }
  if (text.ends_with('+')) {
    fault.lasting = true;
    text.remove_suffix(1);
  }
  const char* const end = text.data() + text.size();
  const auto [stop, failed] = std::from_chars(text.data(), end, fault.index);
  const bool number = failed == std::errc{} && stop == end && fault.index > 0;
  if (!known || fault.error == 0 || !number) return std::nullopt;
  return fault;
}

// A file that both map: GODWIT_FAULT_COUNTS. It survives however the process ends.
struct Counts {
  std::array<std::atomic<std::uint64_t>, kCallNames.size()> calls;
  [[nodiscard]] std::uint64_t of(Call call) const {
    return calls[static_cast<std::size_t>(call)].load();
  }
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace godwit::faults
