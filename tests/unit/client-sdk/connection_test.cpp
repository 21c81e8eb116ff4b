// A connection and a relay that does as it is told, on one loop.
#include "client-sdk/src/connection.hpp"

#include <dlfcn.h>
#include <doctest/doctest.h>
#include <netdb.h>

#include <algorithm>
#include <thread>

#include "schema/wire/codec.hpp"
#include "schema/wire/hash.hpp"
#include "schema/wire/x25519.hpp"
#include "tests/unit/net/test_loop.hpp"

// A name that has two addresses, the wrong one first. All others are the system's.
extern "C" int getaddrinfo(const char* host, const char* port, const addrinfo* wanted,
                           addrinfo** found) {
  static const auto system =
      reinterpret_cast<decltype(&getaddrinfo)>(dlsym(RTLD_NEXT, "getaddrinfo"));
  if (std::string_view(host) != "two.addresses") return system(host, port, wanted, found);
  const int failed = system("127.0.0.2", port, wanted, found);
  return failed != 0 ? failed : system("127.0.0.1", port, wanted, &(*found)->ai_next);
}

namespace godwit {
namespace {

using namespace std::chrono_literals;
using net::TestLoop;

wire::RelayFrame welcome() {
  wire::Welcome body;
  body.version = wire::kProtocolVersion;
  return {1, body};
}
const wire::RelayFrame kWelcome = welcome();

// Accepts, answers the handshake, sends what `on_established` wants.
class TestRelay {
 public:
  struct Peer {
    explicit Peer(const wire::KeyPair& keys) : channel(wire::Channel::responder(keys)) {}
    wire::Channel channel;
    std::optional<net::Stream> stream;
    std::vector<wire::Bytes> received;
    bool established = false;

    void send(const std::vector<wire::RelayFrame>& frames) {
      wire::Encoder encoder;
      for (const auto& frame : frames) channel.send(encoder.encode(frame));
      flush();
    }
    void flush() {
      wire::Bytes out;
      channel.flush(out);
      stream->write(std::move(out));
    }
  };

  explicit TestRelay(TestLoop& test) : test_(test) {
    auto listener = net::Listener::listen(test.loop, "127.0.0.1:0", {},
                                          [this](int descriptor) { accept(descriptor); });
    REQUIRE(listener);
    listener_.emplace(*std::move(listener));
  }

  [[nodiscard]] wire::RelayAddress address() const {
    return {keys_.public_key, listener_->address()};
  }

  std::function<void(Peer&)> on_established = [](Peer& peer) { peer.send({kWelcome}); };
  std::vector<std::unique_ptr<Peer>> peers;

 private:
  void accept(int descriptor) {
    auto stream = net::Stream::adopt(test_.loop, descriptor);
    REQUIRE(stream);
    peers.push_back(std::make_unique<Peer>(keys_));
    Peer& peer = *peers.back();
    peer.stream.emplace(*std::move(stream));
    peer.stream->start({
        .on_read = [this, &peer](wire::ByteView bytes) { on_read(peer, bytes); },
        .on_closed = [&peer](net::NetError) { peer.stream.reset(); },
        .on_drained = {},
    });
  }

  void on_read(Peer& peer, wire::ByteView bytes) {
    const auto received = peer.channel.receive(bytes, [&peer](wire::ByteView body) {
      peer.received.emplace_back(body.begin(), body.end());
      return true;
    });
    if (!received) return peer.stream.reset();
    if (!peer.established && peer.channel.peer()) {
      peer.established = true;
      peer.flush();
      on_established(peer);
    }
  }

  TestLoop& test_;
  wire::KeyPair keys_ = wire::random_key_pair();
  std::optional<net::Listener> listener_;
};

// Remembers what it was told; behaves as the core does with Welcome.
struct TestSpeaker : Speaker {
  struct Told {
    bool connected;
    std::size_t frames;
    std::string ended;
  };
  std::vector<Told> told;  // without exchanges in which nothing had happened
  core::Core::Link link;
  std::vector<wire::Bytes> to_send;
  std::function<void(const Received&)> on_exchange;
  bool has_keys = true;

  Result<wire::KeyPair> transport_keys() override {
    if (!has_keys) return Error{ErrorCode::storage, "the home cannot be read"};
    return wire::random_key_pair();
  }
  ToSend exchange(const Received& received) override {
    if (received.connected || !received.frames.empty() || received.ended) {
      told.push_back({received.connected, received.frames.size(), received.ended.value_or("")});
    }
    for (const auto& frame : received.frames) {
      if (std::holds_alternative<wire::Welcome>(frame.body)) link.logged_in = true;
    }
    if (received.ended) link.logged_in = link.close = false;
    if (on_exchange) on_exchange(received);
    ToSend answer;
    answer.link = link;
    if (received.has_room) answer.frames = std::exchange(to_send, {});
    return answer;
  }
  [[nodiscard]] std::size_t ends() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(told, [](const Told& one) { return !one.ended.empty(); }));
  }
  [[nodiscard]] std::string last_end() const {
    const auto last = std::find_if(told.rbegin(), told.rend(),
                                   [](const Told& one) { return !one.ended.empty(); });
    return last == told.rend() ? "" : last->ended;
  }
};

struct Fixture {
  Fixture() { wire::init_crypto(); }

  TestLoop test;
  TestRelay relay{test};
  TestSpeaker speaker;
  std::optional<Connection> connection;

  // Delays are nothing: whatever could come again comes at once.
  void start(Connection::Times times = {}, std::optional<wire::RelayAddress> address = {}) {
    const auto no_delay = [](std::span<std::uint8_t> out) { std::ranges::fill(out, 0); };
    connection.emplace(test.loop, address.value_or(relay.address()), no_delay, speaker, times);
    connection->start();
  }
  void run_until_logged_in() {
    test.run_until([&] { return speaker.link.logged_in; });
  }
};

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST_SUITE("client-sdk/connection") {
  TEST_CASE("reconnect delays are anything up to a limit that doubles from 1 s to 5 min") {
    std::chrono::milliseconds longest = 1s;
    for (std::uint32_t attempt = 0; attempt < 40; ++attempt) {
      const auto limit = static_cast<std::uint64_t>(longest.count());
      CHECK(reconnect_delay(attempt, limit) == longest);
      CHECK(reconnect_delay(attempt, limit + 1) == 0ms);
      CHECK(reconnect_delay(attempt, 17) == 17ms);
      longest = std::min<std::chrono::milliseconds>(longest * 2, 5min);
    }
    CHECK(longest == 5min);
  }

  TEST_CASE_FIXTURE(Fixture,
                    "what comes in one read is one exchange, large frames behind Welcome too") {
    const wire::Bytes large(wire::kEnvelopeSizeMax / 8, 7);
    relay.on_established = [&](TestRelay::Peer& peer) {
      peer.send({kWelcome, {0, wire::Deliver{1, large}}, {0, wire::CaughtUp{}}});
    };
    std::size_t delivered = 0;
    speaker.on_exchange = [&](const Received& received) {
      for (const auto& frame : received.frames) {
        if (const auto* one = std::get_if<wire::Deliver>(&frame.body)) {
          delivered += std::ranges::equal(one->envelope, large) ? 1 : 0;
        }
      }
    };
    start();
    test.run_until([&] { return delivered == 1; });
    std::size_t frames = 0;
    for (const auto& one : speaker.told) frames += one.frames;
    test.run_until([&] { return speaker.told.back().frames > 0; });
    CHECK(speaker.told.front().connected);
    CHECK(frames <= 3);
    CHECK(speaker.ends() == 0);
  }

  TEST_CASE_FIXTURE(Fixture, "what the speaker gives arrives whole and in order after a wake-up") {
    start();
    run_until_logged_in();
    wire::Encoder encoder;
    std::vector<wire::Bytes> frames;
    for (std::uint32_t id = 1; id <= 200; ++id) {
      const auto body = encoder.encode(wire::Request{id, wire::Ping{}});
      frames.emplace_back(body.begin(), body.end());
    }
    speaker.to_send = frames;
    connection->wake();
    test.run_until([&] { return relay.peers.front()->received.size() == frames.size(); });
    CHECK(relay.peers.front()->received == frames);
  }

  TEST_CASE_FIXTURE(Fixture, "a relay that goes away is connected to again") {
    start();
    run_until_logged_in();
    relay.peers.front()->stream.reset();
    test.run_until([&] { return relay.peers.size() == 2 && speaker.link.logged_in; });
    CHECK(speaker.ends() == 1);
    CHECK(contains(speaker.last_end(), relay.address().host_port));
  }

  TEST_CASE_FIXTURE(Fixture, "a place where nobody listens is named, and tried again") {
    auto nowhere = relay.address();
    {
      TestRelay gone(test);
      nowhere.host_port = gone.address().host_port;
    }
    start({}, nowhere);
    test.run_until([&] { return speaker.ends() >= 2; });
    CHECK(contains(speaker.last_end(), nowhere.host_port));
    CHECK(contains(speaker.last_end(), "nobody listens"));
    CHECK_FALSE(speaker.told.front().connected);
  }

  TEST_CASE_FIXTURE(Fixture, "a host name is looked up") {
    auto named = relay.address();
    named.host_port.replace(0, std::string("127.0.0.1").size(), "LOCALHOST");
    start({}, named);
    run_until_logged_in();
    CHECK(speaker.ends() == 0);
  }

  TEST_CASE_FIXTURE(Fixture, "a name's next address is tried where the first is somebody else's") {
    auto named = relay.address();
    named.host_port.replace(0, std::string("127.0.0.1").size(), "two.addresses");
    std::function<void(net::Stream&)> on_accept = [](net::Stream&) {};
    Connection::Times times;
    SUBCASE("who says nothing") { times.login = 1s; }
    SUBCASE("who hangs up") { on_accept = [](net::Stream& peer) { peer.shutdown(); }; }
    SUBCASE("who says something else") {
      on_accept = [](net::Stream& peer) { peer.write(wire::Bytes(50, 'a')); };
    }
    std::vector<net::Stream> strangers;
    const auto port = relay.address().host_port.substr(std::string("127.0.0.1").size());
    const auto other = net::Listener::listen(test.loop, "127.0.0.2" + port, {}, [&](int accepted) {
      strangers.push_back(*net::Stream::adopt(test.loop, accepted));
      on_accept(strangers.back());
    });
    REQUIRE(other);
    start(times, named);
    test.run_until([&] { return speaker.link.logged_in || speaker.ends() > 0; });
    CHECK(strangers.size() == 1);
    CHECK(speaker.link.logged_in);
    CHECK(speaker.last_end().empty());
  }

  TEST_CASE_FIXTURE(Fixture, "a relay with another key is not spoken to") {
    auto other = relay.address();
    other.key = wire::random_key_pair().public_key;
    start({}, other);
    test.run_until([&] { return speaker.ends() >= 1; });
    CHECK(contains(speaker.last_end(), "key"));
    CHECK_FALSE(speaker.told.front().connected);
  }

  TEST_CASE_FIXTURE(Fixture, "a home without keys is a failed attempt and no more") {
    speaker.has_keys = false;
    start();
    test.run_until([&] { return speaker.ends() >= 1; });
    speaker.has_keys = true;
    run_until_logged_in();
  }

  TEST_CASE_FIXTURE(Fixture,
                    "a frame that does not parse ends the connection, after those before it") {
    relay.on_established = [](TestRelay::Peer& peer) {
      peer.channel.send(wire::Encoder().encode(kWelcome));
      peer.channel.send(wire::Bytes(16, 0xff));
      peer.flush();
    };
    std::size_t welcomes = 0;
    speaker.on_exchange = [&](const Received& received) { welcomes += received.frames.size(); };
    start();
    test.run_until([&] { return speaker.ends() >= 1; });
    CHECK(welcomes >= 1);
    CHECK(contains(speaker.last_end(), "does not parse"));
  }

  TEST_CASE_FIXTURE(Fixture, "a relay that leaves the login unanswered is left") {
    relay.on_established = [](TestRelay::Peer&) {};
    start({.login = 20ms});
    test.run_until([&] { return speaker.ends() >= 1; });
    CHECK(contains(speaker.last_end(), "does not answer"));
  }

  TEST_CASE_FIXTURE(Fixture,
                    "what the speaker gives up is not tried again, and its reason is told") {
    start();
    run_until_logged_in();
    speaker.link.close = speaker.link.give_up = true;
    speaker.link.reason = "the relay says: replaced";
    connection->wake();
    test.run_until([&] { return speaker.ends() == 1; });
    CHECK(speaker.last_end() == "the relay says: replaced");
    test.settle();
    CHECK(relay.peers.size() == 1);
    CHECK(speaker.ends() == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "the time that the relay asks for passes before the next attempt") {
    start();
    run_until_logged_in();
    speaker.link.close = true;
    speaker.link.retry_after = 30ms;
    speaker.link.reason = "busy";
    connection->wake();
    test.run_until([&] { return speaker.ends() == 1; });
    const auto ended = std::chrono::steady_clock::now();
    test.run_until([&] { return relay.peers.size() == 2; });
    // The loop's clock is of the beginning of its round.
    CHECK(std::chrono::steady_clock::now() - ended >= 25ms);
  }

  TEST_CASE_FIXTURE(Fixture, "an old connection is followed by a new one") {
    start({.age = 1ms});
    test.run_until([&] { return relay.peers.size() == 3; });
    CHECK(contains(speaker.last_end(), "old"));
  }

  TEST_CASE_FIXTURE(Fixture, "the deadline of the speaker is kept") {
    struct : TestSpeaker {
      std::optional<std::chrono::milliseconds> deadline;
      ToSend exchange(const Received& received) override {
        auto answer = TestSpeaker::exchange(received);
        answer.deadline = deadline;
        return answer;
      }
    } waiting;
    const auto due = std::chrono::steady_clock::now() + 20ms;
    waiting.deadline =
        std::chrono::duration_cast<std::chrono::milliseconds>(due.time_since_epoch());
    relay.on_established = [](TestRelay::Peer&) {};
    connection.emplace(test.loop, relay.address(), wire::random_bytes, waiting,
                       Connection::Times{});
    connection->start();
    test.run_until([&] { return !waiting.told.empty() && waiting.told.front().connected; });
    waiting.on_exchange = [&](const Received&) {
      if (std::chrono::steady_clock::now() >= due) waiting.deadline.reset();
    };
    test.run_until([&] { return !waiting.deadline; });
    CHECK(std::chrono::steady_clock::now() >= due);
    CHECK(waiting.ends() == 0);
    connection.reset();
  }

  TEST_CASE_FIXTURE(Fixture,
                    "stop() from another thread sends what waits, tells the end and ends run()") {
    start();
    run_until_logged_in();
    wire::Encoder encoder;
    const auto body = encoder.encode(wire::Request{9, wire::Ping{}});
    speaker.to_send.emplace_back(body.begin(), body.end());
    std::thread stopper([&] { connection->stop(); });
    test.loop.run();
    stopper.join();
    CHECK(contains(speaker.last_end(), "disconnected"));
    test.run_until([&] { return !relay.peers.front()->received.empty(); });
    CHECK(relay.peers.size() == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "stop() ends an attempt that is still under way") {
    start({}, wire::RelayAddress{relay.address().key, "LOCALHOST:1"});
    connection->stop();
    test.loop.run();
    CHECK(relay.peers.empty());
  }
}

}  // namespace
}  // namespace godwit
