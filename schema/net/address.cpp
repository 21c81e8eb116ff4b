#include "schema/net/address.hpp"

#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

#include "schema/net/handle.hpp"

namespace godwit::net {

namespace {

std::optional<std::uint16_t> parse_port(std::string_view digits) {
  std::uint16_t port = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, port);
  if (digits.empty() || error != std::errc{} || stop != end) return std::nullopt;
  return port;
}

std::uint16_t port_of(const Address& address) {
  return ntohs(address.family() == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6*>(&address.storage)->sin6_port
                   : reinterpret_cast<const sockaddr_in*>(&address.storage)->sin_port);
}

tl::expected<Address, NetError> make_address(const std::string& host, bool is_v6,
                                             std::uint16_t port) {
  Address address;
  const int result =
      is_v6 ? uv_ip6_addr(host.c_str(), port, reinterpret_cast<sockaddr_in6*>(&address.storage))
            : uv_ip4_addr(host == "localhost" ? "127.0.0.1" : host.c_str(), port,
                          reinterpret_cast<sockaddr_in*>(&address.storage));
  // An embedded NUL would hide the rest of the text from libuv.
  if (result != 0 || host.find('\0') != std::string::npos) {
    return tl::unexpected(NetError::address_invalid);
  }
  return address;
}

bool is_bracketed(std::string_view host) {
  return host.size() > 2 && host.front() == '[' && host.back() == ']';
}

}  // namespace

tl::expected<Address, NetError> parse_address(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return tl::unexpected(NetError::address_invalid);
  const auto port = parse_port(std::string_view(text).substr(colon + 1));
  if (!port) return tl::unexpected(NetError::address_invalid);
  const std::string host = text.substr(0, colon);
  if (is_bracketed(host)) return make_address(host.substr(1, host.size() - 2), true, *port);
  return make_address(host, false, *port);
}

tl::expected<Address, NetError> parse_host(const std::string& text) {
  if (is_bracketed(text)) return make_address(text.substr(1, text.size() - 2), true, 0);
  return make_address(text, text.find(':') != std::string::npos, 0);
}

std::string format_host(const Address& address) {
  if (address.family() == AF_UNIX) return "local";
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.family() == AF_INET6) {
    uv_ip6_name(reinterpret_cast<const sockaddr_in6*>(&address.storage), text.data(), text.size());
  } else {
    uv_ip4_name(reinterpret_cast<const sockaddr_in*>(&address.storage), text.data(), text.size());
  }
  return text.data();
}

std::string format_address(const Address& address) {
  const std::string host = format_host(address);
  const std::string port = std::to_string(port_of(address));
  return address.family() == AF_INET6 ? "[" + host + "]:" + port : host + ":" + port;
}

}  // namespace godwit::net
