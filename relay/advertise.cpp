#include "relay/advertise.hpp"

#include <cassert>
#include <string_view>

#include "relay/policy/address_set.hpp"
#include "schema/wire/address.hpp"

namespace godwit::relay {
namespace {

// The loopback address of the same family when `host` is a wildcard, in whatever spelling; else
// empty.
std::string_view loopback_for(std::string_view host) {
  static const auto kAnyIpv4 = policy::parse_numeric_address("0.0.0.0");
  static const auto kAnyIpv6 = policy::parse_numeric_address("::");
  const auto address = policy::parse_numeric_address(host);
  if (!address) return {};
  if (address == kAnyIpv4) return "127.0.0.1";
  if (address == kAnyIpv6) return "::1";
  return {};
}

}  // namespace

std::string advertised_host_port(const Config& config, const std::string& bound) {
  if (!config.advertise.empty()) return config.advertise;
  auto where = wire::parse_host_port(bound);
  assert(where);  // ours: a checked setting, or what a listener says of itself
  if (const auto loopback = loopback_for(where->host); !loopback.empty()) where->host = loopback;
  return wire::format_host_port(*where);
}

bool advertises_loopback_only(const Config& config) {
  const auto where = wire::parse_host_port(config.listen.front());
  return config.advertise.empty() && where && !loopback_for(where->host).empty();
}

}  // namespace godwit::relay
