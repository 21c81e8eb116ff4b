// How a channel comes to be, and who is turned away.
#include <doctest/doctest.h>

#include "tests/unit/wire/channel_support.hpp"

using namespace godwit::wire;

TEST_SUITE_BEGIN("schema/wire/channel");

TEST_CASE("two ends establish a channel, know each other and exchange frames both ways") {
  Channel device_channel = device_end();
  Channel relay_channel = relay_end();
  CHECK(device_channel.has_output());
  CHECK_FALSE(relay_channel.has_output());
  CHECK(device_channel.peer() == relay().public_key);
  CHECK_FALSE(relay_channel.peer());

  const Bytes hello = flushed(device_channel);
  CHECK(hello.size() == kHello);
  CHECK_FALSE(device_channel.has_output());
  REQUIRE(relay_channel.receive(hello, refuse_frames));
  CHECK(relay_channel.peer() == device().public_key);
  CHECK(relay_channel.has_output());
  const Bytes answer = flushed(relay_channel);
  CHECK(answer.size() == kAnswer);
  CHECK(relay_channel.established());
  REQUIRE(device_channel.receive(answer, refuse_frames));
  CHECK(device_channel.established());

  Collector at_relay;
  Collector at_device;
  device_channel.send(body_of(100));
  relay_channel.send(body_of(50));
  CHECK(relay_channel.receive(flushed(device_channel), at_relay.on_frame));
  CHECK(device_channel.receive(flushed(relay_channel), at_device.on_frame));
  CHECK(at_relay.bodies == Bodies{body_of(100)});
  CHECK(at_device.bodies == Bodies{body_of(50)});
}

TEST_CASE("a shared secret makes a channel with those who have it, and with nobody else") {
  SecretKey psk;
  psk.bytes.fill(7);
  SecretKey other = psk;
  other.bytes[0] ^= 1;
  Channel invited = Channel::initiator(device(), relay().public_key, psk);
  Channel guarded = Channel::responder(relay(), psk);
  REQUIRE(guarded.receive(flushed(invited), refuse_frames));
  CHECK(invited.receive(flushed(guarded), refuse_frames));
  CHECK(invited.established());

  Channel stranger = Channel::initiator(device(), relay().public_key);
  Channel guarded_too = Channel::responder(relay(), psk);
  CHECK(guarded_too.receive(flushed(stranger), refuse_frames).error() ==
        ChannelError::bad_handshake);

  Channel mistaken = Channel::initiator(device(), relay().public_key, other);
  Channel guarded_again = Channel::responder(relay(), psk);
  REQUIRE(guarded_again.receive(flushed(mistaken), refuse_frames));
  CHECK(mistaken.receive(flushed(guarded_again), refuse_frames).error() ==
        ChannelError::bad_handshake);
}

TEST_CASE("the prologue is the protocol's name with its NUL and the relay's key") {
  Channel channel = device_end();
  const Bytes hello = flushed(channel);
  const Bytes right = prologue();
  ByHand peer = ByHand::answer(channel, hello, by_hand_config(right));
  CHECK(channel.established());

  Bytes wrong = prologue();
  wrong.erase(wrong.begin() + 14);  // without the NUL
  HandshakeState state(by_hand_config(wrong));
  CHECK(state.read(ByteView(hello).subspan(2)).error() == HandshakeError::not_authentic);
}

TEST_CASE("a handshake arriving byte by byte succeeds") {
  Channel device_channel = device_end();
  Channel relay_channel = relay_end();
  for (const std::uint8_t byte : flushed(device_channel)) {
    REQUIRE(relay_channel.receive(std::span(&byte, 1), refuse_frames));
  }
  for (const std::uint8_t byte : flushed(relay_channel)) {
    REQUIRE(device_channel.receive(std::span(&byte, 1), refuse_frames));
  }
  CHECK(device_channel.established());
  CHECK(relay_channel.established());
}

TEST_CASE("every flipped bit of message 1 is refused, and nothing comes back") {
  Channel device_channel = device_end();
  const Bytes hello = flushed(device_channel);
  for (std::size_t bit = 0; bit < hello.size() * 8; ++bit) {
    Channel relay_channel = relay_end();
    REQUIRE(relay_channel.receive(with_flipped_bit(hello, bit), refuse_frames).error() ==
            ChannelError::bad_handshake);
    REQUIRE_FALSE(relay_channel.peer());
    REQUIRE_FALSE(relay_channel.has_output());
    REQUIRE(flushed(relay_channel).empty());
    REQUIRE(relay_channel.receive(hello, refuse_frames).error() == ChannelError::bad_handshake);
  }
}

TEST_CASE("every flipped bit of message 2 is refused, and waiting frames never leave") {
  Channel first = device_end();
  Channel relay_channel = relay_end();
  REQUIRE(relay_channel.receive(flushed(first), refuse_frames));
  const Bytes answer = flushed(relay_channel);
  for (std::size_t bit = 0; bit < answer.size() * 8; ++bit) {
    Channel device_channel = device_end();
    device_channel.send(body_of(20));
    static_cast<void>(flushed(device_channel));
    REQUIRE(device_channel.receive(with_flipped_bit(answer, bit), refuse_frames).error() ==
            ChannelError::bad_handshake);
    REQUIRE_FALSE(device_channel.established());
    REQUIRE(flushed(device_channel).empty());
  }
}

TEST_CASE("before the handshake is complete only the expected length is waited for") {
  for (const int length : {0, 16, 95, 97, 48, 65'535}) {
    Bytes header(2);
    store_u16_be(header.data(), static_cast<std::uint16_t>(length));
    Channel relay_channel = relay_end();
    CHECK(relay_channel.receive(header, refuse_frames).error() == ChannelError::bad_handshake);
    Channel in_bytes = relay_end();
    CHECK(in_bytes.receive(ByteView(header).first(1), refuse_frames));
    CHECK(in_bytes.receive(ByteView(header).last(1), refuse_frames).error() ==
          ChannelError::bad_handshake);
  }
}

TEST_CASE("a handshake message with a payload is refused") {
  const Bytes name = prologue();
  HandshakeState state(
      {NoisePattern::IK, NoiseRole::initiator, name, device(), relay().public_key, {}, {}});
  Bytes hello(2);
  REQUIRE(state.write(as_bytes("x"), hello));
  store_u16_be(hello.data(), static_cast<std::uint16_t>(hello.size() - 2));
  Channel relay_channel = relay_end();
  CHECK(relay_channel.receive(hello, refuse_frames).error() == ChannelError::bad_handshake);
}

TEST_CASE("bytes out of turn are refused: before our first message, and before our answer") {
  Channel silent = device_end();
  Bytes answer_header{0, 48};
  CHECK(silent.receive(answer_header, refuse_frames).error() == ChannelError::bad_handshake);

  Channel device_channel = device_end();
  Channel relay_channel = relay_end();
  Bytes hello = flushed(device_channel);
  append(hello, Bytes{0, 16});
  CHECK(relay_channel.receive(hello, refuse_frames).error() == ChannelError::bad_handshake);
}

TEST_CASE("small-order keys are refused at either end") {
  const Key zero;
  Bytes hello(kHello);
  hello[1] = 96;
  Channel relay_channel = relay_end();
  CHECK(relay_channel.receive(hello, refuse_frames).error() == ChannelError::bad_handshake);

  Channel lured = Channel::initiator(device(), zero);
  CHECK(flushed(lured).empty());
  CHECK_FALSE(lured.has_output());
  CHECK(lured.receive(Bytes(1), refuse_frames).error() == ChannelError::bad_handshake);
}

TEST_CASE("frames sent before the handshake is complete wait, then leave first") {
  Channel device_channel = device_end();
  Channel relay_channel = relay_end();
  device_channel.send(body_of(20, 1));
  relay_channel.send(body_of(20, 2));
  CHECK_FALSE(relay_channel.has_output());
  const Bytes hello = flushed(device_channel);
  CHECK(hello.size() == kHello);
  CHECK_FALSE(device_channel.has_output());
  CHECK(device_channel.pending() == 24);
  Collector at_device;
  Collector at_relay;
  REQUIRE(relay_channel.receive(hello, at_relay.on_frame));
  REQUIRE(device_channel.receive(flushed(relay_channel), at_device.on_frame));
  CHECK(device_channel.has_output());
  REQUIRE(relay_channel.receive(flushed(device_channel), at_relay.on_frame));
  CHECK(at_device.bodies == Bodies{body_of(20, 2)});
  CHECK(at_relay.bodies == Bodies{body_of(20, 1)});
}

TEST_SUITE_END();
