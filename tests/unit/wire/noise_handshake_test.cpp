#include "schema/wire/noise_handshake.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "schema/wire/x25519.hpp"

using namespace godwit::wire;

namespace {

KeyPair fixed_pair(std::uint8_t fill) {
  SecretKey secret;
  secret.bytes.fill(fill);
  return key_pair_of(secret);
}

const std::array kPatterns{NoisePattern::X, NoisePattern::IK, NoisePattern::IKpsk2};

struct Ends {
  HandshakeConfig initiator;
  HandshakeConfig responder;
};

Ends ends_for(NoisePattern pattern) {
  std::optional<SecretKey> psk;
  if (pattern == NoisePattern::IKpsk2) psk.emplace().bytes.fill(9);
  const KeyPair device = fixed_pair(1);
  const KeyPair relay = fixed_pair(2);
  return {{pattern, NoiseRole::initiator, as_bytes("prologue"), device, relay.public_key, psk,
           fixed_pair(3)},
          {pattern, NoiseRole::responder, as_bytes("prologue"), relay, {}, psk, fixed_pair(4)}};
}

Bytes written(HandshakeState& state, ByteView payload = {}) {
  Bytes message;
  REQUIRE(state.write(payload, message));
  return message;
}

// True when data sealed by one end opens at the other, both ways.
bool connected(const HandshakeState& left, const HandshakeState& right) {
  auto a = left.split();
  auto b = right.split();
  Bytes sealed(4 + kNoiseTagSize);
  Bytes opened(4);
  const ByteView ping = as_bytes("ping");
  return a.send.seal(sealed, {}, ping) && b.receive.open(opened, {}, sealed) &&
         b.send.seal(sealed, {}, ping) && a.receive.open(opened, {}, sealed);
}

void check_dead(HandshakeState& state) {
  Bytes out;
  REQUIRE_FALSE(state.complete());
  REQUIRE_FALSE(state.writes_next());
  REQUIRE_FALSE(state.reads_next());
  REQUIRE_FALSE(state.remote_static());
  REQUIRE(state.write({}, out).error() == HandshakeError::dead);
  REQUIRE(state.read(Bytes(96)).error() == HandshakeError::dead);
  REQUIRE(out.empty());
}

// Points whose every multiple by a clamped scalar is zero, in the encodings below 2^255.
std::vector<Key> small_order_points() {
  Key zero;
  Key one;
  one.bytes[0] = 1;
  Key order_four;  // p - 1
  order_four.bytes.fill(0xff);
  order_four.bytes[0] = 0xec;
  order_four.bytes[31] = 0x7f;
  Key p = order_four;
  p.bytes[0] = 0xed;
  Key p_plus_one = order_four;
  p_plus_one.bytes[0] = 0xee;
  const Key order_eight{{0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
                         0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32,
                         0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00}};
  return {zero, one, order_four, p, p_plus_one, order_eight};
}

}  // namespace

TEST_SUITE_BEGIN("schema/wire/noise_handshake");

TEST_CASE("two honest ends agree on keys and transcript, and know each other") {
  for (const NoisePattern pattern : kPatterns) {
    const Ends ends = ends_for(pattern);
    HandshakeState initiator(ends.initiator);
    HandshakeState responder(ends.responder);
    CHECK(initiator.writes_next());
    CHECK(responder.reads_next());
    CHECK(initiator.overhead() == 96);

    const auto first = responder.read(written(initiator, as_bytes("hello")));
    REQUIRE(first);
    CHECK(*first == Bytes{'h', 'e', 'l', 'l', 'o'});
    CHECK(responder.remote_static() == fixed_pair(1).public_key);
    if (pattern != NoisePattern::X) {
      CHECK_FALSE(initiator.complete());
      CHECK(responder.overhead() == 48);
      REQUIRE(initiator.read(written(responder)));
    }
    REQUIRE(initiator.complete());
    REQUIRE(responder.complete());
    CHECK(initiator.hash() == responder.hash());
    CHECK(connected(initiator, responder));
  }
}

TEST_CASE("an ephemeral key that is not fixed differs from handshake to handshake") {
  Ends ends = ends_for(NoisePattern::IK);
  ends.initiator.ephemeral.reset();
  HandshakeState first(ends.initiator);
  HandshakeState second(ends.initiator);
  CHECK(written(first) != written(second));
}

TEST_CASE("every flipped bit of a message is refused, and what read it is dead") {
  for (const NoisePattern pattern : kPatterns) {
    const Ends ends = ends_for(pattern);
    HandshakeState initiator(ends.initiator);
    const Bytes message = written(initiator, as_bytes("payload"));
    for (std::size_t bit = 0; bit < message.size() * 8; ++bit) {
      Bytes altered = message;
      altered[bit / 8] = static_cast<std::uint8_t>(altered[bit / 8] ^ (1u << (bit % 8)));
      HandshakeState responder(ends.responder);
      REQUIRE_FALSE(responder.read(altered));
      check_dead(responder);
    }
  }
}

TEST_CASE("every flipped bit of the answer is refused, and what read it is dead") {
  for (const NoisePattern pattern : {NoisePattern::IK, NoisePattern::IKpsk2}) {
    const Ends ends = ends_for(pattern);
    HandshakeState first_initiator(ends.initiator);
    HandshakeState responder(ends.responder);
    const Bytes message = written(first_initiator);
    REQUIRE(responder.read(message));
    const Bytes answer = written(responder);
    for (std::size_t bit = 0; bit < answer.size() * 8; ++bit) {
      Bytes altered = answer;
      altered[bit / 8] = static_cast<std::uint8_t>(altered[bit / 8] ^ (1u << (bit % 8)));
      HandshakeState initiator(ends.initiator);
      REQUIRE(written(initiator) == message);
      REQUIRE_FALSE(initiator.read(altered));
      check_dead(initiator);
    }
  }
}

TEST_CASE("a message of any shorter length is refused") {
  const Ends ends = ends_for(NoisePattern::IK);
  HandshakeState initiator(ends.initiator);
  const Bytes message = written(initiator);
  for (std::size_t size = 0; size < message.size(); ++size) {
    HandshakeState responder(ends.responder);
    REQUIRE(responder.read(ByteView(message).first(size)).error() == HandshakeError::bad_length);
    check_dead(responder);
  }
}

TEST_CASE("a message longer than any Noise message is refused") {
  HandshakeState responder(ends_for(NoisePattern::IK).responder);
  CHECK(responder.read(Bytes(kNoiseMessageSizeMax + 1)).error() == HandshakeError::bad_length);
}

TEST_CASE("another prologue, another pattern and another relay's key do not connect") {
  const Ends ends = ends_for(NoisePattern::IK);
  HandshakeState initiator(ends.initiator);
  const Bytes message = written(initiator);

  Ends other = ends_for(NoisePattern::IK);
  other.responder.prologue = as_bytes("prologuf");
  HandshakeState other_prologue(other.responder);
  CHECK(other_prologue.read(message).error() == HandshakeError::not_authentic);

  HandshakeState other_pattern(ends_for(NoisePattern::IKpsk2).responder);
  CHECK(other_pattern.read(message).error() == HandshakeError::not_authentic);

  other = ends_for(NoisePattern::IK);
  other.responder.own = fixed_pair(5);
  HandshakeState other_relay(other.responder);
  CHECK(other_relay.read(message).error() == HandshakeError::not_authentic);
}

TEST_CASE("another pre-shared key is found out with message 2") {
  Ends ends = ends_for(NoisePattern::IKpsk2);
  ends.responder.psk->bytes[31] ^= 1;
  HandshakeState initiator(ends.initiator);
  HandshakeState responder(ends.responder);
  REQUIRE(responder.read(written(initiator)));
  CHECK(initiator.read(written(responder)).error() == HandshakeError::not_authentic);
  check_dead(initiator);
}

TEST_CASE("an ephemeral key of small order is refused") {
  for (const Key& point : small_order_points()) {
    HandshakeState responder(ends_for(NoisePattern::IK).responder);
    Bytes message(96);
    std::ranges::copy(point.view(), message.begin());
    REQUIRE(responder.read(message).error() == HandshakeError::bad_key);
    check_dead(responder);
  }
}

TEST_CASE("a static key of small order is refused, though its message is authentic so far") {
  for (const Key& point : small_order_points()) {
    Ends ends = ends_for(NoisePattern::IK);
    ends.initiator.own.public_key = point;
    HandshakeState initiator(ends.initiator);
    HandshakeState responder(ends.responder);
    REQUIRE(responder.read(written(initiator)).error() == HandshakeError::bad_key);
    check_dead(responder);
  }
}

TEST_CASE("a responder's ephemeral key of small order is refused") {
  for (const Key& point : small_order_points()) {
    Ends ends = ends_for(NoisePattern::IK);
    HandshakeState initiator(ends.initiator);
    static_cast<void>(written(initiator));
    Bytes answer(48);
    std::ranges::copy(point.view(), answer.begin());
    REQUIRE(initiator.read(answer).error() == HandshakeError::bad_key);
    check_dead(initiator);
  }
}

TEST_CASE("nothing is sent to a relay whose key has small order") {
  for (const Key& point : small_order_points()) {
    Ends ends = ends_for(NoisePattern::IK);
    ends.initiator.remote_static = point;
    HandshakeState initiator(ends.initiator);
    Bytes out{7};
    REQUIRE(initiator.write({}, out).error() == HandshakeError::bad_key);
    REQUIRE(out == Bytes{7});
    check_dead(initiator);
  }
}

TEST_CASE("HMAC-BLAKE2b gives the value of another implementation, in one part or two") {
  const NoiseHash expected{// Python's hmac.new(b"key", b"some data", hashlib.blake2b)
                           0x96, 0x8f, 0xc1, 0xa9, 0xf4, 0x8c, 0xfa, 0xf7, 0x47, 0x97, 0x7f,
                           0x67, 0xde, 0xf6, 0x36, 0x4a, 0x17, 0x6e, 0x04, 0x15, 0xc1, 0x18,
                           0x3e, 0x08, 0x16, 0x08, 0x78, 0x5e, 0x3f, 0x35, 0x93, 0xab, 0x84,
                           0xce, 0x8e, 0x7a, 0x0d, 0xd5, 0x21, 0xc2, 0xab, 0x0b, 0x77, 0x45,
                           0x93, 0x37, 0x05, 0xcd, 0x0c, 0x54, 0xaa, 0x1f, 0xbd, 0xfd, 0xd6,
                           0x7f, 0x07, 0x7f, 0x6a, 0x8d, 0x01, 0xad, 0xc9, 0xd5};
  CHECK(hmac_blake2b(as_bytes("key"), as_bytes("some data")) == expected);
  CHECK(hmac_blake2b(as_bytes("key"), as_bytes("some"), as_bytes(" data")) == expected);
}

TEST_SUITE_END();
