// A relay that lies: what it does is seen, nothing of it is accepted, and what it dropped is
// repaired once it behaves.
#include <doctest/doctest.h>

#include <set>

#include "tests/support/forge.hpp"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;
using Texts = std::vector<std::string>;

struct Two {
  explicit Two(std::uint64_t seed = 1) : world(seed) {}
  World world;
  SimDevice& alice = world.add("alice");
  SimDevice& bob = world.add("bob");

  // Both have written, so that sessions are answered and both are contacts.
  void talk() {
    alice.send("bob", "hello");
    world.settle();
    bob.send("alice", "hello too");
    world.settle();
    REQUIRE(alice.texts("bob") == bob.texts("alice"));
  }
  // Nothing is missing, twice or in the wrong state anywhere.
  void check_whole(const Texts& texts) {
    CHECK(bob.texts("alice") == texts);
    CHECK(alice.texts("bob") == texts);
    for (const auto& message : alice.messages("bob")) {
      if (message.outgoing) CHECK(message.status == Status::delivered);
    }
    CHECK(alice.core->settled());
    CHECK(bob.core->settled());
    CHECK(world.queued() == 0);
  }
};

bool is_deliver(wire::ByteView bytes) {
  return std::holds_alternative<wire::Deliver>(ParsedFrame(bytes).value.body);
}

// The relay keeps these deliveries, by their count from now on, from Bob, and acknowledges them.
void swallow_from_bob(World& world, int& seen, const std::set<int>& which) {
  world.tamper = [&seen, which](SimDevice& to, wire::ByteView bytes) -> Frames {
    ParsedFrame frame(bytes);
    const auto* deliver = std::get_if<wire::Deliver>(&frame.value.body);
    if (deliver == nullptr || to.label != "bob") return as_is(bytes);
    if (!which.contains(++seen)) return as_is(bytes);
    ack_for(to, deliver->number);
    return {};
  };
}

}  // namespace

TEST_SUITE("client-sdk/src/core: a malicious relay, deliveries") {
  TEST_CASE("what the relay drops, and acknowledges itself, shows as a gap and comes again") {
    Two two;
    two.talk();
    int dropped = 0;
    two.world.tamper = [&](SimDevice& to, wire::ByteView bytes) -> Frames {
      ParsedFrame frame(bytes);
      const auto* deliver = std::get_if<wire::Deliver>(&frame.value.body);
      if (deliver == nullptr || to.label != "bob" || ++dropped % 3 == 0) return as_is(bytes);
      ack_for(to, deliver->number);
      return {};
    };
    Texts texts{"hello", "hello too"};
    for (int i = 0; i < 30; ++i) {
      texts.push_back("m" + std::to_string(i));
      two.alice.send("bob", texts.back());
    }
    two.world.settle();
    CHECK(two.bob.count(EventKind::gap) == 1);
    for (const auto& message : two.alice.messages("bob")) {
      if (!message.outgoing) continue;
      const auto known = two.bob.texts("alice");
      const bool arrived = std::ranges::find(known, message.text) != known.end();
      CHECK((message.status != Status::delivered || arrived));
    }
    two.world.tamper = nullptr;
    two.alice.send("bob", "last");
    texts.emplace_back("last");
    two.world.run(2min);
    two.check_whole(texts);
    CHECK(two.bob.count(EventKind::gap_closed) == two.bob.count(EventKind::gap));
  }

  TEST_CASE("a relay that ignores its window has no more than one of it held") {
    Two two;
    two.talk();
    Puppet puppet(two.alice, two.bob);
    std::size_t asked = 0;
    two.world.upstream = [&](SimDevice& from, wire::ByteView bytes) {
      const auto request = wire::parse_request(bytes);
      REQUIRE(request);
      if (&from != &two.bob || !std::holds_alternative<wire::GetUser>(request->body)) return true;
      ++asked;
      return false;  // never answered: what it is about waits
    };
    constexpr std::uint32_t kFar = 1'000;  // beyond the numbers that the relay has used
    for (std::uint32_t i = 0; i < 3 * wire::kAckNumbersMax; ++i) {
      wire::UserId nobody;
      puppet.random()(nobody.bytes);
      const auto identity = crypto::SigningKey::draw(puppet.random());
      const wire::Bytes envelope = puppet.envelope_as(identity, nobody, wire::Bytes(100));
      tell(two.bob, {0, wire::Deliver{kFar + i, envelope}});
    }
    two.world.settle();
    CHECK(asked == wire::kAckNumbersMax);
    two.world.upstream = nullptr;
    two.bob.disconnect();
    two.bob.connect();
    two.alice.send("bob", "afterwards");
    two.world.settle();
    two.check_whole({"hello", "hello too", "afterwards"});
  }

  TEST_CASE("a relay that delivers on and on, and answers no ack, is left") {
    Two two;
    two.talk();
    Puppet puppet(two.alice, two.bob);
    const wire::Bytes junk = puppet.envelope(wire::Bytes(100));
    std::size_t acks = 0;
    two.world.upstream = [&](SimDevice& from, wire::ByteView bytes) {
      const auto request = wire::parse_request(bytes);
      REQUIRE(request);
      if (&from != &two.bob || !std::holds_alternative<wire::Ack>(request->body)) return true;
      ++acks;
      return false;
    };
    constexpr std::uint32_t kFar = 1'000;  // beyond the numbers that the relay has used
    for (std::uint32_t i = 0; i < 3 * core::kRequestsInFlightMax; ++i) {
      tell(two.bob, {0, wire::Deliver{kFar + i, junk}});
    }
    two.world.settle();
    CHECK(acks == core::kRequestsInFlightMax);
    REQUIRE(two.bob.count(EventKind::offline) == 1);
    const auto told = std::ranges::find(two.bob.events, EventKind::offline, &Event::kind);
    CHECK(told->detail == "the relay answers no requests");
    two.world.upstream = nullptr;
    two.alice.send("bob", "afterwards");
    two.world.run(1min);
    two.check_whole({"hello", "hello too", "afterwards"});
  }

  TEST_CASE("a relay that swallows a message and its repairs delays later statuses by an hour") {
    Two two;
    two.talk();
    int seen = 0;
    // The message itself, and the three that it may be sent again; the second tells of the gap.
    swallow_from_bob(two.world, seen, {1, 3, 4, 5});
    two.alice.send("bob", "swallowed");
    two.world.settle();
    two.alice.send("bob", "tells of it");
    two.world.run(2min);
    CHECK(seen == 5);
    const Sent later = two.alice.send("bob", "later");
    two.world.settle();
    two.bob.read("alice");
    two.world.settle();
    REQUIRE(two.bob.texts("alice") == Texts{"hello", "hello too", "tells of it", "later"});
    two.world.run(2h);
    CHECK(two.bob.texts("alice") ==
          Texts{"hello", "hello too", "swallowed", "tells of it", "later"});
    two.bob.read("alice");
    two.world.settle();
    CHECK(two.alice.status(later.id) == Status::read);
  }

  TEST_CASE("a clock that is set back by days does not keep a gap open") {
    Two two;
    two.talk();
    int seen = 0;
    // The message itself, and its first repair; the second tells of the gap.
    swallow_from_bob(two.world, seen, {1, 3});
    two.alice.send("bob", "swallowed");
    two.world.settle();
    two.alice.send("bob", "tells of it");
    two.world.run(7s);
    REQUIRE(seen == 3);
    two.world.set_wall(two.world.now().wall - 72h);
    two.world.run(1min);
    CHECK(two.bob.texts("alice") == Texts{"hello", "hello too", "swallowed", "tells of it"});
  }

  TEST_CASE("a swapped order shows as a gap, and the history is in the sender's order") {
    Two two;
    two.talk();
    std::optional<wire::Bytes> held;
    two.world.tamper = [&](SimDevice& to, wire::ByteView bytes) -> Frames {
      if (to.label != "bob" || !is_deliver(bytes)) return as_is(bytes);
      if (!held) {
        held = wire::Bytes(bytes.begin(), bytes.end());
        return {};
      }
      Frames both = as_is(bytes);
      both.push_back(*std::exchange(held, std::nullopt));
      return both;
    };
    Texts texts{"hello", "hello too"};
    for (int i = 0; i < 20; ++i) {
      texts.push_back("m" + std::to_string(i));
      two.alice.send("bob", texts.back());
    }
    two.world.run(2s);
    two.world.tamper = nullptr;
    two.world.run(20s);
    two.check_whole(texts);
    CHECK(two.bob.count(EventKind::gap) > 0);
    CHECK(two.bob.count(EventKind::gap_closed) == two.bob.count(EventKind::gap));
  }

  TEST_CASE("what is doubled arrives once") {
    Two two;
    two.talk();
    two.world.tamper = [&](SimDevice&, wire::ByteView bytes) -> Frames {
      Frames frames = as_is(bytes);
      if (is_deliver(bytes)) frames.push_back(frames.front());
      return frames;
    };
    Texts texts{"hello", "hello too"};
    for (int i = 0; i < 20; ++i) {
      texts.push_back("m" + std::to_string(i));
      two.alice.send("bob", texts.back());
      two.world.settle();
    }
    two.check_whole(texts);
    CHECK(two.bob.count(EventKind::message_received) == 21);
    CHECK(two.bob.count(EventKind::undecryptable) == 0);
  }

  TEST_CASE("a text that is replayed without end is confirmed again now and then") {
    Two two;
    two.talk();
    wire::Bytes text;
    two.world.tamper = [&](SimDevice& to, wire::ByteView bytes) -> Frames {
      if (&to == &two.bob && is_deliver(bytes)) text.assign(bytes.begin(), bytes.end());
      return as_is(bytes);
    };
    two.alice.send("bob", "one");
    two.world.settle();
    two.world.tamper = nullptr;
    std::size_t submits = 0;
    two.world.upstream = [&](SimDevice& from, wire::ByteView bytes) {
      const auto request = wire::parse_request(bytes);
      if (&from != &two.bob || !std::holds_alternative<wire::Submit>(request->body)) return true;
      ++submits;
      wire::Submitted ok;
      ok.outcomes.resize(1);
      tell(from, {request->id, ok});
      return false;
    };
    const auto begun = two.world.now().steady;
    for (int i = 0; i < 100; ++i) {
      for (int copies = 0; copies < 10; ++copies) two.bob.to_device.push_back(text);
      two.world.settle();
      two.world.pass(50ms);
    }
    CHECK(submits >= 1);
    const auto took = two.world.now().steady - begun;
    CHECK(submits <= 1 + static_cast<std::size_t>(took / core::kRepairInterval));
    // As long as nobody says that one of them has come, they become rare.
    const std::size_t kept = count(two.bob, store::Table::sent);
    for (int i = 0; i < 1'000; ++i) {
      two.bob.to_device.push_back(text);
      two.world.settle();
      two.world.pass(10s);
    }
    CHECK(count(two.bob, store::Table::sent) - kept <= 2 * core::kUnreceiptedMax + 4);
    two.world.upstream = nullptr;
    two.bob.send("alice", "two");
    two.world.run(3min);
    two.check_whole({"hello", "hello too", "one", "two"});
  }

  TEST_CASE("all that was ever delivered, replayed after restarts, changes nothing") {
    Two two;
    std::vector<wire::Bytes> to_bob, to_alice;
    two.world.tamper = [&](SimDevice& to, wire::ByteView bytes) -> Frames {
      if (is_deliver(bytes)) {
        (to.label == "bob" ? to_bob : to_alice).emplace_back(bytes.begin(), bytes.end());
      }
      return as_is(bytes);
    };
    two.talk();
    Texts texts{"hello", "hello too"};
    for (int i = 0; i < 10; ++i) {
      texts.push_back("m" + std::to_string(i));
      two.alice.send("bob", texts.back());
      two.world.settle();
    }
    two.world.tamper = nullptr;
    two.world.restart_relay();
    two.bob.crash();
    two.world.run(2s);
    const auto before = snapshot(two.bob, {store::Table::messages, store::Table::prekeys});
    const auto received = two.bob.count(EventKind::message_received);
    int frames = 0;
    two.world.upstream = [&](SimDevice&, wire::ByteView) { return ++frames < 10'000; };
    std::ranges::copy(to_bob, std::back_inserter(two.bob.to_device));
    std::ranges::copy(to_bob, std::back_inserter(two.bob.to_device));
    std::ranges::copy(to_alice, std::back_inserter(two.alice.to_device));
    two.world.run(20s);
    CHECK(frames < 4 * static_cast<int>(2 * to_bob.size() + to_alice.size()));
    CHECK(snapshot(two.bob, {store::Table::messages, store::Table::prekeys}) == before);
    CHECK(two.bob.count(EventKind::message_received) == received);
    CHECK(two.bob.count(EventKind::undecryptable) == 0);
    two.check_whole(texts);
  }

  TEST_CASE("an envelope for one delivered to another leaves nothing there, and is repaired") {
    Two two;
    two.talk();
    SimDevice& carol = two.world.add("carol");
    carol.send("alice", "hi");
    two.world.settle();
    const auto before = all_but_seen(carol);
    two.world.tamper = [&](SimDevice& to, wire::ByteView bytes) -> Frames {
      ParsedFrame frame(bytes);
      const auto* deliver = std::get_if<wire::Deliver>(&frame.value.body);
      if (deliver == nullptr || to.label != "bob") return as_is(bytes);
      ack_for(to, deliver->number);
      carol.to_device.emplace_back(bytes.begin(), bytes.end());
      return {};
    };
    two.alice.send("bob", "for bob alone");
    two.world.settle();
    CHECK(all_but_seen(carol) == before);
    CHECK(carol.count(EventKind::message_received) == 0);
    two.world.tamper = nullptr;
    two.alice.send("bob", "next");
    two.world.run(20s);
    two.check_whole({"hello", "hello too", "for bob alone", "next"});
    CHECK(two.bob.count(EventKind::gap) == 1);
  }

  TEST_CASE("a submit accepted and thrown away shows with the next message, and is repaired") {
    Two two;
    two.talk();
    bool lies = true;
    two.world.upstream = [&](SimDevice& from, wire::ByteView bytes) {
      const auto request = wire::parse_request(bytes);
      REQUIRE(request);
      const auto* submit = std::get_if<wire::Submit>(&request->body);
      if (!lies || submit == nullptr || from.label != "alice") return true;
      wire::Submitted ok;
      ok.outcomes.resize(submit->recipients.size());
      tell(from, {request->id, ok});
      return false;
    };
    const Sent sent = two.alice.send("bob", "thrown away");
    two.world.run(60s);
    CHECK(two.alice.status(sent.id) == Status::sent);
    CHECK(two.bob.texts("alice").size() == 2);
    lies = false;
    two.alice.send("bob", "next");
    two.world.run(20s);
    CHECK(two.bob.count(EventKind::gap) == 1);
    CHECK(two.bob.count(EventKind::gap_closed) == 1);
    two.check_whole({"hello", "hello too", "thrown away", "next"});
  }

  TEST_CASE("two who both lack more than a receipt can tell hear each other's repair requests") {
    Two two;
    two.talk();
    bool lies = true;
    std::map<std::string, int> submits;
    two.world.upstream = [&](SimDevice& from, wire::ByteView bytes) {
      const auto request = wire::parse_request(bytes);
      const auto* submit = std::get_if<wire::Submit>(&request->body);
      if (!lies || submit == nullptr || ++submits[from.label] % 2 == 0) return true;
      wire::Submitted ok;
      ok.outcomes.resize(submit->recipients.size());
      tell(from, {request->id, ok});
      return false;
    };
    std::vector<Sent> sent;
    for (int i = 0; i < 100; ++i) {
      sent.push_back(two.alice.send("bob", "a" + std::to_string(i)));
      two.bob.send("alice", "b" + std::to_string(i));
      two.world.settle();
    }
    lies = false;
    two.alice.send("bob", "over");
    two.bob.send("alice", "and out");
    two.world.run(1min);
    CHECK(two.bob.texts("alice").size() == 204);
    CHECK(two.alice.texts("bob").size() == 204);
    two.bob.read("alice");
    two.world.run(1min);
    for (const Sent& one : sent) CHECK(two.alice.status(one.id) == Status::read);
    CHECK(two.bob.count(EventKind::gap_closed) == 1);
  }

  TEST_CASE("numbers with holes, doubled numbers, numbers that turn back: all is received") {
    Two two;
    two.talk();
    std::uint32_t number = 0xffff'fff0;
    two.world.tamper = altering<wire::Deliver>([&](SimDevice&, wire::Deliver& deliver) {
      deliver.number = (number += 7) | 1;
      return true;
    });
    two.alice.send("bob", "one");
    two.alice.send("bob", "two");
    two.world.run(5s);
    two.world.tamper = altering<wire::Deliver>([&](SimDevice&, wire::Deliver& deliver) {
      deliver.number = 1;
      return true;
    });
    two.alice.send("bob", "three");
    two.alice.send("bob", "four");
    two.world.run(5s);
    two.world.tamper = nullptr;
    two.world.restart_relay();
    two.world.run(5s);
    two.check_whole({"hello", "hello too", "one", "two", "three", "four"});
  }
}

}  // namespace godwit::test
