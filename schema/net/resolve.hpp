// net/resolve: the numeric addresses of HOST:PORT. The system's resolver blocks for as long as it
// likes, so each look-up has a thread of its own, which outlives a look-up that nobody waits for.
// Thread: the loop's.
// Trust:  a resolver may lie: who is at an address, the handshake says.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "schema/net/inbox.hpp"
#include "schema/net/loop.hpp"

namespace godwit::net {

inline constexpr std::size_t kResolvedMax = 8;  // addresses of one name; the others are left out

class Resolver {
 public:
  // HOST:PORT with numeric hosts, at least one, in the order in which to try them; or a few words
  // that say why there is none.
  using Resolved = tl::expected<std::vector<std::string>, std::string>;

  // `host`: a name. `on_done` is called once, later, from the loop; it may destroy the resolver.
  Resolver(Loop& loop, const std::string& host, std::uint16_t port,
           std::function<void(Resolved)> on_done);
  ~Resolver();  // on_done is not called any more
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

 private:
  struct Shared;
  void finish();

  std::function<void(Resolved)> on_done_;
  Waker waker_;
  std::shared_ptr<Shared> shared_;  // with the thread
};

}  // namespace godwit::net
