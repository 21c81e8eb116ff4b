#include "tools/load/device.hpp"

#include <algorithm>
#include <utility>

namespace godwit::load {

// A timer of no delay fires at the end of the round that started it, so the acks still leave with
// that round's writes.
Acks::Acks(net::Loop& loop) : timer_(loop, [this] { send(); }) {}

void Acks::due(Device& device) {
  if (due_.empty()) timer_.start({});
  due_.push_back(&device);
}

void Acks::send() {
  for (Device* const device : std::exchange(due_, {})) device->acknowledge();
}

Device::Device(support::Fleet& fleet, Acks& acks, support::Account account, DeviceOwner& owner)
    : acks_(acks), owner_(owner), raw_(fleet, std::move(account)) {
  support::RawDevice::Callbacks calls;
  calls.on_connected = [this](support::RawDevice&) { enter(); };
  calls.on_deliver = [this](support::RawDevice&, const wire::Deliver& deliver) { take(deliver); };
  calls.on_caught_up = [this](support::RawDevice&) { owner_.on_caught_up(*this); };
  calls.on_closed = [this](support::RawDevice&, const std::string& reason) {
    came_ = 0;
    const bool was_live = std::exchange(state_, State::gone) == State::live;
    owner_.on_gone(*this, was_live, why_it_ended(reason));
  };
  raw_.set_callbacks(std::move(calls));
}

void Device::connect() {
  wanted_ = true;
  if (state_ != State::gone) return;
  state_ = State::entering;
  handshaken_ = false;
  login_refused_.reset();
  raw_.connect();
}

// With RST: a load that comes and goes by the thousand would fill the system's table of ports with
// connections that have ended.
void Device::leave() {
  wanted_ = false;
  raw_.reset();
}

void Device::enter() {
  handshaken_ = true;
  owner_.on_login(*this);
  const auto on_answer = [this](const wire::RelayFrame& reply) { on_reply(reply); };
  if (registered_) return raw_.login(on_answer);
  raw_.register_user({}, on_answer);
}

void Device::on_reply(const wire::RelayFrame& reply) {
  const auto* const welcome = std::get_if<wire::Welcome>(&reply.body);
  // Whatever the reason, a new connection asks again, after the pause that on_gone makes.
  if (welcome == nullptr) {
    const auto* const refused = std::get_if<wire::Refused>(&reply.body);
    login_refused_ = refused != nullptr ? *refused : wire::Refused{wire::ErrorCode::internal, 0};
    return raw_.reset();
  }
  registered_ = true;
  state_ = State::live;
  failures = 0;
  submits_max_ = std::max(1U, welcome->limits.submits_in_flight_max);
  owner_.on_live(*this);
}

std::string Device::why_it_ended(const std::string& reason) const {
  if (login_refused_) {
    const std::string what = registered_ ? "a login" : "a registration";
    std::string why =
        "the relay refused " + what + ": " + std::string(wire::name_of(login_refused_->code));
    if (!registered_ && login_refused_->code == wire::ErrorCode::rate_limited) {
      why += "; in its relay.toml, registrations_per_hour is how many an address may make, and "
             "unlimited_from says which addresses have no such limit";
    }
    return why;
  }
  const bool ended_there = reason == net::describe(net::NetError::closed) ||
                           reason == net::describe(net::NetError::reset);
  if (handshaken_ || !ended_there) return reason;
  return "the handshake was ended there: is KEY in godwit://KEY@HOST:PORT that of the relay, does "
         "a Godwit relay listen there, and has it fewer connections than its connections_max?";
}

void Device::take(const wire::Deliver& deliver) {
  came_ = deliver.number;
  if (!std::exchange(ack_due_, true)) acks_.due(*this);
  owner_.on_deliver(*this, deliver);
}

void Device::acknowledge() {
  ack_due_ = false;
  if (!live() || came_ == 0) return;
  raw_.ack(came_, [this, upto = came_](const wire::RelayFrame& reply) {
    if (std::holds_alternative<wire::Done>(reply.body)) owner_.on_confirmed(*this, upto);
  });
}

}  // namespace godwit::load
