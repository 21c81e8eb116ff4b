// net/address: socket addresses as text. Numeric only: a name look-up blocks, and an operator's
// resolver has no part in what a relay's address means. `localhost` is 127.0.0.1.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <string>
#include <tl/expected.hpp>

#include "schema/net/loop.hpp"

namespace godwit::net {

struct Address {
  sockaddr_storage storage{};

  [[nodiscard]] int family() const { return storage.ss_family; }
  [[nodiscard]] socklen_t size() const {
    return family() == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  }
  [[nodiscard]] const sockaddr* raw() const {
    return reinterpret_cast<const sockaddr*>(&storage);
  }
};

// HOST:PORT, an IPv6 host in brackets: "127.0.0.1:7000", "[::1]:7000".
[[nodiscard]] tl::expected<Address, NetError> parse_address(const std::string& text);
// HOST alone, brackets or not; the port is 0.
[[nodiscard]] tl::expected<Address, NetError> parse_host(const std::string& text);

[[nodiscard]] std::string format_address(const Address& address);
// Without port and brackets; "local" for a socket of this machine (AF_UNIX).
[[nodiscard]] std::string format_host(const Address& address);

}  // namespace godwit::net
