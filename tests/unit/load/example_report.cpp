#include "tests/unit/load/example_report.hpp"

#include <cmath>

namespace godwit::load {

namespace {

// 2.4 ms, give or take: the same every time, and with a tail.
std::chrono::microseconds latency_of(int number) {
  const double turn = std::sin(number * 12.9898) * 0.5 + 0.5;
  const double tail = number % 90 == 0 ? 6.0 : 1.0;
  return std::chrono::microseconds(static_cast<int>(1200 * std::exp(1.4 * turn) * tail));
}

std::string phase_at(std::size_t second, std::size_t seconds) {
  if (second * 10 < seconds) return "log in";
  if (second * 5 < seconds) return "warm up";
  return second * 20 < seconds * 19 ? "measure" : "drain";
}

Sample sample_at(std::size_t second, std::size_t seconds) {
  Sample sample;
  sample.at_s = static_cast<double>(second + 1);
  sample.phase = phase_at(second, seconds);
  sample.connections = 2000;
  sample.relay_rss_bytes = 48e6 + 2e5 * sample.at_s;
  if (sample.phase == "log in") {
    sample.logins_per_s = 650;
    sample.relay_cpu = 0.9;
    return sample;
  }
  const double wave = std::sin(sample.at_s * 1.7);
  sample.accepted_per_s = sample.phase == "drain" ? 0 : 10'000 + 240 * wave;
  sample.delivered_per_s = sample.phase == "drain" ? 900 : 9'980 + 300 * wave;
  sample.p50_us = 2'300 + 200 * wave;
  sample.p99_us = 8'000 + 2'600 * wave * wave;
  sample.accepted_p50_us = 1'100 + 90 * wave;
  sample.accepted_p99_us = 3'900 + 800 * wave * wave;
  sample.in_flight = static_cast<std::uint64_t>(22 + 9 * wave);
  sample.queued = static_cast<std::uint64_t>(60 + 30 * wave);
  sample.relay_cpu = 0.62 + 0.05 * wave;
  return sample;
}

}  // namespace

Report example_report(std::size_t samples) {
  Report report;
  report.scenario = "online";
  report.settings = {{"devices", "2000"},
                     {"rate", "10000"},
                     {"size", "256 B, some 4 KiB"}};
  report.command = "godwit-load --relay 127.0.0.1:7443 online --html verdict.html";
  report.relay = "127.0.0.1:7443";
  report.relay_version = "0.1.0";
  report.load_version = "0.1.0";
  report.machine = "2 x Intel Xeon, Linux 6.1, 8 GiB";
  report.started = "2026-03-01T09:30:00Z";
  report.counts = {
      .submitted = 480'000, .accepted = 480'000, .delivered = 480'000, .logins = 2'000};
  report.seconds = 45;
  report.accepted_per_s = 10'003;
  report.delivered_per_s = 9'998;
  report.delivered_bytes_per_s = 2'559'488;
  report.logins_per_s = 645;
  report.connections = 2'000;
  for (int i = 0; i < 9'000; ++i) {
    report.delivery.record(latency_of(i));
    report.accepted.record(latency_of(i) / 2);
  }
  report.relay_cpu_s_per_million = 61.5;
  report.relay_rss_bytes = 60'000'000;
  report.client_cpu_s_per_million = 40.25;
  for (std::size_t i = 0; i < samples; ++i) report.samples.push_back(sample_at(i, samples));
  report.events = {{static_cast<double>(samples) * 0.95, "drain begins"}};
  return report;
}

Report failed_example_report(std::size_t samples) {
  Report report = example_report(samples);
  report.counts.lost = 12;
  report.counts.duplicated = 3;
  report.counts.delivered -= report.counts.lost;
  report.counts.disconnects = 1;
  report.relay_log = "/tmp/relay.log";
  report.faults = {"12 envelopes were accepted and not delivered.",
                   "3 envelopes came again after their ack was confirmed."};
  report.events.insert(report.events.begin(),
                       {{static_cast<double>(samples) * 0.4, "the relay is killed"},
                        {static_cast<double>(samples) * 0.44, "the relay is back"}});
  return report;
}

}  // namespace godwit::load
