#include "tests/sim/link.hpp"

#include "client-sdk/src/connection.hpp"
#include "tests/sim/world.hpp"

namespace godwit::sim {

using namespace std::chrono_literals;

// ---- Wire ---------------------------------------------------------------------------------------

bool Wire::open(const wire::Key& transport) {
  connection_ = home_.world().relay.connect(transport, shared_from_this());
  return connection_.has_value();
}

// In the order in which they were sent, as TCP has it.
Agenda::Time Wire::next_arrival(Agenda::Time& last) {
  last = std::max(last, home_.world().agenda.now() + home_.latency());
  return last;
}

void Wire::send(wire::Bytes frame) {
  World& world = home_.world();
  ++world.frames_under_way;
  world.agenda.at(next_arrival(last_up_),
                  [self = shared_from_this(), &world, frame = std::move(frame)]() mutable {
                    --world.frames_under_way;
                    if (self->cut_ || !self->connection_) return;
                    if (world.wiretap != nullptr && !world.wiretap->on_up(self->home_, frame))
                      return;
                    world.relay.receive(*self->connection_, std::move(frame));
                  });
}

void Wire::on_relay_frame(wire::Bytes frame) {
  World& world = home_.world();
  if (cut_) return;
  if (world.wiretap == nullptr) return arrive(std::move(frame));
  for (auto& one : world.wiretap->on_down(home_, std::move(frame))) arrive(std::move(one));
}

void Wire::arrive(wire::Bytes frame) {
  World& world = home_.world();
  ++world.frames_under_way;
  world.agenda.at(next_arrival(last_down_),
                  [self = shared_from_this(), &world, frame = std::move(frame)]() mutable {
                    --world.frames_under_way;
                    if (self->cut_ || self->link_ == nullptr) return;
                    self->link_->on_frame(std::move(frame));
                  });
}

void Wire::on_relay_closed() {
  connection_.reset();
  World& world = home_.world();
  ++world.frames_under_way;
  world.agenda.at(next_arrival(last_down_), [self = shared_from_this(), &world] {
    --world.frames_under_way;
    if (!self->cut_ && self->link_ != nullptr) self->link_->on_end("the relay has ended it");
  });
}

void Wire::close() {
  link_ = nullptr;
  World& world = home_.world();
  world.agenda.at(next_arrival(last_up_), [self = shared_from_this(), &world] {
    if (self->cut_ || !self->connection_) return;
    world.relay.close(*self->connection_);
    self->connection_.reset();
  });
}

void Wire::reset(const std::string& reason) {
  if (connection_ && !cut_) home_.world().relay.close(*connection_);
  connection_.reset();
  cut_ = true;
  if (link_ != nullptr) link_->on_end(reason);
}

void Wire::abandon(bool relay_notices) {
  link_ = nullptr;
  if (relay_notices && connection_ && !cut_) home_.world().relay.close(*connection_);
  cut_ = true;
}

// At the end of what happens now: the relay may be in the middle of it.
void Wire::forge(wire::Bytes frame) {
  World& world = home_.world();
  world.agenda.in(0us, [self = shared_from_this(), &world, frame = std::move(frame)]() mutable {
    if (self->connection_) world.relay.receive(*self->connection_, std::move(frame));
  });
}

// ---- Link ---------------------------------------------------------------------------------------

Link::Link(Home& home, Speaker& speaker) : home_(home), speaker_(&speaker) {
  in(0us, [this] { begin(); });
}

Link::~Link() {
  if (speaker_ != nullptr && wire_ && connected_ && !ended_) {
    Received last;
    last.has_room = true;
    for (auto& frame : speaker_->exchange(last).frames) wire_->send(std::move(frame));
  }
  if (wire_) wire_->close();
  if (speaker_ != nullptr) {
    Received end;
    end.ended = "this program has disconnected";
    (void)speaker_->exchange(end);
  }
  home_.forget(*this);
}

void Link::in(Agenda::Time delay, Agenda::Action action) {
  home_.world().agenda.in(delay, [alive = std::weak_ptr(alive_), action = std::move(action)] {
    if (!alive.expired()) action();
  });
}

void Link::wake() {
  exchange_soon(0us);
}

void Link::exchange_soon(Agenda::Time delay) {
  if (std::exchange(due_, true)) return;
  in(delay, [this] { exchange(); });
}

// ---- An attempt

void Link::begin() {
  const std::uint64_t attempt = ++attempt_;
  exchange_soon(0us);  // the speaker may have a deadline although nothing happens
  if (home_.is_cut()) {
    return in(5s, [this, attempt] {
      if (attempt == attempt_) on_end("the relay cannot be reached: no network");
    });
  }
  in(3 * home_.latency(), [this, attempt] {
    if (attempt == attempt_) established();
  });
}

void Link::established() {
  if (home_.is_cut()) return on_end("the relay cannot be reached: timed out");
  auto keys = speaker_->transport_keys();
  if (!keys) return on_end(keys.error().message);
  auto wire = std::make_shared<Wire>(home_, *this);
  const bool open = wire->open(keys->public_key);
  wire::wipe(keys->secret.bytes);
  if (!open) return on_end("the relay cannot be reached: connection refused");
  wire_ = std::move(wire);
  exchange_soon(home_.latency());
}

// ---- A connection

void Link::on_frame(wire::Bytes frame) {
  if (ended_) return;
  arrived_.push_back(std::move(frame));
  exchange_soon(0us);
}

void Link::on_end(const std::string& reason) {
  if (!ended_) ended_ = reason;
  exchange_soon(0us);
}

void Link::exchange() {
  due_ = false;
  if (speaker_ == nullptr || home_.dying()) return;
  Received received;
  std::vector<wire::RelayFrame> frames;
  const auto storage = std::exchange(arrived_, {});
  if (wire_) {
    received.connected = !std::exchange(connected_, true);
    for (const wire::Bytes& bytes : storage) {
      auto frame = wire::parse_relay_frame(bytes);
      if (!frame) {
        on_end("the relay sent a frame that does not parse");
        break;
      }
      frames.push_back(*std::move(frame));
    }
    received.frames = frames;
    received.has_room = !ended_;
  }
  const bool ends = ended_.has_value() && !received.connected && frames.empty();
  if (ends) received.ended = ended_;
  if (ended_ && !ends) exchange_soon(0us);

  ToSend to_send = speaker_->exchange(received);
  if (home_.dying()) return;  // nothing of it leaves
  if (!ends || to_send.link.give_up || to_send.link.retry_after > 0ms) said_ = to_send.link;
  if (ends) {
    wait_for_the_next();
  } else if (wire_ && !ended_) {
    if (said_.logged_in && !logged_in_) {
      logged_in_ = home_.world().agenda.now();
      in(wire::kConnectionAgeMax, [this, attempt = attempt_] {
        if (attempt != attempt_ || ended_) return;
        renewing_ = true;
        on_end("the connection is old; a new one begins");
      });
    }
    for (auto& frame : to_send.frames) wire_->send(std::move(frame));
  }
  if (wire_ && said_.close) on_end(said_.reason);
  deadline_.reset();
  if (!to_send.deadline) return;
  const Agenda::Time now = home_.world().agenda.now();
  deadline_ = std::max<Agenda::Time>(*to_send.deadline - home_.now().steady, 0ms) + now;
  in(*deadline_ - now, [this, when = *deadline_] {
    if (deadline_ == when) exchange_soon(0us);
  });
}

void Link::wait_for_the_next() {
  const Agenda::Time now = home_.world().agenda.now();
  if (logged_in_ && now - *logged_in_ >= 1min) failures_ = 0;
  if (wire_) wire_->close();
  wire_.reset();
  connected_ = false;
  arrived_.clear();
  ended_.reset();
  logged_in_.reset();
  ++attempt_;
  if (said_.give_up) return;
  const bool renewing = std::exchange(renewing_, false);
  const auto delay =
      renewing ? 0ms : reconnect_delay(failures_, home_.draws().next()) + said_.retry_after;
  said_ = {};
  if (!renewing) ++failures_;
  in(delay, [this, attempt = attempt_] {
    if (attempt == attempt_) begin();
  });
}

// ---- What the world does to it

void Link::crash(bool relay_notices) {
  if (wire_) wire_->abandon(relay_notices);
  wire_.reset();
  speaker_ = nullptr;
  alive_.reset();
}

void Link::reset(const std::string& reason) {
  if (wire_) wire_->reset(reason);
}

void Link::cut() {
  if (wire_) wire_->cut();
}

void Link::inject(wire::Bytes frame) {
  if (wire_) wire_->inject(std::move(frame));
}

void Link::forge(wire::Bytes frame) {
  if (wire_) wire_->forge(std::move(frame));
}

}  // namespace godwit::sim
