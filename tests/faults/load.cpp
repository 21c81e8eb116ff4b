#include "tests/faults/load.hpp"

#include <algorithm>

namespace godwit::faults {
namespace {

using support::LoadEnvelope;
using namespace std::chrono_literals;

constexpr std::size_t kWindow = 5;  // submits of one sender without an outcome
constexpr auto kComeBack = 5ms;

// What a relay without room, or one that is asked too early, may say.
bool is_for_now(wire::ErrorCode code) {
  return code == wire::ErrorCode::store_full || code == wire::ErrorCode::busy;
}

}  // namespace

// ---- Peer ---------------------------------------------------------------------------------------

Peer::Peer(LoadState& load, support::Account account, bool registered)
    : load_(load),
      device_(load.fleet, std::move(account)),
      again_(load.fleet.loop(), [this] { connect(); }),
      registered_(registered) {
  device_.set_callbacks({
      .on_connected = {},
      .on_deliver = [this](support::RawDevice&, const wire::Deliver& deliver) {
        on_deliver(deliver);
      },
      .on_caught_up = [this](support::RawDevice&) { on_caught_up(); },
      .on_event = [this](support::RawDevice&, const wire::RelayFrame& frame) { on_event(frame); },
      .on_closed = [this](support::RawDevice&, const std::string&) { on_closed(); },
  });
}

void Peer::come() {
  wanted_ = true;
  connect();
}

void Peer::go() {
  wanted_ = false;
  again_.stop();
  if (up_) device_.disconnect();
}

void Peer::connect() {
  if (!wanted_ || up_ || load_.paused) return;
  up_ = true;
  on_connecting();
  device_.connect();
  const auto reply = [this](const wire::RelayFrame& frame) { on_welcome(frame); };
  if (registered_) {
    device_.login(reply);
  } else {
    device_.register_user(std::nullopt, reply);
  }
}

void Peer::on_welcome(const wire::RelayFrame& frame) {
  if (const auto* refused = std::get_if<wire::Refused>(&frame.body)) {
    if (is_for_now(refused->code)) return try_later();
    return load_.breach("a login was refused: " + std::string(wire::name_of(refused->code)));
  }
  if (!std::holds_alternative<wire::Welcome>(frame.body)) {
    return load_.breach("a login was answered with something else");
  }
  registered_ = true;
  live_ = true;
  on_live();
}

void Peer::try_later() {
  ++load_.refusals;
  device_.disconnect();
}

void Peer::on_event(const wire::RelayFrame& frame) {
  const auto* closing = std::get_if<wire::Closing>(&frame.body);
  if (closing == nullptr) return load_.breach("something came that was not asked for");
  // The relay may not have seen yet that the connection before is gone; or it is told to stop.
  if (closing->code == wire::ErrorCode::replaced || load_.paused) return;
  load_.breach("a session was ended: " + std::string(wire::name_of(closing->code)));
}

void Peer::on_closed() {
  up_ = false;
  live_ = false;
  on_gone();
  if (wanted_ && !load_.paused) again_.start(kComeBack);
}

// ---- Receiver -----------------------------------------------------------------------------------

Receiver::Receiver(LoadState& load, std::uint32_t pair, bool registered)
    : Peer(load, support::Account::from_seed(2 * std::uint64_t{pair} + 2), registered),
      pair_(pair) {}

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

// ---- Sender -------------------------------------------------------------------------------------

Sender::Sender(LoadState& load, std::uint32_t pair, const support::Account& to,
               std::uint32_t envelopes, bool registered)
    : Peer(load, support::Account::from_seed(2 * std::uint64_t{pair} + 1), registered),
      pair_(pair),
      to_(to),
      envelopes_(envelopes) {}

void Sender::begin() {
  if (begun_) return;
  begun_ = true;
  fill();
}

void Sender::on_live() {
  for (const std::uint32_t number : waiting_) submit(number);
  fill();
}

void Sender::fill() {
  while (begun_ && live_ && waiting_.size() < kWindow && next_ < envelopes_) {
    waiting_.push_back(next_);
    submit(next_++);
  }
}

void Sender::submit(std::uint32_t number) {
  const LoadEnvelope envelope{pair_, number};
  load_.history.submitted(envelope);
  device_.submit(to_, envelope.request_id(), envelope.bytes(),
                 [this, number](const wire::RelayFrame& frame) { on_outcome(number, frame); });
}

void Sender::on_outcome(std::uint32_t number, const wire::RelayFrame& frame) {
  const LoadEnvelope envelope{pair_, number};
  const auto* submitted = std::get_if<wire::Submitted>(&frame.body);
  if (submitted == nullptr || submitted->outcomes.size() != 1) {
    return load_.history.refused(envelope);
  }
  const wire::ErrorCode code = submitted->outcomes.front().code;
  if (is_for_now(code)) return try_later();
  if (code != wire::ErrorCode::ok) return load_.history.refused(envelope);
  std::erase(waiting_, number);
  load_.history.accepted(envelope);
  fill();
}

// ---- Load ---------------------------------------------------------------------------------------

Load::Load(support::Fleet& fleet, support::History& history, Size size, bool queued)
    : state_{fleet, history, false, 0, {}}, size_(size), left_(size.pairs) {
  for (std::uint32_t pair = 0; pair < size.pairs; ++pair) {
    receivers_.push_back(std::make_unique<Receiver>(state_, pair, queued));
    senders_.push_back(std::make_unique<Sender>(state_, pair, receivers_.back()->account(),
                                                queued ? 0 : size.envelopes, queued));
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
