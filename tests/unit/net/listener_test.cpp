#include <sys/resource.h>
#include <sys/socket.h>

#include <optional>
#include <string>
#include <vector>

#include "schema/net/address.hpp"
#include "schema/net/descriptor.hpp"
#include "schema/net/stream.hpp"
#include "tests/unit/net/test_loop.hpp"

namespace godwit::net {
namespace {

// Connected as far as the kernel goes: it waits in the listener's backlog.
Descriptor connect_blocking(const std::string& address) {
  const auto peer = parse_address(address);
  REQUIRE(peer);
  Descriptor socket(::socket(peer->family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(socket.is_open());
  REQUIRE(::connect(socket.get(), peer->raw(), peer->size()) == 0);
  return socket;
}

std::vector<Descriptor> connect_many(const std::string& address, int count) {
  std::vector<Descriptor> clients;
  for (int i = 0; i < count; ++i) clients.push_back(connect_blocking(address));
  return clients;
}

// No new descriptor can be opened while it lives.
class NoDescriptorsLeft {
 public:
  NoDescriptorsLeft() {
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before_) == 0);
    rlimit none = before_;
    none.rlim_cur = 3;
    REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  }
  ~NoDescriptorsLeft() { setrlimit(RLIMIT_NOFILE, &before_); }
  NoDescriptorsLeft(const NoDescriptorsLeft&) = delete;
  NoDescriptorsLeft& operator=(const NoDescriptorsLeft&) = delete;

 private:
  rlimit before_{};
};

TEST_SUITE("schema/net/listener") {
  TEST_CASE("port 0 is resolved, for IPv4, IPv6 and localhost") {
    TestLoop test;
    for (const std::string host : {"127.0.0.1", "[::1]", "localhost"}) {
      int accepted = 0;
      auto listener = Listener::listen(test.loop, host + ":0", {}, [&](int descriptor) {
        const Descriptor owner(descriptor);
        ++accepted;
      });
      REQUIRE(listener);
      const std::string shown = host == "localhost" ? "127.0.0.1" : host;
      CHECK(listener->address().starts_with(shown + ":"));
      CHECK_FALSE(listener->address().ends_with(":0"));
      const Descriptor client = connect_blocking(listener->address());
      test.run_until([&] { return accepted == 1; });
    }
  }

  TEST_CASE("what is not HOST:PORT with a numeric host is an invalid address") {
    TestLoop test;
    for (const std::string text :
         {"", ":", "127.0.0.1", "127.0.0.1:", ":7000", "127.0.0.1:65536", "127.0.0.1:-1",
          "127.0.0.1:+1", "127.0.0.1: 1", "127.0.0.1:7x", "127.1:7000", "::1:7000", "[::1]",
          "[::1:7000", "[]:7000", "[127.0.0.1]:7000", "example.org:7000", "203.0.113.7:0"}) {
      CAPTURE(text);
      const auto listener = Listener::listen(test.loop, text, {}, [](int) {});
      REQUIRE_FALSE(listener);
      CHECK(listener.error() == NetError::address_invalid);
    }
    CHECK_FALSE(parse_address(std::string("127.0.0.1\0x:1", 13)));
  }

  TEST_CASE("an address is printed as it is parsed") {
    for (const std::string text : {"127.0.0.1:7000", "[::1]:65535", "[2001:db8::7]:0"}) {
      const auto address = parse_address(text);
      REQUIRE(address);
      CHECK(format_address(*address) == text);
    }
  }

  TEST_CASE("an address that is in use is refused, and free when the listener is destroyed") {
    TestLoop test;
    std::string address;
    {
      auto first = Listener::listen(test.loop, "127.0.0.1:0", {}, [](int) {});
      REQUIRE(first);
      address = first->address();
      const auto second = Listener::listen(test.loop, address, {}, [](int) {});
      REQUIRE_FALSE(second);
      CHECK(second.error() == NetError::address_in_use);
    }
    CHECK(Listener::listen(test.loop, address, {}, [](int) {}));
  }

  TEST_CASE("a flood is accepted a bounded number in each round") {
    TestLoop test;
    std::vector<Descriptor> accepted;
    const Listener::Options options{.backlog = 256, .accepts_per_round = 16};
    auto listener = Listener::listen(test.loop, "127.0.0.1:0", options,
                                     [&](int descriptor) { accepted.emplace_back(descriptor); });
    REQUIRE(listener);
    const auto clients = connect_many(listener->address(), 100);
    int rounds = 0;
    while (accepted.size() < clients.size() && rounds < 100) {
      const std::size_t before = accepted.size();
      test.loop.poll();
      CHECK(accepted.size() - before <= 16);
      ++rounds;
    }
    CHECK(accepted.size() == clients.size());
    CHECK(rounds == 7);
  }

  TEST_CASE("a listener may be destroyed while accepting") {
    TestLoop test;
    std::vector<Descriptor> accepted;
    std::optional<Listener> listener;
    auto opened = Listener::listen(test.loop, "127.0.0.1:0", {}, [&](int descriptor) {
      listener.reset();
      accepted.emplace_back(descriptor);
    });
    REQUIRE(opened);
    listener.emplace(std::move(*opened));
    const auto clients = connect_many(listener->address(), 5);
    test.settle();
    CHECK(accepted.size() == 1);
  }

  TEST_CASE("out of descriptors, the listener rests and then accepts what waited") {
    TestLoop test;
    std::vector<Descriptor> accepted;
    auto listener = Listener::listen(test.loop, "127.0.0.1:0", {},
                                     [&](int descriptor) { accepted.emplace_back(descriptor); });
    REQUIRE(listener);
    const auto clients = connect_many(listener->address(), 3);
    auto rest_began = test.loop.now();
    {
      const NoDescriptorsLeft limit;
      test.settle();
      rest_began = test.loop.now();
    }
    CHECK(accepted.empty());
    test.run_until([&] { return accepted.size() == 3; });
    // It did not try again at once: a readable listener would make the loop spin.
    CHECK(test.loop.now() - rest_began >= std::chrono::milliseconds(50));
  }
}

}  // namespace
}  // namespace godwit::net
