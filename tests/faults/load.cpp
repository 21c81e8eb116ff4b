#include "tests/faults/load.hpp"

#include <algorithm>

namespace godwit::faults {
namespace {

constexpr std::size_t kWindow = 5;  // submits of one sender without an outcome

}  // namespace

// ---- Receiver -----------------------------------------------------------------------------------

Receiver::Receiver(LoadState& load, std::uint32_t pair, bool registered)
    : LoadDevice(load, support::receiver_of(pair), registered), pair_(pair) {}

void Receiver::on_connecting() { load_.history.connected(pair_); }

void Receiver::on_gone() {
  open_acks_ = 0;
  caught_up_ = false;
}

void Receiver::on_deliver(const wire::Deliver& deliver) {
  const auto envelope = load_.history.delivered(pair_, deliver.envelope);
  if (!envelope) return;
  arrived_.insert(envelope->number);
  load_.history.acked(*envelope);
  ++open_acks_;
  device_.ack(deliver.number, [this, envelope = *envelope](const wire::RelayFrame& frame) {
    --open_acks_;
    if (!std::holds_alternative<wire::Done>(frame.body)) return load_.breach("an ack was refused");
    load_.history.confirmed(envelope);
  });
}

// ---- Load ---------------------------------------------------------------------------------------

Load::Load(support::Fleet& fleet, support::History& history, Size size, bool queued)
    : state_(fleet, history), size_(size), left_(size.pairs) {
  for (std::uint32_t pair = 0; pair < size.pairs; ++pair) {
    receivers_.push_back(std::make_unique<Receiver>(state_, pair, queued));
    senders_.push_back(std::make_unique<Sender>(state_, pair, receivers_.back()->account(),
                                                queued ? 0 : size.envelopes, kWindow, queued));
    for (std::uint32_t number = 0; queued && number < size.envelopes; ++number) {
      history.submitted({pair, number});
      history.accepted({pair, number});
    }
  }
}

void Load::begin() {
  for (const auto& one : receivers_) one->come();
  for (const auto& one : senders_) one->come();
}

void Load::step() {
  for (std::uint32_t pair = 0; pair < size_.pairs; ++pair) {
    if (!receivers_[pair]->registered()) continue;
    senders_[pair]->begin();
    if (pair >= size_.pairs - size_.away && !left_[pair]) {
      left_[pair] = true;
      receivers_[pair]->go();
    }
  }
  if (!all_sent()) return;
  for (const auto& one : receivers_) one->come();
}

void Load::pause() { state_.paused = true; }

void Load::resume() {
  state_.paused = false;
  for (const auto& one : receivers_) one->resume();
  for (const auto& one : senders_) one->resume();
}

void Load::go() {
  for (const auto& one : receivers_) one->go();
  for (const auto& one : senders_) one->go();
}

bool Load::all_down() const {
  return std::ranges::none_of(receivers_, [](const auto& one) { return one->up(); }) &&
         std::ranges::none_of(senders_, [](const auto& one) { return one->up(); });
}

bool Load::all_sent() const {
  return std::ranges::all_of(senders_, [](const auto& one) { return one->done(); });
}

bool Load::settled() const {
  return all_sent() && std::ranges::all_of(receivers_, [this](const auto& one) {
           return one->has_all(size_.envelopes);
         });
}

}  // namespace godwit::faults
