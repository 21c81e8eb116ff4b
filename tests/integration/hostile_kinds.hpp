// The kinds of hostile connections: what each sends, and what the relay must make of it.
#pragma once

#include <string>
#include <vector>

#include "tests/support/hostile_client.hpp"
#include "tests/support/raw_device.hpp"

namespace godwit::integration {

// Connections at one time; each has an account of its own, or they would replace each other.
inline constexpr std::size_t kAtOnce = 64;

struct Kind {
  std::string name;
  support::HostileCrowd::MakePlan make_plan;
  support::HostileCrowd::Judge judge;
  // A kind that is ended by a deadline of the relay takes ten seconds: few hundred of it, all at
  // once, and once.
  bool slow = false;
  // What one connection may cost the relay at most, handshake included. Nothing: not judged.
  std::chrono::milliseconds cpu_max{0};
};

// What the attackers have to work with.
struct Ground {
  wire::RelayAddress relay;
  std::vector<support::Account> attackers;  // registered, kAtOnce of them
  support::Account victim;                  // registered; not theirs
  wire::Bytes recorded;  // a device's handshake and login, as they were on the wire
};

[[nodiscard]] std::vector<Kind> all_kinds(const Ground& ground);

}  // namespace godwit::integration
