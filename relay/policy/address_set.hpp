// policy/address_set: networks in CIDR notation, and whether an address lies in one of them.
//
// An IPv4 address and its IPv4-mapped IPv6 form (::ffff:192.0.2.1) are one address, since a
// dual-stack socket reports the latter. IPv6 networks, ::/0 included, hold no IPv4 address.
//
// Owns:    the networks.
// Refuses: to resolve names.
// Thread:  immutable once parsed.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace godwit::relay::policy {

// An IPv4 address as its IPv4-mapped IPv6 form, so that there is one form to compare.
struct NumericAddress {
  std::array<std::uint8_t, 16> bytes{};
  [[nodiscard]] bool is_ipv4() const;
  friend bool operator==(const NumericAddress&, const NumericAddress&) = default;
};

// A zone ("fe80::1%eth0") is left out: networks have none.
[[nodiscard]] std::optional<NumericAddress> parse_numeric_address(std::string_view text);

// What one customer has: an IPv4 address, or an IPv6 address without its last 64 bits.
[[nodiscard]] NumericAddress network_of(NumericAddress address);

struct Network {
  NumericAddress base;
  unsigned prefix = 128;  // of the 128 bits
  [[nodiscard]] bool contains(const NumericAddress& address) const;
};

// "10.0.0.0/8", "2001:db8::/32", or one address. The error is one sentence for the operator.
[[nodiscard]] tl::expected<Network, std::string> parse_network(std::string_view text);

class AddressSet {
 public:
  AddressSet() = default;
  // The first error of the list, if there is one.
  [[nodiscard]] static tl::expected<AddressSet, std::string> parse(
      const std::vector<std::string>& networks);

  // `address`: numeric text, as a socket reports its peer. False for anything else.
  [[nodiscard]] bool contains(std::string_view address) const;

 private:
  std::vector<Network> networks_;
};

}  // namespace godwit::relay::policy
