#include "relay/policy/address_set.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace godwit::relay::policy {
namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr unsigned kMappedBits = 96;

bool equal_bits(const NumericAddress& left, const NumericAddress& right, unsigned count) {
  const std::size_t whole = count / 8;
  if (!std::equal(left.bytes.begin(), left.bytes.begin() + static_cast<std::ptrdiff_t>(whole),
                  right.bytes.begin())) {
    return false;
  }
  const unsigned rest = count % 8;
  if (rest == 0) return true;
  return ((left.bytes[whole] ^ right.bytes[whole]) >> (8 - rest)) == 0;
}

NumericAddress first_of(NumericAddress address, unsigned prefix) {
  for (unsigned bit = prefix; bit < 128; ++bit) {
    address.bytes[bit / 8] &= static_cast<std::uint8_t>(~(0x80u >> (bit % 8)));
  }
  return address;
}

std::string format(const NumericAddress& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const bool ipv4 = address.is_ipv4();
  inet_ntop(ipv4 ? AF_INET : AF_INET6, address.bytes.data() + (ipv4 ? kMappedPrefix.size() : 0),
            text.data(), text.size());
  return text.data();
}

}  // namespace

bool NumericAddress::is_ipv4() const {
  return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes.begin());
}

NumericAddress network_of(NumericAddress address) {
  constexpr unsigned kCustomerBits = 64;
  return address.is_ipv4() ? address : first_of(address, kCustomerBits);
}

std::optional<NumericAddress> parse_numeric_address(std::string_view text) {
  // inet_pton wants a terminated string; a zero byte inside would end it early.
  if (text.find('\0') != std::string_view::npos) return {};
  const std::string host(text.substr(0, text.find('%')));
  NumericAddress address;
  if (inet_pton(AF_INET6, host.c_str(), address.bytes.data()) == 1) return address;
  std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), address.bytes.begin());
  if (host.size() != text.size()) return {};  // an IPv4 address has no zone
  if (inet_pton(AF_INET, host.c_str(), address.bytes.data() + kMappedPrefix.size()) == 1) {
    return address;
  }
  return {};
}

bool Network::contains(const NumericAddress& address) const {
  // ::/0 is all of IPv6, not all of IPv4: the mapped range lies in it only as notation.
  if (address.is_ipv4() && prefix < kMappedBits) return false;
  return equal_bits(base, address, prefix);
}

tl::expected<Network, std::string> parse_network(std::string_view text) {
  const auto quoted = "\"" + std::string(text) + "\"";
  const auto slash = text.find('/');
  const auto address = parse_numeric_address(text.substr(0, slash));
  if (!address || text.find('%') != std::string_view::npos) {
    return tl::unexpected(quoted + " is not a network such as \"10.0.0.0/8\" or \"::1\"");
  }
  if (slash == std::string_view::npos) return Network{*address, 128};

  // In IPv6 notation the prefix counts 128 bits, also for a mapped address.
  const bool ipv4_notation = text.find(':') == std::string_view::npos;
  const unsigned bits_max = ipv4_notation ? 32 : 128;
  const auto digits = text.substr(slash + 1);
  unsigned prefix = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
  if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size() ||
      prefix > bits_max) {
    return tl::unexpected(quoted + " needs a prefix length from 0 to " + std::to_string(bits_max));
  }
  const Network network{*address, ipv4_notation ? prefix + kMappedBits : prefix};
  if (const auto first = first_of(network.base, network.prefix); first != network.base) {
    return tl::unexpected(quoted + " has bits beyond its prefix; did you mean \"" + format(first) +
                          "/" + std::to_string(prefix) + "\"?");
  }
  return network;
}

tl::expected<AddressSet, std::string> AddressSet::parse(const std::vector<std::string>& networks) {
  AddressSet set;
  for (const auto& text : networks) {
    const auto network = parse_network(text);
    if (!network) return tl::unexpected(network.error());
    set.networks_.push_back(*network);
  }
  return set;
}

bool AddressSet::contains(std::string_view address) const {
  const auto numeric = parse_numeric_address(address);
  return numeric && std::any_of(networks_.begin(), networks_.end(),
                                [&](const Network& network) { return network.contains(*numeric); });
}

}  // namespace godwit::relay::policy
