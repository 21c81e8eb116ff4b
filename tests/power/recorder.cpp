#include "tests/power/recorder.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <mutex>
#include <optional>

namespace godwit::power {
namespace {

using Kind = Operation::Kind;

// The calls below know nothing but a descriptor, so what they add to is the process's own.
struct {
  std::mutex mutex;
  std::string directory;  // empty: nothing is recorded
  Recording recording;
} g_recorder;

// Nothing when the file is none of the recorded ones. Precondition: the mutex is held.
std::optional<std::string> recorded_name(int descriptor) {
  if (g_recorder.directory.empty()) return {};
  std::array<char, 512> path{};
  const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
  const ssize_t size = ::readlink(link.c_str(), path.data(), path.size());
  if (size <= 0) return {};
  const std::filesystem::path file(std::string(path.data(), static_cast<std::size_t>(size)));
  if (file.parent_path() != g_recorder.directory || file.filename() == kNotDurable) return {};
  return file.filename().string();
}

// Writes of two threads to one file do not overtake each other on their way into the log.
template <class Call>
auto recorded(int descriptor, const Call& call, Operation operation) {
  const std::scoped_lock lock(g_recorder.mutex);
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
    g_recorder.recording.operations.push_back(std::move(operation));
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
  operation.number = static_cast<std::uint64_t>(at + size);
  return recorded(
      file, [&] { return ::syscall(SYS_fallocate, file, 0, at, size) == 0 ? 0 : errno; },
      std::move(operation));
}

int sync_recorded(long call, int file) {
  return recorded(
      file, [&] { return static_cast<int>(::syscall(call, file)); }, Operation{.kind = Kind::sync});
}

Files files_in(const std::filesystem::path& directory) {
  Files files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string name = entry.path().filename();
    if (name == kNotDurable) continue;
    std::ifstream stream(entry.path(), std::ios::binary);
    files[name].assign(std::istreambuf_iterator<char>(stream), {});
  }
  return files;
}

void note(Kind kind, std::uint64_t number) {
  const std::scoped_lock lock(g_recorder.mutex);
  Operation operation{.kind = kind};
  operation.number = number;
  g_recorder.recording.operations.push_back(std::move(operation));
}

}  // namespace

void begin(const std::filesystem::path& directory) {
  const std::scoped_lock lock(g_recorder.mutex);
  g_recorder.recording = {files_in(directory), {}, {}};
  g_recorder.directory = std::filesystem::canonical(directory);
}

Recording end() {
  const std::scoped_lock lock(g_recorder.mutex);
  g_recorder.recording.after = files_in(g_recorder.directory);
  g_recorder.directory.clear();
  return std::move(g_recorder.recording);
}

void note_begun(std::uint64_t commit) {
  note(Kind::begun, commit);
}

void note_acked(std::uint64_t commit) {
  note(Kind::acked, commit);
}

}  // namespace godwit::power

// In the place of the C library's, for this program and the libraries that it loads.
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
