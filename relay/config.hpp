// config: relay.toml, read once at start. One table of settings says each key, its default, its
// range and its comment; reading, checking and writing the file all follow that table.
// Thread: immutable once read.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "schema/wire/messages.hpp"

namespace godwit::relay {

struct Config {
  // [network]
  std::vector<std::string> listen{"0.0.0.0:7700"};  // HOST:PORT; port 0 picks a free one
  std::string advertise;                            // HOST:PORT in the address; empty: listen[0]
  std::uint32_t loops = 0;                          // threads; 0: all cores but one
  std::uint32_t connections_max = 20'000;
  std::vector<std::string> unlimited_from{"127.0.0.0/8", "::1"};

  // [limits]
  std::uint32_t ttl_default_s = 30 * 86'400;
  std::uint32_t ttl_max_s = 45 * 86'400;
  std::uint32_t mailbox_envelopes_max = 100'000;
  std::uint64_t mailbox_bytes_max = 256ull << 20;
  std::uint32_t envelope_size_max = 72 * 1024;
  std::uint32_t text_size_max = 64 * 1024;
  std::uint32_t media_size_max = 16 << 20;
  std::uint32_t window_envelopes = 64;
  std::uint32_t window_bytes = 1 << 20;
  std::uint32_t group_members_max = 1'024;
  std::uint32_t devices_max = 5;
  std::uint32_t submits_in_flight_max = 1'024;  // per device

  // [rates]
  std::uint32_t submits_per_s = 100;  // per device
  std::uint32_t submits_burst = 1'000;
  std::uint32_t handshakes_per_s = 50;  // per address
  std::uint32_t handshakes_burst = 500;
  std::uint32_t registrations_per_hour = 5;  // per address

  // [store]
  std::uint64_t store_size_max = 64ull << 30;  // bytes
  std::uint64_t store_grow_step = 64ull << 20;
  std::uint64_t store_reserve = 16ull << 20;

  // [log]
  std::string log_level = "info";  // debug, info, warning, error

  [[nodiscard]] wire::Limits wire_limits() const;  // as Welcome carries them
};

// One fault of relay.toml: where, what, and what is allowed.
struct ConfigFault {
  std::uint32_t line = 0;  // 0: the file as a whole
  std::string key;
  std::string what;  // one sentence with the allowed range or values
};

// Every fault of the file, not only the first.
[[nodiscard]] tl::expected<Config, std::vector<ConfigFault>> read_config(
    const std::filesystem::path& file);
// The same of a text.
[[nodiscard]] tl::expected<Config, std::vector<ConfigFault>> parse_config(std::string_view text);

// The largest envelope of a text of so many bytes, padded and encrypted as schema/ENVELOPE.md says.
[[nodiscard]] std::uint64_t envelope_size_of(std::uint64_t text_size);

// The commented file that `init` writes.
[[nodiscard]] std::string config_text(const Config& config);

}  // namespace godwit::relay
