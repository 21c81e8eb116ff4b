#include "tests/integration/kill_load.hpp"

#include <algorithm>

namespace godwit::integration {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kWindow = 8;  // submits of one sender without an outcome
constexpr std::uint32_t kBackoffMinMs = 2;
constexpr std::uint32_t kBackoffMaxMs = 32;
constexpr std::uint32_t kPhaseMinMs = 50;  // of being there, and of being away
constexpr std::uint32_t kPhaseMaxMs = 800;
constexpr std::uint32_t kBreakMinMs = 100;  // between the ends that a sender makes itself
constexpr std::uint32_t kBreakMaxMs = 3'000;
constexpr std::uint32_t kAckBatchMax = 12;

}  // namespace

// ---- Peer ---------------------------------------------------------------------------------------

Peer::Peer(LoadState& load, support::Account account, std::uint64_t seed)
    : load_(load),
      random_(seed),
      device_(load.fleet, std::move(account)),
      again_(load.fleet.loop(), [this] { connect(); }) {
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
  if (!up_ && !again_.active()) connect();
}

void Peer::go() {
  wanted_ = false;
  live_ = false;
  again_.stop();
  if (!up_) return;
  if (device_.connected() && pick(random_, 0, 1) == 0) return device_.disconnect();
  device_.reset();
}

void Peer::connect() {
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

// With jitter: they would all come in one moment.
void Peer::come_later() {
  backoff_ms_ = std::clamp(2 * backoff_ms_, kBackoffMinMs, kBackoffMaxMs);
  again_.start(milliseconds(pick(random_, 1, backoff_ms_)));
}

void Peer::on_welcome(const wire::RelayFrame& frame) {
  if (const auto* refused = std::get_if<wire::Refused>(&frame.body)) {
    return load_.breach("a login was refused: " + std::string(wire::name_of(refused->code)));
  }
  if (!std::holds_alternative<wire::Welcome>(frame.body)) {
    return load_.breach("a login was answered with something else");
  }
  registered_ = true;
  backoff_ms_ = 0;
  if (!wanted_) return;  // it is leaving already
  live_ = true;
  on_live();
}

void Peer::on_event(const wire::RelayFrame& frame) {
  if (const auto* closing = std::get_if<wire::Closing>(&frame.body)) {
    // A connection that was broken before its Welcome may log in after the one that followed it,
    // when another loop reads it; the next one wins again.
    if (closing->code == wire::ErrorCode::replaced) return;
    load_.breach("a session was ended: " + std::string(wire::name_of(closing->code)));
  } else {
    load_.breach("something came that was not asked for");
  }
}

void Peer::on_deliver(const wire::Deliver&) { load_.breach("a sender was given an envelope"); }

void Peer::on_closed() {
  up_ = false;
  live_ = false;
  on_gone();
  if (wanted_ && !load_.paused) come_later();
}

// ---- Sender -------------------------------------------------------------------------------------

Sender::Sender(LoadState& load, std::uint32_t pair, const support::Account& to,
               std::uint32_t envelopes, std::uint64_t seed)
    : Peer(load, support::Account::from_seed(2 * std::uint64_t{pair} + 1), seed),
      pair_(pair),
      to_(to),
      envelopes_(envelopes),
      break_(load.fleet.loop(), [this] {
        if (done()) return;
        go();
        come();
        break_later();
      }) {}

void Sender::begin() {
  begun_ = true;
  break_later();
  fill();
}

void Sender::break_later() {
  break_.start(milliseconds(pick(random_, kBreakMinMs, kBreakMaxMs)));
}

void Sender::on_live() {
  for (const std::uint32_t number : waiting_) submit(number);
  fill();
}

void Sender::fill() {
  while (begun_ && live() && waiting_.size() < kWindow && next_ < envelopes_) {
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
  if (submitted == nullptr || submitted->outcomes.size() != 1 ||
      submitted->outcomes.front().code != wire::ErrorCode::ok) {
    return load_.history.refused(envelope);
  }
  std::erase(waiting_, number);
  load_.history.accepted(envelope);
  fill();
}

// ---- Receiver -----------------------------------------------------------------------------------

Receiver::Receiver(LoadState& load, std::uint32_t pair, support::Account account,
                   std::uint64_t seed)
    : Peer(load, std::move(account), seed),
      pair_(pair),
      change_(load.fleet.loop(), [this] {
        if (live()) {
          go();
        } else {
          come();
        }
        change_later();
      }) {}

void Receiver::begin() { change_later(); }

void Receiver::change_later() {
  change_.start(milliseconds(pick(random_, kPhaseMinMs, kPhaseMaxMs)));
}

void Receiver::finish() {
  change_.stop();
  finishing_ = true;
  withholds_ = false;
  come();
  if (live() && !pending_.empty()) acknowledge();
}

void Receiver::on_connecting() { load_.history.connected(pair_); }

void Receiver::on_live() {
  withholds_ = !finishing_ && pick(random_, 1, 5) == 1;
  batch_ = pick(random_, 1, kAckBatchMax);
}

void Receiver::on_gone() {
  pending_.clear();
  unconfirmed_ = 0;
  last_number_ = 0;
  caught_up_ = false;
}

void Receiver::on_deliver(const wire::Deliver& deliver) {
  if (deliver.number != ++last_number_) load_.breach("the numbers of deliveries have a gap");
  pending_.push_back({deliver.number, load_.history.delivered(pair_, deliver.envelope)});
  // A connection that is leaving acknowledges no more.
  if (live() && !withholds_ && (finishing_ || pending_.size() >= batch_)) acknowledge();
}

void Receiver::acknowledge() {
  wire::Ack ack;
  auto taken = take_some(ack);
  for (const Pending& one : taken) {
    if (one.envelope) load_.history.acked(*one.envelope);
  }
  ++unconfirmed_;
  batch_ = pick(random_, 1, kAckBatchMax);
  device_.send(std::move(ack), [this, taken = std::move(taken)](const wire::RelayFrame& frame) {
    --unconfirmed_;
    if (!std::holds_alternative<wire::Done>(frame.body)) return load_.breach("an ack was refused");
    for (const Pending& one : taken) {
      if (one.envelope) load_.history.confirmed(*one.envelope);
    }
  });
}

// All of a beginning, by its last number; or some, by a list. At the end, everything.
std::vector<Receiver::Pending> Receiver::take_some(wire::Ack& ack) {
  const auto size = static_cast<std::uint32_t>(pending_.size());
  std::vector<Pending> taken;
  if (finishing_ || pick(random_, 0, 3) > 0) {
    const auto end = pending_.begin() + (finishing_ ? size : pick(random_, 1, size));
    taken.assign(pending_.begin(), end);
    pending_.erase(pending_.begin(), end);
    ack.upto = taken.back().number;
    return taken;
  }
  const auto chosen = std::stable_partition(pending_.begin(), pending_.end() - 1,
                                            [this](const Pending&) {
                                              return pick(random_, 0, 1) == 0;
                                            });
  taken.assign(chosen, pending_.end());
  pending_.erase(chosen, pending_.end());
  for (const Pending& one : taken) ack.numbers.push_back(one.number);
  return taken;
}

// ---- Load ---------------------------------------------------------------------------------------

Load::Load(support::Fleet& fleet, support::History& history, std::uint32_t pairs,
           std::uint32_t envelopes, std::uint64_t seed)
    : state_{fleet, history, false, {}} {
  Random seeds(seed);
  for (std::uint32_t pair = 0; pair < pairs; ++pair) {
    receivers_.push_back(std::make_unique<Receiver>(
        state_, pair, support::Account::from_seed(2 * std::uint64_t{pair} + 2), seeds()));
    const std::uint32_t share = envelopes / pairs + (pair < envelopes % pairs ? 1 : 0);
    senders_.push_back(std::make_unique<Sender>(state_, pair, receivers_.back()->account(), share,
                                                seeds()));
  }
}

void Load::come() {
  for (const auto& one : receivers_) one->come();
  for (const auto& one : senders_) one->come();
}

void Load::begin() {
  for (const auto& one : receivers_) one->begin();
  for (const auto& one : senders_) one->begin();
}

void Load::finish() {
  for (const auto& one : receivers_) one->finish();
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

bool Load::all_live() const {
  return std::ranges::all_of(receivers_, [](const auto& one) { return one->live(); }) &&
         std::ranges::all_of(senders_, [](const auto& one) { return one->live(); });
}

bool Load::all_down() const {
  return std::ranges::none_of(receivers_, [](const auto& one) { return one->up(); }) &&
         std::ranges::none_of(senders_, [](const auto& one) { return one->up(); });
}

bool Load::all_sent() const {
  return std::ranges::all_of(senders_, [](const auto& one) { return one->done(); });
}

bool Load::all_settled() const {
  return std::ranges::all_of(receivers_, [](const auto& one) { return one->settled(); });
}

}  // namespace godwit::integration
