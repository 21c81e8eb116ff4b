// Two people and a relay: what each of them sees.
#include <doctest/doctest.h>

#include "schema/wire/codec.hpp"
#include "schema/wire/payload.hpp"
#include "tests/support/world.hpp"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;

}  // namespace

TEST_SUITE("client-sdk/src/core") {
  TEST_CASE("a message reaches the other, and every status comes back") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    const Sent sent = alice.send("bob", "hello");
    CHECK(sent.status == Status::queued);
    world.settle();
    REQUIRE(bob.texts("alice") == std::vector<std::string>{"hello"});
    CHECK(bob.messages("alice").front().id == sent.id);
    CHECK(bob.messages("alice").front().status == Status::received);
    CHECK(alice.status(sent.id) == Status::delivered);
    bob.read("alice");
    world.settle();
    CHECK(alice.status(sent.id) == Status::read);
    CHECK(bob.messages("alice").front().status == Status::read);
    CHECK(alice.core->settled());
    CHECK(bob.core->settled());
    CHECK(world.queued() == 0);
  }

  TEST_CASE("who is away gets everything later, in order") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    bob.disconnect();
    std::vector<std::string> texts;
    std::vector<Sent> sent;
    for (int i = 0; i < 300; ++i) {
      texts.push_back("message " + std::to_string(i));
      sent.push_back(alice.send("bob", texts.back()));
    }
    world.settle();
    for (const Sent& one : sent) CHECK(alice.status(one.id) == Status::sent);
    alice.disconnect();
    bob.connect();
    world.settle();
    CHECK(bob.texts("alice") == texts);
    CHECK(bob.core->settled());
    alice.connect();
    world.settle();
    for (const Sent& one : sent) CHECK(alice.status(one.id) == Status::delivered);
    CHECK(world.queued() == 0);
  }

  TEST_CASE("a text as long as a text may be arrives, and one byte more is refused") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    std::vector<std::string> texts;
    // Also around the sizes where an envelope begins to need a second Noise message.
    for (std::size_t size = 60'000; size < wire::kTextSizeMax; size += 512) {
      texts.emplace_back(size, 'x');
    }
    texts.emplace_back(wire::kTextSizeMax, 'y');
    for (const std::string& text : texts) (void)alice.send("bob", text);
    world.settle();
    CHECK(bob.texts("alice") == texts);
    CHECK(alice.core->settled());
    const Outgoing too_long{.to = "bob", .text = std::string(wire::kTextSizeMax + 1, 'z')};
    CHECK_FALSE(alice.core->send(std::span(&too_long, 1), world.now()));
  }

  TEST_CASE("both write at once, and both see both") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    for (int i = 0; i < 20; ++i) {
      alice.send("bob", "a" + std::to_string(i));
      bob.send("alice", "b" + std::to_string(i));
      if (i % 3 == 0) world.settle();
    }
    world.settle();
    CHECK(alice.texts("bob").size() == 40);
    CHECK(alice.texts("bob") == bob.texts("alice"));
    for (const auto& message : alice.messages("bob")) {
      CHECK(message.status == (message.outgoing ? Status::delivered : Status::received));
    }
  }

  TEST_CASE("who had no name at first is called by the one that was chosen later") {
    World world;
    SimDevice& bob = world.add("bob");
    SimDevice& first = world.add("alice");
    SimDevice& alice = world.add_blank("another alice");
    alice.create("alice");
    alice.connect();
    world.settle();
    REQUIRE(alice.core->account().name.empty());
    alice.send("bob", "it is me");
    world.settle();
    REQUIRE(bob.texts(alice.core->account().user.hex()) == std::vector<std::string>{"it is me"});
    alice.round([&](core::Core& core) { REQUIRE(core.set_name("alicia", world.now()).ok()); });
    world.settle();
    alice.send("bob", "by my name");
    world.settle();
    CHECK(bob.texts("alicia") == std::vector<std::string>{"it is me", "by my name"});
    CHECK(first.texts("bob").empty());
  }

  TEST_CASE("a name that nobody has fails the message, with the reason") {
    World world;
    SimDevice& alice = world.add("alice");
    const Sent sent = alice.send("nobody", "hello");
    world.settle();
    CHECK(alice.status(sent.id) == Status::failed);
    CHECK(alice.core->status(sent.id)->failure == "nobody has the name nobody");
    CHECK(alice.core->settled());
  }

  TEST_CASE("a key sends one message, however often; another text is a conflict") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    const Sent first = alice.send("bob", "pay 5", "order-1");
    CHECK(alice.send("bob", "pay 5", "order-1").id == first.id);
    world.settle();
    alice.crash();
    alice.connect();
    CHECK(alice.send("bob", "pay 5", "order-1").id == first.id);
    world.settle();
    world.restart_relay();
    world.run(2s);
    CHECK(alice.send("bob", "pay 5", "order-1").status == Status::delivered);
    CHECK(alice.send_fails("bob", "pay 6", "order-1").code == ErrorCode::key_conflict);
    CHECK(alice.send_fails("carol", "pay 5", "order-1").code == ErrorCode::key_conflict);
    world.wipe_relay();
    world.run(2s);
    CHECK(alice.send("bob", "pay 5", "order-1").id == first.id);
    world.run(2s);
    CHECK(bob.texts("alice") == std::vector<std::string>{"pay 5"});
  }

  TEST_CASE("a key is the same message also when its recipient has another name by now") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    const Sent first = alice.send("bob", "pay 5", "order-1");
    world.settle();
    bob.round([&](core::Core& core) { REQUIRE(core.set_name("robert", world.now()).ok()); });
    world.settle();
    alice.send("robert", "you have another name");
    world.settle();
    REQUIRE(alice.texts("robert").size() == 2);
    const std::size_t added = alice.count(EventKind::conversation_added);
    CHECK(alice.send("Bob", "pay 5", "order-1").id == first.id);
    CHECK(alice.count(EventKind::conversation_added) == added);
    CHECK(alice.send("robert", "pay 5", "order-1").id == first.id);
    CHECK(alice.send_fails("bob", "pay 6", "order-1").code == ErrorCode::key_conflict);
    CHECK(alice.send_fails("carol", "pay 5", "order-1").code == ErrorCode::key_conflict);
    world.settle();
    CHECK(bob.texts("alice").size() == 2);
  }

  TEST_CASE("of a batch all is sent or nothing, and one key in it is one message") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    const auto send = [&](const std::vector<Outgoing>& batch) {
      auto sent = alice.core->send(batch, world.now());
      alice.end_round();
      world.settle();
      return sent;
    };
    const Outgoing paid{"bob", "pay 5", "order-1"};
    const auto refused = send({{"bob", "look", {}}, paid, {"bob", "pay 6", "order-1"}});
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == ErrorCode::key_conflict);
    CHECK_FALSE(alice.core->conversation_of("bob").ok());
    const auto sent = send({paid, {"bob", "look", {}}, {"Bob", "pay 5", "order-1"}});
    REQUIRE(sent.ok());
    REQUIRE(sent->size() == 3);
    CHECK(sent->front().id == sent->back().id);
    CHECK(bob.texts("alice") == std::vector<std::string>{"pay 5", "look"});
  }

  TEST_CASE("a relay that loses its disk loses no message") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    alice.send("bob", "first");
    world.settle();
    bob.disconnect();
    std::vector<std::string> texts{"first"};
    for (int i = 0; i < 500; ++i) {
      texts.push_back("m" + std::to_string(i));
      alice.send("bob", texts.back());
    }
    world.settle();
    REQUIRE(world.queued() == 500);
    world.wipe_relay();
    bob.connect();
    world.run(20s);
    CHECK(bob.texts("alice") == texts);
    for (const auto& message : alice.messages("bob")) CHECK(message.status == Status::delivered);
    CHECK(alice.count(EventKind::store_changed) == 1);
  }

  TEST_CASE("who is here is reached also by strangers after the relay has lost a table") {
    using relay::store::Table;
    for (const Table lost :
         {Table::users, Table::device_keys, Table::one_time_keys, Table::names}) {
      CAPTURE(static_cast<int>(lost));
      World world;
      SimDevice& bob = world.add("bob");
      world.restart_relay_without(lost);
      world.run(10s);
      SimDevice& alice = world.add("alice");
      const auto sent = alice.send("bob", "hello");
      world.run(10s);
      CHECK(bob.texts("alice") == std::vector<std::string>{"hello"});
      CHECK(alice.status(sent.id) == Status::delivered);
    }
  }

  TEST_CASE("a relay that loses its disk loses no receipt") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    const Sent sent = alice.send("bob", "first");
    world.settle();
    REQUIRE(alice.status(sent.id) == Status::delivered);
    alice.disconnect();
    bob.read("alice");
    world.settle();
    REQUIRE(world.queued() == 1);
    world.wipe_relay();
    world.run(20s);
    alice.connect();
    world.run(20s);
    CHECK(alice.status(sent.id) == Status::read);
  }

  TEST_CASE("what nobody fetched in time is told, and arrives when the other is back") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    alice.send("bob", "first");
    bob.send("alice", "second");
    world.settle();
    bob.disconnect();
    const Sent third = alice.send("bob", "third");
    world.settle();
    alice.disconnect();
    world.pass(24h * 29);
    alice.connect();
    world.settle();
    CHECK(alice.count(EventKind::expired) == 0);
    CHECK(world.queued() == 1);
    alice.disconnect();
    world.pass(24h * 2);
    CHECK(world.queued() == 0);
    alice.connect();
    world.settle();
    REQUIRE(alice.count(EventKind::expired) == 1);
    const auto& event = *std::ranges::find(alice.events, EventKind::expired, &Event::kind);
    CHECK(event.message == third.id);
    CHECK(event.conversation == alice.messages("bob").back().conversation);
    CHECK(event.status == Status::sent);
    CHECK(alice.core->explain(third.id)->waits_on.starts_with("a sign of"));
    alice.crash();  // it is told once
    alice.connect();
    world.settle();
    CHECK(alice.count(EventKind::expired) == 1);
    CHECK(alice.core->explain(third.id)->waits_on.starts_with("a sign of"));

    bob.connect();
    world.settle();
    CHECK(bob.texts("alice").size() == 2);
    bob.send("alice", "fourth");
    world.run(2s);
    CHECK(alice.status(third.id) == Status::delivered);
    CHECK(bob.texts("alice").size() == 4);
    CHECK(world.queued() == 0);
    CHECK(alice.core->settled());
  }

  TEST_CASE("what nobody fetched is told also when the clock was a year ahead as it was sent") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    alice.send("bob", "first");
    world.settle();
    bob.disconnect();
    const auto today = world.now().wall;
    world.set_wall(today + 24h * 365);
    const Sent second = alice.send("bob", "second");
    world.settle();
    REQUIRE(alice.status(second.id) == Status::sent);
    alice.disconnect();
    world.set_wall(today);
    for (int visits = 0; visits < 2; ++visits) {
      alice.connect();
      world.settle();
      CHECK(alice.count(EventKind::expired) == 0);
      alice.disconnect();
      world.pass(24h * 16);
    }
    alice.connect();
    world.settle();
    CHECK(alice.count(EventKind::expired) == 1);
  }

  TEST_CASE("what was fetched in time is not told as expired, though its receipt is read late") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    alice.send("bob", "first");
    world.settle();
    bob.disconnect();
    const Sent second = alice.send("bob", "second");
    world.settle();
    alice.disconnect();
    world.pass(24h * 10);
    bob.connect();
    world.settle();
    world.pass(24h * 21);
    alice.connect();
    world.settle();
    CHECK(alice.status(second.id) == Status::delivered);
    CHECK(alice.count(EventKind::expired) == 0);
  }

  TEST_CASE("what was read beyond a gap is told when the gap closes without a message") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    alice.send("bob", "one");
    world.settle();
    bob.send("alice", "two");
    // The receipt for "two" is lost on the way, "three" comes after it.
    bool lose = true;
    world.tamper = [&](SimDevice& device, wire::ByteView frame) {
      const bool lost = lose && &device == &bob && frame.size() > 300;
      if (lost) lose = false;
      std::vector<wire::Bytes> frames;
      if (!lost) frames.emplace_back(frame.begin(), frame.end());
      return frames;
    };
    world.settle();
    REQUIRE(!lose);
    const Sent three = alice.send("bob", "three");
    world.settle();
    REQUIRE(bob.count(EventKind::gap) == 1);
    REQUIRE(bob.texts("alice").back() == "three");
    bob.read("alice");
    world.run(20s);
    REQUIRE(bob.count(EventKind::gap_closed) == 1);
    CHECK(alice.status(three.id) == Status::read);
  }

  TEST_CASE("what sorts before a place that was read is shown as late, and counts as unread") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    alice.send("bob", "one");
    world.settle();
    alice.disconnect();
    alice.send("bob", "two");
    world.pass(1min);
    bob.send("alice", "three");
    bob.read("alice");
    alice.connect();
    world.settle();
    alice.send("bob", "four");
    world.settle();
    const auto shown = bob.messages("alice");
    REQUIRE(bob.texts("alice") == std::vector<std::string>{"one", "two", "three", "four"});
    for (std::size_t i = 0; i < shown.size(); ++i) CHECK(shown[i].late == (i == 1));
    CHECK(shown[1].status == Status::received);
  }

  TEST_CASE("an account is recovered also when the relay has lost everything") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    alice.send("bob", "one");
    world.settle();
    const auto code = alice.core->recovery_code();
    alice.disconnect();
    world.wipe_relay();
    SimDevice& fresh = world.add_blank("alice again");
    fresh.recover(*code);
    fresh.connect();
    world.run(10s);
    fresh.send("bob", "it is me");
    world.run(10s);
    CHECK(bob.texts("alice") == std::vector<std::string>{"one", "it is me"});
    bob.send("alice", "good");
    world.run(10s);
    CHECK(fresh.texts("bob").back() == "good");
    CHECK(bob.count(EventKind::equivocation) == 0);
  }

  TEST_CASE("a recovered account takes the place of the lost device") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    alice.send("bob", "one");
    bob.send("alice", "two");
    world.settle();
    const auto code = alice.core->recovery_code();
    REQUIRE(code.ok());
    alice.disconnect();
    bob.send("alice", "while away");
    world.settle();

    SimDevice& fresh = world.add_blank("alice again");
    fresh.recover(*code);
    fresh.connect();
    world.run(10s);
    CHECK(fresh.core->account().user == alice.core->account().user);
    CHECK(fresh.core->account().name == "alice");
    bob.send("alice", "welcome back");
    world.run(10s);
    const auto id = bob.core->account().user.hex();
    CHECK(fresh.texts(fresh.texts("bob").empty() ? id : "bob") ==
          std::vector<std::string>{"while away", "welcome back"});
    fresh.send(fresh.texts("bob").empty() ? id : "bob", "thanks");
    world.run(10s);
    CHECK(bob.texts("alice").back() == "thanks");
    CHECK(bob.count(EventKind::devices_changed) >= 2);
  }

  TEST_CASE("what was received once does not become unreadable when it comes again") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    alice.send("bob", "hello");
    world.settle();
    world.tamper = [&](SimDevice& device, wire::ByteView frame) {
      const auto parsed = wire::parse_relay_frame(frame);
      const bool first = &device == &bob && bob.crashes == 0 && parsed &&
                         std::holds_alternative<wire::Deliver>(parsed->body);
      // The ack is lost with everything else that would have left.
      if (first)
        bob.crash_at = {bob.disk->commits + 1, SimDevice::Crash::When::before_frames_leave};
      return std::vector<wire::Bytes>{wire::Bytes(frame.begin(), frame.end())};
    };
    alice.send("bob", "again");
    world.settle();
    REQUIRE(bob.crashes == 1);
    REQUIRE(bob.texts("alice").size() == 2);
    REQUIRE(world.queued() == 1);
    bob.lose_sessions();
    world.pass(1s);
    world.settle();
    CHECK(world.queued() == 0);
    CHECK(bob.count(EventKind::undecryptable) == 0);
    CHECK(bob.texts("alice") == std::vector<std::string>{"hello", "again"});
  }
}

}  // namespace godwit::test
