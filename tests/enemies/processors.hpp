// enemies/processors: who computes where, and who waits for whom. In the world the relay, the
// honest and their enemies have machines of their own, and share but the network and the relay's
// time. Here the relay has a processor, everybody else another, and on that one the honest come
// first: how long they waited is then a figure of the relay, and not of this machine's scheduler.
// Thread: a Place is made and destroyed by one thread, and is that thread's own.
#pragma once

#include <sched.h>

#include <utility>

namespace godwit::enemies {

enum class Role { relay, honest, other };

// While it lives, what this thread begins (threads, processes) runs as `role` does; with one
// processor they share it. Who may not come first (CAP_SYS_NICE) does not, and is told once.
// Throws support::RelayFailure when the system does not let it choose a processor.
class Place {
 public:
  explicit Place(Role role);
  ~Place();
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

 private:
  cpu_set_t processors_before_;
  int policy_before_;
  sched_param parameters_before_;
};

// A T whose threads and processes run as `role` does.
template <class T, class... Arguments>
[[nodiscard]] T placed(Role role, Arguments&&... arguments) {
  const Place place(role);
  return T(std::forward<Arguments>(arguments)...);
}

}  // namespace godwit::enemies
