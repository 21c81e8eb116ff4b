// The crash test: a relay under load is killed with SIGKILL again and again, also right after it is
// ready and while it recovers, and the judge (support/history) says whether a promise was broken.
//
// Happy path: pairs register -> the load begins -> each kill comes when a random share of the
// envelopes is accepted, and a random moment later -> everything is sent -> receivers stay until
// they have caught up and every ack is confirmed -> the relay has nothing left, in its figures and
// on the disk -> the verdict.
// Failure: a verdict that is not kept is printed with the stories of the first broken promises;
// the exit status is 1. A load that does not end in time is judged as it stands.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <thread>

#include "relay/store/store.hpp"
#include "tests/integration/kill_load.hpp"
#include "tests/support/relay_process.hpp"
#include "tests/support/requirements.hpp"

namespace godwit::integration {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr auto kQuietPatience = 20s;  // for the last deletes, and for a connection to be gone

struct Options {
  std::uint32_t kills = 40;
  std::uint32_t pairs = 50;
  std::uint32_t envelopes = 200'000;
  std::uint64_t seed = 1;
  std::uint32_t seconds_max = 600;
};

class KillTest {
 public:
  explicit KillTest(const Options& options)
      : options_(options),
        random_(options.seed),
        deadline_(steady_clock::now() + std::chrono::seconds(options.seconds_max)),
        relay_({.directory = directory_.path() / "relay",
                .settings = {{"network.loops", "2"}},  // so that operations travel
                .binary = {},
                .environment = {}}),
        fleet_(relay_.address()),
        history_(options.pairs),
        load_(fleet_, history_, options.pairs, options.envelopes, options.seed) {}

  // True when every promise was kept.
  [[nodiscard]] bool run();

 private:
  [[nodiscard]] bool run_load();
  [[nodiscard]] bool run_until(const std::function<bool()>& done);
  void run_for(std::chrono::milliseconds time);
  void kill();
  void kill_while_starting();
  void start();
  [[nodiscard]] bool finish();
  void check_relay_is_empty();
  void check_store_is_empty();
  void expect(bool holds, const std::string& otherwise);
  [[nodiscard]] bool judge() const;

  const Options options_;
  Random random_;
  const steady_clock::time_point began_ = steady_clock::now();
  const steady_clock::time_point deadline_;
  support::TemporaryDirectory directory_{support::Medium::disk};
  support::RelayProcess relay_;
  support::Fleet fleet_;
  support::History history_;
  Load load_;

  std::uint32_t killed_ = 0;
  std::uint32_t killed_starting_ = 0;
  std::chrono::microseconds start_time_{50'000};  // what the newest start took
  std::uint64_t accepted_before_ = 0;  // the relay that runs began
  std::vector<std::string> faults_;
};

// ---- The run ------------------------------------------------------------------------------------

bool KillTest::run() {
  if (run_load() && finish()) {
    check_relay_is_empty();
    check_store_is_empty();
  } else {
    expect(steady_clock::now() < deadline_, "the load did not end in its time");
  }
  return judge();
}

bool KillTest::run_load() {
  load_.come();
  if (!run_until([this] { return load_.all_live(); })) return false;
  load_.begin();
  // When how many are accepted: some moments in the whole of the load.
  std::vector<std::uint32_t> moments;
  for (std::uint32_t i = 0; i < options_.kills; ++i) {
    moments.push_back(pick(random_, options_.envelopes / 50, options_.envelopes / 20 * 19));
  }
  std::ranges::sort(moments);
  while (killed_ < options_.kills) {
    const std::uint32_t moment = moments[killed_];
    if (!run_until([&] { return history_.accepted_total() >= moment; })) return false;
    run_for(std::chrono::milliseconds(pick(random_, 0, 20)));
    kill();
    while (killed_ < options_.kills && pick(random_, 0, 3) == 0) kill_while_starting();
    start();
    if (killed_ < options_.kills && pick(random_, 0, 3) == 0) {  // hardly ready
      run_for(std::chrono::milliseconds(pick(random_, 0, 5)));
      kill();
      start();
    }
  }
  return run_until([this] { return load_.all_sent(); });
}

// False when time is up, or when a fault was seen that the load does not get over.
bool KillTest::run_until(const std::function<bool()>& done) {
  const auto left = std::chrono::ceil<std::chrono::seconds>(deadline_ - steady_clock::now());
  if (left <= 0s) return false;
  const auto stuck = [this] {
    return history_.refused_total() > 0 || load_.state().refusals > 0 ||
           !load_.state().breaches.empty() || !faults_.empty();
  };
  return fleet_.run_until([&] { return stuck() || done(); }, left) && !stuck();
}

void KillTest::run_for(std::chrono::milliseconds time) {
  bool over = false;
  net::Timer timer(fleet_.loop(), [&] { over = true; });
  timer.start(time);
  (void)fleet_.run_until([&] { return over; }, kQuietPatience);
}

void KillTest::kill() {
  load_.pause();
  relay_.kill();
  ++killed_;
  // What it still wrote is read to its end, so that the judge knows which life said what.
  expect(fleet_.run_until([this] { return load_.all_down(); }, kQuietPatience),
         "a connection outlived its relay");
  history_.restarted();
}

// Another process on the same directory, killed before or about when it would be ready.
void KillTest::kill_while_starting() {
  const std::string binary = support::RelayProcess::default_binary();
  const std::string relay_directory = (directory_.path() / "relay").string();
  posix_spawn_file_actions_t actions;
  REQUIRE(::posix_spawn_file_actions_init(&actions) == 0);
  for (const int output : {STDOUT_FILENO, STDERR_FILENO}) {
    REQUIRE(::posix_spawn_file_actions_addopen(&actions, output, "/dev/null", O_WRONLY, 0) == 0);
  }
  std::string arguments[] = {binary, "run", relay_directory};
  char* const argv[] = {arguments[0].data(), arguments[1].data(), arguments[2].data(), nullptr};
  pid_t child = -1;
  REQUIRE(::posix_spawn(&child, binary.c_str(), &actions, nullptr, argv, environ) == 0);
  ::posix_spawn_file_actions_destroy(&actions);
  std::this_thread::sleep_for(std::chrono::microseconds(
      pick(random_, 0, static_cast<std::uint32_t>(start_time_.count()))));
  ::kill(child, SIGKILL);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  expect(WIFSIGNALED(status), "a relay ended by itself while it started");
  ++killed_;
  ++killed_starting_;
}

void KillTest::start() {
  const auto before = steady_clock::now();
  relay_.start();
  start_time_ = std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - before);
  expect(relay_.address() == fleet_.relay(), "the relay came back with another address");
  accepted_before_ = history_.accepted_total();
  load_.resume();
}

// ---- The end ------------------------------------------------------------------------------------

bool KillTest::finish() {
  load_.finish();
  return run_until([this] { return load_.all_settled(); });
}

void KillTest::expect(bool holds, const std::string& otherwise) {
  if (!holds) faults_.push_back(otherwise);
}

void KillTest::check_relay_is_empty() {
  const auto figures = relay_.status();
  expect(figures.queued_envelopes == 0, "envelopes are queued: " +
                                            std::to_string(figures.queued_envelopes));
  expect(figures.queued_bytes == 0, "bytes are queued: " + std::to_string(figures.queued_bytes));
  expect(figures.users == 2 * options_.pairs, "users: " + std::to_string(figures.users));
  expect(figures.devices == 2 * options_.pairs, "devices: " + std::to_string(figures.devices));
  expect(figures.sessions == 2 * options_.pairs, "sessions: " + std::to_string(figures.sessions));
  // Of this life only.
  expect(figures.acked_total <= figures.delivered_total, "more was acknowledged than delivered");
  expect(figures.elided_total <= figures.acked_total, "more was elided than acknowledged");
  expect(figures.accepted_total + figures.duplicates_total >=
             history_.accepted_total() - accepted_before_,
         "more was answered with accepted than is counted");
  expect(figures.quarantined_total == 0, "records are damaged");
  expect(figures.expired_total == 0, "envelopes expired");
}

void KillTest::check_store_is_empty() {
  load_.go();
  expect(fleet_.run_until([this] { return load_.all_down(); }, kQuietPatience),
         "a connection did not end");
  expect(relay_.stop() == 0, "the relay did not stop cleanly");
  {
    relay::store::Options options;
    options.directory = directory_.path() / "relay";
    const auto store = relay::store::Store::open(options);
    expect(store.has_value(), "the store does not open");
    std::uint64_t left = 0;
    if (store) {
      const auto read = (*store)->recover([&](const relay::store::Recovered&) { ++left; });
      expect(read.has_value(), "the store does not read");
      expect((*store)->figures().quarantined == 0, "the store has damaged records");
    }
    expect(left == 0, "envelopes are in the log: " + std::to_string(left));
  }
  relay_.start();
  const auto figures = relay_.status();
  expect(figures.queued_envelopes == 0 && figures.queued_bytes == 0,
         "after a restart envelopes are queued: " + std::to_string(figures.queued_envelopes));
}

bool KillTest::judge() const {
  const support::Verdict verdict = history_.judge();
  const auto line = [](const char* name, std::uint64_t value) {
    std::printf("  %-28s %10llu\n", name, static_cast<unsigned long long>(value));
  };
  const std::chrono::duration<double> took = steady_clock::now() - began_;
  std::printf("seed %llu, %u pairs, %.1f s\n", static_cast<unsigned long long>(options_.seed),
              options_.pairs, took.count());
  line("kills", killed_);
  line("  while it started", killed_starting_);
  line("submitted", verdict.submitted);
  line("retried", verdict.retried);
  line("accepted", verdict.accepted);
  line("delivered", verdict.delivered);
  line("redelivered, ack open", verdict.redelivered);
  line("redelivered by a retry", verdict.redelivered_by_retry);
  line("LOST", verdict.lost);
  line("AGAIN after its ack", verdict.again);
  line("TWICE on a connection", verdict.twice);
  line("OUT OF ORDER", verdict.out_of_order);
  line("NEVER SENT", verdict.never_sent);
  line("DAMAGED", verdict.damaged);
  line("REFUSED", verdict.refused + load_.state().refusals);
  line("UNFINISHED", verdict.unfinished);
  for (const std::string& story : verdict.stories) std::printf("%s\n", story.c_str());
  for (const std::string& breach : load_.state().breaches) {
    std::printf("breach: %s\n", breach.c_str());
  }
  for (const std::string& fault : faults_) std::printf("fault: %s\n", fault.c_str());
  const bool kept = verdict.kept() && load_.state().refusals == 0 &&
                    load_.state().breaches.empty() && faults_.empty() &&
                    verdict.submitted == options_.envelopes && killed_ >= options_.kills;
  std::printf("%s\n", kept ? "KEPT" : "BROKEN");
  return kept;
}

}  // namespace
}  // namespace godwit::integration

int main(int argc, char** argv) {
  const godwit::support::Requirements requirements;
  godwit::integration::Options options;
  CLI::App app("Kills a relay under load and judges what it promised");
  app.add_option("--kills", options.kills, "How often the relay is killed");
  app.add_option("--pairs", options.pairs, "Senders, each with a receiver")
      ->check(CLI::PositiveNumber);
  app.add_option("--envelopes", options.envelopes, "Of all senders together");
  app.add_option("--seed", options.seed, "Of everything that is random");
  app.add_option("--seconds-max", options.seconds_max, "Then it is judged as it stands");
  CLI11_PARSE(app, argc, argv);
  return godwit::integration::KillTest(options).run() ? 0 : 1;
}
