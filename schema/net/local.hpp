// net/local: a stream socket in the file system (AF_UNIX), for the operator on the same machine.
//
// A path may be as long as the file system allows: sun_path holds 108 bytes, so the directory of a
// longer one is named through /proc/self/fd.
// Refuses: to unlink: a stale socket file is removed by whoever holds the lock of its directory.
// Thread:  LocalListener the loop's; connect_local() any.
// Trust:   the socket is mode 0600; the rest is the directory's permissions.
#pragma once

#include <functional>
#include <string>
#include <tl/expected.hpp>

#include "schema/net/acceptor.hpp"
#include "schema/net/stream.hpp"

namespace godwit::net {

class LocalListener {
 public:
  // address_in_use: there is a file at `path` already, live or stale.
  [[nodiscard]] static tl::expected<LocalListener, NetError> listen(
      Loop& loop, const std::string& path, std::function<void(Stream)> on_accept);

 private:
  explicit LocalListener(Acceptor acceptor) : acceptor_(std::move(acceptor)) {}
  Acceptor acceptor_;
};

// Connects and returns a blocking descriptor, which the caller owns. refused: no file at `path`,
// or nobody listens behind it; timed_out: its queue is full of those who wait for an answer.
[[nodiscard]] tl::expected<int, NetError> connect_local(const std::string& path);

}  // namespace godwit::net
