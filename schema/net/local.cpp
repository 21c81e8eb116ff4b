#include "schema/net/local.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "schema/net/handle.hpp"

namespace godwit::net {

namespace {

constexpr int kLocalBacklog = 16;
constexpr int kLocalAcceptsPerRound = 4;

// `directory` must stay open while `address` is in use, when the path went through it.
struct LocalAddress {
  Descriptor directory;
  sockaddr_un address{};

  [[nodiscard]] const sockaddr* raw() const {
    return reinterpret_cast<const sockaddr*>(&address);
  }
};

// `missing`: what it means to the caller that a part of the path does not exist.
NetError path_error(NetError missing) {
  return errno == ENOENT || errno == ENOTDIR ? missing : last_error();
}

tl::expected<LocalAddress, NetError> make_local_address(const std::string& path,
                                                        NetError missing) {
  LocalAddress local;
  std::string short_path = path;
  if (path.size() >= sizeof local.address.sun_path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return tl::unexpected(NetError::address_invalid);
    local.directory = Descriptor(
        open(path.substr(0, slash + 1).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!local.directory.is_open()) return tl::unexpected(path_error(missing));
    short_path = "/proc/self/fd/" + std::to_string(local.directory.get()) + path.substr(slash);
  }
  // A leading NUL would mean Linux's abstract names, which have no permissions.
  if (short_path.empty() || short_path.size() >= sizeof local.address.sun_path ||
      short_path.find('\0') != std::string::npos) {
    return tl::unexpected(NetError::address_invalid);
  }
  local.address.sun_family = AF_UNIX;
  std::memcpy(local.address.sun_path, short_path.c_str(), short_path.size() + 1);
  return local;
}

tl::expected<Descriptor, NetError> open_listening(const std::string& path) {
  const auto local = make_local_address(path, NetError::address_invalid);
  if (!local) return tl::unexpected(local.error());
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.is_open()) return tl::unexpected(last_error());
  // Linux gives the file the mode of the unbound socket: it is never open to others, not even
  // between bind and a chmod.
  if (fchmod(socket.get(), S_IRUSR | S_IWUSR) != 0 ||
      bind(socket.get(), local->raw(), sizeof local->address) != 0) {
    return tl::unexpected(path_error(NetError::address_invalid));
  }
  if (listen(socket.get(), kLocalBacklog) != 0) return tl::unexpected(last_error());
  return socket;
}

}  // namespace

tl::expected<LocalListener, NetError> LocalListener::listen(
    Loop& loop, const std::string& path, std::function<void(Stream)> on_accept) {
  auto socket = open_listening(path);
  if (!socket) return tl::unexpected(socket.error());
  auto acceptor = Acceptor::start(
      loop, std::move(*socket), kLocalAcceptsPerRound,
      [&loop, on_accept = std::move(on_accept)](int descriptor) {
        auto stream = Stream::adopt(loop, descriptor);
        if (stream) on_accept(std::move(*stream));  // else the peer has left already
      });
  if (!acceptor) return tl::unexpected(acceptor.error());
  return LocalListener(std::move(*acceptor));
}

tl::expected<int, NetError> connect_local(const std::string& path) {
  const auto local = make_local_address(path, NetError::refused);
  if (!local) return tl::unexpected(local.error());
  // Blocking, it would wait for a place in the queue of one that accepts nothing any more.
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.is_open()) return tl::unexpected(last_error());
  int result = 0;
  do {
    result = connect(socket.get(), local->raw(), sizeof local->address);
  } while (result != 0 && errno == EINTR);
  if (result != 0 && errno == EAGAIN) return tl::unexpected(NetError::timed_out);
  if (result != 0) return tl::unexpected(path_error(NetError::refused));
  if (fcntl(socket.get(), F_SETFL, 0) != 0) return tl::unexpected(last_error());
  return socket.release();
}

}  // namespace godwit::net
