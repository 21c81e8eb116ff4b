// What people whom we do not know can do to us: nothing but cost a bounded amount of work.
#include <doctest/doctest.h>

#include <chrono>

#include "tests/support/forge.hpp"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;
using Texts = std::vector<std::string>;

struct Street {
  World world;
  SimDevice& bob = world.add("bob");
  SimDevice& friendly = world.add("friendly");
  SimDevice& mallory = world.add("mallory");
  Puppet puppet{mallory, bob};
  std::map<std::size_t, std::size_t> asked;  // of bob's requests, by kind
  std::size_t acked = 0;

  Street() {
    friendly.send("bob", "hello");
    world.settle();
    bob.send("friendly", "hello too");
    world.settle();
    world.upstream = [this](SimDevice& from, wire::ByteView bytes) {
      if (&from != &bob) return true;
      const auto request = wire::parse_request(bytes);
      REQUIRE(request);
      ++asked[request->body.index()];
      if (const auto* ack = std::get_if<wire::Ack>(&request->body)) acked += ack->numbers.size();
      return true;
    };
  }
  template <class Body>
  [[nodiscard]] std::size_t asked_for() {
    return asked[wire::Request{0, Body{}}.body.index()];
  }

  // `count` junk envelopes, a contact's message in the middle. Nothing of it may leave a trace.
  void flood(int count, const std::function<wire::Bytes(int)>& junk, const std::string& what) {
    const auto before = trace();
    const auto seen = test::count(bob, store::Table::seen);
    const auto events = bob.events.size();
    const auto acked_before = acked;
    const std::string text = "between " + what;
    const auto begun = std::chrono::steady_clock::now();
    for (int i = 0; i < count; ++i) {
      puppet.submit(junk(i));
      if (i != count / 2) continue;
      friendly.send("bob", text);
      world.settle();
      CHECK(bob.texts("friendly").back() == text);
    }
    world.settle();
    const auto took = std::chrono::steady_clock::now() - begun;
    MESSAGE(what << ": "
                 << std::chrono::duration_cast<std::chrono::microseconds>(took).count() / count
                 << " us an envelope, forging and relay included; " << asked_for<wire::GetUser>()
                 << " look-ups in all");
    CHECK(trace() == before);
    CHECK(test::count(bob, store::Table::seen) - seen == 1);  // the contact's message
    CHECK(acked - acked_before == static_cast<std::size_t>(count) + 1);
    CHECK(bob.events.size() - events <= 2);  // the contact's message
    CHECK(world.queued() == 0);
    CHECK(bob.core->settled());
  }
  // Everything that a stranger could leave behind.
  [[nodiscard]] Snapshot trace() const {
    Snapshot all = snapshot(
        bob, {store::Table::contacts, store::Table::prekeys, store::Table::names,
              store::Table::conversation_of, store::Table::attention, store::Table::early});
    all.emplace_back(1, static_cast<std::uint8_t>(test::count(bob, store::Table::sessions)));
    all.emplace_back(1, static_cast<std::uint8_t>(test::count(bob, store::Table::devices)));
    return all;
  }
};

// As many of bob's look-ups as a relay answers when he has used up what he had saved: 5 a second.
struct LookUps {
  std::chrono::milliseconds second{};
  std::size_t in_second = 0, asked = 0, refused = 0;

  explicit LookUps(Street& street) {
    street.world.upstream = [this, &street](SimDevice& from, wire::ByteView bytes) {
      const auto request = wire::parse_request(bytes);
      const bool asks = std::holds_alternative<wire::GetUser>(request->body);
      if (&from != &street.bob || !asks) return true;
      ++asked;
      const auto now = street.world.now().steady;
      if (now - std::exchange(second, now - second >= 1s ? now : second) >= 1s) in_second = 0;
      if (++in_second <= 5) return true;
      ++refused;
      tell(from, {request->id, wire::Refused{wire::ErrorCode::rate_limited, 200}});
      return false;
    };
  }
};

constexpr int kFlood = 2'000;

wire::Bytes random_bytes(const crypto::Random& random, std::size_t size) {
  wire::Bytes bytes(size);
  random(bytes);
  return bytes;
}

}  // namespace

TEST_SUITE("client-sdk/src/core: strangers") {
  TEST_CASE("10,000 junk envelopes leave nothing behind, and hold up nobody") {
    Street street;
    Puppet& puppet = street.puppet;
    const auto& random = puppet.random();
    street.flood(
        kFlood,
        [&](int i) {
          wire::Bytes junk = random_bytes(random, 200 + static_cast<std::size_t>(i) % 300);
          if (i % 2 == 0)
            std::ranges::copy(std::array<std::uint8_t, 5>{1, 1, 0, 0, 0}, junk.begin());
          return junk;
        },
        "random bytes");
    CHECK(street.asked_for<wire::GetUser>() == 0);
    street.flood(
        kFlood,
        [&](int) {
          wire::UserId nobody;
          random(nobody.bytes);
          return puppet.envelope_as(crypto::SigningKey::draw(random), nobody,
                                    random_bytes(random, 300));
        },
        "sealed by nobody");
    CHECK(street.asked_for<wire::GetUser>() <= kFlood);
    street.asked.clear();
    street.flood(
        kFlood,
        [&](int i) {
          wire::Bytes inner = random_bytes(random, 300);
          if (i % 2 == 0) std::ranges::copy(std::array<std::uint8_t, 4>{1, 1, 6, 0}, inner.begin());
          return puppet.envelope(inner);
        },
        "sealed by a user, junk inside");
    CHECK(street.asked_for<wire::GetUser>() <= 1);
    puppet.begin(one_time_key_of(street.bob, 50));
    wire::Bytes first = puppet.inner(puppet.text("never"));
    constexpr std::size_t kKeyIdAt = 44;
    street.flood(
        kFlood,
        [&](int i) {
          first[kKeyIdAt] = static_cast<std::uint8_t>(1 + i % 100);  // each of our one-time keys
          first.back() = static_cast<std::uint8_t>(i + 1);
          first[first.size() - 2] = static_cast<std::uint8_t>(i >> 8);
          return puppet.envelope(first);
        },
        "first messages that do not authenticate");
    const auto contact = keys_of(street.friendly).account.user;
    street.flood(
        kFlood,
        [&](int) {
          wire::Bytes inner = random_bytes(random, 300);  // of the form of a ratchet message
          std::ranges::copy(std::array<std::uint8_t, 4>{1, 1, 2, 0}, inner.begin());
          return puppet.envelope_as(crypto::SigningKey::draw(random), contact, inner);
        },
        "sealed in a contact's name");
    CHECK(street.asked_for<wire::Submit>() == 3);  // since then: a receipt for each contact's text
  }

  TEST_CASE("junk in names that the relay is asked about too often holds up no friend") {
    Street street;
    SimDevice& carol = street.world.add("carol");
    LookUps look_ups(street);
    for (int i = 0; i < 500; ++i) {
      wire::UserId nobody;
      street.puppet.random()(nobody.bytes);
      street.puppet.submit(
          street.puppet.envelope_as(crypto::SigningKey::draw(street.puppet.random()), nobody,
                                    random_bytes(street.puppet.random(), 300)));
    }
    street.world.settle();
    carol.send("bob", "first");
    street.friendly.send("bob", "behind them");
    street.world.run(5s);
    CHECK(street.bob.texts("friendly").back() == "behind them");
    street.world.run(1min);
    CHECK(street.world.queued() == 0);
    CHECK(street.bob.core->settled());
    CHECK(look_ups.refused > 0);
    CHECK(look_ups.refused <= 100);
    CHECK(look_ups.asked <= 200);
    // A stranger's first message may be dropped so; the next one brings it.
    CHECK(street.bob.texts("carol").empty());
    carol.send("bob", "second");
    street.world.run(1min);
    CHECK(street.bob.texts("carol") == Texts{"first", "second"});
  }

  TEST_CASE("of many people who write for the first time at once nobody is dropped") {
    Street street;
    constexpr std::size_t kPeople = 100;
    street.bob.disconnect();
    for (std::size_t i = 0; i < kPeople; ++i) {
      street.world.add("person" + std::to_string(i)).send("bob", "hello");
    }
    street.world.settle();
    LookUps look_ups(street);
    street.bob.connect();
    street.world.run(1min);
    CHECK(look_ups.refused > 0);
    CHECK(street.bob.core->contacts()->size() == kPeople + 1);
    CHECK(street.bob.core->settled());
  }

  TEST_CASE("a first message replayed in fresh seals is one message, one contact and one key") {
    Street street;
    const auto keys = count(street.bob, store::Table::prekeys);
    const auto contacts = count(street.bob, store::Table::contacts);
    street.puppet.begin(one_time_key_of(street.bob, 50));
    const wire::Bytes first = street.puppet.inner(street.puppet.text("once"));
    for (int i = 0; i < 500; ++i) street.puppet.submit_inner(first);
    street.world.settle();
    CHECK(count(street.bob, store::Table::prekeys) == keys - 1);
    CHECK(street.bob.texts(street.mallory.core->account().user.hex()) == Texts{"once"});
    CHECK(count(street.bob, store::Table::contacts) == contacts + 1);
    CHECK(street.bob.count(EventKind::undecryptable) == 0);
    CHECK(street.bob.core->settled());
  }

  TEST_CASE("whom we blocked writes into the void") {
    Street street;
    street.bob.round(
        [&](core::Core& core) { REQUIRE(core.block("friendly", true, street.world.now()).ok()); });
    const auto before = all_but_seen(street.bob);
    const auto seen = count(street.bob, store::Table::seen);
    const auto events = street.bob.events.size();
    street.asked.clear();
    const Sent sent = street.friendly.send("bob", "are you there?");
    street.world.run(1min);
    CHECK(all_but_seen(street.bob) == before);
    CHECK(count(street.bob, store::Table::seen) == seen);
    CHECK(street.bob.events.size() == events);
    street.bob.round([&](core::Core& core) {
      REQUIRE(core.set_typing("friendly", true, street.world.now()).ok());
    });
    CHECK(street.bob.send_fails("friendly", "no").code == ErrorCode::invalid_argument);
    street.world.run(1min);
    CHECK(street.asked_for<wire::Submit>() == 0);
    CHECK(street.friendly.status(sent.id) == Status::sent);
    CHECK(street.world.queued() == 0);
    street.bob.round(
        [&](core::Core& core) { REQUIRE(core.block("friendly", false, street.world.now()).ok()); });
    street.friendly.send("bob", "now?");
    street.world.run(1min);
    CHECK(street.bob.texts("friendly").back() == "now?");
  }

  TEST_CASE("nothing is sent to whom we blocked, whatever they are called, whenever it was said") {
    Street street;
    const auto block = [&](const std::string& name, bool blocked) {
      street.bob.round(
          [&](core::Core& core) { REQUIRE(core.block(name, blocked, street.world.now()).ok()); });
    };
    const Sent taken = street.bob.send("friendly", "taken");
    street.world.settle();
    street.friendly.disconnect();
    street.bob.disconnect();
    const Sent waiting = street.bob.send("friendly", "waiting");
    block("friendly", true);
    street.friendly.connect();
    street.world.settle();
    street.friendly.round(
        [&](core::Core& core) { REQUIRE(core.set_name("friend", street.world.now()).ok()); });
    street.world.settle();
    const Sent renamed = street.bob.send("friend", "renamed");
    street.bob.connect();
    street.world.run(1min);
    for (const Sent& one : {waiting, renamed}) {
      CHECK(street.bob.status(one.id) == Status::failed);
      CHECK(street.bob.core->status(one.id)->failure == "they are blocked; unblock them to write");
    }
    CHECK(street.bob.status(taken.id) == Status::delivered);
    CHECK(street.friendly.texts("bob").back() == "taken");
    CHECK(count(street.bob, store::Table::outbox) == 0);
    CHECK(street.bob.core->settled());
    block("friend", false);
    const Sent after = street.bob.send("friend", "after");
    street.world.run(1min);
    CHECK(street.bob.status(after.id) == Status::delivered);
    CHECK(street.friendly.texts("bob").back() == "after");
  }

  TEST_CASE("what was taken for somebody whom we blocked then is not lost in silence") {
    Street street;
    const auto block = [&](bool blocked) {
      street.bob.round([&](core::Core& core) {
        REQUIRE(core.block("friendly", blocked, street.world.now()).ok());
      });
    };
    street.friendly.disconnect();
    const Sent sent = street.bob.send("friendly", "are you there?");
    street.world.settle();
    REQUIRE(street.bob.status(sent.id) == Status::sent);
    block(true);
    SUBCASE("the relay loses its store") {
      street.world.wipe_relay();
      street.world.run(1min);
      CHECK(street.bob.status(sent.id) == Status::sent);
      block(false);
      street.friendly.connect();
      street.friendly.send("bob", "I am");
      street.world.run(1min);
      CHECK(street.bob.status(sent.id) == Status::delivered);
      const auto texts = street.friendly.texts("bob");  // by when they were written
      CHECK(texts[texts.size() - 2] == "are you there?");
    }
    SUBCASE("they have another device") {
      const auto code = street.friendly.core->recovery_code();
      REQUIRE(code.ok());
      SimDevice& fresh = street.world.add_blank("friendly again");
      fresh.recover(*code);
      fresh.connect();
      street.world.run(1min);
      fresh.send("bob", "hello again");
      street.world.run(1min);
      CHECK(street.bob.status(sent.id) == Status::failed);
      CHECK(street.bob.core->status(sent.id)->failure ==
            "they are blocked; unblock them to write");
    }
    CHECK(count(street.bob, store::Table::outbox) == 0);
    CHECK(street.bob.core->settled());
  }

  TEST_CASE("that somebody types is not queued for a relay that does not answer") {
    Street street;
    street.world.upstream = [&](SimDevice& from, wire::ByteView) { return &from != &street.bob; };
    for (std::size_t i = 0; i < 2 * core::kSubmitsInFlightMax; ++i) {
      street.bob.round([&](core::Core& core) {
        REQUIRE(core.set_typing("friendly", true, street.world.now()).ok());
      });
    }
    CHECK(street.bob.to_relay.size() == core::kSubmitsInFlightMax);
  }

  TEST_CASE("what came while they were blocked comes after all, also when they write no more") {
    Street street;
    const auto block = [&](bool blocked) {
      street.bob.round([&](core::Core& core) {
        REQUIRE(core.block("friendly", blocked, street.world.now()).ok());
      });
    };
    block(true);
    const Sent first = street.friendly.send("bob", "are you there?");
    const Sent second = street.friendly.send("bob", "hello?");
    street.world.run(1min);
    CHECK(street.friendly.status(second.id) == Status::sent);
    block(false);
    street.world.run(1min);
    const auto texts = street.bob.texts("friendly");
    REQUIRE(texts.size() >= 2);
    CHECK(texts[texts.size() - 2] == "are you there?");
    CHECK(texts.back() == "hello?");
    CHECK(street.friendly.status(first.id) == Status::delivered);
    CHECK(street.friendly.status(second.id) == Status::delivered);
    CHECK(street.bob.core->settled());
  }

  TEST_CASE("under requests a stranger hears nothing until accepted, then the receipts come") {
    Street street;
    street.bob.round([&](core::Core& core) {
      REQUIRE(core.set_contact_policy(Client::ContactPolicy::requests, street.world.now()).ok());
    });
    street.asked.clear();
    std::vector<Sent> sent;
    for (int i = 0; i < 5; ++i) {
      sent.push_back(street.mallory.send("bob", "please " + std::to_string(i)));
    }
    street.world.run(1min);
    street.bob.read("mallory");
    street.mallory.round(
        [&](core::Core& core) { REQUIRE(core.set_typing("bob", true, street.world.now()).ok()); });
    street.world.run(1min);
    CHECK(street.asked_for<wire::Submit>() == 0);
    CHECK(street.asked_for<wire::GetPrekeys>() == 0);
    CHECK(street.bob.count(EventKind::typing) == 0);
    CHECK(street.bob.texts("mallory").size() == 5);
    const auto page = street.bob.core->conversations({});
    REQUIRE(page.ok());
    CHECK(page->items.front().request);
    for (const Sent& one : sent) CHECK(street.mallory.status(one.id) == Status::sent);
    street.bob.round(
        [&](core::Core& core) { REQUIRE(core.accept("mallory", street.world.now()).ok()); });
    street.world.run(10s);
    for (const Sent& one : sent) CHECK(street.mallory.status(one.id) == Status::read);
  }

  TEST_CASE("who takes a name that was written to in vain is a stranger as before") {
    World world;
    SimDevice& alice = world.add("alice");
    alice.round([&](core::Core& core) {
      REQUIRE(core.set_contact_policy(Client::ContactPolicy::requests, world.now()).ok());
    });
    const Sent vain = alice.send("mallory", "are you here yet?");
    world.settle();
    REQUIRE(alice.status(vain.id) == Status::failed);
    std::size_t submits = 0;
    world.upstream = [&](SimDevice& from, wire::ByteView bytes) {
      const auto request = wire::parse_request(bytes);
      submits += &from == &alice && std::holds_alternative<wire::Submit>(request->body) ? 1 : 0;
      return true;
    };
    SimDevice& mallory = world.add("mallory");
    mallory.send("alice", "let me in");
    world.run(1min);
    REQUIRE(alice.core->contacts()->size() == 1);
    CHECK_FALSE(alice.core->contacts()->front().accepted);
    CHECK(alice.core->conversations({})->items.front().request);
    CHECK(submits == 0);
    alice.send("mallory", "come in");  // both conversations become one
    world.settle();
    CHECK(alice.core->contacts()->front().accepted);
    CHECK(alice.texts("mallory") == Texts{"are you here yet?", "let me in", "come in"});
    CHECK(mallory.texts("alice") == Texts{"let me in", "come in"});
  }

  TEST_CASE("whoever says that a name is theirs says nothing about who has it") {
    World world;
    SimDevice& alice = world.add("alice");
    const Sent vain = alice.send("carol", "are you here yet?");
    world.settle();
    REQUIRE(alice.status(vain.id) == Status::failed);
    SimDevice& carol = world.add("carol");
    SimDevice& mallory = world.add("mallory");
    Puppet puppet(mallory, alice);
    puppet.begin({});
    wire::Text text;
    text.id.bytes[0] = 7;
    text.hlc = 1;
    text.text = "guess who";
    text.sender_name = "carol";
    puppet.submit_inner(puppet.inner(puppet.payload(text)));
    world.run(1min);
    CHECK(alice.core->contacts()->size() == 1);
    const Sent sent = carol.send("alice", "it is me");
    world.run(1min);
    CHECK(alice.core->contacts()->size() == 2);
    const auto contacts = alice.core->contacts();
    for (const Contact& contact : *contacts) CHECK(contact.accepted);
    CHECK(alice.count(EventKind::contact_added) == 3);  // of carol again, with her name
    CHECK(carol.status(sent.id) == Status::delivered);
    CHECK(alice.texts("carol") == Texts{"are you here yet?", "it is me"});
  }

  TEST_CASE("who answers a request has accepted it") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    bob.round([&](core::Core& core) {
      REQUIRE(core.set_contact_policy(Client::ContactPolicy::requests, world.now()).ok());
    });
    alice.send("bob", "hello");
    world.settle();
    REQUIRE(bob.core->conversations({})->items.front().request);
    bob.send("alice", "hello yourself");
    world.settle();
    CHECK(bob.core->contacts()->front().accepted);
    CHECK_FALSE(bob.core->conversations({})->items.front().request);
  }
}

}  // namespace godwit::test
