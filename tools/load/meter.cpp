#include "tools/load/meter.hpp"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>

#include "tests/support/process.hpp"

namespace godwit::load {
namespace {

using namespace std::chrono_literals;

constexpr auto kInterval = 250ms;
// Of fewer messages the processor's time is that of everything else.
constexpr std::uint64_t kCpuCountMin = 5'000;
constexpr auto kLineInterval = 1s;  // of a log; a terminal's line is drawn anew each time

volatile std::sig_atomic_t interrupts = 0;

void on_signal(int signal) {
  if (interrupts > 0) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
  interrupts = interrupts + 1;
}

double seconds(Clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

// 1234567 -> "1,234,567".
std::string grouped(double value) {
  std::string text = std::to_string(static_cast<long long>(std::max(value, 0.0) + 0.5));
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
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() {
  return interrupts > 0;
}

// ---- Progress ---------------------------------------------------------------------------------

Progress::~Progress() {
  if (mode_ == Mode::one_line && width_ > 0) std::fprintf(stderr, "\r%*s\r", int(width_), "");
}

void Progress::show(const std::string& line) {
  if (mode_ == Mode::none) return;
  if (mode_ == Mode::lines) {
    const auto now = Clock::now();
    if (now - shown_ < kLineInterval) return;
    shown_ = now;
    std::fprintf(stderr, "%s\n", line.c_str());
  } else {
    std::fprintf(stderr, "\r%-*s", int(width_), line.c_str());
    width_ = line.size();
  }
  std::fflush(stderr);
}

// ---- Meter ------------------------------------------------------------------------------------

Meter::Meter(net::Loop& loop, std::optional<pid_t> relay, double run_seconds, Progress& progress)
    : progress_(progress),
      relay_(relay),
      began_(Clock::now()),
      phase_began_(began_),
      sampled_(began_),
      timer_(loop, [this] { sample(); }) {
  relay_cpu_at_sample_ = relay_cpu_at_phase_ = relay_cpu_s();
  client_cpu_at_phase_ = support::own_cpu_seconds();
  // A page has room for some hundred points: long runs have longer intervals.
  const auto interval = std::max<std::chrono::milliseconds>(
      kInterval, std::chrono::milliseconds(static_cast<std::int64_t>(run_seconds)));
  timer_.start(interval, interval);
}

double Meter::relay_cpu_s() const {
  if (!relay_) return 0;
  return cpu_of_the_dead_ + support::cpu_seconds(*relay_).value_or(0);
}

void Meter::relay_is(std::optional<pid_t> relay) {
  if (!relay) cpu_of_the_dead_ = relay_cpu_seen_;
  relay_ = relay;
}

void Meter::delivered(Clock::time_point due, Clock::time_point now) {
  delivery_now_.record(now - due);
}

void Meter::accepted(Clock::time_point due, Clock::time_point now) {
  accepted_now_.record(now - due);
}

void Meter::event(std::string what) {
  events_.push_back({seconds(Clock::now() - began_), std::move(what)});
}

void Meter::begin(std::string_view phase, double phase_seconds) {
  sample();
  phase_ = phase;
  phase_seconds_ = phase_seconds;
  phase_began_ = Clock::now();
  at_phase_ = counts;
  relay_cpu_at_phase_ = relay_cpu_s();
  client_cpu_at_phase_ = support::own_cpu_seconds();
}

Meter::Passed Meter::passed() const {
  Passed passed;
  passed.seconds = seconds(Clock::now() - phase_began_);
  passed.counts.accepted = counts.accepted - at_phase_.accepted;
  passed.counts.delivered = counts.delivered - at_phase_.delivered;
  passed.counts.delivered_bytes = counts.delivered_bytes - at_phase_.delivered_bytes;
  passed.counts.logins = counts.logins - at_phase_.logins;
  passed.relay_cpu_s = relay_cpu_s() - relay_cpu_at_phase_;
  passed.client_cpu_s = support::own_cpu_seconds() - client_cpu_at_phase_;
  return passed;
}

std::optional<std::uint64_t> Meter::relay_private_bytes() const {
  return relay_ ? support::private_bytes(*relay_) : std::nullopt;
}

void Meter::sample() {
  const auto now = Clock::now();
  const double length = seconds(now - sampled_);
  if (length < 1e-3) return;
  const auto rate = [&](std::uint64_t to, std::uint64_t from) {
    return static_cast<double>(to - from) / length;
  };
  Sample one;
  one.at_s = seconds(now - began_);
  one.phase = phase_;
  one.accepted_per_s = rate(counts.accepted, at_sample_.accepted);
  one.delivered_per_s = rate(counts.delivered, at_sample_.delivered);
  one.logins_per_s = rate(counts.logins, at_sample_.logins);
  one.p50_us = delivery_now_.quantile_us(0.5);
  one.p99_us = delivery_now_.quantile_us(0.99);
  one.accepted_p50_us = accepted_now_.quantile_us(0.5);
  one.accepted_p99_us = accepted_now_.quantile_us(0.99);
  one.in_flight = in_flight;
  one.queued = counts.accepted - std::min(counts.accepted, counts.delivered);
  one.connections = connections;
  one.errors = counts.refused + counts.disconnects;
  if (relay_) {
    relay_cpu_seen_ = relay_cpu_s();
    one.relay_cpu = std::max(0.0, relay_cpu_seen_ - relay_cpu_at_sample_) / length;
    relay_cpu_at_sample_ = relay_cpu_seen_;
    const auto resident = support::resident_bytes(*relay_);
    if (resident) relay_rss_max_ = std::max(relay_rss_max_.value_or(0), *resident);
    one.relay_rss_bytes = static_cast<double>(resident.value_or(0));
  }
  if (phase_ == "measure" || phase_ == "drain") {
    delivery_.add(delivery_now_);
    accepted_.add(accepted_now_);
  }
  delivery_now_ = {};
  accepted_now_ = {};
  connections_max_ = std::max(connections_max_, connections);
  sampled_ = now;
  at_sample_ = counts;

  const double left = std::max(0.0, phase_seconds_ - seconds(now - phase_began_));
  char time[32];
  std::snprintf(time, sizeof time, "%7.1f s  ", one.at_s);
  std::string line = time + phase_ + std::string(9 - std::min<std::size_t>(9, phase_.size()), ' ');
  line += grouped(one.accepted_per_s) + " accepted/s  " + grouped(one.delivered_per_s) +
          " delivered/s  p99 " + latency(one.p99_us) + "  " + grouped(double(one.in_flight)) +
          " in flight  " + grouped(double(one.errors)) + " errors";
  if (phase_seconds_ > 0) line += "  " + grouped(left) + " s left";
  progress_.show(line);
  samples_.push_back(std::move(one));
}

void Meter::fill_cpu(Report& report, const Passed& passed) const {
  if (passed.counts.accepted < kCpuCountMin) return;
  const double millions = static_cast<double>(passed.counts.accepted) / 1e6;
  report.client_cpu_s_per_million = passed.client_cpu_s / millions;
  if (relay_) report.relay_cpu_s_per_million = passed.relay_cpu_s / millions;
}

void Meter::fill(Report& report) {
  sample();
  report.counts = counts;
  report.samples = samples_;
  report.events = events_;
  report.delivery = delivery_;
  report.accepted = accepted_;
  report.connections = connections_max_;
  report.relay_rss_bytes = relay_rss_max_;
}

}  // namespace godwit::load
