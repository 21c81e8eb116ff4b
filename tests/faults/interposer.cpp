// faults/interposer: preloaded into a program: the calls of fault.hpp are counted, and the one that
// GODWIT_FAULT names fails without having been made. Everything else goes to the kernel as it is.
//
// It sees what a program and its libraries call in the C library, and not what the C library does
// inside itself: streams of stdio, loading, allocating. Memory is left out on purpose: a system
// that lets processes reserve more than it has answers a lack of it by ending one, not by refusing.
// Left out as well: what only descriptors of the loop itself could meet, an eventfd that does not
// take its eight bytes or an epoll that does not take one more. The kernel fails none of it for a
// reason outside the process, and libuv ends the process on it.
#include "tests/faults/fault.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

namespace godwit::faults {
namespace {

// Calls come before this library is set up and after it is taken down, and from every thread; what
// they read is set once and never destroyed. Before that nothing is counted.
struct {
  Counts* counts = nullptr;
  Fault fault;
  bool failing = false;
} g_plan;

__attribute__((constructor)) void read_plan() {
  const char* const file = std::getenv("GODWIT_FAULT_COUNTS");
  if (file == nullptr) return;
  const auto counting = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC));
  if (counting < 0) std::abort();
  const long mapped = ::syscall(SYS_mmap, nullptr, sizeof(Counts), PROT_READ | PROT_WRITE,
                                MAP_SHARED, counting, 0);
  ::syscall(SYS_close, counting);
  if (mapped == -1) std::abort();
  if (const char* const text = std::getenv("GODWIT_FAULT"); text != nullptr) {
    const auto fault = parse_fault(text);
    if (!fault) std::abort();
    g_plan.fault = *fault;
    g_plan.failing = true;
  }
  g_plan.counts = reinterpret_cast<Counts*>(mapped);
}

// Counts a call. Zero: it is made; else the errno that it fails with, or kShort.
int verdict(Call call) {
  if (g_plan.counts == nullptr) return 0;
  const std::uint64_t index = ++g_plan.counts->calls[static_cast<std::size_t>(call)];
  if (!g_plan.failing || g_plan.fault.call != call) return 0;
  const bool due = g_plan.fault.lasting ? index >= g_plan.fault.index : index == g_plan.fault.index;
  return due ? g_plan.fault.error : 0;
}

bool fails(Call call) {
  const int error = verdict(call);
  if (error > 0) errno = error;
  return error > 0;
}

// What a transfer of bytes counts as: nothing for what is neither file nor socket.
std::optional<Call> call_on(int descriptor, Call of_file, Call of_socket) {
  const int before = errno;
  struct stat status {};
  const bool known = ::syscall(SYS_fstat, descriptor, &status) == 0;
  errno = before;
  if (known && S_ISREG(status.st_mode)) return of_file;
  if (known && S_ISSOCK(status.st_mode)) return of_socket;
  return std::nullopt;
}

// `make` is given the number of bytes to transfer: at least one of those asked for.
template <class Make>
ssize_t transfer(std::optional<Call> call, std::size_t size, const Make& make) {
  if (!call) return make(size);
  const int error = verdict(*call);
  if (error > 0) {
    errno = error;
    return -1;
  }
  if (error != kShort || size < 2) return make(size);
  return make(*call == Call::receive ? 1 : size / 2);
}

template <class Make>
ssize_t transfer_in(int descriptor, std::size_t size, const Make& make) {
  return transfer(call_on(descriptor, Call::read, Call::receive), size, make);
}

template <class Make>
ssize_t transfer_out(int descriptor, std::size_t size, const Make& make) {
  return transfer(call_on(descriptor, Call::write, Call::send), size, make);
}

std::size_t size_of(const iovec* parts, std::size_t count) {
  std::size_t size = 0;
  for (std::size_t i = 0; i < count; ++i) size += parts[i].iov_len;
  return size;
}

ssize_t write_parts(int descriptor, const iovec* parts, int count) {
  const std::size_t whole = size_of(parts, static_cast<std::size_t>(count));
  return transfer_out(descriptor, whole, [&](std::size_t size) -> ssize_t {
    if (size == whole) return ::syscall(SYS_writev, descriptor, parts, count);
    return ::syscall(SYS_write, descriptor, parts->iov_base, std::min(size, parts->iov_len));
  });
}

ssize_t send_message(int descriptor, const msghdr* message, int flags) {
  const std::size_t whole = size_of(message->msg_iov, message->msg_iovlen);
  return transfer_out(descriptor, whole, [&](std::size_t size) -> ssize_t {
    if (size == whole) return ::syscall(SYS_sendmsg, descriptor, message, flags);
    iovec part = *message->msg_iov;
    part.iov_len = std::min(size, part.iov_len);
    msghdr shorter = *message;
    shorter.msg_iov = &part;
    shorter.msg_iovlen = 1;
    return ::syscall(SYS_sendmsg, descriptor, &shorter, flags);
  });
}

int open_at(int directory, const char* path, int flags, mode_t mode) {
  if (fails(Call::open)) return -1;
  return static_cast<int>(::syscall(SYS_openat, directory, path, flags, mode));
}

FILE* open_stream(const char* symbol, const char* path, const char* mode) {
  if (fails(Call::open)) return nullptr;
  using Open = FILE*(const char*, const char*);
  return reinterpret_cast<Open*>(::dlsym(RTLD_NEXT, symbol))(path, mode);
}

void* map(void* where, std::size_t size, int protection, int flags, int descriptor, off_t at) {
  if ((flags & MAP_ANONYMOUS) == 0 && fails(Call::map)) return MAP_FAILED;
  return reinterpret_cast<void*>(
      ::syscall(SYS_mmap, where, size, protection, flags, descriptor, at));
}

int control(int descriptor, int command, void* argument) {
  const bool locks = command == F_SETLK || command == F_SETLKW;
  if (locks && fails(Call::lock)) return -1;
  return static_cast<int>(::syscall(SYS_fcntl, descriptor, command, argument));
}

// Says with an errno why not, and does not set it.
int allocate(int descriptor, off_t at, off_t size) {
  if (const int error = verdict(Call::allocate); error > 0) return error;
  return ::syscall(SYS_fallocate, descriptor, 0, at, size) == 0 ? 0 : errno;
}

// The mode stands behind the flags only when a file may be made.
mode_t mode_in(int flags, va_list& rest) {
  return (flags & O_CREAT) != 0 ? static_cast<mode_t>(va_arg(rest, unsigned)) : 0;
}

template <class... Arguments>
int call_unless_failed(Call call, long number, Arguments... arguments) {
  return fails(call) ? -1 : static_cast<int>(::syscall(number, arguments...));
}

}  // namespace
}  // namespace godwit::faults

// In the place of the C library's. The names of its headers carry attributes that ours lack.
extern "C" {
int fault_open(const char* path, int flags, ...) __asm__("open");
int fault_open64(const char* path, int flags, ...) __asm__("open64")
    __attribute__((alias("open")));
int fault_openat(int directory, const char* path, int flags, ...) __asm__("openat");
int fault_openat64(int directory, const char* path, int flags, ...) __asm__("openat64")
    __attribute__((alias("openat")));
int fault_open_2(const char* path, int flags, ...) __asm__("__open_2")
    __attribute__((alias("open")));
int fault_open64_2(const char* path, int flags, ...) __asm__("__open64_2")
    __attribute__((alias("open")));
FILE* fault_fopen(const char* path, const char* mode) __asm__("fopen");
FILE* fault_fopen64(const char* path, const char* mode) __asm__("fopen64");
ssize_t fault_read(int file, void* to, size_t size) __asm__("read");
ssize_t fault_recv(int file, void* to, size_t size, int flags) __asm__("recv");
ssize_t fault_pread(int file, void* to, size_t size, off_t at) __asm__("pread");
ssize_t fault_pread64(int file, void* to, size_t size, off_t at) __asm__("pread64")
    __attribute__((alias("pread")));
ssize_t fault_write(int file, const void* from, size_t size) __asm__("write");
ssize_t fault_send(int file, const void* from, size_t size, int flags) __asm__("send");
ssize_t fault_pwrite(int file, const void* from, size_t size, off_t at) __asm__("pwrite");
ssize_t fault_pwrite64(int file, const void* from, size_t size, off_t at) __asm__("pwrite64")
    __attribute__((alias("pwrite")));
ssize_t fault_writev(int file, const iovec* parts, int count) __asm__("writev");
ssize_t fault_sendmsg(int file, const msghdr* message, int flags) __asm__("sendmsg");
int fault_fsync(int file) __asm__("fsync");
int fault_fdatasync(int file) __asm__("fdatasync");
int fault_allocate(int file, off_t at, off_t size) __asm__("posix_fallocate");
int fault_allocate64(int file, off_t at, off_t size) __asm__("posix_fallocate64")
    __attribute__((alias("posix_fallocate")));
int fault_ftruncate(int file, off_t size) __asm__("ftruncate");
int fault_ftruncate64(int file, off_t size) __asm__("ftruncate64")
    __attribute__((alias("ftruncate")));
void* fault_mmap(void* where, size_t size, int protection, int flags, int file,
                 off_t at) __asm__("mmap");
void* fault_mmap64(void* where, size_t size, int protection, int flags, int file,
                   off_t at) __asm__("mmap64")
    __attribute__((alias("mmap")));
int fault_flock(int file, int operation) __asm__("flock");
int fault_fcntl(int file, int command, ...) __asm__("fcntl");
int fault_fcntl64(int file, int command, ...) __asm__("fcntl64")
    __attribute__((alias("fcntl")));
int fault_socket(int domain, int type, int protocol) __asm__("socket");
int fault_connect(int socket, const sockaddr* to, socklen_t size) __asm__("connect");
int fault_bind(int socket, const sockaddr* to, socklen_t size) __asm__("bind");
int fault_listen(int socket, int backlog) __asm__("listen");
int fault_accept4(int socket, sockaddr* from, socklen_t* size, int flags) __asm__("accept4");
int fault_epoll_wait(int file, epoll_event* events, int most, int timeout) __asm__("epoll_wait");
int fault_epoll_pwait(int file, epoll_event* events, int most, int timeout,
                      const sigset_t* mask) __asm__("epoll_pwait");
int fault_epoll_create1(int flags) __asm__("epoll_create1");
int fault_eventfd(unsigned count, int flags) __asm__("eventfd");
int fault_pipe2(int* ends, int flags) __asm__("pipe2");
int fault_pthread_create(pthread_t* made, const pthread_attr_t* attributes, void* (*run)(void*),
                         void* argument) __asm__("pthread_create");
int fault_rename(const char* from, const char* to) __asm__("rename");
int fault_renameat(int from_in, const char* from, int to_in, const char* to) __asm__("renameat");
int fault_unlink(const char* path) __asm__("unlink");
int fault_unlinkat(int directory, const char* path, int flags) __asm__("unlinkat");
int fault_mkdir(const char* path, mode_t mode) __asm__("mkdir");
int fault_fchmod(int file, mode_t mode) __asm__("fchmod");

namespace faults = godwit::faults;
using faults::Call;

int fault_open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = faults::mode_in(flags, rest);
  va_end(rest);
  return faults::open_at(AT_FDCWD, path, flags, mode);
}
int fault_openat(int directory, const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = faults::mode_in(flags, rest);
  va_end(rest);
  return faults::open_at(directory, path, flags, mode);
}
FILE* fault_fopen(const char* path, const char* mode) {
  return faults::open_stream("fopen", path, mode);
}
FILE* fault_fopen64(const char* path, const char* mode) {
  return faults::open_stream("fopen64", path, mode);
}

ssize_t fault_read(int file, void* to, size_t size) {
  return faults::transfer_in(
      file, size, [&](size_t some) -> ssize_t { return ::syscall(SYS_read, file, to, some); });
}
ssize_t fault_recv(int file, void* to, size_t size, int flags) {
  return faults::transfer_in(file, size, [&](size_t some) -> ssize_t {
    return ::syscall(SYS_recvfrom, file, to, some, flags, nullptr, nullptr);
  });
}
ssize_t fault_pread(int file, void* to, size_t size, off_t at) {
  return faults::transfer_in(file, size, [&](size_t some) -> ssize_t {
    return ::syscall(SYS_pread64, file, to, some, at);
  });
}
ssize_t fault_write(int file, const void* from, size_t size) {
  return faults::transfer_out(
      file, size, [&](size_t some) -> ssize_t { return ::syscall(SYS_write, file, from, some); });
}
ssize_t fault_send(int file, const void* from, size_t size, int flags) {
  return faults::transfer_out(file, size, [&](size_t some) -> ssize_t {
    return ::syscall(SYS_sendto, file, from, some, flags, nullptr, 0);
  });
}
ssize_t fault_pwrite(int file, const void* from, size_t size, off_t at) {
  return faults::transfer_out(file, size, [&](size_t some) -> ssize_t {
    return ::syscall(SYS_pwrite64, file, from, some, at);
  });
}
ssize_t fault_writev(int file, const iovec* parts, int count) {
  return faults::write_parts(file, parts, count);
}
ssize_t fault_sendmsg(int file, const msghdr* message, int flags) {
  return faults::send_message(file, message, flags);
}

int fault_fsync(int file) { return faults::call_unless_failed(Call::sync, SYS_fsync, file); }
int fault_fdatasync(int file) {
  return faults::call_unless_failed(Call::sync, SYS_fdatasync, file);
}
int fault_allocate(int file, off_t at, off_t size) { return faults::allocate(file, at, size); }
int fault_ftruncate(int file, off_t size) {
  return faults::call_unless_failed(Call::truncate, SYS_ftruncate, file, size);
}
void* fault_mmap(void* where, size_t size, int protection, int flags, int file, off_t at) {
  return faults::map(where, size, protection, flags, file, at);
}
int fault_flock(int file, int operation) {
  return faults::call_unless_failed(Call::lock, SYS_flock, file, operation);
}
int fault_fcntl(int file, int command, ...) {
  va_list rest;
  va_start(rest, command);
  void* const argument = va_arg(rest, void*);
  va_end(rest);
  return faults::control(file, command, argument);
}

int fault_socket(int domain, int type, int protocol) {
  return faults::call_unless_failed(Call::socket, SYS_socket, domain, type, protocol);
}
int fault_connect(int socket, const sockaddr* to, socklen_t size) {
  return faults::call_unless_failed(Call::connect, SYS_connect, socket, to, size);
}
int fault_bind(int socket, const sockaddr* to, socklen_t size) {
  return faults::call_unless_failed(Call::bind, SYS_bind, socket, to, size);
}
int fault_listen(int socket, int backlog) {
  return faults::call_unless_failed(Call::listen, SYS_listen, socket, backlog);
}
int fault_accept4(int socket, sockaddr* from, socklen_t* size, int flags) {
  return faults::call_unless_failed(Call::accept, SYS_accept4, socket, from, size, flags);
}
int fault_epoll_wait(int file, epoll_event* events, int most, int timeout) {
  return fault_epoll_pwait(file, events, most, timeout, nullptr);
}
int fault_epoll_pwait(int file, epoll_event* events, int most, int timeout,
                      const sigset_t* mask) {
  constexpr size_t kMaskSize = 8;  // the kernel's, smaller than that of the C library
  return faults::call_unless_failed(Call::wait, SYS_epoll_pwait, file, events, most, timeout, mask,
                                    kMaskSize);
}
int fault_epoll_create1(int flags) {
  return faults::call_unless_failed(Call::descriptor, SYS_epoll_create1, flags);
}
int fault_eventfd(unsigned count, int flags) {
  return faults::call_unless_failed(Call::descriptor, SYS_eventfd2, count, flags);
}
int fault_pipe2(int* ends, int flags) {
  // The one that blocks is the lock that libuv has for signals, made once in a process. It aborts
  // when there is none, so net/loop makes sure that there are descriptors before.
  if ((flags & O_NONBLOCK) == 0) return static_cast<int>(::syscall(SYS_pipe2, ends, flags));
  return faults::call_unless_failed(Call::descriptor, SYS_pipe2, ends, flags);
}
int fault_pthread_create(pthread_t* made, const pthread_attr_t* attributes, void* (*run)(void*),
                         void* argument) {
  if (const int error = faults::verdict(Call::thread); error > 0) return error;
  return reinterpret_cast<decltype(&fault_pthread_create)>(
      ::dlsym(RTLD_NEXT, "pthread_create"))(made, attributes, run, argument);
}

int fault_rename(const char* from, const char* to) {
  return fault_renameat(AT_FDCWD, from, AT_FDCWD, to);
}
int fault_renameat(int from_in, const char* from, int to_in, const char* to) {
  return faults::call_unless_failed(Call::rename, SYS_renameat, from_in, from, to_in, to);
}
int fault_unlink(const char* path) { return fault_unlinkat(AT_FDCWD, path, 0); }
int fault_unlinkat(int directory, const char* path, int flags) {
  return faults::call_unless_failed(Call::unlink, SYS_unlinkat, directory, path, flags);
}
int fault_mkdir(const char* path, mode_t mode) {
  return faults::call_unless_failed(Call::mkdir, SYS_mkdirat, AT_FDCWD, path, mode);
}
int fault_fchmod(int file, mode_t mode) {
  return faults::call_unless_failed(Call::chmod, SYS_fchmod, file, mode);
}
}
