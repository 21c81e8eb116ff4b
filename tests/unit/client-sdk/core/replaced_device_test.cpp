// What was written to a device, or by it, when another has taken its place since.
#include <doctest/doctest.h>

#include "tests/support/forge.hpp"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;
using Texts = std::vector<std::string>;

// Bob's device has gone, and nobody tells Alice: he is there on another one, and writes to nobody.
struct Replaced {
  World world;
  SimDevice& alice = world.add("alice");
  SimDevice& bob = world.add("bob");
  SimDevice* fresh = nullptr;
  int asked = 0;  // the relay by Alice, about device lists

  Replaced() {
    world.exchange_texts(alice, bob);
    world.upstream = [this](SimDevice& from, wire::ByteView bytes) {
      const auto request = wire::parse_request(bytes);
      const bool asks = std::holds_alternative<wire::GetUser>(request->body);
      asked += &from == &alice && asks ? 1 : 0;
      return true;
    };
  }
  void replace_bob() {
    const auto code = bob.core->recovery_code();
    REQUIRE(code.ok());
    bob.disconnect();
    fresh = &world.add_blank("bob again");
    fresh->recover(*code);
    fresh->connect();
    world.run(10s);
  }
  Sent send_to_nobody() {
    bob.disconnect();
    const Sent sent = alice.send("bob", "are you there?");
    world.settle();
    REQUIRE(alice.status(sent.id) == Status::sent);
    return sent;
  }
  void stay(std::chrono::milliseconds time) {  // with the pings that keep a connection
    for (; time > 0ms; time -= 30s) {
      world.pass(30s);
      world.settle();
    }
  }
  void return_alice() {
    alice.disconnect();
    alice.connect();
    world.settle();
  }
  [[nodiscard]] Texts texts_of_fresh() const {
    return fresh->texts(alice.core->account().user.hex());
  }
};

}  // namespace

TEST_SUITE("client-sdk/src/core") {
  TEST_CASE("what was accepted for a device that is replaced arrives though nobody writes again") {
    Replaced all;
    const Sent sent = all.send_to_nobody();
    all.replace_bob();
    REQUIRE(all.world.queued() == 0);  // the relay keeps nothing for a device that has left
    SUBCASE("the sender stays online") {
      all.stay(26h);
    }
    SUBCASE("the sender comes back") {
      all.world.pass(1h);
      all.return_alice();
    }
    SUBCASE("the sender comes back when it has expired") {
      all.alice.disconnect();
      all.world.pass(24h * 31);
      all.return_alice();
    }
    all.world.run(10s);
    CHECK(all.texts_of_fresh() == Texts{"are you there?"});
    CHECK(all.alice.status(sent.id) == Status::delivered);
    CHECK(all.alice.core->settled());
  }

  TEST_CASE("the list of whom a text waits for is asked for after an hour, and once a day") {
    Replaced all;
    (void)all.send_to_nobody();
    all.return_alice();
    CHECK(all.asked == 0);
    all.world.pass(1h);
    all.return_alice();
    CHECK(all.asked == 1);
    all.stay(23h);
    CHECK(all.asked == 1);
    all.stay(90min);
    CHECK(all.asked == 2);
    SUBCASE("not of who is blocked") {
      all.alice.round([&](core::Core& core) {
        REQUIRE(core.block("bob", true, all.world.now()).ok());
      });
      all.stay(26h);
      CHECK(all.asked == 2);
    }
    SUBCASE("not when it has arrived") {
      all.bob.connect();
      all.stay(26h);
      CHECK(all.asked == 2);
    }
  }

  TEST_CASE("a relay that has no time for it is asked again, and meanwhile takes what is written") {
    Replaced all;
    (void)all.send_to_nobody();
    int refused = 0;
    all.world.upstream = [&](SimDevice& from, wire::ByteView bytes) {
      const auto request = wire::parse_request(bytes);
      const bool asks = std::holds_alternative<wire::GetUser>(request->body);
      if (&from != &all.alice || !asks || ++refused > 2) return true;
      tell(from, {request->id, wire::Refused{wire::ErrorCode::rate_limited, 60'000}});
      return false;
    };
    all.world.pass(1h);
    all.return_alice();
    CHECK(refused == 1);
    const Sent next = all.alice.send("bob", "are you?");
    all.world.settle();
    CHECK(all.alice.status(next.id) == Status::sent);
    all.replace_bob();
    all.world.run(3min);
    CHECK(refused == 3);
    CHECK(all.texts_of_fresh() == Texts{"are you there?", "are you?"});
  }

  TEST_CASE("a text that comes again under its key from another device is read where it was") {
    Replaced all;
    (void)all.bob.send("alice", "pay 5", "order-1");
    all.world.settle();
    bool unread = false;
    SUBCASE("read before") {
      all.alice.read("bob");
    }
    SUBCASE("and behind something else") {
      all.alice.read("bob");
      all.alice.send("bob", "hello");
      all.world.settle();
    }
    SUBCASE("not read before") {
      unread = true;
    }
    all.replace_bob();
    all.alice.send("bob", "welcome back");
    all.world.run(10s);
    const Sent again = all.fresh->send("alice", "pay 5", "order-1");
    all.world.run(10s);
    REQUIRE(std::ranges::count(all.alice.texts("bob"), "pay 5") == 1);
    CHECK(all.fresh->status(again.id) == (unread ? Status::delivered : Status::read));
    all.alice.read("bob");
    all.world.run(10s);
    CHECK(all.fresh->status(again.id) == Status::read);
  }
}

}  // namespace godwit::test
