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
    world.exchange_texts(alice, bob);
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

  TEST_CASE("over a slow line answers stand behind what is delivered, and nobody hangs up") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    world.exchange_texts(alice, bob);
    bob.disconnect();
    for (int i = 0; i < 40; ++i) alice.send("bob", "text " + std::to_string(i));
    world.settle();
    std::deque<wire::Bytes> line;
    world.tamper = [&](SimDevice& to, wire::ByteView bytes) -> Frames {
      if (&to != &bob) return as_is(bytes);
      line.emplace_back(bytes.begin(), bytes.end());
      return {};
    };
    const std::size_t ends = bob.count(EventKind::offline);
    bob.connect();
    world.settle();
    while (!line.empty() && bob.count(EventKind::offline) == ends) {
      bob.to_device.push_back(std::move(line.front()));
      line.pop_front();
      world.settle();
      world.pass(2s);
    }
    CHECK(bob.count(EventKind::offline) == ends);
    CHECK(bob.texts("alice").size() == 42);
    CHECK(bob.core->settled());
  }

  TEST_CASE("a sign of life that cannot leave, since the line is full, is given once") {
    World world;
    SimDevice& alice = world.add("alice");
    core::Now now = world.now();
    now.steady += 1min;
    for (int exchanges = 0; exchanges < 3; ++exchanges, now.steady += 1s) {
      alice.core->on_time(now);
      REQUIRE(alice.core->end_round(now).ok());
      CHECK(*alice.core->deadline() > now.steady);
    }
    CHECK(alice.core->take_frames().size() == 1);
  }

  TEST_CASE("a relay that owes an answer is left: when it is silent soon, else in two minutes") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    world.exchange_texts(alice, bob);
    world.upstream = [&](SimDevice& from, wire::ByteView bytes) {
      return &from != &alice ||
             !std::holds_alternative<wire::Submit>(wire::parse_request(bytes)->body);
    };
    const std::size_t ends = alice.count(EventKind::offline);
    alice.send("bob", "three");
    world.settle();
    bool talks = false;
    auto left = 30s;
    SUBCASE("silent") {}
    SUBCASE("talkative") {
      talks = true;
      left = 120s;
    }
    for (const auto since = world.now().steady; world.now().steady - since < left - 2s;) {
      if (talks) tell(alice, {0, wire::KeysLow{100}});
      world.settle();
      world.pass(1s);
    }
    CHECK(alice.count(EventKind::offline) == ends);
    world.pass(3s);
    CHECK(alice.count(EventKind::offline) == ends + 1);
  }

  TEST_CASE("nothing is told as expired before all that waited at the relay has come") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    world.exchange_texts(alice, bob);
    bob.disconnect();
    const Sent sent = alice.send("bob", "three");
    world.settle();
    alice.disconnect();
    world.pass(24h * 10);
    bob.connect();
    world.settle();
    world.pass(24h * 21);
    alice.crash();
    std::vector<wire::Bytes> waiting;  // the receipt, and that it was all
    world.tamper = [&](SimDevice& to, wire::ByteView bytes) -> Frames {
      const bool welcome = std::holds_alternative<wire::Welcome>(ParsedFrame(bytes).value.body);
      if (&to != &alice || welcome) return as_is(bytes);
      waiting.emplace_back(bytes.begin(), bytes.end());
      return {};
    };
    alice.connect();
    world.settle();
    world.pass(1s);
    REQUIRE(waiting.size() >= 2);
    alice.to_device.insert(alice.to_device.end(), waiting.begin(), waiting.end());
    world.tamper = {};
    world.settle();
    CHECK(alice.status(sent.id) == Status::delivered);
    CHECK(alice.count(EventKind::expired) == 0);
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

  TEST_CASE("who changes the name is called by the new one by those who are written to") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    world.exchange_texts(alice, bob);
    const auto contacts = [&] {
      Texts names;
      const auto listed = bob.core->contacts();
      for (const auto& contact : *listed) names.push_back(contact.name);
      return names;
    };
    REQUIRE(contacts() == Texts{"alice"});
    alice.round([&](core::Core& core) { REQUIRE(core.set_name("alicia", world.now()).ok()); });
    world.settle();
    alice.send("bob", "three");
    world.settle();
    CHECK(contacts() == Texts{"alicia"});
    CHECK(bob.core->conversations({})->items.front().name == "alicia");
    bob.send("alicia", "four");
    world.settle();
    CHECK(alice.texts("bob") == Texts{"one", "two", "three", "four"});
  }

  TEST_CASE("an answer about a name that was claimed before says nothing of a newer one") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    world.exchange_texts(alice, bob);
    std::optional<std::uint32_t> held;
    world.upstream = [&](SimDevice& from, wire::ByteView bytes) {
      const auto request = wire::parse_request(bytes);
      const bool asks = std::holds_alternative<wire::GetUser>(request->body);
      if (&from != &bob || !asks || held) return true;
      held = request->id;
      return false;
    };
    for (const char* name : {"alicia", "alissa"}) {
      alice.round([&](core::Core& core) { REQUIRE(core.set_name(name, world.now()).ok()); });
      world.settle();
      alice.send("bob", name);
      world.settle();
    }
    REQUIRE(held);
    tell(bob, {*held, wire::Refused{wire::ErrorCode::not_found, 0}});
    world.settle();
    CHECK(bob.core->contacts()->front().name == "alissa");
    CHECK(bob.count(EventKind::name_moved) == 0);
  }

  TEST_CASE("a name that nobody has by now has moved to nobody") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    bob.disconnect();
    alice.send("bob", "one");
    world.settle();
    alice.round([&](core::Core& core) { REQUIRE(core.set_name("alicia", world.now()).ok()); });
    world.settle();
    REQUIRE(alice.core->account().name == "alicia");
    bob.connect();
    world.settle();
    REQUIRE(bob.core->contacts()->size() == 1);
    CHECK(bob.count(EventKind::name_moved) == 0);
    CHECK(bob.core->contacts()->front().name.empty());
    alice.send("bob", "two");
    world.settle();
    CHECK(bob.core->contacts()->front().name == "alicia");
    CHECK(bob.texts("alicia") == Texts{"one", "two"});
    CHECK(bob.core->settled());
  }

  TEST_CASE("what is refused for days because the relay does not know the device can be read") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    bool knows = false;
    int refused = 0;
    world.upstream = [&](SimDevice& from, wire::ByteView bytes) {
      const auto request = wire::parse_request(bytes);
      if (knows || !std::holds_alternative<wire::Submit>(request->body)) return true;
      wire::Submitted submitted;
      submitted.outcomes.push_back({wire::ErrorCode::unknown_device});
      ++refused;
      tell(from, {request->id, submitted});
      return false;
    };
    for (int i = 0; i < 200; ++i) alice.send("bob", std::to_string(i));
    for (int minutes = 0; minutes < 60 * 20; ++minutes) {
      world.pass(1min);
      world.settle();
    }
    knows = true;
    REQUIRE(refused > 4'000);
    world.run(10min);
    CHECK(bob.texts("alice").size() == 200);
  }

  TEST_CASE("what was accepted is not told as expired because a relay keeps less by now") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    world.exchange_texts(alice, bob);
    bob.disconnect();
    alice.send("bob", "three");
    world.settle();
    alice.disconnect();
    world.tamper = altering<wire::Welcome>([](SimDevice&, wire::Welcome& welcome) {
      welcome.limits.ttl_default_s = 3600;
      return true;
    });
    alice.connect();
    world.settle();
    alice.disconnect();
    world.pass(24h * 7);
    alice.connect();
    world.settle();
    CHECK(alice.count(EventKind::expired) == 0);
  }

  TEST_CASE("a relay that has lost a part of its store is sent again what it had accepted") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    world.exchange_texts(alice, bob);
    bob.disconnect();
    alice.send("bob", "three");
    world.settle();
    alice.disconnect();
    std::size_t submits = 0;
    world.upstream = [&](SimDevice&, wire::ByteView bytes) {
      submits += std::holds_alternative<wire::Submit>(wire::parse_request(bytes)->body);
      return true;
    };
    world.tamper = altering<wire::Welcome>([](SimDevice&, wire::Welcome& welcome) {
      ++welcome.store_generation;  // of the same store
      return true;
    });
    for (int logins = 0; logins < 2; ++logins) {
      alice.connect();
      world.settle();
      alice.disconnect();
    }
    CHECK(alice.count(EventKind::store_changed) == 1);
    CHECK(submits >= 1);
  }

  TEST_CASE("what a relay still has is not queued twice because it has lost something else") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    world.exchange_texts(alice, bob);
    bob.disconnect();
    for (int i = 0; i < 20; ++i) alice.send("bob", std::to_string(i));
    world.settle();
    alice.disconnect();
    const auto queued = world.queued();
    REQUIRE(queued >= 20);
    for (std::uint64_t login = 1; login <= 3; ++login) {
      world.tamper = altering<wire::Welcome>([&](SimDevice&, wire::Welcome& welcome) {
        welcome.store_generation += login;
        return true;
      });
      alice.connect();
      world.settle();
      alice.disconnect();
      CHECK(world.queued() <= queued + login);  // receipts are told again
    }
    CHECK(alice.count(EventKind::store_changed) == 3);
  }

  TEST_CASE("what was seen is known for sixty days, and not for ever") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    alice.send("bob", "one");
    world.settle();
    const auto seen = count(bob, store::Table::seen);
    REQUIRE(seen > 0);
    for (const auto days : {60, 31}) {
      bob.disconnect();
      world.pass(24h * days);
      bob.connect();
      world.settle();
      CHECK(count(bob, store::Table::seen) == (days == 60 ? seen : 0));
    }
  }

  TEST_CASE("what a reset names is sent again, also by the second one of an hour") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    world.exchange_texts(alice, bob);
    bob.disconnect();
    std::vector<Sent> all;
    for (int i = 0; i < 150; ++i) all.push_back(alice.send("bob", std::to_string(i)));
    world.settle();
    alice.disconnect();
    bob.lose_sessions();
    bob.connect();
    world.run(2h);
    alice.connect();
    world.run(3h);
    CHECK(bob.texts("alice").size() == 2 + all.size());
    const auto delivered = std::ranges::count_if(
        all, [&](const Sent& sent) { return alice.status(sent.id) == Status::delivered; });
    CHECK(delivered == 150);
  }

  TEST_CASE("as much as a thousand messages that were swallowed come again within minutes") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    world.exchange_texts(alice, bob);
    world.tamper = [&](SimDevice& to, wire::ByteView bytes) -> Frames {
      ParsedFrame frame(bytes);
      auto* deliver = std::get_if<wire::Deliver>(&frame.value.body);
      if (&to != &bob || deliver == nullptr) return as_is(bytes);
      ack_for(bob, deliver->number);
      return {};
    };
    for (int i = 0; i < 999; ++i) alice.send("bob", std::to_string(i));
    world.settle();
    world.tamper = {};
    alice.send("bob", "the last");
    world.run(3min);
    CHECK(bob.texts("alice").size() == 2 + 1'000);
    CHECK(bob.count(EventKind::gap_closed) == 1);
  }

  TEST_CASE("more than is kept behind one that was swallowed comes within minutes") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    world.exchange_texts(alice, bob);
    bool swallowed = false;
    world.tamper = altering<wire::Deliver>([&](SimDevice& to, wire::Deliver& deliver) {
      if (&to != &bob || std::exchange(swallowed, true)) return false;
      deliver.envelope = deliver.envelope.first(100);
      return true;
    });
    constexpr int kTexts = 80;
    for (int i = 0; i < kTexts; ++i) {
      alice.send("bob", std::to_string(i) + std::string(wire::kTextSizeMax - 10, 'x'));
    }
    world.settle();
    const std::size_t kept = count(bob, store::Table::early);
    CHECK(kept <= core::kEarlyBytesMax / (wire::kTextSizeMax - 10));
    CHECK(kept > 50);
    world.run(3min);
    CHECK(bob.texts("alice").size() == 2 + kTexts);
    CHECK(count(bob, store::Table::early) == 0);
    CHECK(bob.count(EventKind::gap_closed) == 1);
    const auto all = alice.messages("bob");
    CHECK(std::ranges::count(all, Status::delivered, &Message::status) == kTexts + 1);
  }

  TEST_CASE("who has lost its sessions can be written to within a minute, as often as it does") {
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
      World world(seed);
      SimDevice& alice = world.add("alice");
      SimDevice& bob = world.add("bob");
      world.exchange_texts(alice, bob);
      for (const auto* text : {"three", "four", "five"}) {
        world.run(1h);  // a device is sent one reset an hour
        bob.lose_sessions();
        bob.connect();
        world.settle();
        alice.send("bob", text);
        world.run(1min);
        CHECK_MESSAGE(bob.texts("alice").back() == text, seed);
      }
    }
  }

  TEST_CASE("keys that the relay will not take yet are put again when it said, not an hour later") {
    World world;
    SimDevice& alice = world.add("alice");
    world.pass(1min);  // the registration has put some: more are made after a while only
    int refused = 0;
    world.upstream = [&](SimDevice& from, wire::ByteView bytes) {
      const auto request = wire::parse_request(bytes);
      if (!std::holds_alternative<wire::PutKeys>(request->body) || refused == 3) return true;
      ++refused;
      tell(from, {request->id, wire::Refused{wire::ErrorCode::rate_limited, 20'000}});
      return false;
    };
    tell(alice, {0, wire::KeysLow{0}});
    world.run(30s);
    CHECK(refused == 2);
    CHECK_FALSE(alice.core->settled());
    world.run(1min);
    CHECK(refused == 3);
    CHECK(alice.core->settled());
  }

  TEST_CASE("a name that the relay was too busy to change is asked for again") {
    World world;
    SimDevice& alice = world.add("alice");
    int asked = 0;
    world.upstream = [&](SimDevice& from, wire::ByteView bytes) {
      const auto request = wire::parse_request(bytes);
      if (!std::holds_alternative<wire::SetName>(request->body) || ++asked > 2) return true;
      tell(from, {request->id, wire::Refused{wire::ErrorCode::busy, 200}});
      return false;
    };
    alice.round([&](core::Core& core) { REQUIRE(core.set_name("alicia", world.now()).ok()); });
    world.run(1min);
    CHECK(alice.core->account().name == "alicia");
    CHECK(asked == 3);
  }
}

}  // namespace godwit::test
