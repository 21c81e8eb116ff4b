#include "schema/net/resolve.hpp"

#include <netdb.h>

#include <cstring>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "schema/net/address.hpp"

namespace godwit::net {

struct Resolver::Shared {
  std::mutex mutex;
  Waker* waker = nullptr;  // nothing once the resolver is gone
  std::optional<Resolved> resolved;

  void set(Resolved value) {
    const std::lock_guard lock(mutex);
    if (waker == nullptr) return;
    resolved = std::move(value);
    waker->wake();
  }
};

namespace {

Resolver::Resolved look_up(const std::string& host, std::uint16_t port) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_ADDRCONFIG;
  addrinfo* first = nullptr;
  const int result = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &wanted, &first);
  if (result != 0) return tl::unexpected(std::string(gai_strerror(result)));
  std::vector<std::string> addresses;
  for (const addrinfo* at = first; at != nullptr; at = at->ai_next) {
    if (addresses.size() == kResolvedMax || at->ai_addrlen > sizeof(sockaddr_storage)) break;
    Address address;
    std::memcpy(&address.storage, at->ai_addr, at->ai_addrlen);
    addresses.push_back(format_address(address));
  }
  freeaddrinfo(first);
  if (addresses.empty()) return tl::unexpected(std::string("it has no address"));
  return addresses;
}

}  // namespace

Resolver::Resolver(Loop& loop, const std::string& host, std::uint16_t port,
                   std::function<void(Resolved)> on_done)
    : on_done_(std::move(on_done)),
      waker_(loop, [this] { finish(); }),
      shared_(std::make_shared<Shared>()) {
  shared_->waker = &waker_;
  try {
    std::thread([shared = shared_, host, port] { shared->set(look_up(host, port)); }).detach();
  } catch (const std::system_error&) {  // the only way in which std::thread says it
    shared_->set(tl::unexpected(std::string("out of threads")));
  }
}

Resolver::~Resolver() {
  const std::lock_guard lock(shared_->mutex);
  shared_->waker = nullptr;
}

void Resolver::finish() {
  std::unique_lock lock(shared_->mutex);
  if (!shared_->resolved) return;
  auto resolved = *std::exchange(shared_->resolved, std::nullopt);
  lock.unlock();
  const auto on_done = std::move(on_done_);  // outlives the resolver when it destroys that
  on_done(std::move(resolved));
}

}  // namespace godwit::net
