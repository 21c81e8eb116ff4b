#include "tests/support/process.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ctime>
#include <thread>

namespace godwit::support {
namespace {

constexpr double kWork = 0.003;  // seconds: less than a tick of /proc

double thread_cpu_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

TEST_SUITE("tests/support/process") {
  TEST_CASE("less than a tick is measured, and stays when its thread has ended") {
    const auto before = cpu_seconds(::getpid());
    REQUIRE(before);
    double used = 0;
    std::thread([&used] {
      while (used < kWork) used = thread_cpu_seconds();
    }).join();
    const auto after = cpu_seconds(::getpid());
    REQUIRE(after);
    CHECK(*after - *before >= used);
  }

  TEST_CASE("a process that is gone has no figures") {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    REQUIRE(child > 0);
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    CHECK_FALSE(cpu_seconds(child));
    CHECK_FALSE(private_bytes(child));
    CHECK_FALSE(peak_bytes(child));
  }
}

}  // namespace
}  // namespace godwit::support
