// What a device makes of a relay that refuses it: whether it comes back, when, and what the app is
// told.
#include <doctest/doctest.h>

#include "tests/support/forge.hpp"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;
using wire::Closing;

// Every Welcome to this device becomes a refusal.
World::Tamper refusing(const SimDevice& device, wire::ErrorCode code, std::uint32_t retry_ms) {
  return [&device, code, retry_ms](SimDevice& to, wire::ByteView bytes) -> Frames {
    ParsedFrame frame(bytes);
    if (&to != &device || !std::holds_alternative<wire::Welcome>(frame.value.body)) {
      return as_is(bytes);
    }
    return {frame_of({frame.value.request, wire::Refused{code, retry_ms}})};
  };
}

}  // namespace

TEST_SUITE("client-sdk/src/core") {
  TEST_CASE("a refused login ends the connection, for good only where trying again is of no use") {
    World world;
    SimDevice& alice = world.add("alice");
    alice.disconnect();
    alice.events.clear();
    const auto refused = [&](wire::ErrorCode code, std::uint32_t retry_ms) {
      world.tamper = refusing(alice, code, retry_ms);
      alice.connect();
      world.settle();
      CHECK_FALSE(alice.session);
      CHECK_FALSE(alice.core->link().logged_in);
    };
    SUBCASE("busy: at the time that the relay says") {
      refused(wire::ErrorCode::busy, 700);
      CHECK(alice.core->link().retry_after == 700ms);
      CHECK_FALSE(alice.core->link().give_up);
      world.tamper = {};
      world.pass(1s);
      world.settle();
      CHECK(alice.core->link().logged_in);
    }
    SUBCASE("a time that nobody would wait is cut") {
      refused(wire::ErrorCode::busy, 0xffff'ffff);
      CHECK(alice.core->link().retry_after <= 1h);
      CHECK(alice.core->link().retry_after > 0ms);
    }
    SUBCASE("a defect of the relay: not at once") {
      refused(wire::ErrorCode::internal, 0);
      CHECK(alice.core->link().retry_after > 0ms);
      CHECK_FALSE(alice.core->link().give_up);
    }
    SUBCASE("a version that it does not speak") {
      refused(wire::ErrorCode::version_unsupported, 0);
      CHECK(alice.core->link().give_up);
      CHECK(alice.count(EventKind::offline) == 1);
    }
    SUBCASE("another key than the relay knows for this device") {
      refused(wire::ErrorCode::unauthorized, 0);
      CHECK(alice.core->link().give_up);
      CHECK(alice.count(EventKind::removed) == 1);
    }
  }

  TEST_CASE("a relay that closes is come back to, unless another device or nobody is to be here") {
    World world;
    SimDevice& alice = world.add("alice");
    alice.events.clear();
    const auto closed = [&](wire::ErrorCode code, std::uint32_t retry_ms) {
      tell(alice, {0, Closing{code, retry_ms}});
      world.settle();
      CHECK_FALSE(alice.session);
      CHECK_FALSE(alice.core->link().reason.empty());
    };
    SUBCASE("busy") {
      closed(wire::ErrorCode::busy, 300);
      CHECK(alice.core->link().retry_after == 300ms);
      CHECK_FALSE(alice.core->link().give_up);
      CHECK(alice.count(EventKind::offline) == 1);
      world.pass(1s);
      world.settle();
      CHECK(alice.core->link().logged_in);
    }
    SUBCASE("it did not understand us: not at once") {
      closed(wire::ErrorCode::bad_request, 0);
      CHECK(alice.core->link().retry_after > 0ms);
      CHECK_FALSE(alice.core->link().give_up);
    }
    SUBCASE("replaced") {
      closed(wire::ErrorCode::replaced, 0);
      CHECK(alice.core->link().give_up);
      CHECK(alice.count(EventKind::replaced) == 1);
    }
    SUBCASE("removed") {
      closed(wire::ErrorCode::removed, 0);
      CHECK(alice.core->link().give_up);
      CHECK(alice.count(EventKind::removed) == 1);
    }
  }

  TEST_CASE("a login of an earlier connection that comes late costs a reconnect, and only one") {
    World world;
    SimDevice& alice = world.add("alice");
    const auto reconnect = [&] {
      alice.disconnect();
      alice.connect();
      world.settle();
      REQUIRE(alice.core->link().logged_in);
    };
    const auto replace = [&] {
      const wire::RelayFrame frame{0, wire::Closing{wire::ErrorCode::replaced, 0}};
      alice.round([&](core::Core& core) { core.on_frame(frame, world.now()); });
    };
    reconnect();
    replace();
    CHECK(alice.count(EventKind::replaced) == 0);
    world.pass(2s);
    world.settle();
    REQUIRE(alice.core->link().logged_in);
    SUBCASE("twice in a row it is another device") {
      replace();
      CHECK(alice.core->link().give_up);
      CHECK(alice.count(EventKind::replaced) == 1);
    }
    SUBCASE("long after the reconnect it is another device") {
      reconnect();
      world.pass(3min);
      world.settle();
      replace();
      CHECK(alice.core->link().give_up);
      CHECK(alice.count(EventKind::replaced) == 1);
    }
  }

  TEST_CASE("a name that is taken at registration costs the name only, and another can be had") {
    World world;
    SimDevice& first = world.add("alice");
    SimDevice& second = world.add_blank("second");
    second.create("alice");
    second.connect();
    world.settle();
    CHECK(second.core->registered());
    CHECK(second.count(EventKind::name_taken) == 1);
    CHECK(second.core->account().name.empty());
    const auto rename = [&](const char* name) {
      second.round([&](core::Core& core) { CHECK(core.set_name(name, world.now()).ok()); });
      world.settle();
      return second.core->account().name;
    };
    CHECK(rename("alice") == "");
    CHECK(second.count(EventKind::name_taken) == 2);
    CHECK(rename("Alice.2") == "alice.2");
    CHECK(rename("alice") == "alice.2");  // it keeps what it has
    second.crash();
    CHECK(second.core->account().name == "alice.2");
    first.send("alice.2", "hello");
    second.connect();
    world.settle();
    CHECK(second.texts("alice") == std::vector<std::string>{"hello"});
  }

  TEST_CASE("a name that the relay does not allow costs the name only") {
    World world;
    SimDevice& alice = world.add_blank("alice");
    alice.create("alice");
    int refusals = 0;
    world.tamper = [&](SimDevice&, wire::ByteView bytes) -> Frames {
      ParsedFrame frame(bytes);
      if (refusals > 0 || !std::holds_alternative<wire::Welcome>(frame.value.body)) {
        return as_is(bytes);
      }
      ++refusals;
      const wire::Refused refused{wire::ErrorCode::name_invalid, 0};
      return {frame_of({frame.value.request, refused})};
    };
    alice.connect();
    world.settle();
    CHECK(refusals == 1);
    CHECK(alice.count(EventKind::name_taken) == 1);
  }

  TEST_CASE("a name that was chosen during the registration is not lost with the one before") {
    World world;
    world.add("alice");
    SimDevice& second = world.add_blank("second");
    second.create("alice");
    second.connect();
    second.round([&](core::Core& core) { CHECK(core.set_name("alicia", world.now()).ok()); });
    world.settle();
    CHECK(second.core->account().name == "alicia");
    CHECK(second.count(EventKind::name_taken) == 0);  // nobody wants that one any more
    SimDevice& bob = world.add("bob");
    bob.send("alicia", "hello");
    world.settle();
    CHECK(second.texts("bob") == std::vector<std::string>{"hello"});
  }

  TEST_CASE("a name can be changed before the registration, then only while the relay is there") {
    World world;
    SimDevice& alice = world.add_blank("alice");
    alice.create("alice");
    const auto rename = [&](const char* name) -> std::optional<ErrorCode> {
      const auto renamed = alice.core->set_name(name, world.now());
      alice.end_round();
      return renamed ? std::nullopt : std::optional(renamed.error().code);
    };
    CHECK(rename("no spaces") == ErrorCode::invalid_argument);
    CHECK(!rename("Alicia"));
    CHECK(alice.core->account().name == "alicia");
    alice.connect();
    world.settle();
    alice.disconnect();
    CHECK(rename("alice") == ErrorCode::offline);
    CHECK(alice.core->account().name == "alicia");
    SimDevice& bob = world.add("bob");
    alice.connect();
    bob.send("alicia", "hello");
    world.settle();
    CHECK(alice.texts("bob") == std::vector<std::string>{"hello"});
  }

  TEST_CASE("who has another name by now is reached by both, until they say so themselves") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    world.exchange_texts(alice, bob);
    const auto rename = [&](const char* name) {
      bob.round([&](core::Core& core) { REQUIRE(core.set_name(name, world.now()).ok()); });
      world.settle();
    };
    const auto name = [&] { return alice.core->contacts()->front().name; };
    rename("bobby");
    alice.send("bobby", "three");
    world.settle();
    CHECK(name() == "bob");
    alice.crash();
    alice.connect();
    alice.send("bob", "four");
    alice.send("bobby", "five");
    world.settle();
    rename("robert");
    bob.send("alice", "six");
    world.settle();
    CHECK(name() == "robert");
    const std::vector<std::string> all{"one", "two", "three", "four", "five", "six"};
    CHECK(alice.texts("robert") == all);
    CHECK(bob.texts("alice") == all);
    for (const char* old : {"bob", "bobby"}) {  // anybody may have these by now
      const Sent sent = alice.send(old, "who are you?");
      world.settle();
      CHECK(alice.status(sent.id) == Status::failed);
    }
  }
}

}  // namespace godwit::test
