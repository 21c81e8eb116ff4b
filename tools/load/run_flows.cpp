// The flows of a run: what is submitted when, what the devices say, and what the clock makes due.
#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "tools/load/run.hpp"

namespace godwit::load {
namespace {

using namespace std::chrono_literals;

constexpr auto kRetryFirst = 20ms;
constexpr std::uint32_t kRetryDoublings = 6;
constexpr Clock::duration kPingInterval = 45s;

wire::RequestId request_id(std::uint64_t run, std::uint32_t flow, std::uint64_t number) {
  // The relay keys its tables itself, so these need not look drawn.
  const std::uint64_t first = run ^ (std::uint64_t{flow} << 32);
  wire::RequestId id;
  static_assert(sizeof id.bytes == sizeof first + sizeof number);
  std::memcpy(id.bytes.data(), &first, sizeof first);
  std::memcpy(id.bytes.data() + sizeof first, &number, sizeof number);
  return id;
}

}  // namespace

// ---- Sending ----------------------------------------------------------------------------------

void Run::refill(Route& route) {
  if (!loading_ || scenario_.rate > 0 || route.sender->paused_until > Clock::now()) return;
  // The recipients of a mailbox that is being filled will not answer.
  const auto under_way = [&] { return route.away ? route.unanswered : route.judge.under_way(); };
  while (under_way() < scenario_.window &&
         (scenario_.messages == 0 || route.judge.made() < scenario_.messages)) {
    submit(route, Clock::now());
  }
}

void Run::submit(Route& route, Clock::time_point due) {
  const std::uint64_t number = route.judge.next(due);
  ++route.unanswered;
  route.sender->waiting.emplace_back(route.index, number);
  hand_over(*route.sender);
}

void Run::hand_over(Device& sender) {
  if (!sender.live() || sender.paused_until > Clock::now()) return;
  while (!sender.waiting.empty() && sender.in_flight < sender.submits_max()) {
    const auto [flow, number] = sender.waiting.front();
    sender.waiting.pop_front();
    transmit(sender, *by_index_[flow], number);
  }
}

void Run::withdraw() {
  for (Device* const sender : senders_) {
    std::erase_if(sender->waiting, [&](const auto& one) {
      return !by_index_[one.first]->judge.was_sent(one.second);
    });
  }
  for (Route& route : routes_) {
    route.unanswered -= route.judge.withdraw_unsent(scenario_.messages);
  }
}

void Run::transmit(Device& sender, Route& route, std::uint64_t number) {
  ++sender.in_flight;
  ++tally_.in_flight;
  route.judge.sent(number);
  const std::uint32_t size = size_of(scenario_, route.index, number);
  sender.raw().submit(route.addresses, request_id(scenario_.seed, route.index, number),
                      bodies_.make(route.index, number, size),
                      [route = &route, number](const wire::RelayFrame& reply) {
                        route->run.answered(*route, number, reply);
                      });
}

void Run::refused(Route& route, std::uint64_t number, std::uint32_t recipient,
                  wire::ErrorCode code) {
  const std::uint64_t before = tally_.counts.refused;
  route.judge.answered(number, recipient, false);
  // A second answer to the same counts for nothing.
  if (tally_.counts.refused > before) ++tally_.refused[std::string(wire::name_of(code))];
}

void Run::answered(Route& route, std::uint64_t number, const wire::RelayFrame& reply) {
  const auto now = Clock::now();
  Device& sender = *route.sender;
  --sender.in_flight;
  --route.unanswered;
  --tally_.in_flight;
  std::uint32_t pause_ms = 0;
  bool accepted = false;
  if (const auto* const submitted = std::get_if<wire::Submitted>(&reply.body)) {
    const auto due = route.judge.due(number);
    for (std::uint32_t i = 0; i < submitted->outcomes.size(); ++i) {
      const wire::Outcome& outcome = submitted->outcomes[i];
      const bool ok = outcome.code == wire::ErrorCode::ok;
      accepted = accepted || ok;
      pause_ms = std::max(pause_ms, outcome.retry_after_ms);
      if (ok) {
        route.judge.answered(number, i, true);
      } else {
        refused(route, number, i, outcome.code);
      }
    }
    if (accepted && due) tally_.accepted.record(now - *due);
  } else {
    auto code = wire::ErrorCode::internal;  // of a reply that is none to a submit
    if (const auto* const all = std::get_if<wire::Refused>(&reply.body)) {
      pause_ms = all->retry_after_ms;
      code = all->code;
    }
    for (std::uint32_t i = 0; i < scenario_.group; ++i) refused(route, number, i, code);
  }
  if (pause_ms > 0) {
    sender.paused_until = now + std::chrono::milliseconds(pause_ms);
    retries_.emplace(sender.paused_until, &sender);
  }
  hand_over(sender);
  refill(route);
}

// ---- What the devices say ---------------------------------------------------------------------

void Run::on_login(Device& device) {
  if (device.flow != Device::kNone) by_index_[device.flow]->judge.logging_in(device.place);
}

void Run::on_caught_up(Device& device) {
  if (device.flow != Device::kNone) by_index_[device.flow]->judge.caught_up(device.place);
}

void Run::on_live(Device& device) {
  ++tally_.counts.logins;
  ++tally_.connections;
  if (std::exchange(device.awaited, false)) {
    --awaited_;
    connect_next();
  }
  if (std::exchange(device.passing, false)) return device.leave();
  if (device.flow != Device::kNone) by_index_[device.flow]->judge.reconnected(device.place);
  hand_over(device);
}

void Run::on_deliver(Device& device, const wire::Deliver& deliver) {
  const wire::ByteView envelope = deliver.envelope;
  ++unconfirmed_;
  const auto name = Bodies::name_of(envelope);
  if (!name || device.flow == Device::kNone || name->flow != device.flow ||
      !bodies_.intact(envelope, *name, size_of(scenario_, name->flow, name->number))) {
    ++tally_.counts.corrupted;
    return device.unconfirmed.came(deliver.number, std::nullopt);
  }
  device.unconfirmed.came(deliver.number, name->number);
  Route& route = *by_index_[device.flow];
  const auto due = route.judge.due(name->number);
  if (route.judge.delivered(name->number, device.place) != Flow::Came::first) return;
  tally_.counts.delivered_bytes += envelope.size();
  if (route.away) return;  // how long it lay there says nothing about the relay
  if (!due) return;        // it was refused before it came, so nobody was owed it any more
  const auto took = Clock::now() - *due;
  tally_.delivery.record(took);
  if (scenario_.late_ms > 0 && took > std::chrono::milliseconds(scenario_.late_ms)) {
    ++tally_.counts.late;
  }
  refill(route);
}

void Run::on_confirmed(Device& device, std::uint32_t upto) {
  unconfirmed_ -= device.unconfirmed.count();
  const auto newest = device.unconfirmed.confirm(upto);
  unconfirmed_ += device.unconfirmed.count();
  if (newest) by_index_[device.flow]->judge.confirmed(*newest, device.place);
}

void Run::on_gone(Device& device, bool was_live, const std::string& reason) {
  unconfirmed_ -= device.unconfirmed.count();
  device.unconfirmed.clear();
  tally_.in_flight -= std::exchange(device.in_flight, 0);
  if (was_live) --tally_.connections;
  if (!device.wanted()) return;
  if (const auto refused = device.login_refused()) {
    ++tally_.logins_refused[std::string(wire::name_of(refused->code))];
  } else if (device.failures == 0) {  // what fails after it is the same end
    if (tally_.counts.disconnects++ == 0 && scenario_.kill_every <= 0) {
      tally_.event("a connection ended: " + reason);
    }
  }
  last_end_ = reason;
  // What has no answer is submitted again, in its order, before what was never submitted.
  const std::set waiting(device.waiting.begin(), device.waiting.end());
  device.waiting.clear();
  for (const std::uint32_t flow : device.flows) {
    Flow& judge = by_index_[flow]->judge;
    for (const std::uint64_t number : judge.unanswered()) {
      if (!waiting.contains({flow, number})) judge.submitted_again(number);
      device.waiting.emplace_back(flow, number);
    }
  }
  std::chrono::milliseconds pause =
      kRetryFirst * (1 << std::min(device.failures++, kRetryDoublings));
  if (const auto refused = device.login_refused()) {
    pause = std::max(pause, std::chrono::milliseconds(refused->retry_after_ms));
  }
  retries_.emplace(Clock::now() + pause, &device);
}

// ---- What the clock makes due -----------------------------------------------------------------

void Run::on_tick() {
  const auto now = Clock::now();
  stage_.tick(now);
  try_again(now);
  keep_alive(now);
  if (!loading_) return;
  if (scenario_.rate > 0 && !routes_.empty()) pace(now);
  if (scenario_.churn > 0) churn(now);
}

// One after the other, since all at once would be a load of its own. Whatever else a device says:
// it is a Ping in each interval, of which the relay's deadline has more than two.
void Run::keep_alive(Clock::time_point now) {
  if (devices_.empty()) return;
  const auto each = kPingInterval / static_cast<std::int64_t>(devices_.size());
  for (; now - kept_alive_ >= each; kept_alive_ += each) {
    if (ping_at_ == devices_.end()) ping_at_ = devices_.begin();
    if (ping_at_->live()) ping_at_->raw().send(wire::Ping{});
    ++ping_at_;
  }
}

void Run::pace(Clock::time_point now) {
  const double passed = std::chrono::duration<double>(now - load_began_).count();
  const auto due = 1 + static_cast<std::uint64_t>(passed * scenario_.rate);
  for (; paced_ < due; ++paced_) {
    Route& route = *by_index_[pace_at_];
    pace_at_ = (pace_at_ + 1) % static_cast<std::uint32_t>(by_index_.size());
    if (scenario_.messages > 0 && route.judge.made() >= scenario_.messages) continue;
    submit(route, load_began_ + span(static_cast<double>(paced_) / scenario_.rate));
  }
}

void Run::churn(Clock::time_point now) {
  const double passed = std::chrono::duration<double>(now - load_began_).count();
  const auto due = static_cast<std::uint64_t>(passed * scenario_.churn);
  for (; churned_ < due; ++churned_) {
    Device& device = *crowd_[churn_at_];
    churn_at_ = (churn_at_ + 1) % crowd_.size();
    if (!device.live()) continue;  // its last login is not through yet: the relay is behind
    device.leave();
    device.connect();
  }
}

void Run::try_again(Clock::time_point now) {
  while (!retries_.empty() && retries_.begin()->first <= now) {
    Device& device = *retries_.begin()->second;
    retries_.erase(retries_.begin());
    if (device.live()) {
      hand_over(device);
      for (const std::uint32_t flow : device.flows) refill(*by_index_[flow]);
    } else if (device.wanted()) {
      device.connect();
    }
  }
}

}  // namespace godwit::load
