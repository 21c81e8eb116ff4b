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
  bool nothing_expires = false;  // the wall clock is in doubt

  [[nodiscard]] std::uint32_t wall_s() const {
    return static_cast<std::uint32_t>(wall_ms / 1000);
  }
  // Whether what lives until then, in seconds since 1970, has expired.
  [[nodiscard]] bool past(std::uint32_t expires) const {
    return expires <= wall_s() && !nothing_expires;
  }
};

}  // namespace godwit::relay
