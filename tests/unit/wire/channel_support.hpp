// tests/unit/wire/channel_support: two ends of a channel with fixed keys, and one end by hand.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "schema/wire/bytes.hpp"
#include "schema/wire/channel.hpp"
#include "schema/wire/noise_handshake.hpp"
#include "schema/wire/x25519.hpp"

namespace godwit::wire {

using Bodies = std::vector<Bytes>;

inline constexpr std::size_t kHello = 98;   // message 1 as a record
inline constexpr std::size_t kAnswer = 50;  // message 2

inline KeyPair fixed_pair(std::uint8_t fill) {
  SecretKey secret;
  secret.bytes.fill(fill);
  return key_pair_of(secret);
}

inline const KeyPair& device() {
  static const KeyPair pair = fixed_pair(1);
  return pair;
}

inline const KeyPair& relay() {
  static const KeyPair pair = fixed_pair(2);
  return pair;
}

inline Channel device_end() {
  return Channel::initiator(device(), relay().public_key, {}, fixed_pair(3));
}
inline Channel relay_end() {
  return Channel::responder(relay(), {}, fixed_pair(4));
}

inline Bytes flushed(Channel& channel) {
  Bytes out;
  channel.flush(out);
  return out;
}

struct Collector {
  std::vector<Bytes> bodies;
  FrameAssembler::OnFrame on_frame = [this](ByteView body) {
    bodies.emplace_back(body.begin(), body.end());
    return true;
  };
};

inline bool refuse_frames(ByteView) {
  FAIL("no frame was to be delivered");
  return false;
}

struct Pair {
  Channel device = device_end();
  Channel relay = relay_end();

  Pair() {
    REQUIRE(relay.receive(flushed(device), refuse_frames));
    REQUIRE(device.receive(flushed(relay), refuse_frames));
    REQUIRE(device.established());
    REQUIRE(relay.established());
    device.frames().set_size_max(kFrameSizeMax);
    relay.frames().set_size_max(kFrameSizeMax);
  }
};

inline Bytes body_of(std::size_t size, std::uint8_t first = 1) {
  Bytes body(size);
  for (std::size_t i = 0; i < size; ++i) body[i] = static_cast<std::uint8_t>(first + i);
  return body;
}

inline Bytes with_flipped_bit(Bytes bytes, std::size_t bit) {
  bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] ^ (1u << (bit % 8)));
  return bytes;
}

inline std::size_t records_in(ByteView stream) {
  std::size_t count = 0;
  for (; !stream.empty(); ++count) stream = stream.subspan(2u + load_u16_be(stream));
  return count;
}

// The relay's end of the same connection, by hand, to see and forge what a channel hides.
struct ByHand {
  HandshakeState::Ciphers ciphers;

  static ByHand answer(Channel& device, ByteView hello, HandshakeConfig config) {
    HandshakeState state(config);
    REQUIRE(state.read(hello.subspan(2)));
    Bytes answer(2);
    REQUIRE(state.write({}, answer));
    store_u16_be(answer.data(), static_cast<std::uint16_t>(answer.size() - 2));
    REQUIRE(device.receive(answer, refuse_frames));
    return {state.split()};
  }

  Bytes record(ByteView plaintext) {
    Bytes out(2 + plaintext.size() + kNoiseTagSize);
    store_u16_be(out.data(), static_cast<std::uint16_t>(out.size() - 2));
    REQUIRE(ciphers.send.seal(std::span(out).subspan(2), {}, plaintext));
    return out;
  }
};

inline Bytes prologue() {
  constexpr std::string_view kName("godwit/relay/1\0", 15);
  Bytes bytes(kName.size() + Key::kSize);
  std::ranges::copy(relay().public_key.view(), std::ranges::copy(kName, bytes.begin()).out);
  return bytes;
}

inline HandshakeConfig by_hand_config(ByteView prologue) {
  return {NoisePattern::IK, NoiseRole::responder, prologue, relay(), {}, {}, {}};
}

}  // namespace godwit::wire
