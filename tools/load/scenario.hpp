// load/scenario: what a run does, as a file or flags say it.
//
// A run has flows: a sender whose envelopes go to one recipient, or to all members of a group. The
// recipients of some flows are away while their mailboxes are filled, and come back to drain them.
// Beside the flows stands a crowd of sessions that are idle, or that come and go.
//
// Thread:  pure functions on values.
// Trust:   files and flags are people's input; every fault is one sentence that says what to do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

namespace godwit::load {

// Bytes of one envelope, drawn from ranges by weight.
struct PayloadSize {
  std::uint32_t from = 256;
  std::uint32_t to = 256;
  std::uint32_t weight = 1;
};

struct Scenario {
  std::string name = "online";
  std::uint32_t processes = 1;  // that share all of it
  std::uint32_t pairs = 100;    // flows
  std::uint32_t group = 1;      // recipients of each flow
  std::uint32_t senders = 0;    // devices that share the flows; 0: one for each
  std::uint32_t window = 32;    // envelopes under way in each flow, when there is no rate
  double rate = 0;              // submits per second of all flows together; 0: as the window allows
  std::vector<PayloadSize> payload{PayloadSize{}};
  double media_share = 0;  // the share of envelopes that have a size of `media` instead
  // Chunks of a file, of 64 KiB each; what is left of it stands in the last one.
  std::vector<PayloadSize> media{{65'536, 65'536, 4}, {1'024, 65'536, 1}};
  double away = 0;                // the share of flows whose recipients are away until the drain
  bool drain_at_random = false;   // recipients come back in any order, not in that of their mail
  std::uint32_t sessions = 0;     // of the crowd
  double churn = 0;               // logins per second of the crowd while it is measured
  std::uint64_t messages = 0;     // of each flow; 0: until the time is over
  double seconds = 10;            // measured; the bound when `messages` is given
  double warm_up = 1;             // seconds before that; none when `messages` is given
  double settle = 30;             // seconds that what is under way has to arrive in
  std::uint32_t late_ms = 0;      // what takes longer is late; 0: nothing is
  std::uint64_t late_max = 0;     // late ones that the verdict lets pass
  std::uint64_t refused_max = 0;  // refusals that the verdict lets pass
  std::uint64_t seed = 0;         // of accounts, sizes and order; 0: drawn for this run
  bool e2ee = false;              // the whole SDK, instead of opaque bytes
  double kill_every = 0;          // seconds between two kills of the own relay; 0: never
  std::vector<std::pair<std::string, std::string>> relay_settings;  // "section.key", TOML value
};

inline constexpr std::uint32_t kPairsMax = 1'000'000;
inline constexpr std::uint32_t kDevicesMax = 1'000'000;
inline constexpr std::uint32_t kWindowMax = 1'024;
inline constexpr std::uint32_t kProcessesMax = 64;
inline constexpr double kSecondsMax = 7 * 24 * 3600.0;
inline constexpr std::uint32_t kPayloadMin = 32;  // bytes: what the judge has to know stands in it
inline constexpr std::uint32_t kTextMax = 64 * 1024;  // bytes, of the SDK

// The presets: online, offline, idle, fanout, churn, mixed.
[[nodiscard]] std::vector<std::string_view> preset_names();
[[nodiscard]] std::optional<Scenario> preset(std::string_view name);

// Sets one field by its name in a scenario file, from its text. Says what is wrong.
[[nodiscard]] tl::expected<void, std::string> set(Scenario& scenario, std::string_view key,
                                                  std::string_view value);
// A TOML file: `base = "PRESET"` (default online), then the fields of Scenario; [relay] holds
// settings of an own relay as "section.key" = value.
[[nodiscard]] tl::expected<Scenario, std::string> parse_scenario(std::string_view toml,
                                                                 std::string name);
// What does not fit together.
[[nodiscard]] tl::expected<void, std::string> check(const Scenario& scenario);

// Every field with its value, as set() takes it.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> settings_of(
    const Scenario& scenario);

// How many of its flows have recipients that are away.
// All that take part.
[[nodiscard]] std::uint64_t devices_of(const Scenario& scenario);
[[nodiscard]] std::uint32_t flows_away(const Scenario& scenario);

// How many of its processes share the flows: all, but for the last where sessions come and go
// beside flows. A login is half a millisecond of the load generator's time too, and would be in the
// way of the envelopes that it measures.
[[nodiscard]] std::uint32_t processes_with_flows(const Scenario& scenario);

// What one of its processes plays: its share of the flows, senders, sessions, rate and churn, and
// accounts of its own. Those of all of them make up the whole.
[[nodiscard]] Scenario part_of(const Scenario& whole, std::uint32_t index);

// The size of a flow's envelope; the same for the same seed.
[[nodiscard]] std::uint32_t size_of(const Scenario& scenario, std::uint32_t flow,
                                    std::uint64_t number);

}  // namespace godwit::load
