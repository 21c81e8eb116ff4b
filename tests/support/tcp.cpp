#include "tests/support/tcp.hpp"

#include <cerrno>

#include "schema/net/address.hpp"

namespace godwit::support {

net::Descriptor begin_tcp(const std::string& host_port, const std::string& from,
                          int receive_buffer) {
  const auto peer = net::parse_address(host_port);
  if (!peer) return {};
  net::Descriptor socket(::socket(peer->family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.is_open()) return {};
  if (receive_buffer > 0 && ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer,
                                         sizeof receive_buffer) != 0) {
    return {};
  }
  if (!from.empty()) {
    // The port is left to connect(), as in net/stream.
    const int on = 1;
    const auto own = net::parse_host(from);
    if (!own ||
        ::setsockopt(socket.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) != 0 ||
        ::bind(socket.get(), own->raw(), own->size()) != 0) {
      return {};
    }
  }
  if (::connect(socket.get(), peer->raw(), peer->size()) != 0 && errno != EINPROGRESS) return {};
  return socket;
}

void reset_tcp(net::Descriptor socket) {
  const linger discard{1, 0};
  // One that cannot be told so ends with FIN.
  (void)::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &discard, sizeof discard);
}

}  // namespace godwit::support
