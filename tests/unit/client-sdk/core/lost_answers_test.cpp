// An answer of the relay that is lost with the connection, or says no for good: nothing is left
// half done behind it.
#include <doctest/doctest.h>

#include "tests/support/forge.hpp"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;
using Texts = std::vector<std::string>;

}  // namespace

TEST_SUITE("client-sdk/src/core") {
  TEST_CASE("a reset that comes while what it names is under way again") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    alice.send("bob", "one");
    world.settle();
    bob.send("alice", "two");
    world.settle();
    bob.lose_sessions();
    bob.connect();
    world.settle();
    bool cut = false;  // alice's connection dies before she hears that it was accepted
    world.tamper = [&](SimDevice& to, wire::ByteView bytes) -> Frames {
      if (&to != &alice) return as_is(bytes);
      ParsedFrame frame(bytes);
      cut |= std::holds_alternative<wire::Submitted>(frame.value.body);
      return cut ? Frames{} : as_is(bytes);
    };
    alice.send("bob", "three");
    world.settle();
    REQUIRE(cut);
    alice.disconnect();
    world.tamper = {};
    world.run(10s);
    alice.connect();
    world.run(10min);
    CHECK(bob.texts("alice") == Texts{"one", "two", "three"});
  }

  TEST_CASE("a new name whose answer is lost is asked for again") {
    World world;
    SimDevice& alice = world.add("alice");
    world.add("bob");
    world.tamper = [&](SimDevice& to, wire::ByteView bytes) -> Frames {
      return &to == &alice ? Frames{} : as_is(bytes);
    };
    alice.round([&](core::Core& core) { REQUIRE(core.set_name("alicia", world.now()).ok()); });
    world.settle();
    alice.disconnect();
    world.tamper = {};
    alice.connect();
    world.run(1min);
    CHECK((alice.core->account().name == "alicia" || alice.count(EventKind::name_taken) > 0));
  }

  TEST_CASE("a text that the relay will never take stops no status after it") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    alice.send("bob", "one");
    world.settle();
    bob.send("alice", "two");
    world.settle();
    world.upstream = [&](SimDevice& from, wire::ByteView bytes) {
      const auto request = wire::parse_request(bytes);
      const auto* submit = std::get_if<wire::Submit>(&request->body);
      if (submit == nullptr || submit->bodies.front().size() < 20'000) return true;
      tell(from, {request->id, wire::Refused{wire::ErrorCode::too_large, 0}});
      return false;
    };
    const auto large = alice.send("bob", std::string(30'000, 'x'));
    world.settle();
    CHECK(alice.status(large.id) == Status::failed);
    const auto small = alice.send("bob", "three");
    world.run(1min);
    bob.read("alice");
    world.run(2h);
    CHECK(alice.status(small.id) == Status::read);
  }
}

}  // namespace godwit::test
