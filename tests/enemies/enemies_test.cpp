// What enemies do to the honest: one after the other is let loose on the real daemon, while a pair
// of devices talks at a steady rate and newcomers log in.
//
// Happy path, for each enemy, with a relay of its own: what it needs is prepared -> the relay
// starts anew and takes nobody for unlimited -> the honest, for themselves -> measure -> the
// honest, beside the enemy -> it leaves -> measure -> the honest, for themselves again -> a row of
// the table. Verdict: nothing honest was lost, doubled, reordered or refused, and each newcomer was
// let in; the relay lives; sessions and descriptors are back; memory kept to its bound; the limits
// did what they are there for, and the log says so. How long the honest waited is told and not
// judged: machines have other work too.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <optional>
#include <thread>

#include "schema/wire/bytes.hpp"
#include "tests/enemies/enemy.hpp"
#include "tests/enemies/processors.hpp"
#include "tests/enemies/table.hpp"
#include "tests/support/enrol.hpp"

namespace godwit::enemies {
namespace {

using std::chrono::steady_clock;
using support::HonestPair;
using support::Measured;
using support::RelayProcess;
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
constexpr double kSeconds = 20;  // of an attack in the whole run, or as long as a deadline needs

struct Options {
  std::string enemy;
  std::optional<double> seconds;
  std::size_t rounds = 1;
  bool list = false;
};

// ---- One enemy ---------------------------------------------------------------------------------

// `look` is called again and again meanwhile, with its own pace.
While pass_time(const RelayProcess& relay, HonestPair& pair, double seconds,
                const std::function<void()>& look) {
  While seen;
  (void)pair.report();  // of what came before
  const auto began = steady_clock::now();
  const double cpu_before = relay.cpu_seconds();
  auto newcomer = placed<Newcomer>(Role::honest, relay.address(),
                                   support::Account::from_seed(kNewcomerSeed), kHonestAddress);
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
  if (pair.refused > 0) {
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

void judge(const Enemy& enemy, Round& round) {
  const Watched& watched = round.watched;
  Problems& problems = round.problems;
  judge_while(round.before, enemy, "before", problems);
  judge_while(round.during, enemy, "during", problems);
  judge_while(round.after, enemy, "after", problems);
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

double until_it_acts(const Enemy& enemy) {
  return std::chrono::duration<double>(enemy.acts_within).count();
}

While attack(const Enemy& enemy, const RelayProcess& relay, HonestPair& pair, const Ground& ground,
             double seconds, Watched& watched, Problems& problems) {
  Work work(ground);
  const auto began = steady_clock::now();
  std::jthread thread([&] {
    enemy.attack(work);
  });
  // Also when the relay does not answer any more, and this function is left by what is thrown.
  struct Ending {
    Work& work;
    ~Ending() { work.end(); }
  } const ending{work};
  const While seen = pass_time(relay, pair, seconds, [&] { look_at(relay, watched); });
  if (enemy.acted && seconds >= until_it_acts(enemy)) {
    const auto limit = steady_clock::now() + kEndPatience;
    while (!enemy.acted(watched) && steady_clock::now() < limit) look_at(relay, watched);
    if (!enemy.acted(watched)) problems.push_back("the relay did nothing against it");
  }
  if (seconds >= until_it_acts(enemy) && relay.log().find(enemy.log_says) == std::string::npos) {
    problems.push_back("the log does not say " + enemy.log_says);
  }
  work.end();
  thread.join();
  watched.seconds = std::chrono::duration<double>(steady_clock::now() - began).count();
  watched.done = std::move(work.done);
  return seen;
}

Round face(const Enemy& enemy, std::optional<double> asked_for) {
  const double seconds = asked_for.value_or(kSeconds);  // alone, half of it before and half after
  const double beside = asked_for.value_or(std::max(seconds, until_it_acts(enemy)));
  support::TemporaryDirectory directory{support::Medium::disk};
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
  auto relay = placed<RelayProcess>(Role::relay, options);
  ground.relay = relay.address();
  ground.clock = &clock;

  Round round;
  auto pair = placed<HonestPair>(Role::honest, relay.address(), kHonestSeed, kHonestAddress);
  if (!pair.await(kWarmUp, kPatience)) throw support::RelayFailure("the honest are not served");
  round.before = pass_time(relay, pair, seconds / 2, [] {});
  round.watched.before = support::settle(relay, kPairSessions, {});
  round.during = attack(enemy, relay, pair, ground, beside, round.watched, round.problems);
  round.deadline_judged = beside >= until_it_acts(enemy);
  round.watched.after = support::settle(relay, kPairSessions, round.watched.before.descriptors);
  round.after = pass_time(relay, pair, seconds / 2, [] {});
  if (!pair.settle(kPatience)) round.problems.push_back("something honest was lost");
  if (!relay.running()) round.problems.push_back("the relay has ended");
  judge(enemy, round);
  return round;
}

// ---- The program -------------------------------------------------------------------------------

// Against whom the others are compared: what the machine does by itself.
Enemy nobody() {
  Enemy enemy;
  enemy.name = "nobody";
  enemy.does = "nothing: what differs is what the machine does";
  enemy.attack = [](Work& work) {
    while (!work.over()) std::this_thread::sleep_for(kLook);
  };
  enemy.judge = [](const Watched&, Problems&) {};
  return enemy;
}

std::vector<Enemy> all_enemies() {
  std::vector<Enemy> all;
  all.push_back(nobody());
  for (auto more : {enemies_that_connect(), enemies_with_sessions(), enemies_of_the_clock()}) {
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
  const Place place(Role::other);
  print_head();
  for (const Enemy& enemy : all) {
    if (!options.enemy.empty() && options.enemy != enemy.name) continue;
    found = true;
    std::vector<Round> rounds;
    while (rounds.size() < options.rounds) {
      rounds.push_back(face(enemy, options.seconds));
      right = right && rounds.back().problems.empty();
    }
    print_row(enemy.name, rounds);
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
  app.add_option("--seconds", options.seconds,
                 "how long each stays; else 20, or until its deadline; the honest: as long alone")
      ->check(CLI::Range(0.5, 600.0));
  app.add_option("--rounds", options.rounds, "how often each comes; the table has the medians")
      ->check(CLI::Range(1, 100));
  app.add_flag("--list", options.list, "names them, and what they do");
  CLI11_PARSE(app, argc, argv);
  godwit::net::prepare_descriptors(20'000);
  try {
    return godwit::enemies::run(options);
  } catch (const godwit::support::RelayFailure& failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return 1;
  }
}
