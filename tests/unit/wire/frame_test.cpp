#include "schema/wire/frame.hpp"

#include <doctest/doctest.h>

#include <random>

#include "schema/wire/bytes.hpp"

using namespace godwit::wire;

namespace {

Bytes body_of(std::size_t size, std::uint8_t first) {
  Bytes body(size);
  for (std::size_t i = 0; i < size; ++i) body[i] = static_cast<std::uint8_t>(first + i);
  return body;
}

Bytes stream_of(const std::vector<Bytes>& bodies) {
  Bytes stream;
  for (const Bytes& body : bodies) {
    append_le(stream, static_cast<std::uint32_t>(body.size()));
    append(stream, body);
  }
  return stream;
}

Bytes header_of(std::uint32_t size) {
  Bytes header(kFrameHeaderSize);
  store_le(header.data(), size);
  return header;
}

struct Collector {
  std::vector<Bytes> bodies;
  bool aligned = true;
  FrameAssembler::OnFrame on_frame = [this](ByteView body) {
    aligned = aligned && reinterpret_cast<std::uintptr_t>(body.data()) % 8 == 0;
    bodies.emplace_back(body.begin(), body.end());
    return true;
  };
};

}  // namespace

TEST_SUITE_BEGIN("schema/wire/frame");

TEST_CASE("a stream cut in two at any place gives the same frames, each aligned") {
  const std::vector<Bytes> bodies{body_of(8, 1), body_of(13, 50), body_of(300, 7), body_of(9, 9)};
  const Bytes stream = stream_of(bodies);
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    FrameAssembler assembler;
    Collector collector;
    REQUIRE(assembler.feed(ByteView(stream).first(cut), collector.on_frame));
    REQUIRE(assembler.feed(ByteView(stream).subspan(cut), collector.on_frame));
    REQUIRE(collector.bodies == bodies);
    REQUIRE(collector.aligned);
    REQUIRE(assembler.buffered() == 0);
  }
}

TEST_CASE("a stream cut into random pieces gives the same frames, large ones included") {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<Bytes> bodies;
    for (std::size_t i = 0; i < 1 + random() % 8; ++i) {
      bodies.push_back(
          body_of(8 + random() % (i % 3 == 0 ? 20'000 : 200), static_cast<std::uint8_t>(random())));
    }
    const Bytes stream = stream_of(bodies);
    FrameAssembler assembler;
    assembler.set_size_max(kFrameSizeMax);
    Collector collector;
    for (ByteView rest = stream; !rest.empty();) {
      const std::size_t size = std::min<std::size_t>(rest.size(), 1 + random() % 3'000);
      REQUIRE(assembler.feed(rest.first(size), collector.on_frame));
      rest = rest.subspan(size);
    }
    REQUIRE(collector.bodies == bodies);
    REQUIRE(collector.aligned);
  }
}

TEST_CASE("a frame over the limit is refused on its header, before any memory is used") {
  FrameAssembler assembler;
  Collector collector;
  Bytes input = header_of(kFrameSizeMaxBeforeLogin + 1);
  append(input, Bytes(100));
  CHECK(assembler.feed(input, collector.on_frame).error() == FrameError::too_large);
  CHECK(assembler.memory() == 0);
  CHECK(collector.bodies.empty());
  CHECK(assembler.feed(Bytes(1), collector.on_frame).error() == FrameError::too_large);
}

TEST_CASE("the largest frame passes, before login and after") {
  for (const std::size_t limit : {kFrameSizeMaxBeforeLogin, kFrameSizeMax}) {
    FrameAssembler assembler;
    assembler.set_size_max(limit);
    Collector collector;
    CHECK(assembler.feed(stream_of({body_of(limit, 1)}), collector.on_frame));
    CHECK(collector.bodies.size() == 1);
    CHECK(assembler.feed(header_of(static_cast<std::uint32_t>(limit + 1)), collector.on_frame)
              .error() == FrameError::too_large);
  }
}

TEST_CASE("a frame shorter than any FlatBuffer is refused, the empty one included") {
  for (std::uint32_t size = 0; size < kFrameSizeMin; ++size) {
    FrameAssembler assembler;
    Collector collector;
    CHECK(assembler.feed(header_of(size), collector.on_frame).error() == FrameError::too_small);
  }
}

TEST_CASE("a claimed size costs no memory until the bytes come") {
  FrameAssembler assembler;
  assembler.set_size_max(kFrameSizeMax);
  Collector collector;
  Bytes input = header_of(kFrameSizeMax);
  append(input, Bytes(10));
  REQUIRE(assembler.feed(input, collector.on_frame));
  CHECK(assembler.buffered() == 14);
  CHECK(assembler.memory() <= 64);
}

TEST_CASE("an assembler between two frames holds no memory") {
  FrameAssembler assembler;
  Collector collector;
  const Bytes stream = stream_of({body_of(3'000, 1)});
  REQUIRE(assembler.feed(ByteView(stream).first(2'000), collector.on_frame));
  CHECK(assembler.memory() >= 1'996);
  REQUIRE(assembler.feed(ByteView(stream).subspan(2'000), collector.on_frame));
  CHECK(assembler.memory() == 0);
  CHECK(assembler.buffered() == 0);
}

TEST_CASE("after its owner said stop an assembler delivers nothing more") {
  FrameAssembler assembler;
  int calls = 0;
  const auto stop = [&calls](ByteView) {
    ++calls;
    return false;
  };
  const Bytes stream = stream_of({body_of(8, 1), body_of(8, 2)});
  CHECK(assembler.feed(stream, stop));
  CHECK(assembler.feed(stream, stop));
  CHECK(calls == 1);
}

TEST_CASE("a limit lifted by one frame holds for the next of the same input") {
  FrameAssembler assembler;
  int calls = 0;
  const auto on_frame = [&](ByteView) {
    ++calls;
    assembler.set_size_max(kFrameSizeMax);
    return true;
  };
  CHECK(assembler.feed(stream_of({body_of(8, 1), body_of(100'000, 2)}), on_frame));
  CHECK(calls == 2);
}

TEST_SUITE_END();
