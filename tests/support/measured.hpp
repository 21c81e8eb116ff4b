// support/measured: what the real daemon uses and counts when nobody but the honest is connected.
// Thread: one owner.
#pragma once

#include <optional>

#include "tests/support/relay_process.hpp"

namespace godwit::support {

struct Measured {
  relay::ops::Figures figures;
  std::uint64_t memory = 0;  // bytes, without the store's map
  std::size_t descriptors = 0;
  double cpu_s = 0;
};

[[nodiscard]] Measured measure(const RelayProcess& relay);

// Waits, for twenty seconds at most, until only `sessions` devices are connected and `descriptors`
// are open (nothing: few enough that no question for the status is among them), then measures.
[[nodiscard]] Measured settle(const RelayProcess& relay, std::size_t sessions,
                              std::optional<std::size_t> descriptors);

}  // namespace godwit::support
