// Delivery as a device sees it, through the slot engine that drives it.
#include "tests/unit/relay/slot/engine_fixture.hpp"

namespace godwit::relay::slot::testing {
namespace {

using namespace std::chrono_literals;

TEST_SUITE_BEGIN("relay/delivery/deliver");

TEST_CASE("caught up is sent once, after everything that was queued at login") {
  EngineUnderTest slot(window_of(2));
  const TestUser bob = make_user(1);
  slot.add(bob);
  for (std::uint32_t i = 1; i <= 3; ++i) slot.store(bob, i);
  slot.attach(1, bob);
  CHECK(slot.said() == Lines{"s1 call 1: attached", "s1 <- #1 m1", "s1 <- #2 m2"});
  slot.enqueue(bob, 4);  // came after the login
  CHECK(slot.said().empty());
  slot.ack(1, bob, 1, {}, 5);
  CHECK(slot.said() == Lines{"s1 <- #3 m3", "s1 caught_up"});
  slot.ack(1, bob, 3, {}, 6);
  slot.commit();
  CHECK(slot.said() ==
        Lines{"s1 <- #4 m4", "s1 ack 5: ok", "s1 ack 6: ok", "s9 submit 4: ok"});
}

TEST_CASE("caught up is sent when the last of login time expires before it is pushed") {
  EngineUnderTest slot(window_of(1));
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.store(bob, 1);
  slot.store(bob, 2);
  slot.ttl_s = 10;
  slot.store(bob, 3);
  slot.attach(1, bob);
  CHECK(slot.said() == Lines{"s1 call 1: attached", "s1 <- #1 m1"});
  slot.ttl_s = 1'000;
  slot.enqueue(bob, 4);
  slot.pass(10s);

  SUBCASE("and the sweep finds it") {
    Effects effects;
    slot.engine->sweep(slot.now, effects);
    CHECK(effects.empty());
    slot.ack(1, bob, 1);
    CHECK(slot.said() == Lines{"s1 <- #2 m2", "s1 caught_up"});
  }
  SUBCASE("and the delivery finds it") {
    slot.ack(1, bob, 1);
    CHECK(slot.said() == Lines{"s1 <- #2 m2"});
    slot.ack(1, bob, 2);
    CHECK(slot.said() == Lines{"s1 caught_up", "s1 <- #3 m4"});
  }
}

TEST_CASE("caught up is sent when all of login time expires before anything is acknowledged") {
  EngineUnderTest slot(window_of(1));
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.ttl_s = 10;
  slot.store(bob, 1);
  slot.store(bob, 2);
  slot.attach(1, bob);
  (void)slot.said();
  slot.pass(10s);
  Effects effects;
  slot.engine->sweep(slot.now, effects);
  REQUIRE(effects.size() == 1);
  CHECK(line_of(std::get<Notice>(effects[0])) == "s1 caught_up");
  slot.ttl_s = 1'000;
  slot.enqueue(bob, 3);
  CHECK(slot.said() == Lines{"s1 <- #2 m3"});
  slot.ack(1, bob, 1, {}, 5);  // of one that expired in flight
  CHECK(slot.said().empty());
  slot.commit();
  CHECK(slot.said() == Lines{"s1 ack 5: ok"});
}

TEST_CASE("a damaged record is passed over, kept for the operator, and the rest is delivered") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  for (std::uint32_t i = 1; i <= 3; ++i) slot.store(bob, i);
  const std::uint64_t second = std::next(slot.disk.log().begin())->first;
  slot.disk.damage(second);
  slot.attach(1, bob);
  CHECK(slot.said() ==
        Lines{"s1 call 1: attached", "s1 <- #1 m1", "s1 <- #2 m3", "s1 caught_up"});
  slot.commit();
  CHECK(slot.disk.quarantined() == std::set<std::uint64_t>{second});
  CHECK(slot.logged() == Lines{"m1", "m3"});
  CHECK(slot.counted() == std::pair<std::uint64_t, std::uint64_t>{2, 4});
}

TEST_CASE("caught up is sent when the last of login time is damaged") {
  EngineUnderTest slot(window_of(1));
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.store(bob, 1);
  slot.store(bob, 2);
  slot.disk.damage(slot.disk.log().rbegin()->first);
  slot.attach(1, bob);
  CHECK(slot.said() == Lines{"s1 call 1: attached", "s1 <- #1 m1"});
  slot.ack(1, bob, 1);
  CHECK(slot.said() == Lines{"s1 caught_up"});
}

TEST_CASE("a mailbox of nothing but damaged records is caught up at once") {
  EngineUnderTest slot(window_of(1));
  const TestUser bob = make_user(1);
  slot.add(bob);
  for (std::uint32_t i = 1; i <= 3; ++i) slot.store(bob, i);
  for (const auto& [position, entry] : slot.disk.log()) slot.disk.damage(position);
  slot.attach(1, bob);
  CHECK(slot.said() == Lines{"s1 call 1: attached", "s1 caught_up"});
  CHECK(slot.counted().first == 0);
}

TEST_CASE("a record that is gone is passed over") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.store(bob, 1);
  slot.store(bob, 2);
  slot.disk.lose(slot.disk.log().begin()->first);
  slot.attach(1, bob);
  CHECK(slot.said() == Lines{"s1 call 1: attached", "s1 <- #1 m2", "s1 caught_up"});
}

TEST_CASE("no more than the window's envelopes are in flight") {
  EngineUnderTest slot(window_of(3));
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.attach(1, bob);
  (void)slot.said();
  for (std::uint32_t i = 1; i <= 6; ++i) slot.enqueue(bob, i);
  CHECK(slot.said() == Lines{"s1 <- #1 m1", "s1 <- #2 m2", "s1 <- #3 m3"});
  slot.ack(1, bob, 0, {2});
  CHECK(slot.said() == Lines{"s9 submit 2: ok", "s1 <- #4 m4", "s1 ack 0: ok"});
}

TEST_CASE("no more than the window's bytes are in flight, but for one large envelope alone") {
  EngineUnderTest slot(window_of(10, 100));
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.attach(1, bob);
  (void)slot.said();
  slot.enqueue(bob, 1, 60);
  slot.enqueue(bob, 2, 40);
  slot.enqueue(bob, 3, 250);
  slot.enqueue(bob, 4, 10);
  CHECK(slot.said() == Lines{"s1 <- #1 m1", "s1 <- #2 m2"});
  slot.ack(1, bob, 1);
  CHECK(slot.said() == Lines{"s9 submit 1: ok", "s1 ack 0: ok"});
  slot.ack(1, bob, 2);
  CHECK(slot.said() == Lines{"s9 submit 2: ok", "s1 <- #3 m3", "s1 ack 0: ok"});
  slot.ack(1, bob, 3);
  CHECK(slot.said() == Lines{"s9 submit 3: ok", "s1 <- #4 m4", "s1 ack 0: ok"});
}

TEST_CASE("a window is filled piece by piece, and who comes meanwhile gets theirs in between") {
  EngineUnderTest slot(window_of(100, 1'600));  // pieces of 100
  const TestUser bob = make_user(1);
  const TestUser eve = make_user(2);
  slot.add(bob);
  slot.add(eve);
  constexpr std::uint32_t kOfBob = 12;
  for (std::uint32_t i = 1; i <= kOfBob; ++i) slot.store(bob, i, 60);
  slot.store(eve, 90, 60);
  CHECK_FALSE(slot.engine->next_due());
  slot.attach(1, bob);
  CHECK(slot.said() == Lines{"s1 call 1: attached", "s1 <- #1 m1"});
  CHECK(slot.engine->next_due() == Steady{});  // at once
  slot.attach(2, eve);
  CHECK(slot.said() ==
        Lines{"s2 call 1: attached", "s1 <- #2 m2", "s2 <- #1 m90", "s2 caught_up"});
  // What opens the window or comes anew gets no place before the others in line.
  slot.ack(1, bob, 1);
  slot.enqueue(bob, 100, 60);
  CHECK(slot.said().empty());
  slot.commit();
  CHECK(slot.said() == Lines{"s1 ack 0: ok", "s9 submit 100: ok"});

  std::uint32_t pushed = 2;
  while (slot.engine->next_due()) {
    slot.deliver_more();
    const Lines lines = slot.said();
    REQUIRE(!lines.empty());
    CHECK(lines.size() <= 2);
    for (const std::string& line : lines) {
      if (line == "s1 caught_up") {
        CHECK(pushed == kOfBob);
        continue;
      }
      ++pushed;
      const std::uint32_t request = pushed <= kOfBob ? pushed : 100;
      CHECK(line == "s1 <- #" + std::to_string(pushed) + " m" + std::to_string(request));
    }
  }
  CHECK(pushed == kOfBob + 1);
}

TEST_CASE("a session that ends while it is in line is not pushed to, nor one that follows it") {
  EngineUnderTest slot(window_of(100, 1'600));
  const TestUser bob = make_user(1);
  slot.add(bob);
  for (std::uint32_t i = 1; i <= 3; ++i) slot.store(bob, i, 60);
  slot.attach(1, bob);
  slot.detach(1, bob);
  (void)slot.said();
  SUBCASE("away") {
    slot.deliver_more();
    CHECK(slot.said().empty());
  }
  SUBCASE("here again") {
    slot.attach(2, bob);
    CHECK(slot.said() == Lines{"s2 call 1: attached", "s2 <- #1 m1"});
    slot.deliver_more();
    CHECK(slot.said() == Lines{"s2 <- #2 m2"});
    slot.deliver_more();
    CHECK(slot.said() == Lines{"s2 <- #3 m3", "s2 caught_up"});
  }
  CHECK_FALSE(slot.engine->next_due());
}

TEST_CASE("a device that acknowledges everything but the first does not make the flight grow") {
  EngineUnderTest slot(window_of(2));
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.attach(1, bob);
  (void)slot.said();
  std::uint32_t pushed = 0;
  for (std::uint32_t i = 1; i <= 1'000; ++i) {
    slot.enqueue(bob, i);
    const Lines lines = slot.said();
    if (lines.empty()) break;
    ++pushed;
    if (i > 1) slot.ack(1, bob, 0, {i});
    (void)slot.said();
  }
  CHECK(pushed == 2 * kFlightSpanInWindows);
  slot.ack(1, bob, 1);
  const Lines lines = slot.said();
  REQUIRE(lines.size() >= 2);
  CHECK(lines[1] == "s1 <- #" + std::to_string(pushed + 1) + " m" + std::to_string(pushed + 1));
}

TEST_CASE("a live push happens only when the cursor has come through the backlog") {
  EngineUnderTest slot(window_of(1));
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.store(bob, 1);
  slot.attach(1, bob);
  (void)slot.said();
  slot.enqueue(bob, 2);
  slot.enqueue(bob, 3);  // behind one that waits, not before it
  CHECK(slot.said().empty());
  slot.ack(1, bob, 1);
  CHECK(slot.said() == Lines{"s1 <- #2 m2"});
}

TEST_CASE("when the session ends, all that was held goes to the disk at once and in order") {
  EngineUnderTest slot(window_of(2));
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.store(bob, 1);
  slot.attach(1, bob);
  for (std::uint32_t i = 2; i <= 5; ++i) slot.enqueue(bob, i);
  slot.ack(1, bob, 0, {2});
  slot.detach(1, bob);
  slot.enqueue(bob, 6);
  (void)slot.said();
  REQUIRE(slot.flush());
  slot.finish();
  CHECK(slot.logged() == Lines{"m1", "m3", "m4", "m5", "m6"});
  CHECK(slot.counters->sessions.get() == 0);
}

TEST_CASE("a new session gets everything that is not acknowledged again, in order, from number 1") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.attach(1, bob);
  for (std::uint32_t i = 1; i <= 4; ++i) slot.enqueue(bob, i);
  slot.ack(1, bob, 0, {2});
  slot.detach(1, bob);
  slot.enqueue(bob, 5);
  (void)slot.said();
  SUBCASE("while it is still staged") {}
  SUBCASE("while it is on its way to the disk") { REQUIRE(slot.flush()); }
  SUBCASE("when it is stored") {
    slot.commit();
    (void)slot.said();
  }
  slot.attach(2, bob);
  CHECK(slot.said() == Lines{"s2 call 1: attached", "s2 <- #1 m1", "s2 <- #2 m3", "s2 <- #3 m4",
                             "s2 <- #4 m5", "s2 caught_up"});
}

TEST_CASE("a second login replaces the first: it is told, and its acks are out of state") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.attach(1, bob);
  slot.enqueue(bob, 1);
  (void)slot.said();
  slot.attach(2, bob);
  CHECK(slot.said() == Lines{"s1 closing replaced", "s2 call 1: attached, replaced",
                             "s2 <- #1 m1", "s2 caught_up"});
  slot.ack(1, bob, 1, {}, 5);
  CHECK(slot.said() == Lines{"s1 ack 5: out_of_state"});
  slot.detach(1, bob);  // the old session's end comes late and means nothing
  slot.ack(2, bob, 1, {}, 6);
  CHECK(slot.said() == Lines{"s9 submit 1: ok", "s2 ack 6: ok"});
  CHECK(slot.counters->sessions.get() == 1);
}

TEST_CASE("the same session number on another loop is another session") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.attach(1, bob);
  slot.enqueue(bob, 1);
  (void)slot.said();
  Effects effects;
  Operation operation{Ack{bob.device(), 1, {}}};
  slot.engine->apply({1, 3, 5, Origin::Kind::ack}, operation, slot.now, effects);
  REQUIRE(effects.size() == 1);
  CHECK(line_of(std::get<AnswerTo>(effects[0])) == "s1 ack 5: out_of_state");
}

TEST_SUITE_END();

}  // namespace
}  // namespace godwit::relay::slot::testing
