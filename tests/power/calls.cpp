#include "tests/power/calls.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <optional>

namespace godwit::power {
namespace {

using Kind = Operation::Kind;

// The calls below know nothing but a descriptor, so there is one for the process.
std::mutex g_order;

// Nothing when the file is none of the recorded ones.
std::optional<std::string> recorded_name(int descriptor) {
  std::array<char, 512> path{};
  const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
  const ssize_t size = ::readlink(link.c_str(), path.data(), path.size());
  if (size <= 0) return {};
  const std::filesystem::path file(std::string(path.data(), static_cast<std::size_t>(size)));
  if (!is_recorded(file)) return {};
  return file.filename().string();
}

// Writes of two threads to one file do not overtake each other on their way into the log.
template <class Call>
auto recorded(int descriptor, const Call& call, Operation operation) {
  const std::scoped_lock lock(g_order);
  const auto name = recorded_name(descriptor);
  const auto result = call();
  const int error = errno;
  if (name && operation.kind == Kind::write) {
    if (result <= 0) return result;
    operation.bytes.resize(static_cast<std::size_t>(result));
    operation.durable = (::fcntl(descriptor, F_GETFL) & O_DSYNC) != 0;
  }
  if (name && (operation.kind == Kind::write || result == 0)) {
    operation.file = *name;
    keep(std::move(operation));
  }
  errno = error;
  return result;
}

Operation write_of(off_t at) {
  Operation operation{.kind = Kind::write};
  operation.at = static_cast<std::uint64_t>(at);
  return operation;
}

ssize_t pwrite_recorded(int file, const void* bytes, size_t size, off_t at) {
  Operation operation = write_of(at);
  const auto* const first = static_cast<const std::uint8_t*>(bytes);
  operation.bytes.assign(first, first + size);
  return recorded(
      file, [&]() -> ssize_t { return ::syscall(SYS_pwrite64, file, bytes, size, at); },
      std::move(operation));
}

int allocate_recorded(int file, off_t at, off_t size) {
  Operation operation{.kind = Kind::grow};
  operation.size = static_cast<std::uint64_t>(at + size);
  return recorded(
      file, [&] { return ::syscall(SYS_fallocate, file, 0, at, size) == 0 ? 0 : errno; },
      std::move(operation));
}

int sync_recorded(long call, int file) {
  return recorded(
      file, [&] { return static_cast<int>(::syscall(call, file)); }, Operation{.kind = Kind::sync});
}

}  // namespace
}  // namespace godwit::power

extern "C" {
ssize_t power_pwrite(int file, const void* bytes, size_t size, off_t at) __asm__("pwrite");
ssize_t power_pwrite64(int file, const void* bytes, size_t size, off_t at) __asm__("pwrite64");
ssize_t power_writev(int file, const iovec* parts, int count) __asm__("writev");
int power_allocate(int file, off_t at, off_t size) __asm__("posix_fallocate");
int power_allocate64(int file, off_t at, off_t size) __asm__("posix_fallocate64");
int power_fsync(int file) __asm__("fsync");
int power_fdatasync(int file) __asm__("fdatasync");

ssize_t power_pwrite(int file, const void* bytes, size_t size, off_t at) {
  return godwit::power::pwrite_recorded(file, bytes, size, at);
}
ssize_t power_pwrite64(int file, const void* bytes, size_t size, off_t at) {
  return godwit::power::pwrite_recorded(file, bytes, size, at);
}
ssize_t power_writev(int file, const iovec* parts, int count) {
  godwit::power::Operation operation = godwit::power::write_of(::lseek(file, 0, SEEK_CUR));
  for (int i = 0; i < count; ++i) {
    const auto* const first = static_cast<const std::uint8_t*>(parts[i].iov_base);
    operation.bytes.insert(operation.bytes.end(), first, first + parts[i].iov_len);
  }
  return godwit::power::recorded(
      file, [&]() -> ssize_t { return ::syscall(SYS_writev, file, parts, count); },
      std::move(operation));
}
int power_allocate(int file, off_t at, off_t size) {
  return godwit::power::allocate_recorded(file, at, size);
}
int power_allocate64(int file, off_t at, off_t size) {
  return godwit::power::allocate_recorded(file, at, size);
}
int power_fsync(int file) {
  return godwit::power::sync_recorded(SYS_fsync, file);
}
int power_fdatasync(int file) {
  return godwit::power::sync_recorded(SYS_fdatasync, file);
}
}
