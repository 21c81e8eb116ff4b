// enemies/table: what was seen of each enemy, as a row of a table in Markdown.
// Thread: any one.
#pragma once

#include <span>
#include <string>

#include "tests/enemies/enemy.hpp"
#include "tests/enemies/newcomer.hpp"
#include "tests/support/honest_pair.hpp"

namespace godwit::enemies {

// What the honest saw in a while.
struct While {
  support::HonestPair::Report pair;
  Newcomer::Report newcomers;
  double processor = 0;  // how much of one the relay had meanwhile
};

// What one round with an enemy was like.
struct Round {
  Watched watched;
  While before, during, after;
  Problems problems;
  bool deadline_judged = true;  // the enemy stayed until the relay has to act against it
};

void print_head();
// Medians of the rounds; of what was slowest and of peaks the largest. `rounds` is not empty.
void print_row(const std::string& enemy, std::span<const Round> rounds);

}  // namespace godwit::enemies
