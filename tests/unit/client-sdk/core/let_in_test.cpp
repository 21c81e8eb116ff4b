// Who was held apart or blocked, and is let in later: what they wrote counts from then on.
#include <doctest/doctest.h>

#include "schema/wire/codec.hpp"
#include "tests/support/world.hpp"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;
using Texts = std::vector<std::string>;
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
  void accept() {
    bob.round([&](core::Core& core) { REQUIRE(core.accept("alice", world.now()).ok()); });
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

  TEST_CASE("what a request wrote while they were blocked comes when they are accepted") {
    Door door;
    door.policy(Policy::requests);
    door.alice.send("bob", "one");
    door.world.run(1min);
    door.block(true);
    door.alice.send("bob", "two");
    const Sent last = door.alice.send("bob", "three");
    door.world.run(1min);
    const auto accept = [&] { door.accept(); };
    const auto unblock = [&] { door.block(false); };
    SUBCASE("unblocked, then accepted") {
      unblock();
      door.world.run(1min);
      CHECK(door.bob.texts("alice") == Texts{"one"});  // they hear nothing yet
      door.bob.crash();
      door.bob.connect();
      door.world.settle();
      accept();
    }
    SUBCASE("accepted, then unblocked") {
      accept();
      unblock();
    }
    SUBCASE("unblocked, and written to") {
      unblock();
      door.bob.send("alice", "yes?");
    }
    door.world.run(1min);
    const auto texts = door.bob.texts("alice");
    for (const char* text : {"one", "two", "three"}) {
      CHECK(std::ranges::count(texts, text) == 1);
    }
    CHECK(door.alice.status(last.id) == Status::delivered);
    CHECK(door.bob.core->settled());
  }

  TEST_CASE("what a new device wrote while its user was blocked comes when they are unblocked") {
    Door door;
    door.world.exchange_texts(door.alice, door.bob);
    door.block(true);
    const auto code = door.alice.core->recovery_code();
    REQUIRE(code.ok());
    SimDevice& fresh = door.world.add_blank("alice again");
    fresh.recover(*code);
    fresh.connect();
    door.world.settle();
    const Sent sent = fresh.send("bob", "three");
    door.world.run(1min);
    REQUIRE(fresh.status(sent.id) == Status::sent);
    door.block(false);
    door.world.run(1min);
    CHECK(door.bob.texts("alice") == Texts{"one", "two", "three"});
    CHECK(fresh.status(sent.id) == Status::delivered);
  }

  TEST_CASE("what was written by who could not be answered yet comes when they are unblocked") {
    Door door;
    door.world.upstream = [&](SimDevice& from, wire::ByteView bytes) {
      const auto request = wire::parse_request(bytes);
      return &from != &door.bob || !std::holds_alternative<wire::GetPrekeys>(request->body);
    };
    door.alice.send("bob", "one");
    door.world.settle();
    REQUIRE(door.bob.texts("alice") == Texts{"one"});
    door.bob.disconnect();
    door.world.upstream = {};
    door.block(true);
    const Sent last = door.alice.send("bob", "two");
    door.bob.connect();
    door.world.settle();
    door.bob.disconnect();
    door.block(false);
    door.bob.connect();
    door.world.run(1min);
    CHECK(door.bob.texts("alice") == Texts{"one", "two"});
    CHECK(door.alice.status(last.id) == Status::delivered);
  }
}

}  // namespace godwit::test
