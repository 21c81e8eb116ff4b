// sim: plays seeds. A failing one prints itself, a shortened plan's story, and how to play it
// again.
//
// They are played in a process of their own. One that a seed ends is that seed's failure, and the
// next process goes on behind it.
#include <sys/mman.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cassert>
#include <ctime>
#include <fstream>
#include <new>

#include "tests/sim/apart.hpp"
#include "tests/sim/simulation.hpp"

namespace godwit::sim {
namespace {

struct Order {  // what to play: these, then a range
  std::vector<std::uint64_t> list;
  std::uint64_t first = 1, last = 1'000;
  std::uint64_t failures_max = 5;
  double minutes = 0;

  [[nodiscard]] std::uint64_t seeds() const {
    return list.size() + (last < first ? 0 : last - first + 1);
  }
  [[nodiscard]] std::uint64_t seed(std::uint64_t index) const {
    return index < list.size() ? list[index] : first + (index - list.size());
  }
};

// Lies in memory that all processes share.
struct Sum {
  std::uint64_t seeds = 0, failed = 0, steps = 0;
  std::chrono::milliseconds passed{};
  bool ended = false;  // nothing is left to play
  struct Met {
    std::array<char, 40> what;
    std::uint64_t times;
  };
  std::array<Met, 64> met{};

  void add(const std::string& what, std::uint64_t times) {
    const auto row = std::ranges::find_if(
        met, [&](const Met& one) { return one.what[0] == 0 || what == one.what.data(); });
    assert(row != met.end() && what.size() < row->what.size());
    std::memcpy(row->what.data(), what.c_str(), what.size() + 1);
    row->times += times;
  }
};

double cpu_seconds() {
  double seconds = 0;
  for (const auto whose : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage used{};
    if (getrusage(whose, &used) != 0) continue;
    for (const timeval& time : {used.ru_utime, used.ru_stime}) {
      seconds += static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    }
  }
  return seconds;
}

bool is_fine(Starts& starts, const Plan& plan) {
  const Start& start = starts.of(plan);
  return apart([&] {
           if (std::freopen("/dev/null", "w", stderr) == nullptr) return 2;
           return Simulation(start, plan, nullptr).run() ? 0 : 1;
         }) == 0;
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
      if (is_fine(starts, without)) {
        at += piece;
      } else {
        plan = std::move(without);
      }
    }
  }
  return plan;
}

// Its end, which is what matters, with what the process may have said when it died.
std::string story_of(Starts& starts, const Plan& plan) {
  constexpr long kStoryMax = 6'000;
  const Start& start = starts.of(plan);
  std::FILE* const file = std::tmpfile();
  if (file == nullptr) return "there is no room for its story";
  (void)apart([&] {
    (void)std::setvbuf(file, nullptr, _IOLBF, 0);
    (void)dup2(fileno(file), STDERR_FILENO);
    return Simulation(start, plan, file).run() ? 0 : 1;
  });
  (void)std::fseek(file, 0, SEEK_END);
  const long size = std::ftell(file);
  (void)std::fseek(file, std::max(0L, size - kStoryMax), SEEK_SET);
  std::string story(static_cast<std::size_t>(kStoryMax), '\0');
  story.resize(std::fread(story.data(), 1, story.size(), file));
  (void)std::fclose(file);
  return (size > kStoryMax ? "...\n" : "") + story;
}

void report(Starts& starts, const Plan& plan, const std::string& problem) {
  std::printf("seed %llu FAILS: %s\n", static_cast<unsigned long long>(plan.seed), problem.c_str());
  const Plan shorter = shortened(starts, plan);
  std::printf("with %zu of %zu steps:\n", shorter.steps.size(), plan.steps.size());
  std::string numbers;
  for (const Step& step : shorter.steps) {
    std::printf("  at %lld ms: %s\n", static_cast<long long>(step.when.count()),
                describe(step).c_str());
    numbers += (numbers.empty() ? "" : ",") + std::to_string(step.number);
  }
  std::printf("%s\n", story_of(starts, shorter).c_str());
  std::printf("play it again: sim --seed %llu --story, or with --only %s\n\n",
              static_cast<unsigned long long>(plan.seed),
              numbers.empty() ? "none" : numbers.c_str());
}

void play(Starts& starts, std::uint64_t seed, Sum& sum) {
  const Plan plan = plan_of(seed);
  Simulation simulation(starts.of(plan), plan, nullptr);
  const bool fine = simulation.run();
  sum.steps += simulation.steps();
  sum.passed += simulation.passed();
  for (const auto& [what, times] : simulation.met()) sum.add(what, times);
  if (fine) return;
  report(starts, plan, simulation.problem());
  ++sum.failed;
}

// True: every process came to its end without a complaint.
bool play_all(const Order& order, Sum& sum) {
  Starts starts;
  const auto until = std::time(nullptr) + static_cast<std::time_t>(order.minutes * 60);
  int status = 0;
  while (!sum.ended) {
    status = apart([&] {
      while (sum.seeds < order.seeds() && sum.failed < order.failures_max) {
        if (order.minutes > 0 && std::time(nullptr) >= until) break;
        play(starts, order.seed(sum.seeds), sum);
        ++sum.seeds;
      }
      sum.ended = true;
      return 0;
    });
    if (sum.ended) break;
    report(starts, plan_of(order.seed(sum.seeds)), why_ended(status));
    ++sum.failed;
    ++sum.seeds;
  }
  return status == 0;
}

void print(const Order& order, const Sum& sum, double seconds) {
  const double hours = static_cast<double>(sum.passed.count()) / 3'600'000;
  const std::uint64_t listed = order.list.size();
  std::printf(
      "seeds %llu to %llu: %.1f simulated hours in %.1f s of CPU, %.2f hours a second, "
      "%.1f ms and %llu steps a seed\n",
      static_cast<unsigned long long>(order.first),
      static_cast<unsigned long long>(order.first + std::max(sum.seeds, listed) - listed - 1),
      hours, seconds, hours / seconds, seconds * 1e3 / static_cast<double>(sum.seeds),
      static_cast<unsigned long long>(sum.steps / std::max<std::uint64_t>(sum.seeds, 1)));
  std::map<std::string, std::uint64_t> met;
  for (const Sum::Met& row : sum.met) {
    if (row.what[0] != 0) met.emplace(row.what.data(), row.times);
  }
  for (const auto& [what, times] : met) {
    std::printf("  %-32s %llu\n", what.c_str(), static_cast<unsigned long long>(times));
  }
  std::printf("%llu passed, %llu failed\n", static_cast<unsigned long long>(sum.seeds - sum.failed),
              static_cast<unsigned long long>(sum.failed));
}

// `only`: the numbers of the steps to keep; "none" for no step at all; empty for all.
int tell(Starts& starts, std::uint64_t seed, const std::vector<std::string>& only) {
  Plan plan = plan_of(seed);
  if (!only.empty()) {
    std::erase_if(plan.steps, [&](const Step& step) {
      return std::ranges::find(only, std::to_string(step.number)) == only.end();
    });
  }
  (void)std::setvbuf(stdout, nullptr, _IOLBF, 0);  // should it not come to its end
  Simulation simulation(starts.of(plan), plan, stdout);
  const bool fine = simulation.run();
  std::printf("%s\ntrace %016llx\n", fine ? "all is well" : simulation.problem().c_str(),
              static_cast<unsigned long long>(simulation.hash()));
  return fine ? 0 : 1;
}

}  // namespace
}  // namespace godwit::sim

int main(int argc, char** argv) {
  using namespace godwit::sim;
  CLI::App app("Plays seeds of the simulation: relay, devices, network and disks in one thread.");
  Order order;
  std::uint64_t one = 0;
  bool story = false;
  std::string list;
  std::vector<std::string> only;
  app.add_option("--from", order.first, "the first seed")->capture_default_str();
  app.add_option("--to", order.last, "the last seed")->capture_default_str();
  app.add_option("--seed", one, "this seed only");
  app.add_flag("--story", story, "with --seed: tells everything that happens");
  app.add_option("--only", only, "with --story: these steps of the plan only, by their numbers")
      ->delimiter(',');
  app.add_option("--list", list, "the seeds that begin the lines of this file, before the others");
  app.add_option("--minutes", order.minutes, "stops after so many, whatever is left");
  app.add_option("--failures-max", order.failures_max, "stops after so many")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  if (one != 0 && story) {
    Starts starts;
    return tell(starts, one, only);
  }
  if (one != 0) order.first = order.last = one;
  if (!list.empty()) {
    std::ifstream file(list);
    if (!file) {
      std::fprintf(stderr, "sim: cannot read %s\n", list.c_str());
      return 2;
    }
    for (std::string line; std::getline(file, line);) {
      if (!line.empty() && line[0] != '#') order.list.push_back(std::stoull(line));
    }
  }
  void* const shared =
      mmap(nullptr, sizeof(Sum), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) {
    std::perror("sim: memory to share");
    return 2;
  }
  Sum& sum = *new (shared) Sum;
  const bool orderly = play_all(order, sum);
  print(order, sum, cpu_seconds());
  return orderly && sum.failed == 0 && sum.seeds > 0 ? 0 : 1;
}
