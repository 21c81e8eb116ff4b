#include "tests/unit/sim/people.hpp"

namespace godwit::testing {
namespace {

using namespace std::chrono_literals;
using Frame = World::Frame;
using Moment = World::Moment;

struct TwoPeople {
  World world;
  Client& alice = world.add("alice");
  Client& bob = world.add("bob");
};

}  // namespace

TEST_SUITE("godwit/testing: faults") {
  TEST_CASE("whatever frame gets lost, the message shows once") {
    struct Loss {
      const char* home;
      Frame frame;
    };
    for (const Loss& loss : {Loss{"alice", Frame::submit}, Loss{"alice", Frame::accepted},
                             Loss{"bob", Frame::delivery}, Loss{"bob", Frame::ack}}) {
      CAPTURE(loss.home);
      CAPTURE(static_cast<int>(loss.frame));
      TwoPeople two;
      Client& meets_it = two.world.client(loss.home);
      (void)events_of(meets_it);
      two.world.lose_next(loss.home, loss.frame);
      const MessageId id = say(two.alice, "bob", "once");
      REQUIRE(two.world.settle());
      CHECK(count(events_of(meets_it), EventKind::offline) == 1);
      CHECK(texts(two.bob, "alice") == "once");
      CHECK(status_of(two.alice, id) == Status::delivered);
      CHECK(two.world.queued() == 0);
      (void)say(two.alice, "bob", "nothing is lost now");
      REQUIRE(two.world.settle());
      CHECK(count(events_of(meets_it), EventKind::offline) == 0);
    }
  }

  TEST_CASE("two frames that are to be lost are both lost") {
    TwoPeople two;
    (void)events_of(two.alice);
    two.world.lose_next("alice", Frame::submit);
    two.world.lose_next("alice", Frame::submit);
    (void)say(two.alice, "bob", "third time lucky");
    REQUIRE(two.world.settle());
    CHECK(count(events_of(two.alice), EventKind::offline) == 2);
    CHECK(texts(two.bob, "alice") == "third time lucky");
  }

  TEST_CASE("a crash loses nothing of what a call has returned") {
    TwoPeople two;
    two.world.cut("alice");
    const MessageId id = say(two.alice, "bob", "kept");
    two.world.crash("alice");
    CHECK(texts(two.alice, "bob") == "kept");
    CHECK(status_of(two.alice, id) == Status::queued);
    two.world.restore("alice");
    two.world.crash("bob");
    REQUIRE(two.world.settle());
    CHECK(texts(two.bob, "alice") == "kept");
  }

  TEST_CASE("a client that was not connected is not connected after its crash") {
    TwoPeople two;
    two.bob.disconnect();
    two.world.crash("bob");
    (void)say(two.alice, "bob", "are you there?");
    REQUIRE(two.world.settle());
    CHECK(texts(two.bob, "alice").empty());
    REQUIRE(two.bob.connect());
    REQUIRE(two.bob.wait_settled(1min));
    CHECK(texts(two.bob, "alice") == "are you there?");
  }

  TEST_CASE("a crash before a commit loses the change, and one after it keeps it") {
    for (const Moment moment : {Moment::before_commit, Moment::after_commit}) {
      const bool kept = moment == Moment::after_commit;
      CAPTURE(kept);
      TwoPeople two;
      (void)say(two.alice, "bob", "first");
      REQUIRE(two.world.settle());
      two.world.crash_at_next_commit("alice", moment);
      CHECK(two.alice.send({.to = "bob", .text = "second"}).ok() == kept);
      // It is dead already, and nothing has left.
      CHECK_FALSE(two.alice.send({.to = "bob", .text = "third"}));
      REQUIRE(two.world.settle());
      const std::string there = kept ? "first, second" : "first";
      CHECK(texts(two.alice, "bob") == there);
      CHECK(texts(two.bob, "alice") == there);
      (void)say(two.alice, "bob", "fourth");
      REQUIRE(two.world.settle());
      CHECK(texts(two.bob, "alice") == there + ", fourth");
    }
  }

  TEST_CASE("a send with a key that a crash interrupts, and is repeated, is one message") {
    for (const Moment moment : {Moment::before_commit, Moment::after_commit}) {
      TwoPeople two;
      const Outgoing message{.to = "bob", .text = "pay 10", .key = "order 1"};
      two.world.crash_at_next_commit("alice", moment);
      (void)two.alice.send(message).ok();
      two.world.run(10s);
      const auto again = two.alice.send(message);
      REQUIRE(again);
      REQUIRE(two.world.settle());
      CHECK(texts(two.bob, "alice") == "pay 10");
      CHECK(status_of(two.alice, again->id) == Status::delivered);
    }
  }

  TEST_CASE("a crash while a message arrives shows it once") {
    for (const Moment moment : {Moment::before_commit, Moment::after_commit}) {
      TwoPeople two;
      two.world.crash_at_next_commit("bob", moment);
      const MessageId id = say(two.alice, "bob", "once");
      REQUIRE(two.world.settle());
      CHECK(texts(two.bob, "alice") == "once");
      CHECK(status_of(two.alice, id) == Status::delivered);
    }
  }

  TEST_CASE("a full disk is a clear error, and nothing is lost by it") {
    TwoPeople two;
    (void)say(two.alice, "bob", "before");
    REQUIRE(two.world.settle());
    two.world.set_disk_full("alice", true);
    const auto refused = two.alice.send({.to = "bob", .text = "no room"});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::disk_full);
    two.world.set_disk_full("alice", false);
    two.world.run(1min);
    CHECK(texts(two.alice, "bob") == "before");
    (void)say(two.alice, "bob", "after");
    REQUIRE(two.world.settle());
    CHECK(texts(two.bob, "alice") == "before, after");
  }

  TEST_CASE("a client that crashes while its disk is full is back when there is room") {
    TwoPeople two;
    two.world.set_disk_full("alice", true);
    two.world.run(24h * 2);
    two.world.crash("alice");
    two.world.run(1h);
    CHECK_FALSE(two.alice.send({.to = "bob", .text = "no"}));
    two.world.set_disk_full("alice", false);
    REQUIRE(two.world.settle());
    (void)say(two.alice, "bob", "yes");
    REQUIRE(two.world.settle());
    CHECK(texts(two.bob, "alice") == "yes");
  }

  TEST_CASE("what is there can be read all the while that a disk is full") {
    TwoPeople two;
    (void)say(two.alice, "bob", "hello");
    REQUIRE(two.world.settle());
    two.world.set_disk_full("alice", true);
    (void)say(two.bob, "alice", "does not fit");
    for (int i = 0; i < 600; ++i) {
      two.world.run(1s);
      REQUIRE(texts(two.alice, "bob") == "hello");
      if (i % 100 == 0) CHECK_FALSE(two.alice.send({.to = "bob", .text = "no"}));
    }
    CHECK(count(events_of(two.alice), EventKind::storage_failed) < 60);  // not on and on
    two.world.set_disk_full("alice", false);
    REQUIRE(two.world.settle());
    CHECK(texts(two.alice, "bob") == "hello, does not fit");
  }

  TEST_CASE("a home on a full disk is opened and read, also when its key is due") {
    TwoPeople two;
    (void)say(two.alice, "bob", "hello");
    REQUIRE(two.world.settle());
    two.alice.disconnect();
    two.world.set_disk_full("alice", true);
    two.world.run(25h);
    two.world.crash("alice");
    CHECK(texts(two.alice, "bob") == "hello");
    const auto refused = two.alice.send({.to = "bob", .text = "more"});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::disk_full);
    CHECK(texts(two.alice, "bob") == "hello");
    two.world.set_disk_full("alice", false);
    two.world.run(1min);
    (void)say(two.alice, "bob", "again");
    CHECK(texts(two.alice, "bob") == "hello, again");
  }

  TEST_CASE("a message for a full disk waits at the relay") {
    TwoPeople two;
    two.world.set_disk_full("bob", true);
    const MessageId id = say(two.alice, "bob", "big");
    two.world.run(10min);
    CHECK(status_of(two.alice, id) == Status::sent);
    CHECK(two.world.queued() == 1);
    CHECK(count(events_of(two.bob), EventKind::storage_failed) > 0);
    two.world.set_disk_full("bob", false);
    REQUIRE(two.world.settle());
    CHECK(texts(two.bob, "alice") == "big");
  }

  TEST_CASE("what the relay has accepted outlives its restart") {
    TwoPeople two;
    two.world.cut("bob");
    const MessageId id = say(two.alice, "bob", "keep it");
    REQUIRE(two.alice.wait_accepted(id, 1min));
    two.world.restart_relay();
    CHECK(two.world.queued() == 1);
    two.world.restore("bob");
    REQUIRE(two.world.settle());
    CHECK(texts(two.bob, "alice") == "keep it");
    CHECK(count(events_of(two.alice), EventKind::offline) == 1);
  }

  TEST_CASE("settle waits for those who have yet to notice that the relay has restarted") {
    TwoPeople two;
    (void)events_of(two.bob);
    two.world.restart_relay();
    REQUIRE(two.world.settle());
    const auto told = events_of(two.bob);
    CHECK(count(told, EventKind::offline) == 1);
    CHECK(count(told, EventKind::caught_up) == 1);
  }

  TEST_CASE("what a wiped relay has lost goes out again") {
    TwoPeople two;
    two.world.cut("bob");
    const MessageId id = say(two.alice, "bob", "again");
    REQUIRE(two.alice.wait_accepted(id, 1min));
    two.world.wipe_relay();
    CHECK(two.world.queued() == 0);
    two.world.restore("bob");
    REQUIRE(two.world.settle());
    CHECK(texts(two.bob, "alice") == "again");
    CHECK(status_of(two.alice, id) == Status::delivered);
    CHECK(count(events_of(two.alice), EventKind::store_changed) == 1);
  }

  TEST_CASE("a full relay takes nothing, and what waits goes out when it has room") {
    TwoPeople two;
    two.world.cut("bob");
    two.world.set_relay_full(true);
    const MessageId id = say(two.alice, "bob", "patience");
    two.world.run(10min);
    CHECK(status_of(two.alice, id) == Status::queued);
    CHECK(two.world.queued() == 0);
    two.world.set_relay_full(false);
    two.world.restore("bob");
    REQUIRE(two.alice.wait_accepted(id, 1h));
    REQUIRE(two.world.settle());
    CHECK(texts(two.bob, "alice") == "patience");
  }

  TEST_CASE("a relay that loses a message is seen, and what it lost comes with the next one") {
    TwoPeople two;
    (void)say(two.alice, "bob", "one");
    REQUIRE(two.world.settle());
    two.world.lose_next_message_for("bob");
    const MessageId lost = say(two.alice, "bob", "two");
    REQUIRE(two.world.settle());
    two.world.run(1h);
    CHECK(status_of(two.alice, lost) == Status::sent);
    CHECK(texts(two.bob, "alice") == "one");
    (void)events_of(two.bob);
    (void)say(two.alice, "bob", "three");
    two.world.run(1min);  // a gap is no reason to ask at once
    CHECK(texts(two.bob, "alice") == "one, two, three");
    CHECK(status_of(two.alice, lost) == Status::delivered);
    const auto told = events_of(two.bob);
    CHECK(count(told, EventKind::gap) == 1);
    CHECK(count(told, EventKind::gap_closed) == 1);
  }
}

}  // namespace godwit::testing
