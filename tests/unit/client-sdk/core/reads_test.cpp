// What an app is told about messages and people, and what it may not ask.
#include <doctest/doctest.h>

#include "tests/support/forge.hpp"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;
using Texts = std::vector<std::string>;

std::vector<Status> statuses_of(const MessageStatus& status) {
  std::vector<Status> all;
  for (const auto& step : status.steps) all.push_back(step.status);
  return all;
}

template <class T>
std::optional<ErrorCode> code_of(const Result<T>& result) {
  return result ? std::nullopt : std::optional(result.error().code);
}

}  // namespace

TEST_SUITE("client-sdk/src/core") {
  TEST_CASE("a page that cannot be is refused, and nothing is shown in its place") {
    World world;
    SimDevice& alice = world.add("alice");
    world.add("bob");
    alice.send("bob", "hello");
    world.settle();
    const auto conversation = alice.core->conversation_of("bob");
    REQUIRE(conversation.ok());
    const auto refusal = [&](const PageRequest& page) {
      const auto code = code_of(alice.core->messages(*conversation, page));
      CHECK(code_of(alice.core->conversations(page)) == code);
      return code;
    };
    CHECK(!refusal({.limit = 1}));
    CHECK(!refusal({.limit = 1'000}));
    CHECK(refusal({.limit = 0}) == ErrorCode::invalid_argument);
    CHECK(refusal({.limit = 1'001}) == ErrorCode::invalid_argument);
    CHECK(refusal({.cursor = "00"}) == ErrorCode::invalid_argument);
    const auto page = alice.core->messages(*conversation, {});
    REQUIRE(page.ok());
    CHECK(refusal({.offset = 1, .cursor = page->cursor}) == ErrorCode::invalid_argument);
    std::string other = page->cursor;
    REQUIRE_FALSE(other.empty());
    for (const char wrong : {'g', ' ', 'A', '\0'}) {
      other[0] = wrong;
      CHECK(code_of(alice.core->messages(*conversation, {.cursor = other})) ==
            ErrorCode::invalid_argument);
      other[0] = page->cursor[0];
      other[1] = wrong;
      CHECK(code_of(alice.core->messages(*conversation, {.cursor = other})) ==
            ErrorCode::invalid_argument);
      other[1] = page->cursor[1];
    }
  }

  TEST_CASE("a conversation goes by the id that send() gave, also when it has joined another") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    alice.send("bob", "hello");
    world.settle();
    bob.round([&](core::Core& core) { REQUIRE(core.set_name("robert", world.now()).ok()); });
    world.settle();
    const Sent sent = alice.send("robert", "by your new name");
    REQUIRE(alice.core->messages(sent.conversation, {}).ok());
    world.settle();
    bob.send("alice", "yes");
    world.settle();
    const auto joined = alice.core->conversation_of("robert");
    REQUIRE((joined.ok() && *joined != sent.conversation));
    const auto page = alice.core->messages(sent.conversation, {});
    REQUIRE(page.ok());
    REQUIRE(page->items.size() == 3);
    for (const auto& message : page->items) CHECK(message.conversation == *joined);
    alice.round([&](core::Core& core) {
      CHECK(core.mark_read(sent.conversation, Client::kLatest, world.now()).ok());
    });
    CHECK(alice.core->conversations({})->items.front().unread == 0);
    CHECK(alice.core->conversations({})->items.size() == 1);
    CHECK(alice.core->messages(*joined, {})->items.back().status == Status::read);
  }

  TEST_CASE("pages have an exact end, and neither skip nor repeat what they show") {
    World world;
    SimDevice& alice = world.add("alice");
    Texts texts;
    for (int i = 0; i < 5; ++i) alice.send("bob", texts.emplace_back(std::to_string(i)));
    for (const char* name : {"carol", "dave", "erin", "frank"}) alice.send(name, "hello");
    const auto conversation = alice.core->conversation_of("bob");
    REQUIRE(conversation.ok());
    // Five of each: what was shown, page by page.
    const auto walk = [](PageRequest request, const auto& read, const auto& text_of) {
      Texts shown;
      for (std::size_t left = 5; left > 0; left -= std::min(left, request.limit)) {
        const auto page = read(request);
        REQUIRE(page.ok());
        CHECK(page->items.size() == std::min(left, request.limit));
        CHECK(page->end == (left <= request.limit));
        for (const auto& item : page->items) shown.push_back(text_of(item));
        request.cursor = page->cursor;
      }
      return shown;
    };
    const auto messages = [&](const auto& request) {
      return alice.core->messages(*conversation, request);
    };
    const auto conversations = [&](const auto& request) {
      return alice.core->conversations(request);
    };
    const auto text_of = [](const Message& message) { return message.text; };
    const auto name_of = [](const Conversation& item) { return item.name; };
    const Texts newest(texts.rbegin(), texts.rend());
    for (std::size_t limit = 1; limit <= 6; ++limit) {
      CAPTURE(limit);
      CHECK(walk({.limit = limit}, messages, text_of) == texts);
      CHECK(walk({.limit = limit, .newest_first = true}, messages, text_of) == newest);
      CHECK(walk({.limit = limit}, conversations, name_of) ==
            Texts{"frank", "erin", "dave", "carol", "bob"});
    }
  }

  TEST_CASE("a conversation shows its newest message, and counts what others wrote as unread") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    const auto shown = [](const SimDevice& device) {
      const auto page = device.core->conversations({});
      REQUIRE(page.ok());
      REQUIRE(page->items.size() == 1);
      const Conversation& one = page->items.front();
      return std::to_string(one.unread) + (one.last_outgoing ? " own " : " ") + one.last_text;
    };
    alice.send("bob", "one");
    world.settle();
    CHECK(shown(alice) == "0 own one");
    CHECK(shown(bob) == "1 one");
    alice.disconnect();
    alice.send("bob", "two");
    world.pass(1min);
    bob.send("alice", "three");
    CHECK(shown(bob) == "1 own three");
    alice.connect();
    world.settle();
    CHECK(shown(bob) == "2 own three");  // "two" came last, and was written before
    bob.read("alice");
    CHECK(shown(bob) == "0 own three");
  }

  TEST_CASE("two who write at one moment see one order, and its last message as the newest") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    alice.send("bob", "from alice");
    bob.send("alice", "from bob");
    world.settle();
    CHECK(alice.texts("bob") == bob.texts("alice"));
    for (const auto& [device, peer] : {std::pair(&alice, "bob"), std::pair(&bob, "alice")}) {
      const auto page = device->core->conversations({});
      REQUIRE(page->items.size() == 1);
      CHECK(page->items.front().last_text == device->texts(peer).back());
    }
  }

  TEST_CASE("what came after what was shown stays unread, here and for who wrote it") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    std::vector<Sent> sent;
    for (const char* text : {"one", "two", "three"}) sent.push_back(alice.send("bob", text));
    world.settle();
    const auto seen = bob.messages("alice");
    REQUIRE(seen.size() == 3);
    CHECK(seen[0].arrival < seen[1].arrival);
    const auto read = [&](std::uint64_t arrival) {
      bob.round([&](core::Core& core) {
        const auto conversation = core.conversation_of("alice");
        REQUIRE(core.mark_read(*conversation, arrival, world.now()).ok());
      });
      world.settle();
      std::vector<Status> statuses;
      for (std::size_t i = 0; i < 3; ++i) {
        const bool here = bob.messages("alice")[i].status == Status::read;
        statuses.push_back(alice.status(sent[i].id));
        CHECK(here == (statuses.back() == Status::read));
      }
      const std::uint32_t unread = bob.core->conversations({})->items.front().unread;
      CHECK(unread == std::ranges::count(statuses, Status::delivered));
      return unread;
    };
    alice.send("carol", "elsewhere");
    CHECK(read(seen[0].arrival) == 2);
    CHECK(read(seen[0].arrival) == 2);
    CHECK(read(0) == 2);  // nothing becomes unread again
    CHECK(read(seen[1].arrival) == 1);
    SUBCASE("all that is there") {
      CHECK(read(Client::kLatest) == 0);
    }
    SUBCASE("the last") {
      CHECK(read(seen[2].arrival) == 0);
    }
  }

  TEST_CASE("an answer sorts behind what it answers, also by a clock that is behind") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    alice.send("bob", "question");
    world.settle();
    world.set_wall(world.now().wall - 1min);
    bob.send("alice", "answer");
    world.settle();
    for (const auto& texts : {alice.texts("bob"), bob.texts("alice")}) {
      CHECK(texts == Texts{"question", "answer"});
    }
  }

  TEST_CASE("a clock that jumps years ahead after the login stamps nothing years ahead") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    const auto right = world.now().wall;
    world.set_wall(right + 24h * 365 * 3);
    alice.send("bob", "one");
    world.settle();
    world.set_wall(right + 1min);
    bob.send("alice", "two");
    world.settle();
    const auto messages = alice.messages("bob");
    REQUIRE(messages.size() == 2);
    for (const auto& message : messages) {
      CHECK(message.time.time_since_epoch() < right + 24h * 31);
    }
  }

  TEST_CASE("a message's story is told step by step, on both sides") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    bob.disconnect();
    const Sent sent = alice.send("bob", "hello");
    const auto waiting = alice.core->explain(sent.id);
    REQUIRE(waiting.ok());
    CHECK(waiting->steps.size() == 1);
    CHECK_FALSE(waiting->waits_on.empty());
    world.settle();
    bob.connect();
    world.settle();
    const auto stored = alice.core->explain(sent.id);
    REQUIRE(stored.ok());
    CHECK(stored->waits_on == "bob to read it");
    bob.read("alice");
    world.settle();

    const auto status = alice.core->status(sent.id);
    REQUIRE(status.ok());
    CHECK(statuses_of(*status) ==
          std::vector{Status::queued, Status::sent, Status::delivered, Status::read});
    CHECK(status->steps[0].by.empty());
    CHECK(status->steps[3].by == "bob");
    const auto whole = alice.core->explain(sent.id);
    REQUIRE(whole.ok());
    CHECK(whole->steps.size() == 5);
    CHECK(whole->steps.back().what == "read by bob");
    CHECK(whole->waits_on.empty());

    const auto received = bob.core->status(sent.id);
    REQUIRE(received.ok());
    CHECK(statuses_of(*received) == std::vector{Status::received});
    const auto there = bob.core->explain(sent.id);
    REQUIRE(there.ok());
    CHECK(there->steps.size() == 2);
    CHECK(there->steps.front().what == "written by alice, by its clock");
    const auto message = bob.core->message(sent.id);
    REQUIRE(message.ok());
    CHECK(message->text == "hello");
    CHECK(message->sender_name == "alice");
  }

  TEST_CASE("a message that was refused at first says of what, also when it has arrived") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    bob.disconnect();
    int answers = 0;
    world.tamper = altering<wire::Submitted>([&](SimDevice&, wire::Submitted& body) {
      if (++answers > 2) return false;
      body.outcomes.front().code = wire::ErrorCode::mailbox_full;
      return true;
    });
    const Sent sent = alice.send("bob", "hello");
    world.run(std::chrono::minutes{1});
    bob.connect();
    world.settle();
    REQUIRE(alice.status(sent.id) == Status::delivered);
    const auto explanation = alice.core->explain(sent.id);
    REQUIRE(explanation.ok());
    CHECK(std::ranges::count(explanation->steps, "refused 2 times by the relay, last: mailbox_full",
                             &Explanation::Step::what) == 1);
  }

  TEST_CASE("a refusal keeps its time when the message fails for another reason later") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    bob.disconnect();
    bool refusing = true;
    world.tamper = altering<wire::Submitted>([&](SimDevice&, wire::Submitted& body) {
      body.outcomes.front().code = wire::ErrorCode::mailbox_full;
      return refusing;
    });
    const Sent sent = alice.send("bob", "hello");
    world.run(std::chrono::seconds{10});
    refusing = false;
    alice.disconnect();
    world.pass(std::chrono::hours{5});
    alice.round([&](core::Core& core) { CHECK(core.block("bob", true, world.now()).ok()); });
    alice.connect();
    world.settle();
    REQUIRE(alice.status(sent.id) == Status::failed);
    const auto explanation = alice.core->explain(sent.id);
    REQUIRE(explanation.ok());
    const auto refused = std::ranges::find_if(explanation->steps, [](const auto& step) {
      return step.what.starts_with("refused ");
    });
    REQUIRE(refused != explanation->steps.end());
    CHECK(explanation->steps.back().what.starts_with("failed: "));
    CHECK(explanation->steps.back().time - refused->time > std::chrono::hours{4});
  }

  TEST_CASE("a message that failed says why, wherever it is asked for") {
    World world;
    SimDevice& alice = world.add("alice");
    const Sent sent = alice.send("nobody", "hello");
    world.settle();
    const auto status = alice.core->status(sent.id);
    REQUIRE(status.ok());
    CHECK(status->status == Status::failed);
    REQUIRE(status->failure);
    const auto explanation = alice.core->explain(sent.id);
    REQUIRE(explanation.ok());
    CHECK(explanation->steps.back().what == "failed: " + *status->failure);
    CHECK(explanation->waits_on.empty());
  }

  TEST_CASE("what does not exist is not found, never empty") {
    World world;
    SimDevice& alice = world.add("alice");
    CHECK(code_of(alice.core->message({})) == ErrorCode::not_found);
    CHECK(code_of(alice.core->status({})) == ErrorCode::not_found);
    CHECK(code_of(alice.core->explain({})) == ErrorCode::not_found);
    CHECK(code_of(alice.core->messages({}, {})) == ErrorCode::not_found);
    CHECK(code_of(alice.core->conversation_of("bob")) == ErrorCode::not_found);
    CHECK(code_of(alice.core->safety_number("bob")) == ErrorCode::not_found);
    CHECK(code_of(alice.core->mark_read({}, Client::kLatest, world.now())) == ErrorCode::not_found);
    CHECK(code_of(alice.core->accept("bob", world.now())) == ErrorCode::not_found);
    CHECK(code_of(alice.core->block("bob", true, world.now())) == ErrorCode::not_found);
    CHECK(code_of(alice.core->set_typing("bob", true, world.now())) == ErrorCode::not_found);
    const std::string nobody(32, 'f');  // an id
    CHECK(code_of(alice.core->conversation_of(nobody)) == ErrorCode::not_found);
    CHECK(alice.send_fails(nobody, "hello").code == ErrorCode::not_found);
  }

  TEST_CASE("what can be no name is said to be none") {
    World world;
    SimDevice& alice = world.add("alice");
    for (const std::string name : {"", "b", "b b", "bob!"}) {
      CHECK(code_of(alice.core->conversation_of(name)) == ErrorCode::invalid_argument);
      CHECK(code_of(alice.core->safety_number(name)) == ErrorCode::invalid_argument);
      CHECK(alice.send_fails(name, "hello").code == ErrorCode::invalid_argument);
    }
  }

  TEST_CASE("two people see the same safety number, and another with anybody else") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    SimDevice& carol = world.add("carol");
    alice.send("bob", "hello");
    alice.send("carol", "hello");
    world.settle();
    const auto ours = alice.core->safety_number("bob");
    const auto theirs = bob.core->safety_number("alice");
    const auto carols = carol.core->safety_number("alice");
    REQUIRE((ours.ok() && theirs.ok() && carols.ok()));
    CHECK(*ours == *theirs);
    CHECK(*ours != *carols);
    const auto contacts = alice.core->contacts();
    REQUIRE(contacts.ok());
    REQUIRE(contacts->size() == 2);
    CHECK((*contacts)[0].name == "bob");
    CHECK((*contacts)[0].accepted);
    CHECK((*contacts)[1].name == "carol");
  }
}

}  // namespace godwit::test
