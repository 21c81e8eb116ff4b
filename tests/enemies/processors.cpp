#include "tests/enemies/processors.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "tests/support/relay_process.hpp"

namespace godwit::enemies {
namespace {

void check(int result) {
  if (result == 0) return;
  throw support::RelayFailure("no place among the processors: " +
                              std::string(std::strerror(errno)));
}

void tell_once() {
  static bool told = false;
  if (std::exchange(told, true)) return;
  std::fprintf(stderr,
               "The honest cannot come first here (it takes CAP_SYS_NICE): how long they wait is "
               "also a figure of this machine's scheduler.\n");
}

// The first or the second of those that this program may use.
cpu_set_t one_of(const cpu_set_t& allowed, bool second) {
  cpu_set_t one;
  CPU_ZERO(&one);
  std::size_t processor = 0;
  while (!CPU_ISSET(processor, &allowed)) ++processor;
  if (second) {
    do ++processor;
    while (!CPU_ISSET(processor, &allowed));
  }
  CPU_SET(processor, &one);
  return one;
}

const cpu_set_t& all_allowed() {
  static const cpu_set_t all = [] {
    cpu_set_t found;
    check(::sched_getaffinity(0, sizeof found, &found));
    return found;
  }();
  return all;
}

}  // namespace

Place::Place(Role role)
    : processors_before_(), policy_before_(::sched_getscheduler(0)), parameters_before_() {
  const cpu_set_t& all = all_allowed();
  check(::sched_getaffinity(0, sizeof processors_before_, &processors_before_));
  check(::sched_getparam(0, &parameters_before_));
  if (CPU_COUNT(&all) > 1) {
    const cpu_set_t mine = one_of(all, role != Role::relay);
    check(::sched_setaffinity(0, sizeof mine, &mine));
  }
  if (role != Role::honest) return;
  // Before all that is not: it wakes at once, and runs for a fraction of a millisecond.
  const sched_param first{.sched_priority = 1};
  if (::sched_setscheduler(0, SCHED_RR, &first) != 0) tell_once();
}

Place::~Place() {
  (void)::sched_setscheduler(0, policy_before_, &parameters_before_);
  (void)::sched_setaffinity(0, sizeof processors_before_, &processors_before_);
}

}  // namespace godwit::enemies
