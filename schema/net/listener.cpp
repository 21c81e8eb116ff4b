#include <netinet/in.h>
#include <sys/socket.h>

#include <utility>

#include "schema/net/acceptor.hpp"
#include "schema/net/address.hpp"
#include "schema/net/handle.hpp"
#include "schema/net/stream.hpp"

namespace godwit::net {

namespace {

tl::expected<Descriptor, NetError> open_listening(const Address& address, int backlog) {
  Descriptor socket(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.is_open()) return tl::unexpected(last_error());
  const int yes = 1;
  // A restarted relay gets its port back while old connections are still in TIME_WAIT.
  if (setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0) {
    return tl::unexpected(last_error());
  }
  // An IPv4 peer shows as itself, never as ::ffff:a.b.c.d, so per-address rules see one spelling.
  if (address.family() == AF_INET6 &&
      setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes) != 0) {
    return tl::unexpected(last_error());
  }
  if (bind(socket.get(), address.raw(), address.size()) != 0 ||
      listen(socket.get(), backlog) != 0) {
    return tl::unexpected(last_error());
  }
  return socket;
}

tl::expected<std::string, NetError> bound_address(const Descriptor& socket) {
  Address bound;
  socklen_t size = sizeof bound.storage;
  if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&bound.storage), &size) != 0) {
    return tl::unexpected(last_error());
  }
  return format_address(bound);
}

}  // namespace

struct Listener::State {
  std::string address;
  Acceptor acceptor;
};

void Listener::Close::operator()(State* state) const { delete state; }

tl::expected<Listener, NetError> Listener::listen(Loop& loop, const std::string& address,
                                                  Options options,
                                                  std::function<void(int)> on_accept) {
  const auto wanted = parse_address(address);
  if (!wanted) return tl::unexpected(wanted.error());
  auto socket = open_listening(*wanted, options.backlog);
  if (!socket) return tl::unexpected(socket.error());
  auto bound = bound_address(*socket);
  if (!bound) return tl::unexpected(bound.error());
  auto acceptor = Acceptor::start(loop, std::move(*socket), options.accepts_per_round,
                                  std::move(on_accept));
  if (!acceptor) return tl::unexpected(acceptor.error());
  return Listener(std::unique_ptr<State, Close>(
      new State{std::move(*bound), std::move(*acceptor)}));
}

Listener::Listener(std::unique_ptr<State, Close> state) : state_(std::move(state)) {}
Listener::Listener(Listener&&) noexcept = default;
Listener& Listener::operator=(Listener&&) noexcept = default;
Listener::~Listener() = default;

const std::string& Listener::address() const { return state_->address; }

}  // namespace godwit::net
