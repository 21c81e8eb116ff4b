#include "tests/sim/plan.hpp"

#include <algorithm>

#include "tests/sim/simulation.hpp"

namespace godwit::sim {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

// From seconds to hours, the longer the rarer.
milliseconds length_of(Draws& draws) {
  switch (draws.below(20)) {
    case 0:
      return draws.between<milliseconds>(1h, 6h);
    case 1:
    case 2:
      return draws.between<milliseconds>(2min, 40min);
    default:
      return draws.between<milliseconds>(2s, 2min);
  }
}

// An operator's limits are rarely met as they come.
relay::Config tight_limits(Draws& draws) {
  relay::Config config;
  if (draws.chance(60)) {
    config.window_envelopes = static_cast<std::uint32_t>(1 + draws.below(6));
    config.window_bytes = 16 * 1024;  // in pieces of two or three messages
  }
  if (draws.chance(30)) {
    config.mailbox_envelopes_max = static_cast<std::uint32_t>(2 + draws.below(12));
  }
  if (draws.chance(30)) {
    config.submits_in_flight_max = static_cast<std::uint32_t>(1 + draws.below(4));
  }
  if (draws.chance(25)) config.ttl_default_s = static_cast<std::uint32_t>(20 + draws.below(1'800));
  return config;
}

World::Settings settings_of(Draws& draws) {
  World::Settings settings;
  settings.relay.loops = static_cast<std::uint32_t>(1 + draws.below(4));
  settings.relay.limits_rates = draws.chance(10);
  if (draws.chance(15)) settings.relay.commit_max = 3s;  // a disk with troubles of its own
  settings.latency_min = draws.between<Agenda::Time>(50us, 80ms);
  settings.latency_max =
      settings.latency_min + draws.between<Agenda::Time>(0ms, draws.chance(15) ? 5s : 150ms);
  return settings;
}

// Each kind of fault is on in a part of the plans only, so that every one is also met without the
// others.
std::vector<std::size_t> acts_of(Draws& draws) {
  std::vector<std::size_t> rows;
  const auto acts = Simulation::acts();
  for (std::size_t row = 0; row < acts.size(); ++row) {
    if (!draws.chance(acts[row].percent)) continue;
    rows.insert(rows.end(), acts[row].weight, row);
  }
  return rows;
}

}  // namespace

Plan plan_of(std::uint64_t seed) {
  Draws draws(seed * 0x2545'f491'4f6c'dd1d + 1);
  Plan plan;
  plan.seed = seed;
  const auto size = draws.below(20);
  plan.people = size < 12 ? 2 : size < 17 ? 3 : 5;
  plan.strangers = draws.chance(50);
  plan.lies = draws.chance(15);
  plan.last_words = draws.chance(20);
  plan.settings = settings_of(draws);
  plan.tight = draws.chance(30);
  if (plan.tight) plan.settings.relay.config = tight_limits(draws);
  plan.length = length_of(draws);
  const auto rows = acts_of(draws);
  const std::size_t count = 4 + draws.below(6 * plan.people);
  for (std::size_t i = 0; i < count; ++i) {
    Step step;
    step.when = draws.between(0ms, plan.length);
    // People are where the action is: half of what happens follows closely on something else.
    if (i > 0 && draws.chance(50)) {
      step.when = plan.steps.back().when + draws.between(0ms, 400ms);
    }
    step.act = rows[draws.below(rows.size())];
    step.who = draws.below(plan.people);
    step.other = (step.who + 1 + draws.below(plan.people - 1)) % plan.people;
    step.draw = draws.next();
    plan.steps.push_back(step);
  }
  std::ranges::stable_sort(plan.steps, {}, &Step::when);
  for (std::size_t i = 0; i < plan.steps.size(); ++i) plan.steps[i].number = i;
  plan.hands_off = draws.chance(50) && !plan.lies;  // a liar holds back as long as one stays
  if (draws.chance(15)) plan.brief_from = draws.between(0ms, plan.length);
  if (draws.chance(5)) plan.burst = 10 + draws.below(40);
  if (draws.chance(1)) {
    plan.stretch = draws.between<milliseconds>(24h, 24h * 60) / plan.length;
    plan.length *= plan.stretch;
    for (Step& step : plan.steps) step.when *= plan.stretch;
    if (plan.brief_from) *plan.brief_from *= plan.stretch;
  }
  return plan;
}

std::string describe(const Step& step) {
  return std::string(Simulation::acts()[step.act].name);
}

}  // namespace godwit::sim
