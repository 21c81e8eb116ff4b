// load/chaos: kills the relay of the run with SIGKILL every so often, and starts it again. One that
// ends without having been killed, or does not start again, ends the run: that is a fault.
// Thread: one owner; nothing else happens while the relay starts.
#pragma once

#include "tests/support/relay_process.hpp"
#include "tools/load/meter.hpp"

namespace godwit::load {

class Chaos {
 public:
  // `every`: seconds; 0: never. `relay` is needed when it is not; none: it is somebody's.
  Chaos(support::RelayProcess* relay, double every, Meter& meter);
  // It strikes while the load is measured, and at no other time.
  void enter(Phase phase);
  void tick(Clock::time_point now);
  // After the run. Why the relay is not there any more; nothing when it is.
  [[nodiscard]] std::optional<std::string> end();

 private:
  void wait();
  void give_up(std::string why);

  support::RelayProcess* relay_;
  double every_;
  Meter& meter_;
  Clock::time_point next_ = Clock::time_point::max();
  std::optional<std::string> fault_;
};

}  // namespace godwit::load
