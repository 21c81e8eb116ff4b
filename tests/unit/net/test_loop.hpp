// A loop for tests: it waits for conditions instead of times, and a handle that a test left open
// fails that test.
#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "schema/net/loop.hpp"
#include "schema/net/stream.hpp"
#include "schema/net/timer.hpp"
#include "schema/wire/types.hpp"

namespace godwit::net {

// Long enough for the slowest sanitizer; a test that passes never waits for it.
inline constexpr std::chrono::seconds kTestPatience{60};

struct TestLoop {
  Loop loop;

  ~TestLoop() { CHECK(loop.open_handles() == 0); }

  template <class Condition>
  void run_until(Condition condition) {
    bool expired = false;
    Timer patience(loop, [&] { expired = true; });
    patience.start(kTestPatience);
    while (!condition() && !expired) loop.run_once();
    REQUIRE(condition());
  }

  // Rounds in which everything that is due has happened, where a test asserts that nothing does.
  void settle() {
    for (int round = 0; round < 10; ++round) loop.poll();
  }
};

// Two connected streams; neither reads before it is started.
struct StreamPair {
  explicit StreamPair(TestLoop& test) {
    auto listener = Listener::listen(test.loop, "127.0.0.1:0", {}, [&](int descriptor) {
      auto adopted = Stream::adopt(test.loop, descriptor);
      REQUIRE(adopted);
      server.emplace(std::move(*adopted));
    });
    REQUIRE(listener);
    bool is_connected = false;
    auto stream = Stream::connect(test.loop, listener->address(), [&](auto result) {
      REQUIRE(result);
      is_connected = true;
    });
    REQUIRE(stream);
    client.emplace(std::move(*stream));
    test.run_until([&] { return is_connected && server; });
  }

  std::optional<Stream> client;
  std::optional<Stream> server;
};

// What depends on the position, so that a lost, doubled or moved byte shows.
inline std::uint8_t byte_at(std::size_t position) {
  return static_cast<std::uint8_t>((position * 2654435761U) >> 13U);
}

inline wire::Bytes pattern(std::size_t size, std::size_t first = 0) {
  wire::Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = byte_at(first + i);
  return bytes;
}

inline std::ptrdiff_t open_descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                       std::filesystem::directory_iterator());
}

}  // namespace godwit::net
