// What the public headers promise, as an app meets it.
#include "tests/unit/sim/people.hpp"

namespace godwit::testing {
namespace {

using namespace std::chrono_literals;

struct TwoPeople {
  World world;
  Client& alice = world.add("alice");
  Client& bob = world.add("bob");
};

ErrorCode code_of(const auto& result) {
  REQUIRE_FALSE(result);
  return result.error().code;
}

}  // namespace

TEST_SUITE("godwit/testing: headers") {
  TEST_CASE("a key of the device before takes another text, and the same one once") {
    TwoPeople two;
    REQUIRE(two.alice.send({.to = "bob", .text = "first", .key = "1"}));
    REQUIRE(two.alice.send({.to = "bob", .text = "second", .key = "2"}));
    REQUIRE(two.world.settle());
    const auto code = two.alice.recovery_code();
    REQUIRE(code);
    two.world.cut("alice");
    auto phone = Client::recover(two.world.home("phone"), two.world.relay(), *code);
    REQUIRE(phone);
    REQUIRE(phone->connect());
    REQUIRE(phone->wait_registered(1min));
    REQUIRE(phone->send({.to = "bob", .text = "another", .key = "1"}));
    REQUIRE(phone->send({.to = "bob", .text = "second", .key = "2"}));
    REQUIRE(phone->wait_settled(1min));
    REQUIRE(two.world.settle());
    CHECK(texts(two.bob, "alice") == "first, second, another");
    CHECK(code_of(phone->send({.to = "bob", .text = "first", .key = "1"})) ==
          ErrorCode::key_conflict);
  }

  TEST_CASE("a retry by its key is the message that it was, also when they are blocked by now") {
    TwoPeople two;
    const auto sent = two.alice.send({.to = "bob", .text = "hello", .key = "k"});
    REQUIRE(sent);
    REQUIRE(two.world.settle());
    REQUIRE(two.alice.block("bob", true));
    const auto again = two.alice.send({.to = "bob", .text = "hello", .key = "k"});
    REQUIRE(again);
    CHECK(again->id == sent->id);
    CHECK(again->status == Status::delivered);
    CHECK(code_of(two.alice.send({.to = "bob", .text = "hello"})) == ErrorCode::invalid_argument);
  }

  TEST_CASE("an account whose name was taken is told so, also when the app starts again") {
    TwoPeople two;
    {
      auto other = Client::create(two.world.home("phone"), two.world.relay(), "bob");
      REQUIRE(other);
      REQUIRE(other->connect());
      CHECK(code_of(other->wait_registered(1min)) == ErrorCode::name_taken);
    }
    auto other = Client::open(two.world.home("phone"));
    REQUIRE(other);
    REQUIRE(other->connect());
    CHECK(code_of(other->wait_registered(1min)) == ErrorCode::name_taken);
    REQUIRE(other->wait_settled(1min));
    REQUIRE(other->set_name("bobby"));
    REQUIRE(other->wait_registered(1min));
    CHECK(other->account().name == "bobby");
    REQUIRE(other->set_name("alice"));
    REQUIRE(other->wait_settled(1min));
    REQUIRE(other->wait_registered(1min));  // the name that it has still holds
    CHECK(other->account().name == "bobby");
  }

  TEST_CASE("a page beyond the end has a cursor for what is written later") {
    TwoPeople two;
    (void)say(two.alice, "bob", "one");
    const auto beyond = two.alice.messages("bob", {.offset = 7});
    REQUIRE(beyond);
    CHECK(beyond->items.empty());
    CHECK(beyond->end);
    two.world.run(1s);
    (void)say(two.alice, "bob", "two");
    const auto later = two.alice.messages("bob", {.cursor = beyond->cursor});
    REQUIRE(later);
    REQUIRE(later->items.size() == 1);
    CHECK(later->items[0].text == "two");
  }

  TEST_CASE("a text that fails says when it did") {
    TwoPeople two;
    const auto sent = two.alice.send({.to = "nobody", .text = "are you there?"});
    REQUIRE(sent);
    const Time written = two.world.now();
    two.world.run(1min);
    const auto status = two.alice.status(sent->id);
    REQUIRE(status);
    REQUIRE(status->status == Status::failed);
    REQUIRE(status->steps.size() == 2);
    CHECK(status->steps[0].time == written);
    CHECK(status->steps[1].status == Status::failed);
    CHECK(status->steps[1].time > written);
    const auto explanation = two.alice.explain(sent->id);
    REQUIRE(explanation);
    CHECK(explanation->steps.back().time == status->steps[1].time);
  }

  TEST_CASE("who waits while the disk is full is told that") {
    TwoPeople two;
    two.world.set_disk_full("alice", true);
    CHECK_FALSE(two.alice.send({.to = "bob", .text = "no room"}));
    CHECK(code_of(two.alice.wait_settled(100ms)) == ErrorCode::disk_full);
  }

  TEST_CASE("what waits longer is counted, and on what it waits is said") {
    TwoPeople two;
    two.world.set_relay_full(true);
    const MessageId id = say(two.alice, "bob", "hello");
    two.world.run(1min);
    CHECK(two.alice.wait_settled(0ms));
    CHECK(*two.alice.waiting() == 1);
    CHECK(two.alice.explain(id)->waits_on == "room on the relay's disk");
    two.world.set_relay_full(false);
    two.world.run(1h);
    CHECK(*two.alice.waiting() == 0);
    CHECK(texts(two.bob, "alice") == "hello");
  }

  TEST_CASE("a contact who is away after the relay has lost its store keeps nobody from settling") {
    TwoPeople two;
    (void)say(two.bob, "alice", "hello");
    REQUIRE(two.world.settle());
    two.world.cut("bob");
    two.world.wipe_relay();
    two.world.run(1min);
    REQUIRE(two.alice.wait_settled(1min));
    REQUIRE(two.alice.mark_read("bob"));
    two.world.run(10s);
    CHECK(two.alice.wait_settled(10s));
    two.world.restore("bob");
    two.world.run(1h);
    const auto page = two.bob.messages("alice", {});
    REQUIRE(page);
    CHECK(page->items[0].status == Status::read);
  }

  TEST_CASE("what nothing but its event tells comes again until it has been taken") {
    TwoPeople two;
    (void)say(two.alice, "bob", "hello");
    REQUIRE(two.world.settle());
    (void)events_of(two.alice);
    const auto code = two.bob.recovery_code();
    REQUIRE(code);
    auto phone = Client::recover(two.world.home("phone"), two.world.relay(), *code);
    REQUIRE(phone);
    REQUIRE(phone->connect());
    REQUIRE(phone->send({.to = "alice", .text = "from the phone"}));
    REQUIRE(phone->wait_settled(1min));
    two.world.run(1min);
    two.world.crash("alice");  // before the app has looked
    std::vector<Event> told;
    while (auto event = two.alice.next_event()) {
      if (event->number == 0) continue;
      told.push_back(*event);
      if (told.size() == 1) break;
    }
    REQUIRE(told.size() == 1);
    CHECK(told[0].kind == EventKind::devices_changed);
    CHECK(told[0].user == phone->account().user);
    CHECK(told[0].detail == "new device " + phone->account().device.hex());
    two.world.crash("alice");  // while it does something about the first one
    const auto again = events_of(two.alice);
    REQUIRE(count(again, EventKind::devices_changed) == 2);
    const auto first = std::ranges::find(again, EventKind::devices_changed, &Event::kind);
    CHECK(first->number == told[0].number);
    CHECK(first->time == told[0].time);
    two.world.crash("alice");
    CHECK(count(events_of(two.alice), EventKind::devices_changed) == 0);
  }

  TEST_CASE("a wait of no time, or of less, is over at once") {
    TwoPeople two;
    (void)events_of(two.alice);
    const Time before = two.world.now();
    for (const auto none : {0ms, -1ms, std::chrono::milliseconds::min()}) {
      CHECK_FALSE(two.alice.wait_event(none));
      CHECK(two.alice.wait_settled(none));
    }
    CHECK(two.world.now() == before);
  }

  TEST_CASE("long expired keys are told as that, with the clock for a reason") {
    TwoPeople two;
    two.world.set_clock("alice", 24h * 365);
    (void)say(two.alice, "bob", "from the future");
    two.world.run(1min);
    const auto events = events_of(two.alice);
    const auto refused = std::ranges::find(events, EventKind::prekey_refused, &Event::kind);
    REQUIRE(refused != events.end());
    CHECK(refused->detail.find("long expired") != std::string::npos);
    two.world.run(12h);
    CHECK(count(events_of(two.alice), EventKind::prekey_refused) == 0);  // it is told once
    two.world.set_clock("alice", 0ms);
    two.world.run(1h);
    CHECK(texts(two.bob, "alice") == "from the future");
  }
}

}  // namespace godwit::testing
