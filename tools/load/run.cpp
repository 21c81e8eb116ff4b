// Happy path: devices are made -> they register and stay, or leave when they are to be away -> the
// crowd logs in -> warm up -> measure -> those who were away come back and drain -> what is under
// way arrives -> the verdict.
// Failure: a phase that does not come to its end in time is a fault; those after it are left out,
// but for the verdict.
#include "tools/load/run.hpp"

#include <algorithm>
#include <random>

namespace godwit::load {
namespace {

using namespace std::chrono_literals;

constexpr auto kLookEvery = 2ms;
constexpr std::size_t kLoginsAtOnce = 200;
constexpr double kLoginPatience = 60;  // seconds, and more for many
constexpr double kFirstLoginPatience = 10;
constexpr double kCutShortPatience = 0.5;
constexpr double kLoginsPerSecond = 100;  // that patience counts on at least

}  // namespace

Run::Run(const Scenario& scenario, const wire::RelayAddress& relay, const std::string& from,
         Tally& tally, Stage& stage)
    : scenario_(scenario),
      tally_(tally),
      stage_(stage),
      fleet_(relay),
      acks_(fleet_.loop()),
      bodies_(scenario.seed),
      tick_(fleet_.loop(), [this] { on_tick(); }) {
  fleet_.set_from(from);
  tick_.start(1ms, 1ms);
}

Run::~Run() = default;

std::vector<std::string> Run::play() {
  make_devices();
  ping_at_ = devices_.begin();
  kept_alive_ = Clock::now();
  if (register_all() && log_in_crowd() && warm_up() && measure()) (void)drain();
  settle();
  judge();
  return std::move(faults_);
}

void Run::fault(std::string why) {
  faults_.push_back(std::move(why));
}

// The loop runs on while the others are waited for: what is under way arrives.
bool Run::begin(Phase phase, double seconds) {
  stage_.arrive(phase, seconds);
  return await(kSecondsMax, [&] { return stage_.begun(); });
}

bool Run::await(double seconds, const std::function<bool()>& done) {
  const auto limit = Clock::now() + span(seconds);
  bool held = false;
  Clock::time_point look{};
  (void)fleet_.run_until(
      [&] {
        const auto now = Clock::now();
        if (now < look) return false;
        look = now + kLookEvery;  // it may have to look at every flow
        held = done();
        return held || interrupted() || now >= limit;
      },
      std::chrono::seconds(static_cast<std::int64_t>(seconds) + 5));
  return held;
}

// ---- Who takes part ---------------------------------------------------------------------------

void Run::make_devices() {
  std::uint64_t made = 0;
  DeviceOwner& owner = *this;
  const auto make = [&]() -> Device* {
    // Seeds of two runs on one relay are apart, so that no mailbox of the other is met.
    const std::uint64_t seed = scenario_.seed * kDevicesMax + ++made;
    return &devices_.emplace_back(fleet_, acks_, support::Account::from_seed(seed), owner);
  };
  const std::uint32_t senders = scenario_.senders != 0 ? scenario_.senders : scenario_.pairs;
  for (std::uint32_t i = 0; i < senders; ++i) senders_.push_back(make());
  const std::uint32_t away = flows_away(scenario_);
  for (std::uint32_t i = 0; i < scenario_.pairs; ++i) {
    Route& route = routes_.emplace_back(*this, i, scenario_.group, tally_.counts);
    by_index_.push_back(&route);
    route.away = i < away;
    route.sender = senders_[i % senders];
    route.sender->flows.push_back(i);
    for (std::uint32_t j = 0; j < scenario_.group; ++j) route.devices.push_back(make());
    std::ranges::sort(route.devices, {}, [](Device* one) { return one->raw().account().device; });
    for (std::uint32_t j = 0; j < scenario_.group; ++j) {
      Device& recipient = *route.devices[j];
      recipient.flow = i;
      recipient.place = j;
      const auto& account = recipient.raw().account();
      route.addresses.push_back({account.user, account.device, account.version, 0});
    }
  }
  for (std::uint32_t i = 0; i < scenario_.sessions; ++i) crowd_.push_back(make());
}

std::vector<Device*> Run::those_away() const {
  std::vector<Device*> away;
  for (const Route& route : routes_) {
    if (route.away) away.insert(away.end(), route.devices.begin(), route.devices.end());
  }
  return away;
}

// ---- Logging in -------------------------------------------------------------------------------

bool Run::connect_all(const std::vector<Device*>& devices) {
  to_connect_.assign(devices.rbegin(), devices.rend());
  awaited_ = devices.size();
  for (Device* const device : devices) device->awaited = true;
  for (std::size_t i = 0; i < kLoginsAtOnce; ++i) connect_next();
  const double patience = kLoginPatience + static_cast<double>(devices.size()) / kLoginsPerSecond;
  const auto first = Clock::now() + span(kFirstLoginPatience);
  const auto last = Clock::now() + span(patience);
  (void)await(patience, [&] {
    return awaited_ == 0 || (tally_.counts.logins == 0 && Clock::now() > first) || put_off(last);
  });
  const bool all = awaited_ == 0;
  to_connect_.clear();
  if (!all && !interrupted()) {
    fault(std::to_string(awaited_) + " of " + std::to_string(devices.size()) +
          " devices could not log in: " + (last_end_.empty() ? "no answer" : last_end_));
  }
  return all;
}

bool Run::put_off(Clock::time_point limit) const {
  const auto count = std::count_if(retries_.upper_bound(limit), retries_.end(),
                                   [](const auto& retry) { return retry.second->awaited; });
  return count > 0 && static_cast<std::size_t>(count) >= std::min(awaited_, kLoginsAtOnce);
}

void Run::connect_next() {
  if (to_connect_.empty()) return;
  Device* const device = to_connect_.back();
  to_connect_.pop_back();
  device->connect();
}

// Those who are away and the crowd leave when they are known, so that there are never more
// connections than the scenario says.
bool Run::register_all() {
  if (!begin(Phase::enroll, 0)) return false;
  for (Device* const device : those_away()) device->passing = true;
  for (Device* const device : crowd_) device->passing = true;
  std::vector<Device*> all;
  for (Device& device : devices_) all.push_back(&device);
  return connect_all(all);
}

// In two halves, so that the meter sees what the sessions of the second one cost.
bool Run::log_in_crowd() {
  if (scenario_.sessions == 0) return true;
  const auto middle = crowd_.begin() + static_cast<std::ptrdiff_t>(crowd_.size() / 2);
  return begin(Phase::log_in, 0) && connect_all({crowd_.begin(), middle}) &&
         begin(Phase::log_in, 0) && connect_all({middle, crowd_.end()});
}

// ---- The load ---------------------------------------------------------------------------------

// A run of so many messages measures them all.
bool Run::warm_up() {
  const bool wanted = scenario_.warm_up > 0 && scenario_.messages == 0;
  return !wanted || load(Phase::warm_up, scenario_.warm_up);
}

bool Run::measure() {
  return load(Phase::measure, scenario_.seconds);
}

bool Run::load(Phase phase, double seconds) {
  if (!begin(phase, seconds)) return false;
  loading_ = true;
  load_began_ = Clock::now();
  paced_ = churned_ = 0;
  for (Route& route : routes_) refill(route);
  (void)await(seconds, [&] { return all_submitted(); });
  loading_ = false;
  return !interrupted();
}

bool Run::all_submitted() const {
  return scenario_.messages > 0 && std::ranges::all_of(routes_, [&](const Route& route) {
           return route.judge.made() >= scenario_.messages && route.unanswered == 0 &&
                  (route.away || route.judge.under_way() == 0);
         });
}

// Over when the relay has confirmed that it has deleted all that was queued.
bool Run::drain() {
  if (scenario_.away == 0) return true;
  auto away = those_away();
  if (scenario_.drain_at_random) {
    std::ranges::shuffle(away, std::mt19937_64(scenario_.seed));
  }
  if (!begin(Phase::drain, 0) || !connect_all(away)) return false;
  // As long as something comes; what is lost would be waited for in vain.
  std::uint64_t came = 0;
  do {
    came = tally_.counts.delivered;
  } while (!await(scenario_.settle, [&] { return quiet(); }) && tally_.counts.delivered > came &&
           !interrupted());
  return quiet();
}

// ---- The end ----------------------------------------------------------------------------------

bool Run::quiet() const {
  return unconfirmed_ == 0 && std::ranges::all_of(routes_, [](const Route& route) {
           return route.judge.sent_under_way() == 0;
         });
}

bool Run::backlog(Clock::time_point limit) const {
  return std::ranges::any_of(senders_, [&](const Device* sender) {
    return !sender->waiting.empty() && sender->paused_until < limit;
  });
}

// What was due is still submitted for as long as `settle`; then only what is under way is waited
// for, so that an overload ends with as much as possible of it checked.
void Run::settle() {
  (void)begin(Phase::settle, scenario_.settle);
  cut_short_ = interrupted();
  if (cut_short_) {
    // Those who are away after a run that was cut short keep what is queued for them.
    withdraw();
    return (void)await(kCutShortPatience, [&] { return quiet(); });
  }
  Settling settling(scenario_.settle, Clock::now());
  const auto limit = Clock::now() + span(scenario_.settle);
  (void)await(scenario_.settle, [&] {
    settling.look(tally_.counts, unconfirmed_, Clock::now());
    return quiet() && !backlog(limit);
  });
  withdraw();
  (void)await(scenario_.settle * Settling::kTimesMax, [&] {
    const auto now = Clock::now();
    settling.look(tally_.counts, unconfirmed_, now);
    return quiet() || settling.over(now);
  });
  stalled_ = !quiet() && settling.still(Clock::now());
  cut_short_ = interrupted();
}

void Run::judge() {
  if (cut_short_) return;
  for (Route& route : routes_) {
    // Who has not been told to come back is owed nothing yet; who has, is owed all, also when the
    // connection is gone again.
    const bool absent = route.away && !std::ranges::all_of(route.devices, &Device::wanted);
    if (!absent) route.judge.close();
  }
  tally_.counts.unconfirmed = unconfirmed_;
  if (!stalled_) return;
  if (auto stall = stall_of(tally_.counts, scenario_)) fault(*std::move(stall));
}

}  // namespace godwit::load
