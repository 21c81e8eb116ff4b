#include "tests/support/load_device.hpp"

namespace godwit::support {

LoadDevice::LoadDevice(LoadState& load, Account account, bool registered)
    : load_(load),
      device_(load.fleet, std::move(account)),
      again_(load.fleet.loop(), [this] { connect(); }),
      registered_(registered) {
  device_.set_callbacks({
      .on_connected = {},
      .on_deliver = [this](RawDevice&, const wire::Deliver& deliver) { on_deliver(deliver); },
      .on_caught_up = [this](RawDevice&) { on_caught_up(); },
      .on_event = [this](RawDevice&, const wire::RelayFrame& frame) { on_event(frame); },
      .on_closed = [this](RawDevice&, const std::string&) { on_closed(); },
  });
}

void LoadDevice::come() {
  wanted_ = true;
  if (!up_ && !again_.active()) connect();
}

void LoadDevice::go() {
  wanted_ = false;
  live_ = false;
  again_.stop();
  if (up_) leave();
}

void LoadDevice::connect() {
  if (!wanted_ || load_.paused) return;
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

void LoadDevice::come_later() {
  again_.start(pause_before(attempts_++));
}

// What a relay without room, or one that is asked too early, may say.
bool LoadDevice::is_for_now(wire::ErrorCode code) {
  if (code != wire::ErrorCode::store_full && code != wire::ErrorCode::busy) return false;
  ++load_.refusals;
  device_.disconnect();
  return true;
}

void LoadDevice::on_welcome(const wire::RelayFrame& frame) {
  if (const auto* refused = std::get_if<wire::Refused>(&frame.body)) {
    if (is_for_now(refused->code)) return;
    return load_.breach("a login was refused: " + std::string(wire::name_of(refused->code)));
  }
  if (!std::holds_alternative<wire::Welcome>(frame.body)) {
    return load_.breach("a login was answered with something else");
  }
  registered_ = true;
  attempts_ = 0;
  if (!wanted_) return;  // it is leaving already
  live_ = true;
  on_live();
}

void LoadDevice::on_event(const wire::RelayFrame& frame) {
  const auto* closing = std::get_if<wire::Closing>(&frame.body);
  if (closing == nullptr) return load_.breach("something came that was not asked for");
  // A connection that was broken before its Welcome may log in after the one that followed it, when
  // another loop reads it; the next one wins again. And a relay that is told to stop says so.
  if (closing->code == wire::ErrorCode::replaced || load_.paused) return;
  load_.breach("a session was ended: " + std::string(wire::name_of(closing->code)));
}

void LoadDevice::on_closed() {
  up_ = false;
  live_ = false;
  on_gone();
  if (wanted_ && !load_.paused) come_later();
}

// ---- Sender -------------------------------------------------------------------------------------

LoadSender::LoadSender(LoadState& load, std::uint32_t pair, const Account& to,
                       std::uint32_t envelopes, std::size_t window, bool registered)
    : LoadDevice(load, sender_of(pair), registered),
      pair_(pair),
      to_(to),
      envelopes_(envelopes),
      window_(window) {}

void LoadSender::begin() {
  if (begun_) return;
  begun_ = true;
  fill();
}

void LoadSender::on_live() {
  for (const std::uint32_t number : waiting_) submit(number);
  fill();
}

void LoadSender::fill() {
  while (begun_ && live() && waiting_.size() < window_ && next_ < envelopes_) {
    waiting_.push_back(next_);
    submit(next_++);
  }
}

void LoadSender::submit(std::uint32_t number) {
  const LoadEnvelope envelope{pair_, number};
  load_.history.submitted(envelope);
  device_.submit(to_, envelope.request_id(), envelope.bytes(),
                 [this, number](const wire::RelayFrame& frame) { on_outcome(number, frame); });
}

void LoadSender::on_outcome(std::uint32_t number, const wire::RelayFrame& frame) {
  const LoadEnvelope envelope{pair_, number};
  const auto* submitted = std::get_if<wire::Submitted>(&frame.body);
  if (submitted == nullptr || submitted->outcomes.size() != 1) {
    return load_.history.refused(envelope);
  }
  const wire::ErrorCode code = submitted->outcomes.front().code;
  if (is_for_now(code)) return;
  if (code != wire::ErrorCode::ok) return load_.history.refused(envelope);
  std::erase(waiting_, number);
  load_.history.accepted(envelope);
  fill();
}

Account sender_of(std::uint32_t pair) {
  return Account::from_seed(2 * std::uint64_t{pair} + 1);
}
Account receiver_of(std::uint32_t pair) {
  return Account::from_seed(2 * std::uint64_t{pair} + 2);
}

}  // namespace godwit::support
