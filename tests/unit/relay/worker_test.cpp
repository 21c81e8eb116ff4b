// A worker of its own, driven round by round, with devices at the other ends of its sockets.
#include "relay/worker.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <vector>

#include "schema/net/descriptor.hpp"
#include "schema/wire/codec.hpp"
#include "schema/wire/x25519.hpp"
#include "tests/support/temporary_directory.hpp"

namespace godwit::relay {
namespace {

class Device {
 public:
  Device(Worker& worker, const wire::Key& relay)
      : channel_(wire::Channel::initiator(wire::random_key_pair(), relay)) {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    socket_ = godwit::net::Descriptor(ends[0]);
    worker.adopt(ends[1]);
    write();  // hello
  }
  void ask(const wire::Request& request) {
    channel_.send(encoder_.encode(request));
    write();
  }
  // What has come meanwhile. Nothing more comes when `ended`.
  void read() {
    std::array<std::uint8_t, 4'096> bytes{};
    const ssize_t size = ::recv(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (size == 0) ended = true;
    if (size <= 0) return;
    const auto received = channel_.receive({bytes.data(), static_cast<std::size_t>(size)},
                                           [this](wire::ByteView) {
                                             ++frames;
                                             return true;
                                           });
    REQUIRE(received.has_value());
  }
  [[nodiscard]] bool shook_hands() const { return channel_.established(); }

  int frames = 0;
  bool ended = false;

 private:
  void write() {
    wire::Bytes out;
    channel_.flush(out);
    REQUIRE(::send(socket_.get(), out.data(), out.size(), MSG_NOSIGNAL) == std::ssize(out));
  }

  godwit::net::Descriptor socket_;
  wire::Channel channel_;
  wire::Encoder encoder_;
};

struct World {
  World() {
    store::Options options;
    options.directory = directory.path();
    options.size_max = 64 << 20;
    options.grow_step = 1 << 20;
    options.reserve = 1 << 20;
    auto opened = store::Store::open(options);
    REQUIRE(opened.has_value());
    store = std::move(*opened);
    shared.reset(new Shared{.config = config,
                            .key = key,
                            .store = *store,
                            .admission = admission,
                            .log = log,
                            .commit = {},
                            .worker = [this](std::uint32_t) -> Worker& { return *worker; }});
    auto made = Worker::create(0, 1, *shared);
    REQUIRE(made.has_value());
    worker = std::move(*made);
  }
  template <class Done>
  void poll_until(const Done& done) {
    const auto limit = std::chrono::steady_clock::now() + 20s;
    while (!done() && std::chrono::steady_clock::now() < limit) {
      worker->loop().poll();
      for (const auto& device : devices) device->read();
    }
    REQUIRE(done());
  }

  support::TemporaryDirectory directory;
  Config config;
  wire::KeyPair key = wire::random_key_pair();
  policy::AddressAdmission admission{config, {}};
  ops::Log log{ops::LogLevel::error};
  std::unique_ptr<store::Store> store;
  std::unique_ptr<Shared> shared;
  std::unique_ptr<Worker> worker;
  std::vector<std::unique_ptr<Device>> devices;
};

TEST_SUITE_BEGIN("relay/worker");

// More than are closed in one round.
TEST_CASE("who had not said anything when the relay was told to stop begins no session any more") {
  World world;
  constexpr std::uint32_t kDevices = 8 * kClosesAtOnce;
  world.shared->connections = kDevices;
  for (std::uint32_t i = 0; i < kDevices; ++i) {
    world.devices.push_back(std::make_unique<Device>(*world.worker, world.key.public_key));
  }
  world.poll_until([&] {
    return std::ranges::all_of(world.devices, [](const auto& one) { return one->shook_hands(); });
  });
  world.worker->stop();
  for (const auto& device : world.devices) device->ask(wire::Request{1, wire::Ping{}});
  world.poll_until([&] { return world.shared->connections == 0; });
  CHECK(world.worker->counters().handshakes_total.get() == 0);
  for (const auto& device : world.devices) CHECK(device->frames == 0);
}

TEST_SUITE_END();

}  // namespace
}  // namespace godwit::relay
