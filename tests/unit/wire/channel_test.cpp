// An established channel: frames in any cut, faults, memory, rekeying.
#include <doctest/doctest.h>

#include <random>

#include "tests/unit/wire/channel_support.hpp"

using namespace godwit::wire;

TEST_SUITE_BEGIN("schema/wire/channel");

TEST_CASE("any cut of the whole conversation gives the same frames") {
  Channel source = device_end();
  Bytes stream = flushed(source);
  Channel answering = relay_end();
  REQUIRE(answering.receive(stream, refuse_frames));
  REQUIRE(source.receive(flushed(answering), refuse_frames));
  const Bodies bodies{body_of(8), body_of(300, 9), body_of(77, 3), body_of(21, 4)};
  source.send(bodies[0]);
  source.send(bodies[1]);
  source.flush(stream);
  source.send(bodies[2]);
  source.flush(stream);
  source.send(bodies[3]);
  source.flush(stream);

  for (std::size_t cut = kHello; cut <= stream.size(); ++cut) {
    Channel relay_channel = relay_end();
    Collector collector;
    REQUIRE(relay_channel.receive(ByteView(stream).first(kHello), collector.on_frame));
    static_cast<void>(flushed(relay_channel));
    const ByteView rest = ByteView(stream).subspan(kHello);
    REQUIRE(relay_channel.receive(rest.first(cut - kHello), collector.on_frame));
    REQUIRE(relay_channel.receive(rest.subspan(cut - kHello), collector.on_frame));
    REQUIRE(collector.bodies == bodies);
  }
}

TEST_CASE("frames of every size arrive through random cuts, record after record") {
  std::mt19937 random(11);
  for (int round = 0; round < 20; ++round) {
    Pair pair;
    std::vector<Bytes> bodies;
    Bytes stream;
    for (int i = 0; i < 12; ++i) {
      const std::size_t size_max = i % 6 == 0 ? 200'000 : 700;
      bodies.push_back(body_of(8 + random() % size_max, static_cast<std::uint8_t>(random())));
      pair.device.send(bodies.back());
      if (random() % 2 == 0) pair.device.flush(stream);
    }
    pair.device.flush(stream);
    Collector collector;
    for (ByteView rest = stream; !rest.empty();) {
      const std::size_t size = std::min<std::size_t>(rest.size(), 1 + random() % 70'000);
      REQUIRE(pair.relay.receive(rest.first(size), collector.on_frame));
      rest = rest.subspan(size);
    }
    REQUIRE(collector.bodies == bodies);
  }
}

TEST_CASE("every flipped bit of a record is refused, and nothing of it is delivered") {
  Channel source = device_end();
  const Bytes hello = flushed(source);
  Channel answering = relay_end();
  REQUIRE(answering.receive(hello, refuse_frames));
  REQUIRE(source.receive(flushed(answering), refuse_frames));
  source.send(body_of(20));
  source.send(body_of(12));
  const Bytes record = flushed(source);
  for (std::size_t bit = 0; bit < record.size() * 8; ++bit) {
    Channel relay_channel = relay_end();
    REQUIRE(relay_channel.receive(hello, refuse_frames));
    static_cast<void>(flushed(relay_channel));
    const auto received = relay_channel.receive(with_flipped_bit(record, bit), refuse_frames);
    // A length that grew leaves the record unfinished; whatever follows completes and fails it.
    if (received) {
      REQUIRE(bit < 16);
      REQUIRE(relay_channel.receive(Bytes(kNoiseMessageSizeMax), refuse_frames).error() ==
              ChannelError::bad_record);
    } else {
      REQUIRE(received.error() == ChannelError::bad_record);
    }
  }
}

TEST_CASE("a replayed, a swapped and a left-out record are refused") {
  for (int fault = 0; fault < 3; ++fault) {
    Pair pair;
    pair.device.send(body_of(20, 1));
    const Bytes first = flushed(pair.device);
    pair.device.send(body_of(20, 2));
    const Bytes second = flushed(pair.device);
    Collector collector;
    if (fault == 0) REQUIRE(pair.relay.receive(first, collector.on_frame));
    CHECK(pair.relay.receive(fault == 0 ? first : second, collector.on_frame).error() ==
          ChannelError::bad_record);
    CHECK(collector.bodies.size() == (fault == 0 ? 1 : 0));
    if (fault == 2) {
      CHECK(pair.relay.receive(first, collector.on_frame).error() == ChannelError::bad_record);
    }
  }
}

TEST_CASE("a record shorter than a tag is refused on its header; one without content is not") {
  for (std::uint8_t length = 0; length < kNoiseTagSize; ++length) {
    Pair pair;
    CHECK(pair.relay.receive(Bytes{0, length}, refuse_frames).error() == ChannelError::bad_record);
  }
  Channel channel = device_end();
  const Bytes name = prologue();
  ByHand peer = ByHand::answer(channel, flushed(channel), by_hand_config(name));
  CHECK(channel.receive(peer.record({}), refuse_frames));
}

TEST_CASE("small frames of one flush share a record; frames over its size span records") {
  Pair pair;
  for (int i = 0; i < 10; ++i) pair.device.send(body_of(300));
  CHECK(pair.device.pending() == 3'040);
  const Bytes small = flushed(pair.device);
  CHECK(records_in(small) == 1);
  CHECK(small.size() == 2 + 3'040 + kNoiseTagSize);
  CHECK(pair.device.pending() == 0);

  pair.device.send(body_of(kFrameSizeMax));
  CHECK(pair.device.pending() == kFrameSizeMax + 4);
  const Bytes large = flushed(pair.device);
  CHECK(records_in(large) == 9);
  Collector collector;
  REQUIRE(pair.relay.receive(small, collector.on_frame));
  REQUIRE(pair.relay.receive(large, collector.on_frame));
  REQUIRE(collector.bodies.size() == 11);
  CHECK(collector.bodies.back() == body_of(kFrameSizeMax));
}

TEST_CASE("frames that fill a record exactly, or miss it by one, arrive") {
  for (const std::size_t short_of : {0u, 1u, 2u, 3u, 4u, 5u}) {
    Pair pair;
    const std::size_t size = kRecordPlaintextSizeMax - 4 - short_of;
    pair.device.send(body_of(size));
    pair.device.send(body_of(8));
    CHECK(pair.device.pending() == size + 4 + 12);
    const Bytes stream = flushed(pair.device);
    CHECK(records_in(stream) == 2);
    Collector collector;
    REQUIRE(pair.relay.receive(stream, collector.on_frame));
    CHECK(collector.bodies == Bodies{body_of(size), body_of(8)});
  }
  Pair pair;
  pair.device.send(body_of(kRecordPlaintextSizeMax - 4));
  CHECK(pair.device.pending() == kRecordPlaintextSizeMax);
  CHECK(records_in(flushed(pair.device)) == 1);
}

TEST_CASE("flush appends to what its caller already has") {
  Pair pair;
  pair.device.send(body_of(20));
  Bytes out{1, 2, 3};
  pair.device.flush(out);
  CHECK(ByteView(out).first(3)[2] == 3);
  Collector collector;
  CHECK(pair.relay.receive(ByteView(out).subspan(3), collector.on_frame));
  CHECK(collector.bodies == Bodies{body_of(20)});
}

TEST_CASE("a frame's handler may send on the channel it came from") {
  Pair pair;
  const auto echo = [&pair](ByteView body) {
    pair.relay.send(body);
    return true;
  };
  pair.device.send(body_of(20, 1));
  pair.device.send(body_of(20, 2));
  REQUIRE(pair.relay.receive(flushed(pair.device), echo));
  Collector collector;
  REQUIRE(pair.device.receive(flushed(pair.relay), collector.on_frame));
  CHECK(collector.bodies == Bodies{body_of(20, 1), body_of(20, 2)});
}

TEST_CASE("a handler that says stop ends the channel's reading, but its answer still leaves") {
  Pair pair;
  int calls = 0;
  const auto stop = [&](ByteView) {
    ++calls;
    pair.relay.send(body_of(30));
    return false;
  };
  pair.device.send(body_of(20));
  pair.device.send(body_of(20));
  Bytes stream = flushed(pair.device);
  pair.device.send(body_of(20));
  pair.device.flush(stream);
  CHECK(pair.relay.receive(stream, stop).error() == ChannelError::stopped);
  CHECK(pair.relay.receive(stream, stop).error() == ChannelError::stopped);
  CHECK(calls == 1);
  Collector collector;
  CHECK(pair.device.receive(flushed(pair.relay), collector.on_frame));
  CHECK(collector.bodies.size() == 1);
}

TEST_CASE("frames that are too large or too small end the channel before memory is used") {
  for (const auto& [size, error] :
       {std::pair{kFrameSizeMaxBeforeLogin + 1, ChannelError::frame_too_large},
        std::pair{kFrameSizeMin - 1, ChannelError::frame_too_small}}) {
    Channel channel = device_end();
    const Bytes name = prologue();
    ByHand peer = ByHand::answer(channel, flushed(channel), by_hand_config(name));
    const std::size_t idle = channel.memory();
    Bytes plaintext(kFrameHeaderSize);
    store_le(plaintext.data(), static_cast<std::uint32_t>(size));
    CHECK(channel.receive(peer.record(plaintext), refuse_frames).error() == error);
    CHECK(channel.memory() == idle);
    CHECK(channel.receive(Bytes(1), refuse_frames).error() == error);
  }
}

TEST_CASE("an idle channel holds no buffer and under 400 bytes in all") {
  Pair pair;
  const std::size_t idle = pair.relay.memory();
  MESSAGE("bytes of an idle channel: " << idle);
  CHECK(idle < 400);

  pair.device.send(body_of(100'000));
  CHECK(pair.device.memory() > 100'000);
  const Bytes stream = flushed(pair.device);
  CHECK(pair.device.memory() == idle);
  Collector collector;
  REQUIRE(pair.relay.receive(ByteView(stream).first(90'000), collector.on_frame));
  CHECK(pair.relay.memory() > 90'000 - 3 * 18);
  CHECK(pair.relay.memory() < 3 * 90'000);
  REQUIRE(pair.relay.receive(ByteView(stream).subspan(90'000), collector.on_frame));
  CHECK(collector.bodies.size() == 1);
  CHECK(pair.relay.memory() == idle);
}

TEST_CASE("a record is kept only as far as it came") {
  Pair pair;
  const std::size_t idle = pair.relay.memory();
  REQUIRE(pair.relay.receive(Bytes{0xff, 0xff, 1}, refuse_frames));
  CHECK(pair.relay.memory() <= idle + 3);
}

TEST_CASE("a flush into an empty buffer costs no allocation beyond that buffer") {
  Pair pair;
  pair.device.send(body_of(300));
  Bytes out;
  pair.device.flush(out);
  CHECK(out.capacity() == out.size());
}

TEST_CASE("the receiving direction rekeys after exactly 2^20 records") {
  Channel channel = device_end();
  const Bytes name = prologue();
  ByHand peer = ByHand::answer(channel, flushed(channel), by_hand_config(name));
  for (std::uint64_t i = 0; i < kRekeyInterval; ++i) {
    const Bytes record = peer.record({});
    if (!channel.receive(record, refuse_frames)) FAIL("record " << i << " was refused");
  }
  peer.ciphers.send.rekey();
  Bytes plaintext(kFrameHeaderSize);
  store_le(plaintext.data(), std::uint32_t{20});
  append(plaintext, body_of(20));
  Collector collector;
  CHECK(channel.receive(peer.record(plaintext), collector.on_frame));
  CHECK(collector.bodies == Bodies{body_of(20)});
}

TEST_CASE("the sending direction rekeys after exactly 2^20 records") {
  Channel channel = device_end();
  const Bytes name = prologue();
  ByHand peer = ByHand::answer(channel, flushed(channel), by_hand_config(name));
  for (std::uint64_t i = 0; i <= kRekeyInterval; ++i) {
    channel.send(body_of(8));
    const Bytes record = flushed(channel);
    Bytes plaintext(record.size() - 2 - kNoiseTagSize);
    if (i == kRekeyInterval) peer.ciphers.receive.rekey();
    if (!peer.ciphers.receive.open(plaintext, {}, ByteView(record).subspan(2))) {
      FAIL("record " << i << " does not open");
    }
  }
}

TEST_SUITE_END();
