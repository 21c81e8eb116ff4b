// What a slot answers at the door: requests it has seen before, and those it does not take.
#include "tests/unit/relay/slot/engine_fixture.hpp"

namespace godwit::relay::slot::testing {
namespace {

using namespace std::chrono_literals;

TEST_SUITE_BEGIN("relay/slot/engine");

// ---- Duplicates --------------------------------------------------------------------------------

TEST_CASE("a retry of a staged envelope joins those who wait for it") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.enqueue(bob, 1, 0, 11);
  slot.enqueue(bob, 1, 0, 12);
  REQUIRE(slot.flush());
  slot.enqueue(bob, 1, 0, 13);
  CHECK(slot.said().empty());
  slot.finish();
  CHECK(slot.said() == Lines{"s9 submit 11: ok", "s9 submit 12: ok", "s9 submit 13: ok"});
  CHECK(slot.logged() == Lines{"m1"});
  CHECK(slot.counters->duplicates_total.get() == 2);
  CHECK(slot.counters->accepted_total.get() == 1);
}

TEST_CASE("of the retries of a staged envelope so many wait for it; the others come again") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.enqueue(bob, 1, 0, 1);
  REQUIRE(slot.flush());
  for (std::uint32_t retry = 1; retry <= kRetriesWaitingMax; ++retry) {
    slot.enqueue(bob, 1, 0, 1 + retry);
  }
  CHECK(slot.said().empty());
  slot.enqueue(bob, 1, 0, 99);
  CHECK(slot.said() == Lines{"s9 submit 99: busy after 200"});
  slot.finish();
  CHECK(slot.said().size() == 1 + kRetriesWaitingMax);
  slot.enqueue(bob, 1, 0, 99);
  CHECK(slot.said() == Lines{"s9 submit 99: ok"});
  CHECK(slot.logged() == Lines{"m1"});
}

TEST_CASE("a retry of a stored envelope is answered at once and changes nothing") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.store(bob, 1);
  slot.enqueue(bob, 1, 0, 12);
  CHECK(slot.said() == Lines{"s9 submit 12: ok"});
  slot.restart();
  slot.enqueue(bob, 1, 0, 13);
  CHECK(slot.said() == Lines{"s9 submit 13: ok"});
  slot.attach(1, bob);
  CHECK(slot.said() == Lines{"s1 call 1: attached", "s1 <- #1 m1", "s1 caught_up"});
}

TEST_CASE("a retry after the ack is answered as the first was and is not delivered again") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.attach(1, bob);
  slot.enqueue(bob, 1);
  slot.ack(1, bob, 1);
  (void)slot.said();
  slot.enqueue(bob, 1, 0, 12);
  CHECK(slot.said() == Lines{"s9 submit 12: ok"});
  CHECK(slot.counted().first == 0);
}

TEST_CASE("the window that knows acknowledged requests forgets the oldest first") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.attach(1, bob);
  const auto first_and_more = static_cast<std::uint32_t>(kRecentRequestsMax + 1);
  for (std::uint32_t i = 1; i <= first_and_more; ++i) {
    slot.enqueue(bob, i);
    slot.ack(1, bob, i);
  }
  (void)slot.said();
  slot.enqueue(bob, 2, 0, 21);
  CHECK(slot.said() == Lines{"s9 submit 21: ok"});
  slot.enqueue(bob, 1, 0, 22);
  CHECK(slot.said() == Lines{"s1 <- #" + std::to_string(first_and_more + 1) + " m1"});
}

TEST_CASE("the same request id for two devices is two envelopes") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1, {0, 1});
  slot.add(bob);
  const auto shared = body_of(1, 0, 77);
  slot.enqueue_body(bob, 1, shared, 11, 0);
  slot.enqueue_body(bob, 1, shared, 12, 1);
  slot.commit();
  CHECK(slot.said() == Lines{"s9 submit 11: ok", "s9 submit 12: ok"});
  CHECK(slot.disk.log().size() == 2);
  CHECK(slot.disk.bodies() == 1);
  slot.attach(1, bob, 0);
  slot.ack(1, bob, 1);
  slot.commit();
  CHECK(slot.disk.bodies() == 1);
  slot.attach(2, bob, 1);
  slot.apply(2, Origin::Kind::ack, 0, Ack{bob.device(1), 1, {}});
  slot.commit();
  CHECK(slot.disk.log().empty());
  CHECK(slot.disk.bodies() == 0);
}

// ---- Refusals ----------------------------------------------------------------------------------

TEST_CASE("what the store has no room for is refused with a time to retry, and is gone") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.store(bob, 1);
  slot.enqueue(bob, 2);
  slot.enqueue(bob, 2, 0, 22);
  REQUIRE(slot.flush());
  slot.enqueue(bob, 3);
  slot.disk.set_room(false);
  slot.finish();
  CHECK(slot.said() == Lines{"s9 submit 2: store_full after 5000",
                             "s9 submit 22: store_full after 5000"});
  CHECK(slot.counted() == std::pair<std::uint64_t, std::uint64_t>{2, 4});
  slot.disk.set_room(true);
  slot.commit();
  slot.enqueue(bob, 2);
  slot.commit();
  CHECK(slot.said() == Lines{"s9 submit 3: ok", "s9 submit 2: ok"});
  slot.attach(1, bob);
  CHECK(slot.said() == Lines{"s1 call 1: attached", "s1 <- #1 m1", "s1 <- #2 m3", "s1 <- #3 m2",
                             "s1 caught_up"});
}

TEST_CASE("an envelope that was pushed and then found no room opens the window again") {
  EngineUnderTest slot(window_of(1));
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.attach(1, bob);
  slot.enqueue(bob, 1);
  slot.pass(kHoldMin);
  REQUIRE(slot.flush());
  slot.enqueue(bob, 2);
  (void)slot.said();
  slot.disk.set_room(false);
  slot.finish();
  CHECK(slot.said() == Lines{"s9 submit 1: store_full after 5000", "s1 <- #2 m2"});
  slot.ack(1, bob, 2, {}, 5);
  CHECK(slot.said() == Lines{"s9 submit 2: ok", "s1 ack 5: ok"});
  CHECK(slot.counted() == slot.engine->recount());
}

TEST_CASE("while the store is full, an envelope is refused at the door and acks still work") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.store(bob, 1);
  slot.attach(1, bob);
  (void)slot.said();
  slot.disk.set_room(false);
  slot.disk.set_full(true);
  slot.enqueue(bob, 2);
  slot.ack(1, bob, 1, {}, 5);
  slot.commit();
  CHECK(slot.said() == Lines{"s9 submit 2: store_full after 5000", "s1 ack 5: ok"});
  CHECK(slot.logged().empty());
}

TEST_CASE("a mailbox takes as many envelopes as its quota says, and more after an ack") {
  EngineLimits limits;
  limits.mailbox.envelopes = 2;
  EngineUnderTest slot(limits);
  slot.limited = false;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.store(bob, 1);
  slot.enqueue(bob, 2);
  slot.enqueue(bob, 3);
  CHECK(slot.said() == Lines{"s9 submit 3: mailbox_full after 60000"});
  slot.attach(1, bob);
  slot.ack(1, bob, 1);
  (void)slot.said();
  slot.enqueue(bob, 3);
  CHECK(slot.said() == Lines{"s1 <- #3 m3"});
}

TEST_CASE("a mailbox takes as many bytes as its quota says") {
  EngineLimits limits;
  limits.mailbox.bytes = 100;
  EngineUnderTest slot(limits);
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.enqueue(bob, 1, 60);
  slot.enqueue(bob, 2, 41);
  CHECK(slot.said() == Lines{"s9 submit 2: mailbox_full after 60000"});
  slot.enqueue(bob, 3, 40);
  CHECK(slot.said().empty());
}

TEST_CASE("who fills half a mailbox and its share leaves the rest to all others") {
  EngineLimits limits;
  limits.mailbox.envelopes = 16;
  EngineUnderTest slot(limits);
  const TestUser bob = make_user(1);
  slot.add(bob);
  for (std::uint32_t i = 1; i <= 10; ++i) slot.store(bob, i);
  slot.enqueue(bob, 11);
  CHECK(slot.said() == Lines{"s9 submit 11: mailbox_full after 60000"});
  slot.enqueue(bob, 10, 0, 12);  // a retry needs no room
  CHECK(slot.said() == Lines{"s9 submit 12: ok"});
  slot.sender.bytes[0] = 2;
  slot.store(bob, 13);
  slot.store(bob, 14);
  slot.enqueue(bob, 15);
  CHECK(slot.said() == Lines{"s9 submit 15: mailbox_full after 60000"});
  slot.sender.bytes[0] = 3;
  slot.store(bob, 16);
  slot.limited = false;  // trusted by the operator: only the quota is left
  for (std::uint32_t i = 21; i <= 23; ++i) slot.store(bob, i);
  slot.enqueue(bob, 24);
  CHECK(slot.said() == Lines{"s9 submit 24: mailbox_full after 60000"});
}

TEST_CASE("shares begin anew when the mailbox was less than half full, and not before") {
  EngineLimits limits;
  limits.mailbox.envelopes = 16;
  EngineUnderTest slot(limits);
  const TestUser bob = make_user(1);
  slot.add(bob);
  for (std::uint32_t i = 1; i <= 10; ++i) slot.store(bob, i);
  slot.attach(1, bob);
  slot.ack(1, bob, 2);
  slot.commit();
  (void)slot.said();
  slot.enqueue(bob, 11);
  CHECK(slot.said() == Lines{"s9 submit 11: mailbox_full after 60000"});
  slot.ack(1, bob, 3);
  slot.commit();
  (void)slot.said();
  slot.detach(1, bob);
  for (std::uint32_t i = 11; i <= 13; ++i) slot.store(bob, i);
  slot.enqueue(bob, 14);
  CHECK(slot.said() == Lines{"s9 submit 14: mailbox_full after 60000"});
}

TEST_CASE("a mailbox of one envelope takes the next one when it is empty again") {
  EngineLimits limits;
  limits.mailbox.envelopes = 1;
  EngineUnderTest slot(limits);
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.attach(1, bob);
  (void)slot.said();
  for (std::uint32_t i = 1; i <= 3; ++i) {
    slot.enqueue(bob, i);
    slot.ack(1, bob, i);
    const std::string n = std::to_string(i);
    const std::string pushed = "s1 <- #" + n + " m" + n;
    CHECK(slot.said() == Lines{pushed, "s9 submit " + n + ": ok", "s1 ack 0: ok"});
  }
}

TEST_CASE("an envelope for nobody, or for a device that is not in the list, is refused") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.enqueue(bob, 1);
  CHECK(slot.said() == Lines{"s9 submit 1: unknown_device after 60000"});
  slot.add(bob);
  TestUser other = make_user(1, {0, 1});
  slot.enqueue_body(other, 2, body_of(2), 2, 1);
  CHECK(slot.said() == Lines{"s9 submit 2: unknown_device after 60000"});
}

TEST_CASE("an envelope made for an older device list is refused, with the newer list") {
  EngineUnderTest slot;
  const TestUser old = make_user(1);
  const TestUser bob = make_user(1, {0, 1}, {1, 2});
  slot.add(bob);
  slot.enqueue(old, 1);
  REQUIRE(slot.effects().size() == 1);
  const auto& answer = std::get<Enqueued>(std::get<AnswerTo>(slot.effects()[0]).answer);
  REQUIRE(answer.newer);
  CHECK(answer.newer->body == bob.list.body);
  CHECK(slot.said() == Lines{"s9 submit 1: stale_list"});
}

TEST_CASE("a newer list is not told to a sender before it is on the disk") {
  EngineUnderTest slot;
  const TestUser old = make_user(1);
  slot.add(old);
  slot.call(1, 7, slot.put_of(make_user(1, {0, 1}, {1, 2})));
  slot.enqueue(old, 1);
  CHECK(slot.said() == Lines{});
  REQUIRE(slot.flush());
  slot.enqueue(old, 2);
  CHECK(slot.said() == Lines{});
  slot.finish();
  slot.commit();
  CHECK(slot.said() ==
        Lines{"s1 call 7: ok", "s9 submit 1: stale_list", "s9 submit 2: stale_list"});
}

TEST_CASE("an envelope made for a newer list than the relay has is taken") {
  EngineUnderTest slot;
  slot.add(make_user(1));
  slot.enqueue(make_user(1, {0}, {1, 9}), 1);
  slot.commit();
  CHECK(slot.said() == Lines{"s9 submit 1: ok"});
}

TEST_CASE("past the bytes that may be staged a loop answers busy") {
  EngineLimits limits;
  limits.mailbox.bytes = ~std::uint64_t{0};
  EngineUnderTest slot(limits);
  const TestUser bob = make_user(1);
  slot.add(bob);
  const auto huge = body_of(1, kStagedBytesMax + 1);
  slot.enqueue_body(bob, 1, huge, 1);
  slot.enqueue(bob, 2);
  CHECK(slot.said() == Lines{"s9 submit 2: busy after 200"});
  slot.commit();
  slot.enqueue(bob, 2);
  CHECK(slot.said() == Lines{"s9 submit 1: ok"});
}

TEST_CASE("envelopes of two bytes count as what they take of the memory") {
  EngineLimits limits;
  limits.mailbox.envelopes = ~std::uint32_t{0};
  EngineUnderTest slot(limits);
  const TestUser bob = make_user(1);
  slot.add(bob);
  const auto body = body_of(1, 1);
  const std::size_t each = kStagedOverhead + body->bytes.size();
  const auto most = static_cast<std::uint32_t>(kStagedBytesMax / each + 1);
  for (std::uint32_t i = 1; i <= most; ++i) slot.enqueue_body(bob, i, body, i);
  CHECK(slot.said().empty());
  slot.enqueue(bob, most + 1);
  CHECK(slot.said() == Lines{"s9 submit " + std::to_string(most + 1) + ": busy after 200"});
}

TEST_SUITE_END();

}  // namespace
}  // namespace godwit::relay::slot::testing
