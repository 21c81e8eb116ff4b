#include "tools/load/chaos.hpp"

namespace godwit::load {

Chaos::Chaos(support::RelayProcess* relay, double every, Meter& meter)
    : relay_(relay), every_(every), meter_(meter) {}

void Chaos::enter(Phase phase) {
  next_ = Clock::time_point::max();
  if (phase == Phase::measure && every_ > 0) wait();
}

void Chaos::wait() {
  next_ = Clock::now() + span(every_);
}

void Chaos::tick(Clock::time_point now) {
  if (now < next_) return;
  relay_->kill();
  meter_.relay_is(std::nullopt);
  meter_.event("the relay is killed");
  relay_->start();
  meter_.relay_is(relay_->pid());
  meter_.event("the relay is back");
  wait();
}

}  // namespace godwit::load
