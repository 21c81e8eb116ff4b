// advertise: the HOST:PORT that clients are told, from what the relay listens on.
// Thread: pure functions.
#pragma once

#include <string>

#include "relay/config.hpp"

namespace godwit::relay {

// `bound`: the first listener's HOST:PORT, with the port in use. The setting `advertise` goes
// before it; a wildcard host ("0.0.0.0", "[::]") names nobody and becomes the loopback address.
[[nodiscard]] std::string advertised_host_port(const Config& config, const std::string& bound);

// True when advertised_host_port() gives the loopback address for want of a better one: only
// clients of this machine can use it.
[[nodiscard]] bool advertises_loopback_only(const Config& config);

}  // namespace godwit::relay
