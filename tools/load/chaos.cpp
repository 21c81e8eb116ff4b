#include "tools/load/chaos.hpp"

#include <csignal>

namespace godwit::load {
namespace {

constexpr int kSignals = 128;  // a status beyond it is that of a signal

std::string in_words(int status) {
  return status > kSignals ? "by signal " + std::to_string(status - kSignals)
                           : "with status " + std::to_string(status);
}

}  // namespace

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
  if (relay_ == nullptr || fault_) return;
  const bool ended = !relay_->running();
  if (!ended && now < next_) return;
  meter_.relay_is(std::nullopt);  // while its processor time can still be asked
  relay_->kill();  // one that has ended is none the worse for it, and it is known then how it did
  const int status = relay_->last_status();
  if (ended || status != kSignals + SIGKILL) {
    return give_up("the relay ended by itself, " + in_words(status));
  }
  meter_.event(kKilled);
  try {
    relay_->start();
  } catch (const support::RelayFailure& failure) {
    const std::string why = failure.what();
    return give_up(why.substr(0, why.find('\n')));  // its log stands behind it
  }
  meter_.relay_is(relay_->pid());
  meter_.event("the relay is back");
  wait();
}

void Chaos::give_up(std::string why) {
  fault_ = std::move(why);
  meter_.event(*fault_);
  end_early();
}

std::optional<std::string> Chaos::end() {
  next_ = Clock::time_point::max();
  tick(Clock::now());
  return fault_;
}

}  // namespace godwit::load
