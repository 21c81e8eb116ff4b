// enemies/clock_interposer: preloaded into the relay: its wall clock is as far from the right time
// as the file GODWIT_CLOCK says at that moment. The clock that only measures, CLOCK_MONOTONIC, is
// the system's: no operator and no time server sets that one.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>

#include "tests/enemies/clock.hpp"

namespace godwit::enemies {
namespace {

// Asked from every thread, and before and after this library is set up. Mapped once, for ever.
const ClockOffset* g_offset = nullptr;

__attribute__((constructor)) void read_file() {
  const char* const file = std::getenv(kClockFile);
  const int descriptor = file == nullptr ? -1 : ::open(file, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) std::abort();
  void* const where = ::mmap(nullptr, sizeof(ClockOffset), PROT_READ, MAP_SHARED, descriptor, 0);
  ::close(descriptor);
  if (where == MAP_FAILED) std::abort();
  g_offset = static_cast<const ClockOffset*>(where);
}

}  // namespace
}  // namespace godwit::enemies

extern "C" {

int clock_gettime(clockid_t clock, timespec* time) noexcept {
  const auto result = static_cast<int>(::syscall(SYS_clock_gettime, clock, time));
  const bool wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
  if (wall && result == 0 && godwit::enemies::g_offset != nullptr) {
    time->tv_sec += godwit::enemies::g_offset->seconds;
  }
  return result;
}

int gettimeofday(timeval* time, void*) noexcept {
  timespec precise{};
  if (clock_gettime(CLOCK_REALTIME, &precise) != 0) return -1;
  time->tv_sec = precise.tv_sec;
  time->tv_usec = precise.tv_nsec / 1'000;
  return 0;
}

time_t time(time_t* where) noexcept {
  timespec now{};
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  if (where != nullptr) *where = now.tv_sec;
  return now.tv_sec;
}

}  // extern "C"
