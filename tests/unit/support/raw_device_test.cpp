#include "tests/support/raw_device.hpp"

#include <doctest/doctest.h>

#include <list>

#include "schema/wire/hash.hpp"
#include "schema/wire/x25519.hpp"

namespace godwit::support {
namespace {

constexpr std::chrono::seconds kPatience{60};

// The relay's end of the wire, on the same loop. It answers every request with Done, Login with
// Welcome and Submit with `ok` for all, unless a test takes the requests itself.
class FakeRelay {
 public:
  struct Peer {
    net::Stream stream;
    wire::Channel channel;
    std::size_t bytes_read = 0;
    bool closed = false;
    std::optional<net::NetError> end;
  };
  using OnRequest = std::function<void(Peer&, const wire::Request&)>;

  explicit FakeRelay(net::Loop& loop) : loop_(loop) {
    wire::init_crypto();
    key_ = wire::random_key_pair();
    auto listener = net::Listener::listen(loop, "127.0.0.1:0", {}, [this](int descriptor) {
      auto stream = net::Stream::adopt(loop_, descriptor);
      if (stream) accept(*std::move(stream));
    });
    REQUIRE(listener);
    listener_.emplace(*std::move(listener));
  }

  [[nodiscard]] wire::RelayAddress address() const {
    return {key_.public_key, listener_->address()};
  }

  void send(Peer& peer, wire::RelayFrame frame) {
    collect(peer, std::move(frame));
    flush(peer);
  }
  void collect(Peer& peer, wire::RelayFrame frame) { peer.channel.send(encoder_.encode(frame)); }
  void flush(Peer& peer) {
    wire::Bytes out;
    peer.channel.flush(out);
    peer.stream.write(std::move(out));
  }

  OnRequest on_request = [this](Peer& peer, const wire::Request& request) {
    answer(peer, request);
  };
  void answer(Peer& peer, const wire::Request& request) {
    ++answered;
    if (std::holds_alternative<wire::Login>(request.body)) {
      send(peer, {request.id, wire::Welcome{}});
    } else if (const auto* submit = std::get_if<wire::Submit>(&request.body)) {
      wire::Submitted submitted;
      submitted.outcomes.resize(submit->recipients.size());
      send(peer, {request.id, std::move(submitted)});
    } else {
      send(peer, {request.id, wire::Done{}});
    }
  }

  std::list<Peer> peers;
  std::size_t answered = 0;

 private:
  void accept(net::Stream stream) {
    Peer& peer =
        peers.emplace_back(Peer{std::move(stream), wire::Channel::responder(key_), 0, false, {}});
    peer.channel.frames().set_size_max(wire::kFrameSizeMax);
    peer.stream.start({
        .on_read = [this, &peer](wire::ByteView bytes) { on_read(peer, bytes); },
        .on_closed =
            [&peer](net::NetError error) {
              peer.closed = true;
              peer.end = error;
            },
        .on_drained = {},
    });
  }

  void on_read(Peer& peer, wire::ByteView bytes) {
    peer.bytes_read += bytes.size();
    const auto received = peer.channel.receive(bytes, [&](wire::ByteView body) {
      const auto request = wire::parse_request(body);
      if (request) on_request(peer, *request);
      return request.has_value();
    });
    if (!received) {
      peer.closed = true;
      peer.stream.reset();
    } else if (peer.channel.has_output()) {
      flush(peer);
    }
  }

  net::Loop& loop_;
  wire::KeyPair key_;
  std::optional<net::Listener> listener_;
  wire::Encoder encoder_;
};

// One fleet, its relay, and one device that counts what happens to it.
struct Bench {
  Fleet fleet{{}};
  FakeRelay relay{fleet.loop()};
  RawDevice device{fleet, Account::from_seed(1)};
  std::vector<std::string> closed;
  int connected = 0;

  Bench() {
    fleet.set_relay(relay.address());
    device.set_callbacks(callbacks());
  }

  RawDevice::Callbacks callbacks() {
    RawDevice::Callbacks calls;
    calls.on_connected = [this](RawDevice&) { ++connected; };
    calls.on_closed = [this](RawDevice&, const std::string& why) { closed.push_back(why); };
    return calls;
  }
  void run_until(const std::function<bool()>& done) { REQUIRE(fleet.run_until(done, kPatience)); }
  void connect() {
    device.connect();
    run_until([&] { return device.connected(); });
  }
};

TEST_SUITE("tests/support/raw_device") {
  TEST_CASE("after the handshake the relay knows the device by its transport key") {
    Bench bench;
    CHECK_FALSE(bench.device.connected());
    bench.connect();
    CHECK(bench.connected == 1);
    CHECK(bench.relay.peers.front().channel.peer() == bench.device.account().transport.public_key);
    CHECK(bench.closed.empty());
  }

  TEST_CASE("what is sent before the handshake is complete waits for it") {
    Bench bench;
    bool welcome = false;
    bench.device.connect();
    bench.device.login([&](const wire::RelayFrame& frame) {
      welcome = std::holds_alternative<wire::Welcome>(frame.body);
    });
    bench.run_until([&] { return welcome; });
    CHECK(bench.connected == 1);
  }

  TEST_CASE("each reply reaches the request that it answers, in whatever order they come") {
    Bench bench;
    constexpr std::uint32_t kCount = 200;
    std::vector<std::uint32_t> ids;
    bench.relay.on_request = [&](FakeRelay::Peer& peer, const wire::Request& request) {
      ids.push_back(request.id);
      if (ids.size() < kCount) return;
      // The even ones backwards, then the odd ones: the table is swept in the middle of it.
      for (std::size_t i = kCount; i-- > 0;) {
        if (i % 2 == 0)
          bench.relay.collect(peer, {ids[i], wire::Refused{wire::ErrorCode::busy, ids[i]}});
      }
      for (std::size_t i = 1; i < kCount; i += 2) {
        bench.relay.collect(peer, {ids[i], wire::Refused{wire::ErrorCode::busy, ids[i]}});
      }
      bench.relay.flush(peer);
    };
    bench.connect();
    std::vector<std::pair<std::uint32_t, std::uint32_t>> replies;  // asked, answered
    for (std::uint32_t i = 0; i < kCount; ++i) {
      auto id = std::make_shared<std::uint32_t>(0);
      *id = bench.device.send(wire::Ping{}, [&, id](const wire::RelayFrame& frame) {
        replies.emplace_back(*id, std::get<wire::Refused>(frame.body).retry_after_ms);
      });
    }
    bench.run_until([&] { return replies.size() == kCount; });
    for (const auto& [asked, answered] : replies) CHECK(asked == answered);
  }

  TEST_CASE("a second reply, and one that was not asked for, are events") {
    Bench bench;
    int replies = 0;
    std::vector<std::uint32_t> events;
    auto calls = bench.callbacks();
    calls.on_event = [&](RawDevice&, const wire::RelayFrame& frame) {
      events.push_back(frame.request);
    };
    bench.device.set_callbacks(calls);
    bench.relay.on_request = [&](FakeRelay::Peer& peer, const wire::Request& request) {
      if (std::holds_alternative<wire::Login>(request.body)) return;  // stays open
      bench.relay.collect(peer, {request.id, wire::Done{}});
      bench.relay.collect(peer, {request.id, wire::Done{}});
      bench.relay.collect(peer, {request.id + 1'000, wire::Done{}});
      bench.relay.flush(peer);
    };
    bench.connect();
    bench.device.login();
    const auto id = bench.device.send(wire::Ping{}, [&](const wire::RelayFrame&) { ++replies; });
    bench.run_until([&] { return events.size() == 2; });
    CHECK(replies == 1);
    CHECK(events == std::vector<std::uint32_t>{id, id + 1'000});
  }

  TEST_CASE("frames of one round leave sealed together") {
    Bench bench;
    bench.connect();
    auto& peer = bench.relay.peers.front();
    wire::Encoder encoder;
    const std::size_t before = peer.bytes_read;
    constexpr std::size_t kCount = 50;
    std::size_t plain = 0;
    for (std::size_t i = 0; i < kCount; ++i) {
      const auto id = bench.device.send(wire::Ping{});
      plain += wire::kFrameHeaderSize + encoder.encode(wire::Request{id, wire::Ping{}}).size();
    }
    bench.run_until([&] { return bench.relay.answered == kCount; });
    // One record, so one header and one tag for all of them.
    CHECK(peer.bytes_read - before == plain + wire::kRecordHeaderSize + wire::kNoiseTagSize);
  }

  TEST_CASE("an envelope is delivered with its number, and its ack names that number") {
    Bench bench;
    const wire::Bytes envelope(700, 0x5a);
    std::uint32_t acked = 0;
    auto calls = bench.callbacks();
    bool same = false;
    calls.on_deliver = [&](RawDevice& device, const wire::Deliver& deliver) {
      same = wire::Bytes(deliver.envelope.begin(), deliver.envelope.end()) == envelope;
      device.ack(deliver.number);
    };
    bench.device.set_callbacks(calls);
    bench.relay.on_request = [&](FakeRelay::Peer&, const wire::Request& request) {
      acked = std::get<wire::Ack>(request.body).upto;
    };
    bench.connect();
    bench.relay.send(bench.relay.peers.front(), {0, wire::Deliver{42, envelope}});
    bench.run_until([&] { return acked != 0; });
    CHECK(acked == 42);
    CHECK(same);
  }

  TEST_CASE("a submit carries its recipient, its request id and its envelope") {
    Bench bench;
    const auto to = Account::from_seed(2);
    const wire::RequestId id{{1, 2, 3}};
    const wire::Bytes envelope(100, 7);
    bench.relay.on_request = [&](FakeRelay::Peer& peer, const wire::Request& request) {
      const auto& submit = std::get<wire::Submit>(request.body);
      CHECK(submit.request_id == id);
      CHECK(submit.ttl_s == 9);
      REQUIRE(submit.recipients.size() == 1);
      CHECK(submit.recipients.front().user == to.user);
      CHECK(submit.recipients.front().device == to.device);
      CHECK(submit.recipients.front().list == to.version);
      REQUIRE(submit.bodies.size() == 1);
      CHECK(std::ranges::equal(submit.bodies.front(), envelope));
      bench.relay.answer(peer, request);
    };
    bench.connect();
    bool accepted = false;
    bench.device.submit(
        to, id, envelope,
        [&](const wire::RelayFrame& frame) {
          accepted =
              std::get<wire::Submitted>(frame.body).outcomes.at(0).code == wire::ErrorCode::ok;
        },
        9);
    bench.run_until([&] { return accepted; });
  }

  TEST_CASE("a reset device is gone for both ends, and may connect again from on_closed") {
    Bench bench;
    auto calls = bench.callbacks();
    calls.on_closed = [&](RawDevice& device, const std::string& why) {
      bench.closed.push_back(why);
      device.connect();
    };
    bench.device.set_callbacks(calls);
    bench.connect();
    bench.device.reset();
    CHECK(bench.closed.size() == 1);
    bench.run_until([&] { return bench.connected == 2 && bench.relay.peers.front().closed; });
    CHECK(bench.relay.peers.front().end == net::NetError::reset);
    CHECK_FALSE(bench.relay.peers.back().closed);
    CHECK(bench.closed.size() == 1);
    bench.device.set_callbacks({});
  }

  TEST_CASE("a device that resets in a callback gets nothing of the rest that was read") {
    Bench bench;
    auto calls = bench.callbacks();
    int delivered = 0;
    calls.on_deliver = [&](RawDevice& device, const wire::Deliver&) {
      ++delivered;
      device.reset();
    };
    bench.device.set_callbacks(calls);
    bench.connect();
    auto& peer = bench.relay.peers.front();
    const wire::Bytes envelope(10, 1);
    for (std::uint32_t i = 1; i <= 3; ++i) {
      bench.relay.collect(peer, {0, wire::Deliver{i, envelope}});
    }
    bench.relay.flush(peer);
    bench.run_until([&] { return peer.closed; });
    CHECK(delivered == 1);
    CHECK(bench.closed.size() == 1);
  }

  TEST_CASE("disconnect delivers what was sent before it") {
    Bench bench;
    bench.connect();
    bench.device.send(wire::Ping{});
    bench.device.disconnect();
    bench.run_until([&] { return bench.relay.peers.front().closed && !bench.closed.empty(); });
    CHECK(bench.relay.answered == 1);
    CHECK_FALSE(bench.device.connected());
    CHECK(bench.device.send(wire::Ping{}) == 0);
  }

  TEST_CASE("a relay with another key than its address names is not talked to") {
    Bench bench;
    auto address = bench.relay.address();
    address.key = wire::random_key_pair().public_key;
    bench.fleet.set_relay(address);
    bench.device.connect();
    bench.device.login();
    bench.run_until([&] { return !bench.closed.empty(); });
    CHECK(bench.connected == 0);
    CHECK(bench.relay.answered == 0);
  }

  TEST_CASE("an address where nobody listens, or that is none, ends in on_closed") {
    Bench bench;
    bench.fleet.set_relay({bench.relay.address().key, "127.0.0.1:1"});
    bench.device.connect();
    bench.run_until([&] { return bench.closed.size() == 1; });
    CHECK(bench.closed.back() == net::describe(net::NetError::refused));
    bench.fleet.set_relay({bench.relay.address().key, "nowhere"});
    bench.device.connect();
    bench.run_until([&] { return bench.closed.size() == 2; });
    CHECK(bench.closed.back() == net::describe(net::NetError::address_invalid));
    CHECK(bench.connected == 0);
  }

  TEST_CASE("the reason that the relay gives for closing is the reason of on_closed") {
    Bench bench;
    bench.connect();
    auto& peer = bench.relay.peers.front();
    bench.relay.send(peer, {0, wire::Closing{wire::ErrorCode::replaced, 0}});
    peer.stream.shutdown();
    bench.run_until([&] { return !bench.closed.empty(); });
    CHECK(bench.closed.front() == "the relay closed: replaced");
  }

  TEST_CASE("hostile bytes and hostile frames reach the relay as they are") {
    Bench bench;
    bench.connect();
    wire::Encoder encoder;
    bench.device.send_frame_body(encoder.encode(wire::Request{77, wire::Ping{}}));
    std::uint32_t asked = 0;
    bench.relay.on_request = [&](FakeRelay::Peer&, const wire::Request& request) {
      asked = request.id;
    };
    bench.run_until([&] { return asked == 77; });
    bench.device.send_raw(wire::Bytes(100, 0xff));
    bench.device.send_raw(wire::Bytes(65'535, 0xff));
    bench.run_until([&] { return bench.relay.peers.front().closed && !bench.closed.empty(); });
  }

  TEST_CASE("the source address is the one that was set") {
    Bench bench;
    bench.fleet.set_from("127.0.0.9");
    bench.connect();
    CHECK(bench.relay.peers.front().stream.peer_address() == "127.0.0.9");
  }

  TEST_CASE("a device that is destroyed with frames to send closes its connection") {
    Bench bench;
    auto gone = std::make_unique<RawDevice>(bench.fleet, Account::from_seed(3));
    gone->connect();
    bench.run_until([&] { return gone->connected(); });
    gone->send(wire::Ping{});
    gone.reset();
    bench.run_until([&] { return bench.relay.peers.front().closed; });
    CHECK(bench.relay.answered == 0);
  }

  TEST_CASE("a thousand devices of one process connect, and each gets its own answer") {
    net::prepare_descriptors(2'048);
    Fleet fleet({});
    FakeRelay relay(fleet.loop());
    fleet.set_relay(relay.address());
    constexpr std::uint64_t kDevices = 1'000;
    std::list<RawDevice> devices;
    std::size_t answers = 0;
    std::size_t closed = 0;
    const auto to = Account::from_seed(1);
    for (std::uint64_t seed = 0; seed < kDevices; ++seed) {
      // The relay of this test compares no list, so the transport key is all that must differ.
      Account account = to;
      account.transport = wire::random_key_pair();
      auto& device = devices.emplace_back(fleet, std::move(account));
      RawDevice::Callbacks calls;
      calls.on_closed = [&](RawDevice&, const std::string&) { ++closed; };
      calls.on_connected = [&](RawDevice& connected) {
        wire::RequestId id;
        std::memcpy(id.bytes.data(), &connected.mark, sizeof connected.mark);
        connected.submit(to, id, id.view(),
                         [&](const wire::RelayFrame&) { answers += connected.mark; });
      };
      device.mark = seed;
      device.set_callbacks(std::move(calls));
      device.connect();
    }
    REQUIRE(fleet.run_until(
        [&] { return relay.answered == kDevices && answers == kDevices * (kDevices - 1) / 2; },
        kPatience));
    CHECK(closed == 0);
    CHECK(relay.peers.size() == kDevices);
  }
}

}  // namespace
}  // namespace godwit::support
