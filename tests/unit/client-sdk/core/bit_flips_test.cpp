// Every byte of every kind of message, flipped on its way: nothing changes but what was seen, and
// the original still arrives. And what a peer that forges its own numbers can make us keep.
#include <doctest/doctest.h>

#include "tests/support/forge.hpp"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;
using store::Table;

struct Flipped {
  World world;
  SimDevice& alice = world.add("alice");
  SimDevice& bob = world.add("bob");
  std::vector<wire::Bytes> held;  // to bob

  void hold() {
    world.tamper = [this](SimDevice& to, wire::ByteView bytes) -> Frames {
      const bool deliver = std::holds_alternative<wire::Deliver>(ParsedFrame(bytes).value.body);
      if (&to != &bob || !deliver) return as_is(bytes);
      held.emplace_back(bytes.begin(), bytes.end());
      return {};
    };
  }
  void talk() {
    alice.send("bob", "hello");
    world.settle();
    bob.send("alice", "hello too");
    world.settle();
  }
  // Each byte of each envelope that is held; then the originals.
  void flip_all(const std::string& what) {
    CAPTURE(what);
    REQUIRE(!held.empty());
    world.tamper = nullptr;
    const auto before = all_but_seen(bob);
    const auto events = bob.events.size();
    std::size_t flips = 0;
    for (const auto& bytes : held) {
      const ParsedFrame frame(bytes);
      const auto& deliver = std::get<wire::Deliver>(frame.value.body);
      wire::Bytes envelope(deliver.envelope.begin(), deliver.envelope.end());
      for (std::size_t i = 0; i < envelope.size(); ++i, ++flips) {
        envelope[i] ^= static_cast<std::uint8_t>(1U << (i % 8));
        const ParsedFrame flipped(frame_of(
            {0, wire::Deliver{0x1000'0000 + static_cast<std::uint32_t>(flips), envelope}}));
        bob.round([&](core::Core& core) { core.on_frame(flipped.value, world.now()); });
        envelope[i] ^= static_cast<std::uint8_t>(1U << (i % 8));
      }
    }
    CHECK(all_but_seen(bob) == before);
    CHECK(bob.events.size() == events);
    MESSAGE(what << ": " << flips << " flips");
    bob.to_relay.clear();  // the relay knows nothing of those numbers
    world.close_session(bob);
    world.open_session(bob);  // it delivers what was not acknowledged
    held.clear();
    world.run(10s);
  }
};

}  // namespace

TEST_SUITE("client-sdk/src/core: bit flips") {
  TEST_CASE("a flipped first message, ratchet message or receipt changes nothing") {
    Flipped flipped;
    flipped.hold();
    const Sent first = flipped.alice.send("bob", "first");
    flipped.world.settle();
    flipped.flip_all("prekey message");
    CHECK(flipped.bob.texts("alice") == std::vector<std::string>{"first"});
    CHECK(flipped.alice.status(first.id) == Status::delivered);
    flipped.hold();
    const Sent second = flipped.alice.send("bob", "second");
    flipped.world.settle();
    flipped.flip_all("ratchet message");
    CHECK(flipped.bob.texts("alice") == std::vector<std::string>{"first", "second"});
    CHECK(flipped.alice.status(second.id) == Status::delivered);
    flipped.hold();
    const Sent reply = flipped.bob.send("alice", "reply");
    flipped.world.settle();
    REQUIRE(flipped.bob.status(reply.id) == Status::sent);
    flipped.flip_all("receipt");
    CHECK(flipped.bob.status(reply.id) == Status::delivered);
    CHECK(flipped.bob.count(EventKind::undecryptable) == 0);
  }

  TEST_CASE("a flipped repair request, reset or typing frame changes nothing") {
    Flipped flipped;
    flipped.talk();
    flipped.hold();
    Puppet puppet(flipped.alice, flipped.bob);
    puppet.begin({}, 5);
    const auto receives = [&](const std::string& what, wire::ByteView inner) {
      flipped.hold();
      puppet.submit_inner(inner);
      flipped.world.settle();
      flipped.flip_all(what);
    };
    receives("repair", puppet.inner(puppet.payload(wire::Repair{{1, 2}})));
    wire::Reset reset;
    reset.undecryptable.resize(3);
    receives("reset", puppet.inner(puppet.payload(reset)));
    receives("typing", puppet.session().encrypt_ephemeral(puppet.payload(wire::Typing{true}),
                                                          puppet.random()));
  }

  TEST_CASE("a peer that jumps its numbers makes us keep and ask for a bounded amount") {
    Flipped flipped;
    flipped.talk();
    Puppet puppet(flipped.alice, flipped.bob);
    puppet.begin({}, 5);
    int frames = 0;
    flipped.world.upstream = [&](SimDevice& from, wire::ByteView) {
      frames += &from == &flipped.bob ? 1 : 0;
      return frames < 5'000;
    };
    const std::uint64_t most = ~std::uint64_t{0};
    std::vector<std::uint64_t> seqs{most, most - 1, 100, most - 5, 99, 3};
    for (std::uint64_t i = 0; i < 200; ++i) seqs.push_back(1'000 + 7 * i);
    for (const std::uint64_t seq : seqs) {
      puppet.submit_inner(puppet.inner(puppet.text("jump"), seq));
      flipped.world.run(1s);
    }
    CHECK(count(flipped.bob, Table::early) <= 34);  // 32 ranges, two of them of two
    CHECK(frames < 1'500);
    for (int i = 0; i < 3'000; ++i) {  // keys for what never comes
      (void)puppet.inner(puppet.text("skipped"), 5'000);
      if (i % 900 != 899) continue;
      puppet.submit_inner(puppet.inner(puppet.text("skipped"), 5'000));
      flipped.world.settle();
    }
    const auto sessions = snapshot(flipped.bob, {Table::sessions});
    CHECK(sessions.back().size() < 200'000);
    SimDevice& carol = flipped.world.add("carol");
    carol.send("bob", "I am honest");
    flipped.world.settle();
    CHECK(flipped.bob.texts("carol") == std::vector<std::string>{"I am honest"});
  }

  TEST_CASE("a chain that does not fit is told, and the text counts") {
    Flipped flipped;
    Puppet puppet(flipped.alice, flipped.bob);
    puppet.begin({});
    puppet.submit_inner(puppet.inner(puppet.text("one")));
    flipped.world.settle();
    CHECK(flipped.bob.count(EventKind::chain_broken) == 0);
    puppet.h.bytes[0] ^= 1;
    puppet.submit_inner(puppet.inner(puppet.text("contradiction")));
    flipped.world.settle();
    CHECK(flipped.bob.count(EventKind::chain_broken) == 1);
    const auto alice = flipped.alice.core->account().user.hex();
    CHECK(flipped.bob.texts(alice) == std::vector<std::string>{"one", "contradiction"});
  }

  TEST_CASE("a chain that does not fit is told of what came early too, once it is next") {
    Flipped flipped;
    Puppet puppet(flipped.alice, flipped.bob);
    puppet.begin({});
    puppet.submit_inner(puppet.inner(puppet.text("one")));
    const wire::Bytes second = puppet.inner(puppet.text("two"));
    bool fits = false;
    SUBCASE("it fits") {
      fits = true;
    }
    SUBCASE("it does not") {
      puppet.h.bytes[0] ^= 1;
    }
    puppet.submit_inner(puppet.inner(puppet.text("three")));
    flipped.world.settle();
    CHECK(flipped.bob.count(EventKind::chain_broken) == 0);  // nothing to hold it against yet
    puppet.submit_inner(second);
    flipped.world.settle();
    CHECK(flipped.bob.count(EventKind::gap_closed) == 1);
    CHECK(flipped.bob.count(EventKind::chain_broken) == (fits ? 0 : 1));
    CHECK(flipped.bob.texts(flipped.alice.core->account().user.hex()).size() == 3);
  }

  TEST_CASE("who asks for repairs without end gets three of each, and waits between") {
    Flipped flipped;
    flipped.talk();
    for (int i = 0; i < 10; ++i) flipped.bob.send("alice", "m" + std::to_string(i));
    flipped.world.settle();
    std::vector<std::chrono::milliseconds> submits;
    flipped.world.upstream = [&](SimDevice& from, wire::ByteView bytes) {
      const auto request = wire::parse_request(bytes);
      REQUIRE(request);
      if (&from == &flipped.bob && std::holds_alternative<wire::Submit>(request->body)) {
        submits.push_back(flipped.world.now().steady);
      }
      return true;
    };
    flipped.world.tamper = [&](SimDevice& to, wire::ByteView bytes) -> Frames {
      const bool deliver = std::holds_alternative<wire::Deliver>(ParsedFrame(bytes).value.body);
      return &to == &flipped.alice && deliver ? Frames{} : as_is(bytes);
    };
    Puppet puppet(flipped.alice, flipped.bob);
    puppet.begin({}, 5);
    for (int i = 0; i < 60; ++i) {
      puppet.submit_inner(puppet.inner(puppet.payload(wire::Repair{{1, 2, 3}}), 50));
      puppet.submit_inner(puppet.inner(puppet.payload(wire::Repair{{1, 2, 3}}),
                                       static_cast<std::uint64_t>(60 + i)));
      flipped.world.run(1s);
    }
    MESSAGE("submits after 120 repair requests: " << submits.size());
    CHECK(submits.size() >= 3);
    CHECK(submits.size() <= 20);  // of them at most nine repeated payloads
    REQUIRE(submits.size() > 3);
    const auto in_a_row = std::ranges::count_if(
        submits, [&](const auto& at) { return at < submits.front() + core::kRepairInterval - 2s; });
    MESSAGE("of them within three seconds: " << in_a_row);
    CHECK(in_a_row <= 4);
  }

  TEST_CASE("a receipt for what was never sent is not believed") {
    Flipped flipped;
    flipped.bob.send("alice", "one");
    flipped.world.settle();
    flipped.alice.disconnect();
    const Sent sent = flipped.bob.send("alice", "two");
    flipped.world.settle();
    flipped.alice.connect();
    flipped.world.tamper = [&](SimDevice& to, wire::ByteView bytes) -> Frames {
      return &to == &flipped.alice ? Frames{} : as_is(bytes);
    };
    Puppet puppet(flipped.alice, flipped.bob);
    puppet.begin({}, 5);
    for (const auto& receipt : {wire::Receipt{1'000, {}, 1'000}, wire::Receipt{~0ULL, {}, ~0ULL},
                                wire::Receipt{0, {{2, ~0ULL}}, 0}}) {
      puppet.submit_inner(puppet.inner(puppet.payload(receipt)));
      flipped.world.settle();
      CHECK(flipped.bob.status(sent.id) == Status::sent);
    }
  }
}

}  // namespace godwit::test
