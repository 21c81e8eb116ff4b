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
constexpr double kLoginsPerSecond = 100;  // that patience counts on at least

}  // namespace

Run::Run(const Scenario& scenario, const wire::RelayAddress& relay, support::RelayProcess* own,
         std::optional<pid_t> relay_pid, Progress& progress)
    : scenario_(scenario),
      own_(own),
      fleet_(relay),
      acks_(fleet_.loop()),
      bodies_(scenario.seed),
      meter_(fleet_.loop(), relay_pid, scenario.seconds, progress),
      chaos_(own, scenario.kill_every, meter_),
      tick_(fleet_.loop(), [this] { on_tick(); }) {
  tick_.start(1ms, 1ms);
}

Run::~Run() = default;

Report Run::play() {
  make_devices();
  if (register_all() && log_in_crowd() && warm_up() && measure()) (void)drain();
  settle();
  judge();
  meter_.fill(report_);
  return std::move(report_);
}

void Run::fault(std::string why) {
  report_.faults.push_back(std::move(why));
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
  const auto away = static_cast<std::uint32_t>(scenario_.away * scenario_.pairs + 0.5);
  for (std::uint32_t i = 0; i < scenario_.pairs; ++i) {
    Route& route = routes_.emplace_back(*this, i, scenario_.group, meter_.counts);
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
  (void)await(patience,
              [&] { return awaited_ == 0 || (meter_.counts.logins == 0 && Clock::now() > first); });
  const bool all = awaited_ == 0;
  to_connect_.clear();
  if (!all && !interrupted()) {
    fault(std::to_string(awaited_) + " of " + std::to_string(devices.size()) +
          " devices could not log in" + (last_end_.empty() ? "" : ": " + last_end_));
  }
  return all;
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
  meter_.begin("register", 0);
  for (Device* const device : those_away()) device->passing = true;
  for (Device* const device : crowd_) device->passing = true;
  std::vector<Device*> all;
  for (Device& device : devices_) all.push_back(&device);
  return connect_all(all);
}

// The second half of the crowd tells what a session costs; the first one pays for what the relay
// takes once.
bool Run::log_in_crowd() {
  if (crowd_.empty()) return true;
  meter_.begin("log in", 0);
  const auto middle = crowd_.begin() + static_cast<std::ptrdiff_t>(crowd_.size() / 2);
  if (!connect_all({crowd_.begin(), middle})) return false;
  const auto half = meter_.relay_private_bytes();
  if (!connect_all({middle, crowd_.end()})) return false;
  const auto full = meter_.relay_private_bytes();
  report_.logins_per_s = static_cast<double>(crowd_.size()) / meter_.passed().seconds;
  if (half && full) {
    report_.relay_bytes_per_session = (static_cast<double>(*full) - static_cast<double>(*half)) /
                                      static_cast<double>(crowd_.end() - middle);
  }
  return true;
}

// ---- The load ---------------------------------------------------------------------------------

// A run of so many messages measures them all.
bool Run::warm_up() {
  const bool wanted = scenario_.warm_up > 0 && scenario_.messages == 0;
  return !wanted || load("warm up", scenario_.warm_up);
}

bool Run::measure() {
  const auto before = meter_.relay_private_bytes();
  const std::uint64_t queued_before = meter_.counts.accepted - meter_.counts.delivered;
  chaos_.begin();
  const bool done = load("measure", scenario_.seconds);
  chaos_.end();
  const auto passed = meter_.passed();
  const auto full = meter_.relay_private_bytes();
  report_.seconds = passed.seconds;
  report_.accepted_per_s = static_cast<double>(passed.counts.accepted) / passed.seconds;
  report_.delivered_per_s = static_cast<double>(passed.counts.delivered) / passed.seconds;
  report_.delivered_bytes_per_s =
      static_cast<double>(passed.counts.delivered_bytes) / passed.seconds;
  if (scenario_.churn > 0) {
    report_.logins_per_s = static_cast<double>(passed.counts.logins) / passed.seconds;
  }
  meter_.fill_cpu(report_, passed);
  const std::uint64_t queued = meter_.counts.accepted - meter_.counts.delivered - queued_before;
  if (scenario_.away == 1 && queued > 0 && before && full) {
    report_.relay_bytes_per_queued_envelope =
        (static_cast<double>(*full) - static_cast<double>(*before)) / static_cast<double>(queued);
  }
  return done;
}

bool Run::load(std::string_view phase, double seconds) {
  meter_.begin(phase, seconds);
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
           return route.judge.submitted() >= scenario_.messages && route.unanswered == 0 &&
                  (route.away || route.judge.under_way() == 0);
         });
}

// Over when the relay has confirmed that it has deleted all that was queued.
bool Run::drain() {
  auto away = those_away();
  if (away.empty()) return true;
  if (scenario_.drain_at_random) {
    std::ranges::shuffle(away, std::mt19937_64(scenario_.seed));
  }
  if (own_ != nullptr) report_.relay_store_bytes = own_->status().store_bytes;
  meter_.event("the drain begins");
  meter_.begin("drain", 0);
  if (!connect_all(away)) return false;
  // As long as something comes; what is lost would be waited for in vain.
  std::uint64_t came = 0;
  do {
    came = meter_.counts.delivered;
  } while (!await(scenario_.settle, [&] { return quiet(); }) && meter_.counts.delivered > came &&
           !interrupted());
  const auto passed = meter_.passed();
  if (scenario_.away == 1) {
    report_.delivered_per_s = static_cast<double>(passed.counts.delivered) / passed.seconds;
    report_.delivered_bytes_per_s =
        static_cast<double>(passed.counts.delivered_bytes) / passed.seconds;
    report_.drain_seconds = passed.seconds;
    const double millions = static_cast<double>(passed.counts.delivered) / 1e6;
    if (meter_.relay_private_bytes() && millions > 0) {
      report_.drain_relay_cpu_s_per_million = passed.relay_cpu_s / millions;
    }
  }
  if (own_ != nullptr) {
    report_.relay_store_bytes =
        std::max(report_.relay_store_bytes.value_or(0), own_->status().store_bytes);
  }
  return quiet();
}

// ---- The end ----------------------------------------------------------------------------------

bool Run::quiet() const {
  return unconfirmed_ == 0 && std::ranges::all_of(routes_, [](const Route& route) {
           return route.judge.under_way() == 0;
         });
}

void Run::settle() {
  meter_.begin("settle", scenario_.settle);
  if (interrupted()) report_.interrupted = true;
  // Those who are away after a run that was cut short keep what is queued for them.
  (void)await(interrupted() ? 0.5 : scenario_.settle, [&] { return quiet(); });
}

void Run::judge() {
  const Counts& counts = meter_.counts;
  for (Route& route : routes_) {
    const bool absent = route.away && !std::ranges::all_of(route.devices, [](const Device* one) {
                          return one->live();
                        });
    if (!absent && !report_.interrupted) route.judge.close();
  }
  if (!report_.interrupted || counts.accepted > 0) {
    for (std::string& why : faults_of(counts, scenario_)) fault(std::move(why));
  }
  report_.passed = report_.faults.empty();
}

}  // namespace godwit::load
