// What was written to a device, or by it, when another has taken its place since.
#include <doctest/doctest.h>

#include <algorithm>

#include "client-sdk/src/core/limits.hpp"
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

constexpr int kTexts = 150;  // more than a window

// What Bob wrote before his device was replaced, and Alice has not fetched.
struct Backlog {
  Backlog() {
    world.exchange_texts(alice, bob);
    known = alice.texts("bob").size();
    alice.disconnect();
  }
  void write(int texts) {
    for (int i = 0; i < texts; ++i) bob.send("alice", std::to_string(i));
    world.settle();
    bob.disconnect();
  }
  void replace() {
    const auto code = bob.core->recovery_code();
    SimDevice& fresh = world.add_blank("bob again");
    fresh.recover(*code);
    fresh.connect();
    world.run(10s);
    fresh.disconnect();
  }
  [[nodiscard]] std::size_t came() { return alice.texts("bob").size() - known; }

  World world;
  SimDevice& alice = world.add("alice");
  SimDevice& bob = world.add("bob");
  std::size_t known = 0;
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

  TEST_CASE("what was accepted from a device before it was replaced arrives") {
    Backlog f;
    f.write(kTexts);
    f.replace();
    SUBCASE("in one go") {}
    SUBCASE("and the list is known before anything is read") {
      f.alice.send("bob", "are you there?");
    }
    SUBCASE("over several connections") {
      for (int i = 0; i < 3; ++i) {
        f.alice.connect();
        f.world.run(30ms);
        f.alice.disconnect();
      }
    }
    f.alice.connect();
    f.world.run(1min);
    CHECK(f.came() >= kTexts);
    const auto texts = f.alice.texts("bob");
    CHECK(std::ranges::count(texts, std::to_string(kTexts - 1)) == 1);
  }

  // One that conspires with a thief has what he sent kept from us until then.
  TEST_CASE("it is heard no more once its mail is through") {
    Backlog f;
    bool held = true;
    f.world.tamper = [&](SimDevice& to, wire::ByteView bytes) -> Frames {
      const ParsedFrame frame(bytes);
      const bool mail = std::holds_alternative<wire::Deliver>(frame.value.body);
      return &to == &f.alice && mail && held ? Frames{} : as_is(bytes);
    };
    f.write(3);
    f.replace();
    f.alice.connect();
    f.alice.send("bob", "who is it?");
    f.world.run(10s);
    REQUIRE(f.alice.count(EventKind::devices_changed) >= 2);
    for (std::uint32_t i = 0; i < core::kCatchUpsHeard; ++i) {
      f.alice.disconnect();
      f.alice.connect();
      f.world.run(10s);
    }
    f.alice.disconnect();
    held = false;
    f.alice.connect();
    f.world.run(1min);
    CHECK(f.came() == 1);  // her own
    CHECK(f.world.queued() == 1);  // hers
  }
}

}  // namespace godwit::test
