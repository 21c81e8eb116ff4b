#include "tools/load/meter.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "tests/support/process.hpp"
#include "tools/load/scenario.hpp"

namespace godwit::load {
namespace {

using namespace std::chrono_literals;

// A meter of two parts that reads no relay and shows nothing.
struct Fixture {
  Scenario scenario;
  std::vector<Tally> tallies{2};
  Progress progress{Progress::Mode::none};
  Meter meter{scenario, tallies, nullptr, std::nullopt, progress};

  Report report() {
    Report made;
    meter.fill(made);
    return made;
  }
};

// A process that stands still, and takes so much of a processor when it is told to.
class Burner {
 public:
  explicit Burner(double seconds) : seconds_(seconds), pid_(::fork()) {
    if (pid_ != 0) return;
    ::raise(SIGSTOP);
    while (support::own_cpu_seconds() < seconds) {
    }
    while (true) ::pause();
  }
  ~Burner() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Burner(const Burner&) = delete;
  Burner& operator=(const Burner&) = delete;
  [[nodiscard]] pid_t pid() const { return pid_; }
  void burn() const {
    while (support::cpu_seconds(pid_).value_or(seconds_) < seconds_) {
      ::kill(pid_, SIGCONT);
      std::this_thread::sleep_for(1ms);
    }
  }

 private:
  double seconds_;
  pid_t pid_;
};

// A rate times its time, so with the error of a division.
void is_about(double value, double expected) {
  CHECK(value == doctest::Approx(expected).epsilon(1e-9));
}

}  // namespace

TEST_SUITE("tools/load/meter") {
  TEST_CASE("the parts of a run are added up, count by count") {
    Fixture run;
    std::uint64_t next = 1;
    for (const auto count : kCounts) {
      run.tallies[0].counts.*count = next;
      run.tallies[1].counts.*count = 1'000 * next++;
    }
    run.tallies[0].refused = {{"busy", 1}};
    run.tallies[1].refused = {{"busy", 2}, {"mailbox_full", 3}};
    run.tallies[1].logins_refused = {{"rate_limited", 4}};
    const Report report = run.report();
    CHECK(report.refused == ByCode{{"busy", 3}, {"mailbox_full", 3}});
    CHECK(report.logins_refused == ByCode{{"rate_limited", 4}});
    next = 1;
    for (const auto count : kCounts) CHECK(report.counts.*count == 1'001 * next++);
  }

  TEST_CASE("rates are those of the measured time, of all parts") {
    Fixture run;
    run.tallies[0].counts.accepted = 7;  // of the warm-up
    run.meter.begin(Phase::measure, 1);
    run.tallies[0].counts.accepted += 100;
    run.tallies[0].counts.delivered = 60;
    run.tallies[1].counts.accepted = 20;
    run.tallies[1].counts.delivered_bytes = 4'096;
    run.meter.begin(Phase::settle, 1);
    run.tallies[1].counts.accepted += 5'000;
    const Report report = run.report();
    REQUIRE(report.seconds > 0);
    is_about(report.accepted_per_s * report.seconds, 120);
    is_about(report.delivered_per_s * report.seconds, 60);
    is_about(report.delivered_bytes_per_s * report.seconds, 4'096);
  }

  TEST_CASE("latencies are those of what is measured, from all parts; the maximum is the highest") {
    Fixture run;
    const auto until_it_counts = [] {  // an interval of no length is no sample
      for (const auto end = Clock::now() + 2ms; Clock::now() < end;) {
      }
    };
    run.tallies[0].delivery.record(9s);  // of the warm-up
    until_it_counts();
    run.meter.begin(Phase::measure, 1);
    run.tallies[0].delivery.record(1ms);
    run.tallies[1].delivery.record(5ms);
    run.tallies[1].accepted.record(2ms);
    run.tallies[0].connections = 3;
    run.tallies[1].connections = 4;
    run.tallies[1].event("it rained");
    until_it_counts();
    run.meter.begin(Phase::settle, 1);
    const Report report = run.report();
    CHECK(report.delivery.count() == 2);
    CHECK(report.delivery.max_us() == 5'000);
    CHECK(report.accepted.count() == 1);
    CHECK(report.connections == 7);
    REQUIRE(report.samples.size() >= 2);
    CHECK(report.samples[1].phase == "measure");
    CHECK(report.samples[1].connections == 7);
    REQUIRE(report.events.size() == 1);
    CHECK(report.events[0].what == "it rained");
  }

  TEST_CASE("what a relay used between the last sample and its end counts") {
    const Burner relay(0.3);
    const Burner next(0);
    Scenario scenario;
    std::vector<Tally> tallies{1};
    Progress progress{Progress::Mode::none};
    Meter meter{scenario, tallies, nullptr, relay.pid(), progress};
    meter.begin(Phase::measure, 1);
    relay.burn();
    meter.relay_is(std::nullopt);
    meter.relay_is(next.pid());
    tallies[0].counts.accepted = 1'000'000;
    Report report;
    meter.fill(report);
    CHECK(report.relay_cpu_s_per_million.value_or(0) >= 0.25);
  }

  TEST_CASE("a drain has its own rates when all recipients were away, and none otherwise") {
    for (const double away : {0.5, 1.0}) {
      Fixture run;
      run.scenario.away = away;
      run.meter.begin(Phase::measure, 1);
      run.meter.begin(Phase::drain, 0);
      run.tallies[0].counts.delivered = 30;
      run.tallies[1].counts.delivered = 12;
      run.meter.begin(Phase::settle, 1);
      const Report report = run.report();
      CHECK(report.drain_seconds.has_value() == (away == 1));
      if (away == 1) is_about(report.delivered_per_s * *report.drain_seconds, 42);
      if (away < 1) CHECK(report.delivered_per_s == 0);
    }
  }
}

}  // namespace godwit::load
