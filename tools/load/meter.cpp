#include "tools/load/meter.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <system_error>
#include <utility>

#include "tests/support/process.hpp"

namespace godwit::load {
namespace {

using namespace std::chrono_literals;

constexpr auto kInterval = 250ms;
// Of fewer messages the processor's time is that of everything else.
constexpr std::uint64_t kCpuCountMin = 1'000;
// What fewer take lies in memory that the relay has already.
constexpr double kMemoryCountMin = 250;
constexpr int kEndingSignals[] = {SIGHUP, SIGINT, SIGTERM};
constexpr auto kLineInterval = 1s;  // of a log; a terminal's line is drawn anew each time

// timeout(1) and some shells send one signal twice, to the process and to its group.
constexpr std::int64_t kSameSignalMs = 500;

volatile std::sig_atomic_t interrupts = 0;
std::int64_t first_interrupt_ms = 0;  // of the handler alone
bool ended = false;

void on_signal(int signal) {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  const std::int64_t now_ms = time.tv_sec * 1'000 + time.tv_nsec / 1'000'000;
  if (interrupts == 0) {
    first_interrupt_ms = now_ms;
    interrupts = 1;
  } else if (now_ms - first_interrupt_ms > kSameSignalMs) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

Counts operator-(const Counts& to, const Counts& from) {
  Counts difference;
  for (const auto count : kCounts) difference.*count = to.*count - from.*count;
  return difference;
}

// Of the terminal, at this moment: people resize it.
std::size_t columns() {
  constexpr std::size_t kUsual = 80;
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : kUsual;
}

double millions(std::uint64_t count) {
  return static_cast<double>(count) / 1e6;
}

double seconds(Clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

// 1234567 -> "1,234,567".
std::string grouped(double value) {
  std::string text = std::to_string(std::llround(std::max(value, 0.0)));
  for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, ",");
  return text;
}

std::string latency(double us) {
  char text[32];
  if (us < 10'000) {
    std::snprintf(text, sizeof text, "%.0f us", us);
  } else {
    std::snprintf(text, sizeof text, "%.0f ms", us / 1e3);
  }
  return text;
}

}  // namespace

void watch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigfillset(&action.sa_mask);
  for (const int number : kEndingSignals) {
    struct sigaction before {};
    sigaction(number, nullptr, &before);
    if (before.sa_handler != SIG_IGN) sigaction(number, &action, nullptr);  // nohup(1)
  }
}

void ignore_interrupts() {
  for (const int number : kEndingSignals) std::signal(number, SIG_IGN);
}

bool interrupted() {
  return interrupts > 0 || ended;
}

bool interrupted_by_signal() {
  return interrupts > 0;
}

void end_early() {
  ended = true;
}

// ---- Progress ---------------------------------------------------------------------------------

void Progress::end() {
  if (mode_ == Mode::one_line && std::exchange(width_, 0) > 0) std::fprintf(stderr, "\n");
}

void Progress::show(const std::string& line) {
  if (mode_ == Mode::none) return;
  if (mode_ == Mode::lines) {
    const auto now = Clock::now();
    if (now - shown_ < kLineInterval) return;
    shown_ = now;
    std::fprintf(stderr, "%s\n", line.c_str());
  } else {
    // A line that is wrapped, by its text or its padding, could not be drawn over.
    const std::size_t room = columns() - 1;
    const std::string shown = line.substr(0, room);
    std::fprintf(stderr, "\r%-*s", int(std::min(width_, room)), shown.c_str());
    width_ = shown.size();
  }
  std::fflush(stderr);
}

// ---- Meter ------------------------------------------------------------------------------------

Meter::Meter(const Scenario& scenario, std::vector<Tally>& tallies, support::RelayProcess* own,
             std::optional<pid_t> relay, Progress& progress)
    : scenario_(scenario),
      tallies_(tallies),
      own_(own),
      relay_(relay),
      progress_(progress),
      // A page has room for some hundred points: long runs have longer intervals.
      interval_(std::max<std::chrono::milliseconds>(
          kInterval, std::chrono::milliseconds(static_cast<std::int64_t>(scenario.seconds)))),
      began_(Clock::now()),
      sampled_(began_) {
  marks_.push_back(mark(Phase::enroll));
  relay_cpu_at_sample_ = marks_.front().relay_cpu_s;
}

double Meter::relay_cpu_s() const {
  if (!relay_) return 0;
  return cpu_of_the_dead_ + support::cpu_seconds(*relay_).value_or(0);
}

void Meter::relay_is(std::optional<pid_t> relay) {
  // Of one that has ended by itself only the last sample is left.
  if (!relay) cpu_of_the_dead_ = std::max(relay_cpu_seen_, relay_cpu_s());
  relay_ = relay;
}

void Meter::event(std::string what) {
  events_.push_back({seconds(Clock::now() - began_), std::move(what)});
}

Tally Meter::sum() const {
  Tally all;
  for (const Tally& tally : tallies_) {
    for (const auto count : kCounts) all.counts.*count += tally.counts.*count;
    all.in_flight += tally.in_flight;
    all.connections += tally.connections;
    all.cpu_s += tally.cpu_s;
    for (const auto& [code, count] : tally.refused) all.refused[code] += count;
    for (const auto& [code, count] : tally.logins_refused) all.logins_refused[code] += count;
  }
  return all;
}

Meter::Mark Meter::mark(Phase phase) const {
  const Tally all = sum();
  return {phase,
          Clock::now(),
          all.counts,
          relay_cpu_s(),
          all.cpu_s + support::own_cpu_seconds(),
          relay_ ? support::private_bytes(*relay_) : std::nullopt};
}

void Meter::begin(Phase phase, double phase_seconds) {
  sample();
  const bool drained = marks_.back().phase == Phase::drain;
  marks_.push_back(mark(phase));
  phase_seconds_ = phase_seconds;
  if (phase == Phase::drain) event("the drain begins");
  if (phase == Phase::drain || drained) note_store();
}

void Meter::note_store() {
  if (own_ == nullptr) return;
  // Its file is asked, and not the relay, which may answer nothing any more.
  std::error_code unknown;
  const std::uint64_t bytes = std::filesystem::file_size(own_->directory() / "data.mdb", unknown);
  if (!unknown) store_bytes_max_ = std::max(store_bytes_max_.value_or(0), bytes);
}

void Meter::sample() {
  const auto now = Clock::now();
  const double length = seconds(now - sampled_);
  if (length < 1e-3) return;
  const Tally all = sum();
  const Counts passed = all.counts - at_sample_;
  const auto rate = [&](std::uint64_t count) { return static_cast<double>(count) / length; };
  Histogram delivery;
  Histogram accepted;
  for (Tally& tally : tallies_) {
    Tally taken = tally.take();
    delivery.add(taken.delivery);
    accepted.add(taken.accepted);
    for (auto& [at, what] : taken.events) {
      events_.push_back({seconds(at - began_), std::move(what)});
    }
  }
  Sample one;
  one.at_s = seconds(now - began_);
  const Phase phase = marks_.back().phase;
  one.phase = name_of(phase);
  one.accepted_per_s = rate(passed.accepted);
  one.delivered_per_s = rate(passed.delivered);
  one.logins_per_s = rate(passed.logins);
  one.p50_us = delivery.quantile_us(0.5);
  one.p99_us = delivery.quantile_us(0.99);
  one.accepted_p50_us = accepted.quantile_us(0.5);
  one.accepted_p99_us = accepted.quantile_us(0.99);
  one.in_flight = all.in_flight;
  one.queued = all.counts.accepted - std::min(all.counts.accepted, all.counts.delivered);
  one.connections = all.connections;
  one.errors = all.counts.refused + all.counts.disconnects;
  if (relay_) {
    relay_cpu_seen_ = relay_cpu_s();
    one.relay_cpu = std::max(0.0, relay_cpu_seen_ - relay_cpu_at_sample_) / length;
    relay_cpu_at_sample_ = relay_cpu_seen_;
    const auto resident = support::resident_bytes(*relay_);
    if (resident) relay_rss_max_ = std::max(relay_rss_max_.value_or(0), *resident);
    one.relay_rss_bytes = static_cast<double>(resident.value_or(0));
  }
  if (phase == Phase::measure || phase == Phase::drain) {
    delivery_.add(delivery);
    accepted_.add(accepted);
  }
  connections_max_ = std::max(connections_max_, one.connections);
  sampled_ = now;
  at_sample_ = all.counts;
  progress_.show(line_of(one, now));
  samples_.push_back(std::move(one));
}

std::string Meter::line_of(const Sample& one, Clock::time_point now) const {
  char time[32];
  std::snprintf(time, sizeof time, "%7.1f s  ", one.at_s);
  std::string line = time + one.phase;
  line += std::string(9 - std::min<std::size_t>(9, one.phase.size()), ' ');
  line += grouped(one.accepted_per_s) + " accepted/s  " + grouped(one.delivered_per_s) +
          " delivered/s  p99 " + latency(one.p99_us) + "  " + grouped(double(one.in_flight)) +
          " in flight  " + grouped(double(one.errors)) + " errors";
  if (phase_seconds_ > 0) {
    const double left = phase_seconds_ - seconds(now - marks_.back().at);
    line += "  " + grouped(std::max(0.0, left)) + " s left";
  }
  return line;
}

// ---- What came of it --------------------------------------------------------------------------

Meter::Passed Meter::between(const Mark& from, const Mark& to) {
  Passed passed;
  passed.seconds = seconds(to.at - from.at);
  passed.counts = to.counts - from.counts;
  passed.relay_cpu_s = to.relay_cpu_s - from.relay_cpu_s;
  passed.client_cpu_s = to.client_cpu_s - from.client_cpu_s;
  if (from.relay_private_bytes && to.relay_private_bytes) {
    passed.relay_bytes = static_cast<double>(*to.relay_private_bytes) -
                         static_cast<double>(*from.relay_private_bytes);
  }
  return passed;
}

// The crowd logs in in two phases: the second half tells what a session costs; the first one pays
// for what the relay takes once.
void Meter::fill_logins(Report& report) const {
  double logins = 0;
  double seconds = 0;
  for (std::size_t i = 0; i + 1 < marks_.size(); ++i) {
    if (marks_[i].phase != Phase::log_in) continue;
    const Passed passed = between(marks_[i], marks_[i + 1]);
    const auto came = static_cast<double>(passed.counts.logins);
    logins += came;
    seconds += passed.seconds;
    if (passed.relay_bytes && came >= kMemoryCountMin) {
      report.relay_bytes_per_session = *passed.relay_bytes / came;
    }
  }
  if (logins > 0) report.logins_per_s = logins / seconds;
}

void Meter::fill_measured(Report& report, const Passed& passed) const {
  const Counts& counts = passed.counts;
  report.seconds = passed.seconds;
  report.accepted_per_s = static_cast<double>(counts.accepted) / passed.seconds;
  report.delivered_per_s = static_cast<double>(counts.delivered) / passed.seconds;
  report.delivered_bytes_per_s = static_cast<double>(counts.delivered_bytes) / passed.seconds;
  if (scenario_.churn > 0) {
    report.logins_per_s = static_cast<double>(counts.logins) / passed.seconds;
  }
  if (counts.accepted >= kCpuCountMin) {
    report.client_cpu_s_per_million = passed.client_cpu_s / millions(counts.accepted);
    if (relay_) report.relay_cpu_s_per_million = passed.relay_cpu_s / millions(counts.accepted);
  }
  if (scenario_.away == 1 && counts.accepted > counts.delivered) {
    const auto queued = static_cast<double>(counts.accepted - counts.delivered);
    if (passed.relay_bytes && queued >= kMemoryCountMin) {
      report.relay_bytes_per_queued_envelope = *passed.relay_bytes / queued;
    }
  }
}

void Meter::fill_drained(Report& report, const Passed& passed) const {
  if (scenario_.away < 1) return;
  const Counts& counts = passed.counts;
  report.delivered_per_s = static_cast<double>(counts.delivered) / passed.seconds;
  report.delivered_bytes_per_s = static_cast<double>(counts.delivered_bytes) / passed.seconds;
  report.drain_seconds = passed.seconds;
  if (relay_ && counts.delivered > 0) {
    report.drain_relay_cpu_s_per_million = passed.relay_cpu_s / millions(counts.delivered);
  }
}

void Meter::fill(Report& report) {
  sample();
  marks_.push_back(mark(Phase::settle));
  for (std::size_t i = 0; i + 1 < marks_.size(); ++i) {
    const Passed passed = between(marks_[i], marks_[i + 1]);
    if (marks_[i].phase == Phase::measure) {
      fill_logins(report);  // they all did
      fill_measured(report, passed);
    }
    if (marks_[i].phase == Phase::drain) fill_drained(report, passed);
  }
  std::ranges::stable_sort(events_, {}, &Event::at_s);
  Tally all = sum();
  report.counts = all.counts;
  report.refused = std::move(all.refused);
  report.logins_refused = std::move(all.logins_refused);
  report.samples = samples_;
  report.events = events_;
  report.delivery = delivery_;
  report.accepted = accepted_;
  report.connections = connections_max_;
  report.relay_rss_bytes = relay_rss_max_;
  report.relay_store_bytes = store_bytes_max_;
}

}  // namespace godwit::load
