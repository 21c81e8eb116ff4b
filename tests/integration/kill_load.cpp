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

// ---- Habits -------------------------------------------------------------------------------------

void Habits::leave(support::RawDevice& device) {
  if (device.connected() && pick(0, 1) == 0) return device.disconnect();
  device.reset();
}

milliseconds Habits::pause_before(std::uint32_t attempt) {
  return milliseconds(pick(1, std::min(kBackoffMinMs << std::min(attempt, 16U), kBackoffMaxMs)));
}

// ---- Sender -------------------------------------------------------------------------------------

Sender::Sender(support::LoadState& load, std::uint32_t pair, const support::Account& to,
               std::uint32_t envelopes, std::uint64_t seed)
    : LoadSender(load, pair, to, envelopes, kWindow, false),
      habits_(seed),
      break_(load.fleet.loop(), [this] {
        if (done()) return;
        go();
        come();
        break_later();
      }) {}

void Sender::begin() {
  break_later();
  LoadSender::begin();
}

void Sender::break_later() {
  break_.start(milliseconds(habits_.pick(kBreakMinMs, kBreakMaxMs)));
}

// ---- Receiver -----------------------------------------------------------------------------------

Receiver::Receiver(support::LoadState& load, std::uint32_t pair, std::uint64_t seed)
    : LoadDevice(load, support::receiver_of(pair), false),
      pair_(pair),
      habits_(seed),
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
  change_.start(milliseconds(habits_.pick(kPhaseMinMs, kPhaseMaxMs)));
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
  withholds_ = !finishing_ && habits_.pick(1, 5) == 1;
  batch_ = habits_.pick(1, kAckBatchMax);
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
  batch_ = habits_.pick(1, kAckBatchMax);
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
  if (finishing_ || habits_.pick(0, 3) > 0) {
    const auto end = pending_.begin() + (finishing_ ? size : habits_.pick(1, size));
    taken.assign(pending_.begin(), end);
    pending_.erase(pending_.begin(), end);
    ack.upto = taken.back().number;
    return taken;
  }
  const auto chosen = std::stable_partition(pending_.begin(), pending_.end() - 1,
                                            [this](const Pending&) {
                                              return habits_.pick(0, 1) == 0;
                                            });
  taken.assign(chosen, pending_.end());
  pending_.erase(chosen, pending_.end());
  for (const Pending& one : taken) ack.numbers.push_back(one.number);
  return taken;
}

// ---- Load ---------------------------------------------------------------------------------------

Load::Load(support::Fleet& fleet, support::History& history, std::uint32_t pairs,
           std::uint32_t envelopes, std::uint64_t seed)
    : state_(fleet, history) {
  Random seeds(seed);
  for (std::uint32_t pair = 0; pair < pairs; ++pair) {
    receivers_.push_back(std::make_unique<Receiver>(state_, pair, seeds()));
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
