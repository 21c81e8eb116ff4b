#include "tests/enemies/clock.hpp"

#include <fcntl.h>
#include <sys/mman.h>

#include <new>

#include "schema/net/descriptor.hpp"
#include "tests/support/relay_process.hpp"

namespace godwit::enemies {

Clock::Clock(std::filesystem::path file) : file_(std::move(file)) {
  const net::Descriptor descriptor(
      ::open(file_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  void* where = MAP_FAILED;
  if (descriptor.is_open() && ::ftruncate(descriptor.get(), sizeof(ClockOffset)) == 0) {
    where = ::mmap(nullptr, sizeof(ClockOffset), PROT_READ | PROT_WRITE, MAP_SHARED,
                   descriptor.get(), 0);
  }
  if (where == MAP_FAILED) throw support::RelayFailure("no clock in " + file_.string());
  offset_ = new (where) ClockOffset;
}

Clock::~Clock() {
  ::munmap(offset_, sizeof(ClockOffset));
}

std::map<std::string, std::string> Clock::environment() const {
  return {{"LD_PRELOAD", GODWIT_CLOCK_INTERPOSER}, {kClockFile, file_.string()}};
}

}  // namespace godwit::enemies
