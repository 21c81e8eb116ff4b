#include "tools/load/chaos.hpp"

namespace godwit::load {

Chaos::Chaos(support::RelayProcess* relay, double every, Meter& meter)
    : relay_(relay), every_(every), meter_(meter) {}

void Chaos::begin() {
  if (every_ > 0) next_ = Clock::now() + span(every_);
}

void Chaos::tick(Clock::time_point now) {
  if (now < next_) return;
  relay_->kill();
  meter_.relay_is(std::nullopt);
  meter_.event("the relay is killed");
  relay_->start();
  meter_.relay_is(relay_->pid());
  meter_.event("the relay is back");
  begin();
}

}  // namespace godwit::load
