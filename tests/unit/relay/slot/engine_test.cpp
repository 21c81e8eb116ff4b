// The life of an envelope in a slot: taken in, held, pushed, elided or stored, acknowledged,
// expired. Duplicates and refusals stand in engine_admission_test.cpp, what is delivered and when
// in delivery/deliver_test.cpp.
#include "tests/unit/relay/slot/engine_fixture.hpp"

namespace godwit::relay::slot::testing {
namespace {

using namespace std::chrono_literals;

TEST_SUITE_BEGIN("relay/slot/engine");

TEST_CASE("for a device that is away, accepted is said when the commit is done and not before") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.enqueue(bob, 1);
  CHECK(slot.said().empty());
  REQUIRE(slot.flush());
  CHECK(slot.said().empty());
  slot.finish();
  CHECK(slot.said() == Lines{"s9 submit 1: ok"});
  CHECK(slot.logged() == Lines{"m1"});
  CHECK(slot.counted() == std::pair<std::uint64_t, std::uint64_t>{1, 2});
  CHECK(slot.engine->idle());
}

TEST_CASE("an envelope that is acknowledged during its hold is accepted and never written") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.attach(1, bob);
  slot.enqueue(bob, 1);
  CHECK(slot.said() == Lines{"s1 call 1: attached", "s1 caught_up", "s1 <- #1 m1"});
  slot.pass(1ms);
  CHECK_FALSE(slot.flush());
  slot.ack(1, bob, 1, {}, 5);
  CHECK(slot.said() == Lines{"s9 submit 1: ok", "s1 ack 5: ok"});
  slot.pass(1s);
  CHECK_FALSE(slot.flush());
  CHECK(slot.disk.appended() == 0);
  CHECK(slot.counters->elided_total.get() == 1);
  CHECK(slot.counters->accepted_total.get() == 1);
  CHECK(slot.counters->acked_total.get() == 1);
  CHECK(slot.engine->idle());
}

TEST_CASE("a pushed envelope goes to the disk when its hold has ended, to the microsecond") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.attach(1, bob);
  slot.enqueue(bob, 1);
  CHECK(slot.engine->next_due() == slot.now.steady + kHoldMin);
  slot.pass(kHoldMin - 1us);
  CHECK_FALSE(slot.flush());
  slot.pass(1us);
  REQUIRE(slot.flush());
  slot.finish();
  CHECK(slot.said().back() == "s9 submit 1: ok");
}

TEST_CASE("the hold follows the device's ack time, from 2 to 20 ms") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.attach(1, bob);
  std::uint32_t number = 0;
  const auto exchange = [&](std::chrono::microseconds took) {
    for (int i = 0; i < 100; ++i) {
      slot.enqueue(bob, ++number);
      slot.pass(took);
      slot.ack(1, bob, number);
    }
    slot.pass(1s);  // an earlier, longer hold has no say any more
    slot.enqueue(bob, ++number);
    const auto hold = *slot.engine->next_due() - slot.now.steady;
    slot.ack(1, bob, number);
    return std::chrono::duration_cast<std::chrono::microseconds>(hold);
  };
  const auto usual = exchange(4ms);
  CHECK(usual > 7ms);
  CHECK(usual <= 8ms);
  CHECK(exchange(500ms) == kHoldMax);
  CHECK(exchange(10us) == kHoldMin);
}

TEST_CASE("a later envelope never reaches the disk before an earlier one of the same mailbox") {
  EngineUnderTest slot(window_of(1));
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.attach(1, bob);
  slot.enqueue(bob, 1);  // pushed: held
  slot.enqueue(bob, 2);  // beyond the window: by itself it would go at once
  CHECK_FALSE(slot.flush());
  slot.pass(kHoldMin);
  slot.commit();
  CHECK(slot.logged() == Lines{"m1", "m2"});
}

TEST_CASE("a mailbox that nobody is attached to does not wait for one whose device is") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  const TestUser eve = make_user(2);
  slot.add(bob);
  slot.add(eve);
  slot.attach(1, bob);
  slot.enqueue(bob, 1);
  slot.enqueue(eve, 2);
  slot.commit();
  CHECK(slot.logged() == Lines{"m2"});
}

TEST_CASE("only one batch is under way; what comes meanwhile goes into the next") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.enqueue(bob, 1);
  REQUIRE(slot.flush());
  slot.enqueue(bob, 2);
  CHECK(slot.engine->flush(slot.now) == nullptr);
  CHECK_FALSE(slot.engine->next_due());
  slot.finish();
  CHECK(slot.said() == Lines{"s9 submit 1: ok"});
  REQUIRE(slot.flush());
  slot.finish();
  CHECK(slot.said() == Lines{"s9 submit 2: ok"});
}

TEST_CASE("an ack while the envelope is on its way to the disk accepts it at once, and is done "
          "when the record is gone again") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.attach(1, bob);
  slot.enqueue(bob, 1);
  slot.pass(kHoldMin);
  REQUIRE(slot.flush());
  (void)slot.said();
  slot.ack(1, bob, 1, {}, 5);
  CHECK(slot.said() == Lines{"s9 submit 1: ok"});
  CHECK(slot.counted().first == 0);
  slot.finish();
  CHECK(slot.said().empty());
  CHECK(slot.logged() == Lines{"m1"});
  CHECK_FALSE(slot.engine->idle());
  REQUIRE(slot.flush());
  CHECK(slot.said().empty());
  slot.finish();
  CHECK(slot.said() == Lines{"s1 ack 5: ok"});
  CHECK(slot.logged().empty());
  CHECK(slot.counters->elided_total.get() == 0);
  CHECK(slot.engine->idle());
}

TEST_CASE("an ack for an envelope on its way that the store refuses is done without a write") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.attach(1, bob);
  slot.enqueue(bob, 1);
  slot.pass(kHoldMin);
  REQUIRE(slot.flush());
  (void)slot.said();
  slot.ack(1, bob, 1, {}, 5);
  slot.disk.set_room(false);
  slot.finish();
  slot.commit();
  CHECK(slot.said() == Lines{"s9 submit 1: ok", "s1 ack 5: ok"});
  CHECK(slot.engine->idle());
}

TEST_CASE("an ack of a stored envelope is done when the commit that removes it is") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.store(bob, 1);
  slot.attach(1, bob);
  CHECK(slot.said() == Lines{"s1 call 1: attached", "s1 <- #1 m1", "s1 caught_up"});
  slot.ack(1, bob, 1, {}, 5);
  REQUIRE(slot.flush());
  CHECK(slot.said().empty());
  slot.finish();
  CHECK(slot.said() == Lines{"s1 ack 5: ok"});
  CHECK(slot.logged().empty());
}

TEST_CASE("an ack that repeats an earlier one is not done before the earlier one is") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.store(bob, 1);
  slot.attach(1, bob);
  slot.enqueue(bob, 2);  // held: its own ack needs no commit
  (void)slot.said();
  slot.ack(1, bob, 1, {}, 5);
  slot.ack(1, bob, 1, {}, 6);
  REQUIRE(slot.flush());
  slot.ack(1, bob, 2, {}, 7);
  CHECK(slot.said() == Lines{"s9 submit 2: ok"});
  slot.finish();
  slot.commit();
  CHECK(slot.said() == Lines{"s1 ack 5: ok", "s1 ack 6: ok", "s1 ack 7: ok"});
  slot.ack(1, bob, 2, {}, 8);
  CHECK(slot.said() == Lines{"s1 ack 8: ok"});
}

TEST_CASE("an ack may name numbers, in any order and twice; each counts once") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.attach(1, bob);
  for (std::uint32_t i = 1; i <= 4; ++i) slot.enqueue(bob, i);
  (void)slot.said();
  slot.ack(1, bob, 0, {3, 1, 3}, 5);
  CHECK(slot.said() == Lines{"s9 submit 3: ok", "s9 submit 1: ok", "s1 ack 5: ok"});
  slot.ack(1, bob, 2, {4}, 6);
  CHECK(slot.said() == Lines{"s9 submit 2: ok", "s9 submit 4: ok", "s1 ack 6: ok"});
  CHECK(slot.counted() == std::pair<std::uint64_t, std::uint64_t>{0, 0});
}

TEST_CASE("an ack of a number that was never pushed is refused and acknowledges nothing") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.attach(1, bob);
  slot.enqueue(bob, 1);
  (void)slot.said();
  slot.ack(1, bob, 2, {}, 5);
  slot.ack(1, bob, 1, {2}, 6);
  slot.ack(1, bob, 1, {0}, 7);
  CHECK(slot.said() == Lines{"s1 ack 5: bad_request", "s1 ack 6: bad_request",
                             "s1 ack 7: bad_request"});
  CHECK(slot.counted().first == 1);
}

TEST_CASE("an ack from a session that is not attached is out of state") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.ack(1, bob, 1, {}, 5);
  CHECK(slot.said() == Lines{"s1 ack 5: out_of_state"});
}

// ---- Expiry ------------------------------------------------------------------------------------

TEST_CASE("an envelope expires at its second: not before, and wherever it is") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.ttl_s = 10;
  slot.store(bob, 1);
  slot.enqueue(bob, 2);
  REQUIRE(slot.flush());
  slot.enqueue(bob, 3);
  slot.pass(9'999ms);
  Effects none;
  slot.engine->sweep(slot.now, none);
  CHECK(none.empty());
  CHECK(slot.counted().first == 3);
  slot.pass(1ms);
  slot.engine->sweep(slot.now, none);
  CHECK(slot.counted() == std::pair<std::uint64_t, std::uint64_t>{0, 0});
  CHECK(slot.counters->expired_total.get() == 3);
  CHECK(slot.counters->elided_total.get() == 0);
  slot.finish();
  slot.commit();
  CHECK(slot.logged().empty());
  CHECK(slot.engine->idle());
}

TEST_CASE("an ack of what has expired since it was delivered is done when the record is gone") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.ttl_s = 10;
  slot.store(bob, 1);
  slot.attach(1, bob);
  CHECK(slot.said() == Lines{"s1 call 1: attached", "s1 <- #1 m1", "s1 caught_up"});
  slot.pass(10s);
  slot.sweep();
  slot.ack(1, bob, 1, {}, 5);
  CHECK(slot.said().empty());
  slot.commit();
  CHECK(slot.logged().empty());
  CHECK(slot.said() == Lines{"s1 ack 5: ok"});
}

TEST_CASE("an envelope whose time is up before it is safe anywhere was not accepted") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.ttl_s = 10;
  slot.enqueue(bob, 1);
  REQUIRE(slot.flush());  // on its way to the disk when somebody turns the clock
  slot.enqueue(bob, 2);   // and one that is still held
  slot.pass(10s);
  slot.sweep();
  CHECK(slot.said() == Lines{"s9 submit 1: busy after 200", "s9 submit 2: busy after 200"});
  CHECK(slot.counters->accepted_total.get() == 0);
}

TEST_CASE("a retry of what has expired is taken in anew, although no sweep has come by") {
  for (const bool stored : {true, false}) {
    CAPTURE(stored);
    EngineUnderTest slot;
    const TestUser bob = make_user(1);
    slot.add(bob);
    slot.ttl_s = 10;
    slot.enqueue(bob, 1);
    REQUIRE(slot.flush());
    if (stored) slot.finish();
    (void)slot.said();
    slot.pass(10s);
    slot.enqueue(bob, 1, 0, 2);
    if (!stored) slot.finish();
    slot.commit();
    const Lines said = slot.said();
    CHECK(said.back() == "s9 submit 2: ok");
    if (!stored) CHECK(said.front() == "s9 submit 1: busy after 200");
    slot.sweep();
    slot.commit();
    CHECK(slot.logged() == Lines{"m1"});
    CHECK(slot.counted().first == 1);
  }
}

TEST_CASE("a time to live counts from when the slot takes the envelope in, the shortest too") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.attach(1, bob);
  (void)slot.said();
  slot.ttl_s = 1;
  slot.pass(999ms);
  slot.enqueue(bob, 1);
  CHECK(slot.said() == Lines{"s1 <- #1 m1"});
  slot.pass(1s);
  slot.commit();  // its hold has ended as well
  CHECK(slot.said() == Lines{"s9 submit 1: ok"});
  Effects effects;
  slot.engine->sweep(slot.now, effects);
  CHECK(slot.counters->expired_total.get() == 1);
  CHECK(slot.counted().first == 0);
}

TEST_CASE("a sweep visits every mailbox in the end, a bounded piece at a time") {
  EngineUnderTest slot;
  slot.ttl_s = 10;
  constexpr std::uint32_t kUsers = 300;
  for (std::uint32_t i = 1; i <= kUsers; ++i) {
    const TestUser user = make_user(i);
    slot.add(user);
    slot.enqueue(user, i);
  }
  slot.commit();
  slot.pass(10s);
  Effects effects;
  for (int i = 0; i < 4 && slot.counted().first > 0; ++i) {
    slot.engine->sweep(slot.now, effects);
  }
  CHECK(slot.counted().first == 0);
  slot.commit();
  CHECK(slot.disk.log().empty());
}

// ---- Restart -----------------------------------------------------------------------------------

TEST_CASE("a restart brings back what was committed, in its order, and counts it again") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.store(bob, 1);
  slot.store(bob, 2, 50);
  slot.enqueue(bob, 3);  // taken in and never answered
  slot.restart();
  CHECK(slot.counted() == std::pair<std::uint64_t, std::uint64_t>{2, 52});
  CHECK(slot.counted() == slot.engine->recount());
  slot.attach(1, bob);
  CHECK(slot.said() ==
        Lines{"s1 call 1: attached", "s1 <- #1 m1", "s1 <- #2 m2", "s1 caught_up"});
}

TEST_CASE("what waited through a restart expires at its second, as it would have without") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.ttl_s = 10;
  slot.store(bob, 1);
  slot.restart();
  slot.pass(9'999ms);
  slot.sweep();
  CHECK(slot.counted().first == 1);
  slot.pass(1ms);
  slot.sweep();
  CHECK(slot.counted().first == 0);
  slot.commit();
  CHECK(slot.logged().empty());
}

TEST_SUITE_END();

}  // namespace
}  // namespace godwit::relay::slot::testing
