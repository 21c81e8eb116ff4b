// nearest: "did you mean": the word of a list that a mistyped one is closest to.
// Thread: pure function.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace godwit::relay {

// Nothing when no candidate is within a third of the word's length in edits (at least one).
[[nodiscard]] std::optional<std::string_view> nearest(
    std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace godwit::relay
