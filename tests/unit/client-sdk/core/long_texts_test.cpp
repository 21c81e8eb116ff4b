// Texts that are longer than the operator of the relay wants them: refused at once where that is
// known, else given up aloud; what goes on after them suffers nothing.
#include <doctest/doctest.h>

#include "relay/config.hpp"
#include "tests/support/forge.hpp"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;
using Texts = std::vector<std::string>;

// Refuses for good what a relay with a smaller envelope_size_max would.
World::Upstream too_large() {
  return [](SimDevice& from, wire::ByteView bytes) {
    const auto request = wire::parse_request(bytes);
    const auto* submit = std::get_if<wire::Submit>(&request->body);
    if (submit == nullptr || submit->bodies.front().size() < 20'000) return true;
    tell(from, {request->id, wire::Refused{wire::ErrorCode::too_large, 0}});
    return false;
  };
}

}  // namespace

TEST_SUITE("client-sdk/src/core") {
  TEST_CASE("a text that the relay will never take stops no status after it") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    world.exchange_texts(alice, bob);
    world.upstream = too_large();
    const auto large = alice.send("bob", std::string(30'000, 'x'));
    world.settle();
    CHECK(alice.status(large.id) == Status::failed);
    const auto small = alice.send("bob", "three");
    world.run(1min);
    bob.read("alice");
    world.run(2h);
    CHECK(alice.status(small.id) == Status::read);
  }

  TEST_CASE("a name that went with a text that the relay will never take is told again") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    world.exchange_texts(alice, bob);
    alice.round([&](core::Core& core) { REQUIRE(core.set_name("alicia", world.now()).ok()); });
    world.settle();
    world.upstream = too_large();
    alice.send("bob", std::string(30'000, 'x'));
    world.run(1min);
    bob.send("alice", "here");
    world.run(1min);  // alice's receipt shows the gap, and a tombstone fills it
    bob.read("alice");
    world.run(1min);
    alice.send("bob", "three");
    world.run(1min);
    CHECK(bob.core->contacts()->front().name == "alicia");
  }

  TEST_CASE("a text longer than the relay says it takes is refused, also one that waited for it") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    world.exchange_texts(alice, bob);
    const std::string at_most(1'000, 'x'), longer(1'001, 'x');
    alice.disconnect();
    const auto early = alice.send("bob", longer, "early");
    world.tamper = altering<wire::Welcome>([](SimDevice&, wire::Welcome& welcome) {
      welcome.limits.text_size_max = 1'000;
      return true;
    });
    std::size_t submits = 0;
    world.upstream = [&](SimDevice& from, wire::ByteView bytes) {
      const bool submit = std::holds_alternative<wire::Submit>(wire::parse_request(bytes)->body);
      submits += &from == &alice && submit ? 1 : 0;
      return true;
    };
    alice.connect();
    world.settle();
    CHECK(alice.status(early.id) == Status::failed);
    CHECK(alice.core->status(early.id)->failure ==
          "the text has 1001 bytes, and the relay takes 1000 at most");
    CHECK(submits == 0);
    const Error refused = alice.send_fails("bob", longer);
    CHECK(refused.code == ErrorCode::invalid_argument);
    CHECK(refused.message == alice.core->status(early.id)->failure);
    CHECK(alice.send("bob", longer, "early").id == early.id);  // one message, whatever became of it
    alice.send("bob", at_most);
    world.settle();
    CHECK(bob.texts("alice") == Texts{"one", "two", at_most});
  }

  TEST_CASE("no envelope of a text is larger than a relay reckons with that checks its settings") {
    World world;
    SimDevice& alice = world.add(std::string(wire::kNameSizeMax, 'x'));
    SimDevice& bob = world.add("bob");
    std::size_t largest = 0;  // of what goes to bob, who says nothing: the headers stay
    world.watch = [&](SimDevice&, wire::ByteView bytes) {
      const auto request = wire::parse_request(bytes);
      const auto* submit = request ? std::get_if<wire::Submit>(&request->body) : nullptr;
      if (submit == nullptr) return;
      for (const auto& body : submit->bodies) largest = std::max(largest, body.size());
    };
    bob.disconnect();
    for (const std::size_t size : {700, 3'700, 3'798, 3'799, 30'000, 65'536}) {
      CAPTURE(size);
      largest = 0;
      alice.send("bob", std::string(size, 'x'));
      world.settle();
      CHECK(largest > size);
      CHECK(largest <= relay::envelope_size_of(size));
    }
  }

  TEST_CASE("a text that the relay took and will not take again is no longer sent") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    world.exchange_texts(alice, bob);
    bob.disconnect();
    const auto large = alice.send("bob", std::string(30'000, 'x'));
    world.settle();
    REQUIRE(alice.status(large.id) == Status::sent);
    world.wipe_relay();
    world.upstream = too_large();
    world.run(1min);
    CHECK(alice.status(large.id) == Status::failed);
    bob.connect();
    const auto small = alice.send("bob", "three");
    world.run(1min);
    bob.read("alice");
    world.run(1min);
    CHECK(alice.status(small.id) == Status::read);
    CHECK(alice.status(large.id) == Status::failed);
  }

  TEST_CASE("a text that was accepted and lost fails when the relay will not take it again") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    world.exchange_texts(alice, bob);
    world.upstream = [](SimDevice& from, wire::ByteView bytes) {  // accepted, and lost
      const auto request = wire::parse_request(bytes);
      if (!std::holds_alternative<wire::Submit>(request->body)) return true;
      wire::Submitted submitted;
      submitted.outcomes.push_back({});
      tell(from, {request->id, submitted});
      return false;
    };
    const auto large = alice.send("bob", std::string(30'000, 'x'));
    world.settle();
    REQUIRE(alice.status(large.id) == Status::sent);
    world.upstream = too_large();
    const auto small = alice.send("bob", "three");
    world.run(1min);
    bob.read("alice");
    world.run(1min);
    CHECK(alice.status(large.id) == Status::failed);
    CHECK(alice.core->status(large.id)->failure == "the relay refused it: too_large");
    CHECK(alice.status(small.id) == Status::read);
    CHECK(count(alice, store::Table::outbox) == 0);
    world.upstream = nullptr;
    world.wipe_relay();  // what was accepted goes out again, and this was not
    world.run(1min);
    CHECK(alice.status(large.id) == Status::failed);
    world.run(25h);
    bob.send("alice", "four");
    world.run(1min);
    CHECK(alice.status(large.id) == Status::failed);
    CHECK(bob.texts("alice") == Texts{"one", "two", "three", "four"});
  }

  TEST_CASE("a text that has failed is not sent when the relay would take it later") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    world.exchange_texts(alice, bob);
    world.upstream = too_large();
    const auto large = alice.send("bob", std::string(30'000, 'x'));
    world.settle();
    REQUIRE(alice.status(large.id) == Status::failed);
    world.upstream = nullptr;
    alice.send("bob", "three");
    world.run(1min);
    CHECK(bob.texts("alice") == Texts{"one", "two", "three"});
    CHECK(bob.count(EventKind::gap_closed) == 1);
    CHECK(alice.status(large.id) == Status::failed);
  }

  TEST_CASE("a failed text that has arrived all the same is said to be delivered, not failed") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    world.exchange_texts(alice, bob);
    bob.disconnect();
    const auto large = alice.send("bob", std::string(30'000, 'x'));
    world.settle();
    alice.disconnect();
    bob.connect();
    world.settle();
    bob.disconnect();
    world.wipe_relay();  // and with it bob's receipt
    world.upstream = too_large();
    alice.connect();
    world.run(1min);
    CHECK(alice.status(large.id) == Status::failed);
    bob.connect();
    bob.read("alice");
    world.run(1min);
    CHECK(alice.status(large.id) == Status::read);
    CHECK(!alice.core->message(large.id)->failure);
  }
}

}  // namespace godwit::test
