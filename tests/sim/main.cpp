// sim: plays seeds. A failing one prints itself, a shortened plan's story, and how to play it
// again.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <ctime>
#include <fstream>

#include "tests/sim/simulation.hpp"

namespace godwit::sim {
namespace {

struct Sum {
  std::uint64_t seeds = 0, failed = 0, steps = 0;
  std::chrono::milliseconds passed{};
  std::map<std::string, std::uint64_t> met;
};

double cpu_seconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

// Leaves out steps as long as the plan fails without them: first halves, then smaller pieces.
Plan shortened(Starts& starts, Plan plan) {
  constexpr int kTriesMax = 400;
  int tries = 0;
  for (std::size_t piece = (plan.steps.size() + 1) / 2; piece > 0; piece /= 2) {
    for (std::size_t at = 0; at < plan.steps.size() && tries < kTriesMax;) {
      Plan without = plan;
      const auto from = without.steps.begin() + static_cast<std::ptrdiff_t>(at);
      const auto left = static_cast<std::size_t>(without.steps.end() - from);
      without.steps.erase(from, from + static_cast<std::ptrdiff_t>(std::min(piece, left)));
      ++tries;
      if (Simulation(starts.of(without), without, false).run()) {
        at += piece;
      } else {
        plan = std::move(without);
      }
    }
  }
  return plan;
}

void report(Starts& starts, const Plan& plan, const std::string& problem) {
  std::printf("seed %llu FAILS: %s\n", static_cast<unsigned long long>(plan.seed), problem.c_str());
  const Plan shorter = shortened(starts, plan);
  Simulation simulation(starts.of(shorter), shorter, true);
  (void)simulation.run();
  std::printf("with %zu of %zu steps: %s\n", shorter.steps.size(), plan.steps.size(),
              simulation.problem().c_str());
  std::string numbers;
  for (const Step& step : shorter.steps) {
    std::printf("  at %lld ms: %s\n", static_cast<long long>(step.when.count()),
                describe(step).c_str());
    numbers += (numbers.empty() ? "" : ",") + std::to_string(step.number);
  }
  constexpr std::size_t kStoryMax = 6'000;  // its end is what matters
  const std::string& story = simulation.story();
  std::printf("%s%s\n", story.size() > kStoryMax ? "...\n" : "",
              story.substr(story.size() > kStoryMax ? story.size() - kStoryMax : 0).c_str());
  std::printf("play it again: sim --seed %llu --story, or with --only %s\n\n",
              static_cast<unsigned long long>(plan.seed),
              numbers.empty() ? "none" : numbers.c_str());
}

void play(Starts& starts, std::uint64_t seed, Sum& sum) {
  const Plan plan = plan_of(seed);
  Simulation simulation(starts.of(plan), plan, false);
  const bool fine = simulation.run();
  ++sum.seeds;
  sum.steps += simulation.steps();
  sum.passed += simulation.passed();
  for (const auto& [what, times] : simulation.met()) sum.met[what] += times;
  if (fine) return;
  ++sum.failed;
  report(starts, plan, simulation.problem());
  std::fflush(stdout);
}

// `only`: the numbers of the steps to keep; "none" for no step at all; empty for all.
int tell(Starts& starts, std::uint64_t seed, const std::vector<std::string>& only) {
  Plan plan = plan_of(seed);
  if (!only.empty()) {
    std::erase_if(plan.steps, [&](const Step& step) {
      return std::ranges::find(only, std::to_string(step.number)) == only.end();
    });
  }
  Simulation simulation(starts.of(plan), plan, true);
  const bool fine = simulation.run();
  std::printf("%s%s\ntrace %016llx\n", simulation.story().c_str(),
              fine ? "all is well" : simulation.problem().c_str(),
              static_cast<unsigned long long>(simulation.hash()));
  return fine ? 0 : 1;
}

}  // namespace
}  // namespace godwit::sim

int main(int argc, char** argv) {
  using namespace godwit::sim;
  CLI::App app("Plays seeds of the simulation: relay, devices, network and disks in one thread.");
  std::uint64_t first = 1, last = 1'000, one = 0, failures_max = 5;
  double minutes = 0;
  bool story = false;
  std::string list;
  std::vector<std::string> only;
  app.add_option("--from", first, "the first seed")->capture_default_str();
  app.add_option("--to", last, "the last seed")->capture_default_str();
  app.add_option("--seed", one, "this seed only");
  app.add_flag("--story", story, "with --seed: tells everything that happens");
  app.add_option("--only", only, "with --story: these steps of the plan only, by their numbers")
      ->delimiter(',');
  app.add_option("--list", list, "the seeds that begin the lines of this file, before the others");
  app.add_option("--minutes", minutes, "stops after so many, whatever is left");
  app.add_option("--failures-max", failures_max, "stops after so many")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  Starts starts;
  if (one != 0 && story) return tell(starts, one, only);
  if (one != 0) first = last = one;
  Sum sum;
  const double began = cpu_seconds();
  const auto until = std::time(nullptr) + static_cast<std::time_t>(minutes * 60);
  if (!list.empty()) {
    std::ifstream file(list);
    if (!file) {
      std::fprintf(stderr, "sim: cannot read %s\n", list.c_str());
      return 2;
    }
    for (std::string line; std::getline(file, line);) {
      if (!line.empty() && line[0] != '#') play(starts, std::stoull(line), sum);
    }
  }
  std::uint64_t seed = first;
  for (; seed <= last && sum.failed < failures_max; ++seed) {
    if (minutes > 0 && std::time(nullptr) >= until) break;
    play(starts, seed, sum);
  }
  const double seconds = cpu_seconds() - began;
  const double hours = static_cast<double>(sum.passed.count()) / 3'600'000;
  std::printf(
      "seeds %llu to %llu: %.1f simulated hours in %.1f s of CPU, %.2f hours a second, "
      "%.1f ms and %llu steps a seed\n",
      static_cast<unsigned long long>(first), static_cast<unsigned long long>(seed - 1), hours,
      seconds, hours / seconds, seconds * 1e3 / static_cast<double>(sum.seeds),
      static_cast<unsigned long long>(sum.steps / std::max<std::uint64_t>(sum.seeds, 1)));
  for (const auto& [what, times] : sum.met) {
    std::printf("  %-32s %llu\n", what.c_str(), static_cast<unsigned long long>(times));
  }
  std::printf("%llu passed, %llu failed\n", static_cast<unsigned long long>(sum.seeds - sum.failed),
              static_cast<unsigned long long>(sum.failed));
  return sum.failed == 0 && sum.seeds > 0 ? 0 : 1;
}
