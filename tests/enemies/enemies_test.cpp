// What enemies do to the honest: one after the other is let loose on the real daemon, while a pair
// of devices talks at a steady rate and newcomers log in.
//
// Happy path, for each enemy, with a relay of its own: what it needs is prepared -> the relay
// starts anew and takes nobody for unlimited -> the honest, for themselves -> measure -> the
// honest, beside the enemy -> it leaves -> measure -> the honest, for themselves again -> a row of
// the table. Verdict: nothing honest was lost, doubled, reordered or refused, and each newcomer was
// let in; the relay lives; sessions and descriptors are back; memory kept to its bound; the limits
// did what they are there for. How long the honest waited is told and not judged: machines have
// other work too.
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <thread>

#include "schema/wire/bytes.hpp"
#include "tests/enemies/enemy.hpp"
#include "tests/enemies/newcomer.hpp"
#include "tests/support/enrol.hpp"
#include "tests/support/honest_pair.hpp"

namespace godwit::enemies {
namespace {

using std::chrono::steady_clock;
using support::HonestPair;
using support::Measured;
using support::RelayProcess;
using Times = std::vector<std::chrono::microseconds>;
using namespace std::chrono_literals;

constexpr const char* kHonestAddress = "127.0.0.2";
constexpr std::uint64_t kHonestSeed = 1;
constexpr std::uint64_t kNewcomerSeed = 3;
constexpr std::uint64_t kAbsentSeed = 4;
constexpr std::uint64_t kAttackerSeed = 1'000;
constexpr std::size_t kPairSessions = 2;
constexpr std::uint64_t kWarmUp = 100;  // messages
constexpr auto kPatience = 30s;
constexpr auto kEndPatience = 60s;  // of a relay on a machine that others use as well
constexpr auto kLook = 200ms;
// The enemy's own work is done elsewhere in the world; here it shares the honest's processors.
constexpr int kNiceness = 10;
// What a 99th percentile may be under an enemy, as a multiple of what it was before.
constexpr double kSlowerMax = 2;

struct Options {
  std::string enemy;
  double seconds = 20;
  bool list = false;
};

// What the honest saw in a while.
struct While {
  HonestPair::Report pair;
  Newcomer::Report newcomers;
  double processor = 0;  // how much of one the relay had meanwhile
};

struct Row {
  Watched watched;
  While before, during, after;
  Problems problems;
};

double quantile_ms(Times times, double share) {
  if (times.empty()) return std::nan("");
  const auto place = static_cast<std::size_t>(share * static_cast<double>(times.size() - 1));
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(place), times.end());
  return static_cast<double>(times[place].count()) / 1'000;
}

// ---- The table ---------------------------------------------------------------------------------

void print_head() {
  std::printf(
      "| enemy | tried | honest p50/p99 ms before | during | after | p99 | slowest ms | "
      "newcomers p50/p99 ms before | during | relay's processor %% before/during | "
      "memory MiB before/peak/after | descriptors before/peak/after | refused | verdict |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
  std::fflush(stdout);
}

std::string p50_p99(const Times& times) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.2f/%.2f", quantile_ms(times, 0.5),
                quantile_ms(times, 0.99));
  return text.data();
}

std::string slower_in_words(const Row& row) {
  const double slower =
      quantile_ms(row.during.pair.times, 0.99) / quantile_ms(row.before.pair.times, 0.99);
  if (slower <= kSlowerMax) return "within 2x";
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "MISSED: %.1fx", slower);
  return text.data();
}

void print(const Enemy& enemy, const Row& row) {
  const Watched& seen = row.watched;
  const auto mebibytes = [](std::uint64_t bytes) {
    return static_cast<double>(bytes) / static_cast<double>(kMebibyte);
  };
  std::printf(
      "| %s | %llu | %s | %s | %s | %s | %lld | %s | %s | %.0f/%.0f | %.1f/%.1f/%.1f | "
      "%zu/%zu/%zu | %llu | %s |\n",
      enemy.name.c_str(), static_cast<unsigned long long>(seen.done.tried),
      p50_p99(row.before.pair.times).c_str(), p50_p99(row.during.pair.times).c_str(),
      p50_p99(row.after.pair.times).c_str(), slower_in_words(row).c_str(),
      static_cast<long long>(row.during.pair.slowest.count()),
      p50_p99(row.before.newcomers.times).c_str(), p50_p99(row.during.newcomers.times).c_str(),
      100 * row.before.processor, 100 * row.during.processor, mebibytes(seen.before.memory),
      mebibytes(seen.memory_peak), mebibytes(seen.after.memory), seen.before.descriptors,
      seen.descriptors_peak, seen.after.descriptors,
      static_cast<unsigned long long>(seen.after.figures.refused_total -
                                      seen.before.figures.refused_total),
      row.problems.empty() ? "ok" : "FAILED");
  for (const auto& problem : row.problems) std::printf("    %s\n", problem.c_str());
  std::fflush(stdout);
}

// ---- One enemy ---------------------------------------------------------------------------------

// `look` is called again and again meanwhile, with its own pace.
While pass_time(const RelayProcess& relay, HonestPair& pair, double seconds,
                const std::function<void()>& look) {
  While seen;
  (void)pair.report();  // of what came before
  const auto began = steady_clock::now();
  const double cpu_before = relay.cpu_seconds();
  Newcomer newcomer(relay.address(), support::Account::from_seed(kNewcomerSeed), kHonestAddress);
  const auto until = began + std::chrono::duration<double>(seconds);
  while (steady_clock::now() < until) {
    std::this_thread::sleep_for(kLook);
    look();
  }
  seen.newcomers = newcomer.finish();
  seen.pair = pair.report();
  const std::chrono::duration<double> took = steady_clock::now() - began;
  seen.processor = (relay.cpu_seconds() - cpu_before) / took.count();
  return seen;
}

void look_at(const RelayProcess& relay, Watched& watched) {
  watched.last = support::measure(relay);
  watched.memory_peak = std::max(watched.memory_peak, watched.last.memory);
  watched.descriptors_peak = std::max(watched.descriptors_peak, watched.last.descriptors);
  const auto& figures = watched.last.figures;
  watched.connections_peak = std::max(watched.connections_peak, figures.connections);
  watched.queued_bytes_peak = std::max(watched.queued_bytes_peak, figures.queued_bytes);
}

void judge_while(const While& seen, const Enemy& enemy, const std::string& when,
                 Problems& problems) {
  const auto& pair = seen.pair;
  if (!pair.broken.empty()) problems.push_back(when + ": " + pair.broken);
  if (pair.refused > 0 && !enemy.honest_refusals) {
    problems.push_back(when + ": an honest submit was refused");
  }
  if (pair.strange > 0 && !enemy.strange_mail) {
    problems.push_back(when + ": the honest got mail that nobody sent to them");
  }
  if (seen.newcomers.failed > 0) {
    problems.push_back(when + ": " + std::to_string(seen.newcomers.failed) +
                       " newcomers were not let in: " + seen.newcomers.why);
  }
}

void judge(const Enemy& enemy, Row& row) {
  const Watched& watched = row.watched;
  Problems& problems = row.problems;
  judge_while(row.before, enemy, "before", problems);
  judge_while(row.during, enemy, "during", problems);
  judge_while(row.after, enemy, "after", problems);
  for (const Measured* one : {&watched.before, &watched.after}) {
    if (one->figures.connections != kPairSessions || one->figures.sessions != kPairSessions) {
      problems.push_back("connections left: " + std::to_string(one->figures.connections) +
                         ", sessions: " + std::to_string(one->figures.sessions));
    }
  }
  if (watched.after.descriptors != watched.before.descriptors) {
    problems.push_back("the descriptors are not back");
  }
  if (watched.memory_peak > watched.before.memory + enemy.memory_max + kMemorySlack) {
    problems.push_back("the memory passed its bound of " +
                       std::to_string((enemy.memory_max + kMemorySlack) / kMebibyte) +
                       " MiB more than before");
  }
  if (watched.done.tried == 0 && enemy.memory_max > 0) problems.push_back("it did nothing");
  std::vector<std::string> wrong = watched.done.wrong;
  wrong.erase(std::unique(wrong.begin(), wrong.end()), wrong.end());
  problems.insert(problems.end(), wrong.begin(), wrong.end());
  enemy.judge(watched, problems);
}

// Everybody has an account, and the enemy what it needs.
Ground prepare(const Enemy& enemy, const RelayProcess& relay) {
  support::Fleet fleet(relay.address());
  Ground ground;
  for (std::size_t i = 0; i < kAttackers; ++i) {
    ground.attackers.push_back(support::enrolled(fleet, kAttackerSeed + i));
  }
  ground.absent = support::enrolled(fleet, kAbsentSeed);
  ground.victim = support::enrolled(fleet, kHonestSeed);
  ground.first_message =
      support::record_login(relay.address(), support::enrolled(fleet, kNewcomerSeed));
  ground.first_message.resize(2 + std::size_t{wire::load_u16_be(ground.first_message)});
  if (enemy.prepare) enemy.prepare(ground, fleet);
  return ground;
}

While attack(const Enemy& enemy, const RelayProcess& relay, HonestPair& pair, const Ground& ground,
             double seconds, Watched& watched, Problems& problems) {
  Work work(ground);
  const auto began = steady_clock::now();
  std::jthread thread([&] {
    if (::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNiceness) != 0) {
      work.done.wrong.push_back("the enemy cannot stand back from the processors");
    }
    enemy.attack(work);
  });
  // Also when the relay does not answer any more, and this function is left by what is thrown.
  struct Ending {
    Work& work;
    ~Ending() { work.end(); }
  } const ending{work};
  const While seen = pass_time(relay, pair, seconds, [&] { look_at(relay, watched); });
  if (enemy.acted && seconds >= std::chrono::duration<double>(enemy.acts_within).count()) {
    const auto limit = steady_clock::now() + kEndPatience;
    while (!enemy.acted(watched) && steady_clock::now() < limit) look_at(relay, watched);
    if (!enemy.acted(watched)) problems.push_back("the relay did nothing against it");
  }
  work.end();
  thread.join();
  watched.seconds = std::chrono::duration<double>(steady_clock::now() - began).count();
  watched.done = std::move(work.done);
  return seen;
}

Row face(const Enemy& enemy, double seconds) {
  support::TempDirectory directory;
  Clock clock(directory.path() / "clock");
  RelayProcess::Options options;
  options.directory = directory.path() / "relay";
  options.settings = enemy.settings;
  Ground ground;
  {
    RelayProcess kind(options);
    ground = prepare(enemy, kind);
    if (kind.stop() != 0) throw support::RelayFailure("the relay did not stop well");
  }
  options.settings["network.unlimited_from"] = "[]";
  options.environment = clock.environment();
  RelayProcess relay(options);
  ground.relay = relay.address();
  ground.clock = &clock;

  Row row;
  HonestPair pair(relay.address(), kHonestSeed, kHonestAddress);
  if (!pair.await(kWarmUp, kPatience)) throw support::RelayFailure("the honest are not served");
  row.before = pass_time(relay, pair, seconds / 2, [] {});
  row.watched.before = support::settle(relay, kPairSessions, {});
  row.during = attack(enemy, relay, pair, ground, seconds, row.watched, row.problems);
  row.watched.after = support::settle(relay, kPairSessions, row.watched.before.descriptors);
  row.after = pass_time(relay, pair, seconds / 2, [] {});
  if (!pair.settle(kPatience)) row.problems.push_back("something honest was lost");
  if (!relay.running()) row.problems.push_back("the relay has ended");
  judge(enemy, row);
  return row;
}

// ---- The program -------------------------------------------------------------------------------

std::vector<Enemy> all_enemies() {
  std::vector<Enemy> all = enemies_that_connect();
  for (auto more : {enemies_with_sessions(), enemies_of_the_clock()}) {
    for (Enemy& enemy : more) all.push_back(std::move(enemy));
  }
  return all;
}

int run(const Options& options) {
  const std::vector<Enemy> all = all_enemies();
  if (options.list) {
    for (const Enemy& enemy : all) {
      std::printf("%-24s %s\n", enemy.name.c_str(), enemy.does.c_str());
    }
    return 0;
  }
  bool found = false;
  bool right = true;
  print_head();
  for (const Enemy& enemy : all) {
    if (!options.enemy.empty() && options.enemy != enemy.name) continue;
    found = true;
    const Row row = face(enemy, options.seconds);
    print(enemy, row);
    right = right && row.problems.empty();
  }
  if (!found)
    std::fprintf(stderr, "there is no enemy \"%s\"; --list names them\n", options.enemy.c_str());
  return found && right ? 0 : 1;
}

}  // namespace
}  // namespace godwit::enemies

int main(int argc, char** argv) {
  godwit::enemies::Options options;
  CLI::App app("What enemies do to the honest: a table, and a verdict.");
  app.add_option("--enemy", options.enemy, "this one only");
  app.add_option("--seconds", options.seconds, "how long each stays; the honest have as long alone")
      ->check(CLI::Range(0.5, 600.0));
  app.add_flag("--list", options.list, "names them, and what they do");
  CLI11_PARSE(app, argc, argv);
  godwit::net::raise_descriptor_limit();
  try {
    return godwit::enemies::run(options);
  } catch (const godwit::support::RelayFailure& failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return 1;
  }
}
