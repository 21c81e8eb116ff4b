// sim/plan: what one seed has in store: how many people, how the machine is set, what happens when.
// A step is independent of the others, so that a failing plan can be shortened by leaving some out.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tests/sim/world.hpp"

namespace godwit::sim {

struct Step {
  std::size_t number = 0;  // its place in the plan as it was drawn
  std::chrono::milliseconds when{};
  std::size_t act = 0;     // its row in the table of acts
  std::size_t who = 0;     // a person
  std::size_t other = 0;   // another one
  std::uint64_t draw = 0;  // whatever else the act has to choose
};

struct Plan {
  std::uint64_t seed = 0;
  std::size_t people = 2;
  bool strangers = false;   // at the beginning; else everybody has written to everybody
  bool tight = false;       // the operator's limits are, until the faults end
  bool lies = false;        // the relay does, until the faults end
  bool last_words = false;  // one phone is lost for good when the faults end
  bool hands_off = false;   // when the faults end, clients find their way back by themselves
  // From then on the operator wants short texts; some are written, also before, that are not.
  std::optional<std::chrono::milliseconds> brief_from;
  World::Settings settings;
  std::chrono::milliseconds length{};
  std::uint64_t burst = 1;   // so many times as much is written where much is
  std::int64_t stretch = 1;  // of days and weeks, and how much longer people stay away then
  std::vector<Step> steps;
};

// Bytes of a text at an operator who wants them short, and of an envelope, which has room for it.
inline constexpr std::uint32_t kBriefSizeMax = 2'048;
inline constexpr std::uint32_t kBriefEnvelopeSizeMax = 4'096;
inline constexpr char kFilling = '~';  // of long texts; nothing else has it

[[nodiscard]] Plan plan_of(std::uint64_t seed);
[[nodiscard]] std::string describe(const Step& step);

}  // namespace godwit::sim
