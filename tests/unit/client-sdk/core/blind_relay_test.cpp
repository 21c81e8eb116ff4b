// What a relay that keeps every byte it is given, and every byte it gives, does not learn.
#include <doctest/doctest.h>

#include <algorithm>

#include "schema/wire/codec.hpp"
#include "tests/support/world.hpp"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;

constexpr const char* kText = "meet me where the godwits land";

bool holds(wire::ByteView bytes, wire::ByteView what) {
  return !std::ranges::search(bytes, what).empty();
}

// Everything that passed between devices and relay, as the relay sees it: without the channel.
struct Seen {
  std::vector<wire::Bytes> up;
  std::vector<wire::Bytes> down;

  explicit Seen(World& world) {
    world.watch = [this](SimDevice&, wire::ByteView frame) {
      up.emplace_back(frame.begin(), frame.end());
    };
    world.tamper = [this](SimDevice&, wire::ByteView frame) {
      down.emplace_back(frame.begin(), frame.end());
      return std::vector<wire::Bytes>{down.back()};
    };
  }
};

// The envelopes among what the relay gives.
std::vector<wire::Bytes> delivered(const std::vector<wire::Bytes>& frames) {
  std::vector<wire::Bytes> envelopes;
  for (const wire::Bytes& frame : frames) {
    const auto parsed = wire::parse_relay_frame(frame);
    REQUIRE(parsed.has_value());
    if (const auto* deliver = std::get_if<wire::Deliver>(&parsed->body)) {
      envelopes.emplace_back(deliver->envelope.begin(), deliver->envelope.end());
    }
  }
  return envelopes;
}

}  // namespace

TEST_SUITE("schema/README.md") {
  TEST_CASE("nothing that a relay is given holds a text, and no two envelopes a part in common") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    Seen seen(world);
    for (int i = 0; i < 5; ++i) {  // the same text, also answered: sessions of every age
      (void)alice.send("bob", kText);
      world.settle();
      (void)bob.send("alice", kText);
      world.settle();
    }
    REQUIRE(bob.texts("alice").size() == 10);
    for (const wire::Bytes& frame : seen.up) CHECK_FALSE(holds(frame, wire::as_bytes(kText)));
    for (const wire::Bytes& frame : seen.down) CHECK_FALSE(holds(frame, wire::as_bytes(kText)));
    // Ten texts, and receipts. Behind the seal id no 16 bytes of one stand in another.
    const auto envelopes = delivered(seen.down);
    REQUIRE(envelopes.size() >= 10);
    for (std::size_t i = 0; i < envelopes.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        for (std::size_t at = 5; at + 16 <= envelopes[i].size(); at += 16) {
          CHECK_FALSE(holds(envelopes[j], wire::ByteView(envelopes[i]).subspan(at, 16)));
        }
      }
    }
  }

  TEST_CASE("what is delivered does not name who sent it") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    std::vector<wire::Bytes> names;  // of alice: what a relay, or anyone who asks it, knows her by
    world.watch = [&](SimDevice& device, wire::ByteView frame) {
      const auto parsed = wire::parse_request(frame);
      REQUIRE(parsed.has_value());
      const auto* login = std::get_if<wire::Login>(&parsed->body);
      if (login == nullptr || &device != &alice) return;
      names.emplace_back(login->user.view().begin(), login->user.view().end());
      names.emplace_back(login->device.view().begin(), login->device.view().end());
    };
    alice.disconnect();
    alice.connect();
    world.settle();
    REQUIRE(names.size() == 2);
    names.push_back({'a', 'l', 'i', 'c', 'e'});
    Seen seen(world);
    for (int i = 0; i < 20; ++i) (void)alice.send("bob", kText);
    world.settle();
    REQUIRE(bob.texts("alice").size() == 20);
    const auto envelopes = delivered(seen.down);
    REQUIRE(envelopes.size() >= 20);
    for (const wire::Bytes& envelope : envelopes) {
      for (const wire::Bytes& name : names) CHECK_FALSE(holds(envelope, name));
    }
  }
}

}  // namespace godwit::test
