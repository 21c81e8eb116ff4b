#include "schema/wire/address.hpp"

#include <sodium.h>

#include <algorithm>
#include <charconv>

namespace godwit::wire {
namespace {

constexpr int kVariant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_';
}

bool is_ipv6_character(char c) {
  return (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || (c >= '0' && c <= '9') || c == ':' ||
         c == '.';
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return {};
  return port;
}

}  // namespace

std::optional<HostPort> parse_host_port(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return {};
  auto host = text.substr(0, colon);
  const auto port = parse_port(text.substr(colon + 1));
  if (!port) return {};
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (host.empty() || host.size() > kHostSizeMax) return {};
  // Brackets and a colon go together: without them 1::2:7700 could be read in two ways.
  if (bracketed != (host.find(':') != std::string_view::npos)) return {};
  if (!std::all_of(host.begin(), host.end(), bracketed ? is_ipv6_character : is_host_character)) {
    return {};
  }
  return HostPort{std::string(host), *port};
}

std::string format_host_port(const HostPort& where) {
  const bool ipv6 = where.host.find(':') != std::string::npos;
  return (ipv6 ? "[" + where.host + "]" : where.host) + ":" + std::to_string(where.port);
}

tl::expected<RelayAddress, std::string> parse_address(std::string_view text) {
  const auto fault = [](std::string_view what) {
    return tl::unexpected(std::string(what) +
                          "; a relay's address looks like godwit://KEY@HOST:PORT");
  };
  if (!text.starts_with(kAddressScheme)) return fault("the text does not begin with godwit://");
  text.remove_prefix(kAddressScheme.size());
  const auto at = text.find('@');
  if (at == std::string_view::npos) return fault("no @ parts the key from the host");
  const auto key = parse_base64url(text.substr(0, at));
  if (!key || key->size() != Key::kSize) {
    return fault("the key is not 43 characters of base64url (it may have been cut off)");
  }
  const auto where = parse_host_port(text.substr(at + 1));
  if (!where) return fault("what follows the @ is not HOST:PORT");
  if (where->port == 0) return fault("nobody can connect to port 0");
  return RelayAddress{Key::copy_of(*key), format_host_port(*where)};
}

std::string format_address(const RelayAddress& address) {
  return std::string(kAddressScheme) + base64url(address.key.view()) + "@" + address.host_port;
}

std::string base64url(ByteView bytes) {
  std::string text(sodium_base64_encoded_len(bytes.size(), kVariant), '\0');
  sodium_bin2base64(text.data(), text.size(), bytes.data(), bytes.size(), kVariant);
  text.pop_back();  // libsodium counts and writes a terminating zero
  return text;
}

std::optional<Bytes> parse_base64url(std::string_view text) {
  // libsodium 1.0.18 takes some bytes beyond ASCII for letters.
  unsigned beyond_ascii = 0;
  for (const char letter : text) beyond_ascii |= static_cast<unsigned char>(letter) & 0x80U;
  if (beyond_ascii != 0) return {};
  Bytes bytes(text.size() / 4 * 3 + 3);
  std::size_t size = 0;
  const int failed = sodium_base642bin(bytes.data(), bytes.size(), text.data(), text.size(),
                                       nullptr, &size, nullptr, kVariant);
  if (failed != 0) return {};
  bytes.resize(size);
  return bytes;
}

}  // namespace godwit::wire
