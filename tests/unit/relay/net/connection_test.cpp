// A connection between a peer that does as it is told and an owner that takes notes.
#include "relay/net/connection.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "schema/wire/bytes.hpp"
#include "schema/wire/x25519.hpp"
#include "tests/unit/net/test_loop.hpp"

namespace godwit::relay::net {
namespace {

using godwit::net::StreamPair;
using godwit::net::TestLoop;
using Reasons = std::vector<std::string>;

const wire::Bytes kFrame(64, 7);

struct Owner final : ConnectionOwner {
  [[nodiscard]] Now now() const override { return {}; }
  [[nodiscard]] bool on_hello(Connection&, const HelloMark& mark) override {
    ++hellos;
    last = mark;
    return welcomes;
  }
  void on_established(Connection&, const wire::Key& key, Now) override { peer = key; }
  void on_frame(Connection&, wire::ByteView body, Now) override {
    frames.emplace_back(body.begin(), body.end());
  }
  void on_ended(Connection&, std::string_view reason) override { ends.emplace_back(reason); }
  void on_output(Connection& connection) override { connection.flush(); }
  void on_waiting_output(Connection&) override {}
  [[nodiscard]] wire::Bytes lend_buffer() override { return {}; }
  void take_back(wire::Bytes) override {}

  int hellos = 0;
  HelloMark last{};
  bool welcomes = true;
  std::optional<wire::Key> peer;
  std::vector<wire::Bytes> frames;
  Reasons ends;
};

struct Both {
  TestLoop test;
  StreamPair streams{test};
  wire::KeyPair relay_key = wire::random_key_pair();
  wire::KeyPair device_key = wire::random_key_pair();
  wire::Channel channel = wire::Channel::initiator(device_key, relay_key.public_key);
  StaticSecrets secrets{relay_key, 2, {}};
  Owner owner;
  Connection connection;
  wire::Bytes received;

  explicit Both(std::size_t window_bytes = 64 << 20)
      : connection(owner, *std::move(streams.server), secrets, Steady{}, window_bytes) {
    streams.client->start({
        .on_read = [this](wire::ByteView bytes) { wire::append(received, bytes); },
        .on_closed = {},
        .on_drained = {},
    });
  }

  [[nodiscard]] wire::Bytes flushed() {
    wire::Bytes out;
    channel.flush(out);
    return out;
  }
  void write(wire::ByteView bytes) { streams.client->write({bytes.begin(), bytes.end()}); }
  void say_hello() {
    write(flushed());
    test.run_until([this] { return owner.hellos == 1; });
  }
  void shake_hands() {
    say_hello();
    connection.answer_hello();
    test.run_until([this] { return !received.empty(); });
    REQUIRE(channel.receive(received, [](wire::ByteView) { return true; }));
    REQUIRE(channel.established());
  }
};

TEST_SUITE_BEGIN("relay/net/connection");

TEST_CASE("a hello is answered when the owner says so, and not before") {
  Both both;
  both.say_hello();
  both.test.settle();
  CHECK(both.received.empty());
  both.connection.answer_hello();
  both.test.run_until([&] { return !both.received.empty(); });
  CHECK(both.owner.hellos == 1);
  CHECK(both.owner.ends.empty());
}

TEST_CASE("a hello that comes byte by byte is one hello") {
  Both both;
  for (const std::uint8_t byte : both.flushed()) {
    CHECK(both.owner.hellos == 0);
    both.write({&byte, 1});
    both.test.settle();
  }
  both.test.run_until([&] { return both.owner.hellos == 1; });
  both.connection.answer_hello();
  both.test.run_until([&] { return !both.received.empty(); });
  CHECK(both.channel.receive(both.received, [](wire::ByteView) { return true; }));
  CHECK(both.channel.established());
}

TEST_CASE("a hello is known by its end, in pieces too; one that is not welcome is not answered") {
  Both both;
  both.owner.welcomes = false;
  const wire::Bytes hello = both.flushed();
  std::size_t piece = hello.size();
  SUBCASE("whole") {}
  SUBCASE("in pieces of three") { piece = 3; }
  SUBCASE("all but one") { piece = hello.size() - 1; }
  for (std::size_t at = 0; at < hello.size(); at += piece) {
    both.write(wire::ByteView(hello).subspan(at, std::min(piece, hello.size() - at)));
    both.test.settle();
  }
  both.test.run_until([&] { return !both.owner.ends.empty(); });
  CHECK(both.owner.ends == Reasons{"replayed_hello"});
  CHECK(std::ranges::equal(both.owner.last, wire::ByteView(hello).last(8)));
  both.connection.answer_hello();
  both.test.settle();
  CHECK(both.received.empty());
}

TEST_CASE("the owner learns of a peer with its first frame, since a hello may be a replayed one") {
  Both both;
  both.shake_hands();
  both.test.settle();
  CHECK_FALSE(both.owner.peer);
  both.channel.send(kFrame);
  both.write(both.flushed());
  both.test.run_until([&] { return !both.owner.frames.empty(); });
  CHECK(both.owner.peer == both.device_key.public_key);
  REQUIRE(both.owner.frames.size() == 1);
  CHECK(both.owner.frames[0] == kFrame);
}

TEST_CASE("bytes behind a replayed hello make no peer, and it has the time of a handshake") {
  Both both;
  both.shake_hands();
  SUBCASE("a byte") { both.write(wire::Bytes{0}); }
  SUBCASE("half a record") { both.write(wire::Bytes(30, 1)); }
  both.test.settle();
  CHECK_FALSE(both.owner.peer);
  CHECK_FALSE(both.connection.established());
  both.connection.check_deadlines(Steady{} + kHandshakeDeadline + 1ms);
  CHECK(both.owner.ends == Reasons{"handshake_timeout"});
}

TEST_CASE("a word more than the hello before the answer ends the connection, and costs nothing") {
  Both both;
  wire::Bytes hello = both.flushed();
  hello.push_back(0);
  SUBCASE("at once") { both.write(hello); }
  SUBCASE("after it") {
    both.write(wire::ByteView(hello).first(hello.size() - 1));
    both.test.run_until([&] { return both.owner.hellos == 1; });
    both.write(wire::ByteView(hello).last(1));
  }
  both.test.run_until([&] { return !both.owner.ends.empty(); });
  both.connection.answer_hello();
  both.test.settle();
  CHECK(both.owner.ends == Reasons{"bad_handshake"});
  CHECK(both.received.empty());
}

TEST_CASE("a first record of another size ends the connection with its header") {
  Both both;
  both.write(wire::Bytes{0, 97});
  both.test.run_until([&] { return !both.owner.ends.empty(); });
  CHECK(both.owner.ends == Reasons{"bad_handshake"});
  CHECK(both.owner.hellos == 0);
}

TEST_CASE("a hello that does not authenticate ends the connection when it is answered") {
  Both both;
  wire::Bytes hello = both.flushed();
  hello.back() ^= 1;
  both.write(hello);
  both.test.run_until([&] { return both.owner.hellos == 1; });
  CHECK(both.owner.ends.empty());
  both.connection.answer_hello();
  both.test.settle();
  CHECK(both.owner.ends == Reasons{"bad_handshake"});
  CHECK(both.received.empty());
}

TEST_CASE("a handshake has its time, whether its hello waits or never came") {
  Both both;
  SUBCASE("it waits") { both.say_hello(); }
  SUBCASE("it never came") {}
  both.connection.check_deadlines(Steady{} + kHandshakeDeadline);
  CHECK(both.owner.ends.empty());
  both.connection.check_deadlines(Steady{} + kHandshakeDeadline + 1ms);
  CHECK(both.owner.ends == Reasons{"handshake_timeout"});
  both.connection.answer_hello();
  both.test.settle();
  CHECK(both.received.empty());
}

TEST_CASE("no deadline is left for a connection that has ended") {
  Both both;
  both.shake_hands();
  both.channel.send(kFrame);
  both.write(both.flushed());
  both.test.run_until([&] { return both.owner.peer.has_value(); });
  both.streams.client->reset();
  both.test.run_until([&] { return !both.owner.ends.empty(); });
  both.connection.check_deadlines(Steady{} + 1h);
  CHECK(both.owner.ends == Reasons{"closed_by_peer"});
}

TEST_CASE("a peer that is slow to read its delivery window is heard all the while") {
  Both both;
  both.shake_hands();
  both.streams.client->pause();
  both.connection.lift_frame_limit();
  // More than the buffers of both ends hold, and less than the window.
  for (int i = 0; i < 40; ++i) both.connection.send(wire::Bytes(wire::kFrameSizeMax, 1), false);
  both.channel.send(kFrame);  // its ack, without which the window would not move
  both.write(both.flushed());
  both.test.run_until([&] { return both.owner.frames.size() == 1; });
  CHECK(both.owner.ends.empty());
}

TEST_CASE("a peer that reads nothing is not heard beyond its window, until it reads again") {
  Both both(1 << 20);
  both.shake_hands();
  both.streams.client->pause();
  std::size_t said = 0;
  for (bool heard = true; heard && said < 1'000; ++said) {
    both.connection.send(wire::Bytes(wire::kRecordPlaintextSizeMax, 1), false);
    both.channel.send(kFrame);
    both.write(both.flushed());
    both.test.settle();
    heard = both.owner.frames.size() == said + 1;
  }
  CHECK(said < 1'000);
  CHECK(both.owner.ends.empty());
  both.streams.client->resume();
  both.test.run_until([&] { return both.owner.frames.size() == said; });
}

TEST_CASE("a peer that does not read its farewell has some seconds, and no more") {
  Both both;
  both.shake_hands();
  both.channel.send(kFrame);
  both.write(both.flushed());
  both.test.run_until([&] { return both.owner.peer.has_value(); });
  both.streams.client->pause();
  // More than the buffers of both ends hold.
  both.connection.lift_frame_limit();
  for (int i = 0; i < 40; ++i) both.connection.send(wire::Bytes(wire::kFrameSizeMax, 1), true);
  both.connection.finish(Steady{} + 1s);
  both.test.settle();
  both.connection.check_deadlines(Steady{} + 1s + kCloseDeadline);
  CHECK(both.owner.ends.empty());
  both.connection.check_deadlines(Steady{} + 1s + kCloseDeadline + 1ms);
  CHECK(both.owner.ends == Reasons{"close_timeout"});
}

TEST_SUITE_END();

}  // namespace
}  // namespace godwit::relay::net
