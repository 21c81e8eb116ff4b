// Who was held apart or blocked, and is let in later: what they wrote counts from then on.
#include <doctest/doctest.h>

#include "tests/support/world.hpp"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;
using Policy = Client::ContactPolicy;

struct Door {
  World world;
  SimDevice& alice = world.add("alice");
  SimDevice& bob = world.add("bob");

  void policy(Policy policy) {
    bob.round([&](core::Core& core) {
      REQUIRE(core.set_contact_policy(policy, world.now()).ok());
    });
  }
  void block(bool blocked) {
    bob.round([&](core::Core& core) { REQUIRE(core.block("alice", blocked, world.now()).ok()); });
  }
  [[nodiscard]] Contact contact() { return bob.core->contacts()->front(); }
  [[nodiscard]] bool is_request() { return bob.core->conversations({})->items.front().request; }
};

}  // namespace

TEST_SUITE("client-sdk/src/core: let in") {
  TEST_CASE("who was a request becomes a contact with what they write under the policy open") {
    Door door;
    door.policy(Policy::requests);
    const Sent first = door.alice.send("bob", "one");
    door.world.run(1min);
    door.policy(Policy::open);
    door.world.run(1min);
    CHECK_FALSE(door.contact().accepted);  // it says who is one from now on
    CHECK(door.alice.status(first.id) == Status::sent);
    const Sent second = door.alice.send("bob", "two");
    door.world.run(1min);
    CHECK(door.contact().accepted);
    CHECK_FALSE(door.is_request());
    CHECK(door.alice.status(first.id) == Status::delivered);
    CHECK(door.alice.status(second.id) == Status::delivered);
  }

  TEST_CASE("who is unblocked under the policy open is no request any more") {
    Door door;
    door.policy(Policy::requests);
    const Sent sent = door.alice.send("bob", "one");
    door.world.run(1min);
    door.block(true);
    door.policy(Policy::open);
    door.block(false);
    door.world.run(1min);
    CHECK(door.contact().accepted);
    CHECK_FALSE(door.is_request());
    CHECK(door.alice.status(sent.id) == Status::delivered);
  }
}

}  // namespace godwit::test
