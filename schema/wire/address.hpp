// wire/address: the text a relay is known by, godwit://KEY@HOST:PORT, and the base64url its key is
// written in.
// Owns:    nothing.
// Refuses: to resolve a name or to open a connection.
// Thread:  pure functions.
// Trust:   the text comes from a person, a link or a QR code; each part is checked.
// Spec:    schema/README.md, "Connection"; RFC 4648, section 5, without padding.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "schema/wire/types.hpp"

namespace godwit::wire {

inline constexpr std::string_view kAddressScheme = "godwit://";
inline constexpr std::size_t kHostSizeMax = 253;  // of a DNS name, RFC 1035

struct RelayAddress {
  Key key;                // the relay's static X25519 key: whoever holds it is this relay
  std::string host_port;  // "relay.example:7700", "[2001:db8::1]:7700"
  friend bool operator==(const RelayAddress&, const RelayAddress&) = default;
};

struct HostPort {
  std::string host;  // a name or a numeric address, without the brackets of IPv6
  std::uint16_t port = 0;
  friend bool operator==(const HostPort&, const HostPort&) = default;
};

// The error is one sentence for the person who typed the text.
[[nodiscard]] tl::expected<RelayAddress, std::string> parse_address(std::string_view text);
[[nodiscard]] std::string format_address(const RelayAddress& address);

// HOST:PORT; an IPv6 host stands in brackets. Port 0 is let through: a listener may want it.
[[nodiscard]] std::optional<HostPort> parse_host_port(std::string_view text);
[[nodiscard]] std::string format_host_port(const HostPort& where);

[[nodiscard]] std::string base64url(ByteView bytes);
// Nothing for any other alphabet, padding, white space, or bits set beyond the last byte: each
// value has exactly one text. Takes the same time for all texts of one length, so that it may
// read secrets.
[[nodiscard]] std::optional<Bytes> parse_base64url(std::string_view text);

}  // namespace godwit::wire
