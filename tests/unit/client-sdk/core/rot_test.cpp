// Records that do not authenticate any more, each table in turn: what they said is lost, nothing
// else. No text waits for ever, none is used up, and what was not lost stays within reach.
#include <doctest/doctest.h>

#include "tests/support/forge.hpp"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;
using store::Table;
using Texts = std::vector<std::string>;

// Every record of the table is damaged, and the home is opened over it.
void rot(SimDevice& of, Table which) {
  auto& table = of.disk->tables[static_cast<std::size_t>(which)];
  auto copy = std::make_shared<MemoryBackend::Records>(*table);
  REQUIRE(!copy->empty());
  for (auto& [key, value] : *copy) value.back() ^= 1;
  table = copy;
  of.crash();
  of.connect();
}

template <class Body>
World::Upstream counting(const SimDevice& from, int& asked, int most) {
  return [&from, &asked, most](SimDevice& device, wire::ByteView bytes) {
    const auto request = wire::parse_request(bytes);
    asked += &device == &from && std::holds_alternative<Body>(request->body);
    return asked < most;
  };
}

struct Two {
  World world;
  SimDevice& alice = world.add("alice");
  SimDevice& bob = world.add("bob");

  void says(const std::string& text) {
    alice.send("bob", text);
    world.settle();
  }
  // The relay keeps it from Bob, and acknowledges it.
  void says_in_vain(const std::string& text) {
    world.tamper = [](SimDevice& to, wire::ByteView bytes) -> Frames {
      ParsedFrame frame(bytes);
      const auto* deliver = std::get_if<wire::Deliver>(&frame.value.body);
      if (deliver == nullptr || to.label != "bob") return as_is(bytes);
      ack_for(to, deliver->number);
      return {};
    };
    says(text);
    world.tamper = nullptr;
  }
  void check_nothing_delivered_that_bob_has_not() {
    const auto has = bob.texts("alice");
    for (const auto& message : alice.messages("bob")) {
      const bool arrived = std::ranges::find(has, message.text) != has.end();
      CHECK((!message.outgoing || message.status < Status::delivered || arrived));
    }
  }
};

}  // namespace

TEST_SUITE("client-sdk/src/core: rot") {
  // ---- A device of a peer -----------------------------------------------------------------------

  TEST_CASE("a rotted record of a device that nothing was sent to is no end of the contact") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    alice.round([&](core::Core& core) {
      REQUIRE(core.set_contact_policy(Client::ContactPolicy::requests, world.now()).ok());
    });
    bob.send("alice", "hello");
    world.settle();
    rot(alice, Table::devices);
    world.settle();
    alice.send("bob", "hello yourself");
    world.run(2h);
    CHECK(bob.texts("alice") == Texts{"hello", "hello yourself"});
  }

  TEST_CASE("a device whose sessions have rotted too is not written to, and not asked about") {
    Two two;
    two.says("one");
    rot(two.alice, Table::sessions);
    rot(two.alice, Table::devices);
    two.world.settle();
    int asked = 0;
    two.world.upstream = counting<wire::GetPrekeys>(two.alice, asked, 100);
    const auto sent = two.alice.send("bob", "two");
    two.bob.send("alice", "three");
    two.world.run(2h);
    CHECK(asked < 10);
    CHECK(two.alice.status(sent.id) == Status::queued);
    const auto explained = two.alice.core->explain(sent.id);
    REQUIRE(explained.ok());
    CHECK(explained->waits_on.find("numbers") != std::string::npos);
  }

  TEST_CASE("a record of a device that has rotted: both go on where they stood") {
    Two two;
    for (const char* text : {"one", "two", "three"}) two.says(text);
    two.bob.send("alice", "four");
    two.world.settle();
    rot(two.alice, Table::devices);
    two.world.settle();
    two.alice.send("bob", "five");
    two.world.run(2h);
    two.alice.send("bob", "six");
    two.world.run(2h);
    CHECK(two.bob.texts("alice") == Texts{"one", "two", "three", "four", "five", "six"});
  }

  TEST_CASE("what was missing when the record of a device rotted is asked for all the same") {
    Two two;
    two.says("one");
    two.says_in_vain("two");
    two.says("three");
    rot(two.bob, Table::devices);
    two.world.settle();
    two.alice.send("bob", "four");
    for (int i = 0; i < 120; ++i) {
      two.world.run(1s);
      two.check_nothing_delivered_that_bob_has_not();
    }
    CHECK(two.bob.texts("alice") == Texts{"one", "two", "three", "four"});
    two.bob.read("alice");
    two.world.run(1s);
    for (const auto& message : two.alice.messages("bob")) CHECK(message.status == Status::read);
  }

  TEST_CASE("sessions that an earlier version wrote are read, with the numbers that it knew") {
    wire::Bytes bytes;
    core::Packer to(bytes);
    to.text("sessions");
    const auto first = core::View::parse<core::SessionsRecord>(bytes);
    to.number(std::uint64_t{7}).fixed(wire::Hash32{});
    const auto second = core::View::parse<core::SessionsRecord>(bytes);
    REQUIRE(first);
    REQUIRE(second);
    CHECK(first->sent_seq == core::kNumbersLost);
    CHECK(second->sent_seq == 7);
    for (const auto& read : {*first, *second}) {
      CHECK(read.packed.size() == 8);
      CHECK(read.begins_anew);
    }
  }

  TEST_CASE("a number whose payload has rotted at its sender is made good, and its text comes") {
    Two two;
    two.says("one");
    two.bob.read("alice");
    two.world.settle();
    two.says_in_vain("two");
    rot(two.alice, Table::sent);
    two.world.settle();
    two.says("three");
    two.world.run(1min);
    CHECK(two.bob.texts("alice") == Texts{"one", "two", "three"});
    CHECK(two.bob.count(EventKind::gap_closed) == 1);
    CHECK(two.bob.count(EventKind::chain_broken) == 1);  // who knows what stood there
    two.bob.read("alice");
    two.world.run(1min);
    for (const auto& message : two.alice.messages("bob")) CHECK(message.status == Status::read);
  }

  TEST_CASE("a receipt for all numbers there are ends, whatever has rotted") {
    Two two;
    two.says("one");
    rot(two.alice, Table::sessions);
    rot(two.alice, Table::devices);
    Puppet puppet(two.bob, two.alice);
    puppet.begin({}, 5);
    puppet.submit_inner(puppet.inner(puppet.payload(wire::Receipt{~0ULL, {}, ~0ULL})));
    two.world.settle();
    SimDevice& carol = two.world.add("carol");
    carol.send("alice", "I am honest");
    two.world.settle();
    CHECK(two.alice.texts("carol") == Texts{"I am honest"});
  }

  TEST_CASE("a rotted record about which something is to be done is told of a few times") {
    for (const Table table : {Table::devices, Table::contacts}) {
      CAPTURE(static_cast<int>(table));
      Two two;
      two.says("one");
      two.says_in_vain("two");
      two.says("three");
      REQUIRE(two.bob.count(EventKind::gap) == 1);
      rot(two.bob, table);
      SimDevice& carol = two.world.add("carol");
      for (int i = 0; i < 10; ++i) {
        carol.send("bob", "to bob");
        two.world.run(30s);
        two.bob.send("carol", "to carol");
        two.world.run(30s);
      }
      CHECK(two.bob.count(EventKind::damaged_record) < 10);
      two.says("four");
      two.world.run(2min);
      CHECK(two.bob.texts("alice") == Texts{"one", "two", "three", "four"});
    }
  }

  // ---- A contact --------------------------------------------------------------------------------

  TEST_CASE("what is written to a contact whose record has rotted arrives") {
    Two two;
    two.says("one");
    rot(two.alice, Table::contacts);
    const auto sent = two.alice.send("bob", "two", "key");
    two.world.run(1min);
    CHECK(two.bob.texts("alice") == Texts{"one", "two"});
    CHECK(two.alice.status(sent.id) == Status::delivered);
  }

  TEST_CASE("a relay that gives a rotted contact another's list is asked again, now and then") {
    Two two;
    const auto ghost = keys_of(two.world.add("carol")).account.list;
    two.says("one");
    rot(two.alice, Table::contacts);
    two.world.tamper = altering<wire::User>([&](SimDevice&, wire::User& body) {
      body.list = ghost.view();
      return true;
    });
    int asked = 0;
    two.world.upstream = counting<wire::GetUser>(two.alice, asked, 1'000);
    two.alice.send("bob", "two");
    two.world.run(10min);
    CHECK(asked > 1);
    CHECK(asked < 10);
    two.world.tamper = nullptr;
    two.world.run(10min);
    CHECK(two.bob.texts("alice") == Texts{"one", "two"});
  }

  TEST_CASE("who was blocked stays so when the record of the contact has rotted") {
    Two two;
    two.says("one");
    two.bob.send("alice", "two");
    two.world.settle();
    const std::string bob = two.bob.core->account().user.hex();
    const auto block = [&](bool blocked) {
      two.alice.round(
          [&](core::Core& core) { REQUIRE(core.block(bob, blocked, two.world.now()).ok()); });
    };
    const auto is_blocked = [&] {
      const auto contacts = two.alice.core->contacts();
      REQUIRE(contacts.ok());
      REQUIRE(contacts->size() == 1);
      return contacts->front().blocked;
    };
    block(true);
    rot(two.alice, Table::contacts);
    SUBCASE("alone") {}
    SUBCASE("and their mark, too") { rot(two.alice, Table::blocked); }
    const Sent three = two.bob.send("alice", "three");
    two.world.run(1min);
    CHECK(two.alice.texts("bob") == Texts{"one", "two"});
    CHECK(two.bob.status(three.id) == Status::sent);
    CHECK(is_blocked());
    CHECK(two.alice.send_fails(bob, "no").code == ErrorCode::invalid_argument);
    block(false);
    two.world.run(1min);
    CHECK(two.alice.texts("bob") == Texts{"one", "two", "three"});
    // What is no longer so is not brought back either.
    rot(two.alice, Table::contacts);
    two.bob.send("alice", "four");
    two.world.run(1min);
    CHECK(two.alice.texts("bob") == Texts{"one", "two", "three", "four"});
    CHECK_FALSE(is_blocked());
  }

  // ---- A conversation ---------------------------------------------------------------------------

  TEST_CASE("a rotted record of a conversation hides none of its messages") {
    Two two;
    two.says("one");
    rot(two.alice, Table::conversations);
    const auto check_listed_once = [&](const std::string& last) {
      const auto listed = two.alice.core->conversations({});
      REQUIRE(listed.ok());
      REQUIRE(listed->items.size() == 1);
      CHECK(listed->items.front().name == "bob");
      CHECK(listed->items.front().last_text == last);
    };
    CHECK(two.alice.texts("bob") == Texts{"one"});
    check_listed_once("one");
    two.says("two");
    CHECK(two.alice.texts("bob") == Texts{"one", "two"});
    check_listed_once("two");
    CHECK(two.alice.count(EventKind::conversation_added) == 1);
    // And when what they are called is lost with it.
    rot(two.alice, Table::conversations);
    rot(two.alice, Table::names);
    two.alice.send("bob", "three");
    two.world.run(1min);
    CHECK(two.alice.texts("bob") == Texts{"one", "two", "three"});
    CHECK(two.bob.texts("alice") == Texts{"one", "two", "three"});
  }

  TEST_CASE("a page behind which all messages have rotted is the last") {
    Two two;
    two.says("one");
    rot(two.alice, Table::messages);
    two.says("two");
    const auto conversation = two.alice.core->conversation_of("bob");
    REQUIRE(conversation.ok());
    const auto page = two.alice.core->messages(*conversation, {.limit = 1, .newest_first = true});
    REQUIRE(page.ok());
    CHECK(page->items.size() == 1);
    CHECK(page->end);
  }

  TEST_CASE("what is written to a name arrives also when the way from the name to it has rotted") {
    Two two;
    two.alice.disconnect();
    const Sent one = two.alice.send("bob", "one");
    Texts all{"one"};
    rot(two.alice, Table::conversation_of);
    SUBCASE("at once") {}
    SUBCASE("and written to again") {
      all.emplace_back("two");
      two.alice.send("bob", "two");
    }
    two.world.run(1min);
    CHECK(two.bob.texts("alice") == all);
    CHECK(two.alice.texts("bob") == all);
    CHECK(two.alice.status(one.id) == Status::delivered);
    CHECK(two.alice.core->settled());
  }

  TEST_CASE("what was written to a name that has rotted before it was looked up has failed") {
    Two two;
    two.alice.disconnect();
    const auto lost = two.alice.send("bob", "one");
    rot(two.alice, Table::conversations);
    two.alice.read("bob");  // what is made of the other records is kept from here on
    two.world.run(1min);
    CHECK(two.alice.status(lost.id) == Status::failed);
    two.says("two");
    CHECK(two.alice.texts("bob") == Texts{"one", "two"});
    CHECK(two.bob.texts("alice") == Texts{"two"});
    CHECK(two.alice.status(lost.id) == Status::failed);
  }

  // ---- The outbox -------------------------------------------------------------------------------

  TEST_CASE("what waited in the outbox when its entry rotted has failed") {
    Two two;
    two.alice.disconnect();
    const auto sent = two.alice.send("bob", "one", "key");
    CHECK(two.alice.status(sent.id) == Status::queued);
    rot(two.alice, Table::outbox);
    const auto check_failed = [&] {
      CHECK(two.alice.status(sent.id) == Status::failed);
      CHECK(two.alice.messages("bob").front().status == Status::failed);
      CHECK(two.alice.messages("bob").front().failure);
      CHECK(two.alice.core->message(sent.id)->status == Status::failed);
      CHECK(two.alice.core->explain(sent.id)->waits_on.empty());
    };
    check_failed();
    two.world.run(1min);
    check_failed();
    CHECK(two.alice.send("bob", "one", "key").status == Status::failed);
    two.says("two");
    CHECK(two.bob.texts("alice") == Texts{"two"});
    check_failed();
  }
}

}  // namespace godwit::test
