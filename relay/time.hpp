// time: the relay's two clocks, read by whoever owns a real one and handed in as a value, so that
// every rule that looks at time can be run in a simulator.
#pragma once

#include <chrono>
#include <cstdint>

namespace godwit::relay {

using Steady = std::chrono::steady_clock::time_point;

struct Now {
  Steady steady{};            // for deadlines: never jumps
  std::uint64_t wall_ms = 0;  // since 1970: for what outlives the process, such as expiry

  [[nodiscard]] std::uint32_t wall_s() const {
    return static_cast<std::uint32_t>(wall_ms / 1000);
  }
};

}  // namespace godwit::relay
