// Keys that grow old: for how long they are kept, when they are made and fetched anew, also by
// clocks that are wrong.
#include <doctest/doctest.h>

#include "tests/support/forge.hpp"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;
using Texts = std::vector<std::string>;

// Long enough for the upkeep, which is due each hour.
void visit(World& world, SimDevice& device) {
  device.connect();
  world.settle();
  world.pass(2h);
  world.settle();
  device.disconnect();
}

}  // namespace

TEST_SUITE("client-sdk/src/core") {
  TEST_CASE("a key whose time is over opens nothing, also while the app goes on running") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    world.exchange_texts(alice, bob);
    wire::Bytes envelope;
    const wire::Bytes garbage(500);
    world.tamper = altering<wire::Deliver>([&](SimDevice&, wire::Deliver& deliver) {
      envelope.assign(deliver.envelope.begin(), deliver.envelope.end());
      deliver.envelope = garbage;
      return true;
    });
    alice.send("bob", "three");
    world.settle();
    world.tamper = {};
    alice.disconnect();
    bob.disconnect();
    bool over = false;
    SUBCASE("before") {}
    SUBCASE("replaced 59 days ago") {
      world.pass(24h * 16);
      visit(world, bob);
      world.pass(24h * 59);
      visit(world, bob);
    }
    SUBCASE("after") {
      for (int visits = 0; visits < 2; ++visits) {  // one makes a new key, the next ends the old
        world.pass(24h * 65);
        visit(world, bob);
      }
      over = true;
    }
    bob.connect();
    world.settle();
    tell(bob, {0, wire::Deliver{99, envelope}});
    world.settle();
    CHECK(bob.texts("alice") == (over ? Texts{"one", "two"} : Texts{"one", "two", "three"}));
  }

  TEST_CASE("what was sealed for keys that are gone by the time it leaves is sealed anew") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    world.exchange_texts(alice, bob);
    const auto texts = bob.texts("alice");
    world.upstream = [&](SimDevice& from, wire::ByteView bytes) {
      return &from != &alice ||
             !std::holds_alternative<wire::Submit>(wire::parse_request(bytes)->body);
    };
    const auto three = alice.send("bob", "three");
    world.settle();
    alice.disconnect();
    world.upstream = {};
    bob.disconnect();
    for (int visits = 0; visits < 2; ++visits) {  // as above
      world.pass(24h * 65);
      visit(world, bob);
    }
    alice.connect();
    bob.connect();
    world.run(1min);
    CHECK(texts == Texts{"one", "two"});
    CHECK(bob.texts("alice") == Texts{"one", "two", "three"});
    CHECK(alice.status(three.id) == Status::delivered);
  }

  TEST_CASE("who only reads is heard also when the keys of who writes are all others") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    alice.send("bob", "one");
    world.settle();
    alice.disconnect();
    bob.disconnect();
    for (int visits = 0; visits < 2; ++visits) {  // as above
      world.pass(24h * 65);
      visit(world, alice);
    }
    bob.connect();
    alice.connect();
    const auto two = alice.send("bob", "two");
    world.run(1min);
    REQUIRE(bob.texts("alice") == Texts{"one", "two"});
    CHECK(alice.status(two.id) == Status::delivered);
    bob.read("alice");
    world.run(1min);
    CHECK(alice.status(two.id) == Status::read);
  }

  TEST_CASE("a relay that asks for patience about keys has not said that there are no newer ones") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    world.exchange_texts(alice, bob);
    alice.disconnect();
    bob.disconnect();
    for (int visits = 0; visits < 2; ++visits) {  // as above
      world.pass(24h * 65);
      visit(world, bob);
    }
    int asked = 0;
    world.upstream = [&](SimDevice& from, wire::ByteView bytes) {
      const auto request = wire::parse_request(bytes);
      const bool keys = std::holds_alternative<wire::GetPrekeys>(request->body);
      if (!keys || &from != &alice || ++asked > 3) return true;
      tell(from, {request->id, wire::Refused{wire::ErrorCode::rate_limited, 5'000}});
      return false;
    };
    bob.connect();
    alice.connect();
    const auto three = alice.send("bob", "three");
    world.run(10min);
    CHECK(bob.count(EventKind::undecryptable) == 0);
    CHECK(bob.texts("alice") == Texts{"one", "two", "three"});
    CHECK(alice.status(three.id) == Status::delivered);
    CHECK(asked == 4);
  }

  TEST_CASE("a key of a clock that was months ahead is not used for months") {
    World world;
    SimDevice& alice = world.add("alice");
    const auto today = world.now().wall;
    const auto ahead = today + 24h * 100;
    SimDevice* bob = nullptr;
    SUBCASE("the clock of who made it") {
      world.set_wall(ahead);
      bob = &world.add("bob");
      world.set_wall(today);
    }
    SUBCASE("the clock of who took it") {
      bob = &world.add("bob");
      world.set_wall(ahead);
    }
    bob->send("alice", "one");
    world.settle();
    alice.send("bob", "two");
    world.settle();
    world.set_wall(today);
    visit(world, *bob);
    for (const int days : {16, 61}) {  // as above
      world.pass(24h * days);
      visit(world, *bob);
      bob->connect();
      alice.send("bob", std::to_string(days));
      world.run(1min);
      bob->disconnect();
    }
    CHECK(bob->texts("alice") == Texts{"one", "two", "16", "61"});
    CHECK(alice.messages("bob").back().status == Status::delivered);
  }

  TEST_CASE("old keys go also where nobody stays connected for an hour") {
    World world;
    SimDevice& alice = world.add("alice");
    const auto kept = [&] { return count(alice, store::Table::prekeys); };
    const std::size_t before = kept();
    for (int visits = 0; visits < 2; ++visits) {
      alice.disconnect();
      world.pass(24h * 65);
      alice.connect();
      world.settle();
    }
    // Those of the first visit have been replaced by the second; those before them are gone.
    CHECK(kept() == before + 2);
  }

  TEST_CASE("a clock that is a year ahead for an hour throws no key away that is still used") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    world.exchange_texts(alice, bob);
    alice.disconnect();
    bob.disconnect();
    world.pass(24h * 16);
    visit(world, alice);  // she has another seal key from now on; his next text is for the old one
    const auto right = world.now().wall;
    world.set_wall(right + 24h * 365);
    world.tamper = altering<wire::Welcome>([&](SimDevice&, wire::Welcome& welcome) {
      welcome.relay_time_ms = static_cast<std::uint64_t>(right.count());
      return true;
    });
    SUBCASE("for minutes") {
      alice.connect();
      world.settle();
      alice.disconnect();
    }
    SUBCASE("for hours") {
      visit(world, alice);
    }
    world.tamper = {};
    world.set_wall(right);
    bob.connect();
    bob.send("alice", "three");
    alice.connect();
    world.settle();
    CHECK(alice.texts("bob").back() == "three");
  }

  TEST_CASE("what was seen is forgotten when it is old by our clock and by the relay's") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    world.exchange_texts(alice, bob);
    const std::size_t seen = count(alice, store::Table::seen);
    REQUIRE(seen > 0);
    const auto right = world.now().wall;
    alice.disconnect();
    std::size_t kept = seen;
    SUBCASE("not by a clock that begins in 1970") {
      world.set_wall(1h);
      visit(world, alice);
    }
    SUBCASE("not before a login, by a clock that is a year ahead") {
      world.set_wall(right + 24h * 365);
      world.pass(2h);
      alice.round([&](core::Core& core) { core.on_time(world.now()); });
    }
    SUBCASE("not after it either") {
      world.set_wall(right + 24h * 365);
      world.tamper = altering<wire::Welcome>([&](SimDevice&, wire::Welcome& welcome) {
        welcome.relay_time_ms = static_cast<std::uint64_t>(right.count());
        return true;
      });
      visit(world, alice);
    }
    SUBCASE("by both") {
      world.pass(24h * 100);
      alice.connect();  // also where nobody stays for an hour
      world.settle();
      kept = 0;
    }
    CHECK(count(alice, store::Table::seen) == kept);
  }

  TEST_CASE("a clock that was years behind until it was set right does no harm") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    world.exchange_texts(alice, bob);
    bob.disconnect();
    alice.send("bob", "three");
    world.settle();
    alice.disconnect();
    const auto right = world.now().wall;
    world.set_wall(24h * 365);
    world.tamper = altering<wire::Welcome>([&](SimDevice&, wire::Welcome& welcome) {
      welcome.relay_time_ms = static_cast<std::uint64_t>(right.count());
      return true;
    });
    alice.connect();  // her keys seem to be of the future, and are replaced
    world.settle();
    world.set_wall(right + 1min);
    alice.send("bob", "four");
    world.settle();
    CHECK(alice.messages("bob").back().time.time_since_epoch() < right + 1h);
    alice.disconnect();
    alice.connect();
    world.settle();
    CHECK(alice.count(EventKind::expired) == 0);
    bob.connect();
    world.settle();
    bob.send("alice", "five");  // for the key that he has of her
    world.settle();
    CHECK(alice.texts("bob") == Texts{"one", "two", "three", "four", "five"});
  }

  TEST_CASE("one-time keys are made anew when as few are left as the relay tells of") {
    World world;
    SimDevice& alice = world.add("alice");
    const std::size_t before = count(alice, store::Table::prekeys);
    world.pass(1min);
    tell(alice, {0, wire::KeysLow{20}});
    world.settle();
    CHECK(count(alice, store::Table::prekeys) == before + 80);
  }
}

}  // namespace godwit::test
