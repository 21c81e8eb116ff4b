// house/house_rules: who may include whom, that the numbered path of a message names the files it
// is made of, and the sizes that a file, a line and a function stay under.
// Thread: pure functions.
// Spec:   relay/README.md, "The path of a message" and "Who may include whom".
#pragma once

#include <string>
#include <vector>

#include "tests/unit/house/source_tree.hpp"

namespace godwit::house {

inline constexpr std::size_t kFileLinesMax = 500;
inline constexpr std::size_t kLineColumnsMax = 100;
// The aim is 70; a function that is a table may need a few more.
inline constexpr std::size_t kFunctionLinesMax = 80;

// One line per breach: where it is, and the rule in words. Nothing when all is well.
using Breaches = std::vector<std::string>;

// Through headers too: a file is held to everything that reaches it.
[[nodiscard]] Breaches check_includes(const SourceTree& tree);

// The section "The path of a message" of relay/README.md, against the files of the relay.
[[nodiscard]] Breaches check_path_of_a_message(const SourceTree& tree);

[[nodiscard]] Breaches check_sizes(const SourceTree& tree);

}  // namespace godwit::house
