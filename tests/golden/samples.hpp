// golden/samples: one fixed value for each kind of frame, every field set to something of its own,
// and a few where what is optional is absent.
// The views in the values point to constants and are always valid.
#pragma once

#include <string_view>
#include <vector>

#include "schema/wire/messages.hpp"

namespace godwit::test {

template <class Frame>
struct Sample {
  std::string_view name;  // of the golden file, without its ending
  Frame frame;
};

[[nodiscard]] std::vector<Sample<wire::Request>> request_samples();
[[nodiscard]] std::vector<Sample<wire::RelayFrame>> relay_samples();

}  // namespace godwit::test
