// What people who have an account can do to us: names and ids that pass for another's, numbers that
// leave gaps, requests without end, lists that contradict each other.
#include <doctest/doctest.h>

#include "client-sdk/src/crypto/sequence.hpp"
#include "schema/wire/hash.hpp"
#include "tests/support/forge.hpp"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;
using Texts = std::vector<std::string>;

wire::ListHash hash_of(const wire::SignedList& list) {
  return wire::ListHash::copy_of(wire::sha512_32(list.body).view().first(wire::ListHash::kSize));
}

World::Tamper not_to(SimDevice& device) {
  return [&device](SimDevice& to, wire::ByteView bytes) -> Frames {
    const ParsedFrame frame(bytes);
    const bool mail = std::holds_alternative<wire::Deliver>(frame.value.body);
    return &to == &device && mail ? Frames{} : as_is(bytes);
  };
}

}  // namespace

TEST_SUITE("client-sdk/src/core") {
  TEST_CASE("a device that leaves its list behind a gap can come back") {
    World world;
    SimDevice& bob = world.add("bob");
    SimDevice& mallory = world.add("mallory");
    Puppet puppet(mallory, bob);
    const auto v1 = puppet.keys().account.list;
    const auto ghost = crypto::DeviceKeys::draw(mallory.random)
                           .sign_device(puppet.keys().account.user, 1, {1});
    const auto v2 = list_after(mallory, v1, std::array{ghost});
    const auto v3 = list_after(mallory, v2, std::array{own_entry(mallory)});
    const wire::SignedList* shown = &v1;
    world.tamper = altering<wire::User>([&](SimDevice& to, wire::User& body) {
      if (&to != &bob) return false;
      body.list = shown->view();
      return true;
    });
    puppet.begin({});
    puppet.submit_inner(puppet.inner(puppet.text("one")));
    world.settle();
    const std::string her = mallory.core->account().user.hex();
    REQUIRE(bob.texts(her) == Texts{"one"});
    shown = &v2;  // her list without this device; number 3 names it, 2 is missing
    wire::Text three;
    mallory.random(three.id.bytes);
    three.hlc = 1;
    three.text = "three";
    puppet.submit_inner(
        puppet.inner(wire::encode_payload({version_of(v2), hash_of(v2), three}), 3));
    world.settle();
    shown = &v3;  // and with it again
    puppet.submit_inner(puppet.inner(puppet.text("two"), 2));
    world.run(1min);
    puppet.next_seq = 4;
    puppet.submit_inner(puppet.inner(puppet.text("four")));
    world.run(1min);
    CHECK(bob.texts(her).size() == 4);
  }

  TEST_CASE("of what a contact sends and nobody can read no more is noted than a Reset names") {
    World world;
    SimDevice& bob = world.add("bob");
    SimDevice& mallory = world.add("mallory");
    world.tamper = not_to(mallory);  // the puppet answers
    Puppet puppet(mallory, bob);
    puppet.begin({});
    puppet.submit_inner(puppet.inner(puppet.text("hello")));
    world.settle();
    REQUIRE(bob.core->contacts()->front().accepted);
    const auto seen = count(bob, store::Table::seen);
    std::uint8_t kind = 2;
    std::size_t most = 2 * wire::kResetHashesMax;  // one Reset may go out meanwhile
    SUBCASE("messages") {}
    SUBCASE("that somebody types") {
      kind = 6;
      most = 0;
    }
    for (std::size_t i = 0; i < 5 * wire::kResetHashesMax; ++i) {
      wire::Bytes junk(300);
      mallory.random(junk);
      std::ranges::copy(std::array<std::uint8_t, 4>{1, 1, kind, 0}, junk.begin());
      puppet.submit_inner(junk);
      world.settle();
    }
    CHECK(count(bob, store::Table::seen) - seen <= most);
    CHECK(bob.core->settled());
    puppet.submit_inner(puppet.inner(puppet.text("hello again")));
    world.settle();
    CHECK(bob.texts(mallory.core->account().user.hex()) == Texts{"hello", "hello again"});
  }

  TEST_CASE("a gap wider than a receipt can tell is closed to its end") {
    World world;
    SimDevice& bob = world.add("bob");
    SimDevice& mallory = world.add("mallory");
    Puppet puppet(mallory, bob);
    puppet.begin({});
    puppet.submit_inner(puppet.inner(puppet.text("0")));
    world.settle();
    world.tamper = not_to(mallory);
    std::map<std::uint64_t, wire::Bytes> inners;
    constexpr std::uint64_t kLast = 80;
    for (std::uint64_t seq = 2; seq <= kLast; ++seq) {
      inners[seq] = puppet.inner(puppet.text(std::to_string(seq)), seq);
    }
    // Every second one: more gaps than a receipt can tell of.
    for (std::uint64_t seq = 3; seq <= kLast; seq += 2) puppet.submit_inner(inners[seq]);
    world.run(1min);
    const std::string her = mallory.core->account().user.hex();
    const std::size_t early = bob.texts(her).size();
    CHECK(early == 1 + wire::kReceiptRangesMax);
    // All that is missing comes, but nothing new; then what found no room is asked for.
    for (std::uint64_t seq = 2; seq < 2 * wire::kReceiptRangesMax + 2; seq += 2) {
      puppet.submit_inner(inners[seq]);
    }
    world.settle();
    CHECK(bob.count(EventKind::gap_closed) == 0);
    for (std::uint64_t seq = 2 * wire::kReceiptRangesMax + 2; seq <= kLast; ++seq) {
      puppet.submit_inner(puppet.inner(puppet.text(std::to_string(seq)), seq));
    }
    world.settle();
    CHECK(bob.count(EventKind::gap_closed) == 1);
  }

  TEST_CASE("what is sent beyond a gap is kept up to a bound, and taken once there is room") {
    std::size_t size = 0;
    SUBCASE("many") { size = 16; }
    SUBCASE("much") { size = 1'100; }
    World world;
    SimDevice& bob = world.add("bob");
    SimDevice& mallory = world.add("mallory");
    world.tamper = not_to(mallory);  // the puppet answers
    Puppet puppet(mallory, bob);
    puppet.begin({});
    const wire::Bytes junk(size, 7);  // no payload: it counts as received, and nothing is shown
    constexpr std::uint64_t kLast = 5'000;
    for (std::uint64_t seq = 1; seq <= kLast; ++seq) {
      const wire::Bytes inner = puppet.inner(junk, seq);
      if (seq > 2) puppet.submit_inner(inner);
      if (seq % 500 == 0) world.settle();
    }
    const std::size_t kept = count(bob, store::Table::early);
    CHECK(kept <= core::kEarlyMax);
    CHECK(kept * size <= core::kEarlyBytesMax);
    CHECK(kept * (size + 1) > std::min(core::kEarlyMax * size, core::kEarlyBytesMax));  // no less
    CHECK(world.queued() == 0);
    puppet.h = {};
    for (std::uint64_t seq = 1; seq <= kLast; ++seq) {
      if (seq <= 2 || seq > 2 + kept) {
        puppet.submit_inner(puppet.inner(junk, seq));
      } else {
        puppet.h = crypto::chain(puppet.h, junk);
      }
      if (seq % 500 == 0) world.settle();
    }
    CHECK(count(bob, store::Table::early) == 0);
    CHECK(bob.count(EventKind::gap_closed) == 1);
    CHECK(bob.count(EventKind::chain_broken) == 0);
  }

  TEST_CASE("of whom we block we keep what fits the chain later, and nothing they have sent") {
    World world;
    SimDevice& bob = world.add("bob");
    SimDevice& mallory = world.add("mallory");
    world.tamper = not_to(mallory);
    Puppet puppet(mallory, bob);
    puppet.begin({});
    std::vector<wire::Bytes> inners;
    for (std::uint64_t seq = 1; seq <= 100; ++seq) {
      inners.push_back(puppet.inner(puppet.text(std::to_string(seq)), seq));
    }
    for (std::uint64_t seq = 2; seq < 100; ++seq) {
      if (seq != 50) puppet.submit_inner(inners[seq - 1]);
    }
    world.settle();
    REQUIRE(count(bob, store::Table::early) == 97);
    const std::string her = mallory.core->account().user.hex();
    const auto block = [&](bool blocked) {
      bob.round([&](core::Core& core) { REQUIRE(core.block(her, blocked, world.now()).ok()); });
    };
    block(true);
    CHECK(count(bob, store::Table::early) == 2);  // of each range where the chain goes on
    block(false);
    for (const std::uint64_t seq : {1, 50, 100}) puppet.submit_inner(inners[seq - 1]);
    world.settle();
    CHECK(bob.texts(her).size() == 100);
    CHECK(bob.count(EventKind::gap_closed) == 1);
    CHECK(bob.count(EventKind::chain_broken) == 0);
    CHECK(count(bob, store::Table::early) == 0);
  }

  TEST_CASE("two texts with one place in the history both stand there") {
    World world;
    SimDevice& bob = world.add("bob");
    SimDevice& mallory = world.add("mallory");
    Puppet puppet(mallory, bob);
    puppet.begin({});
    const std::string her = mallory.core->account().user.hex();
    constexpr std::array<std::uint8_t, 2> kLast{1, 2};  // of ids whose first half is the same
    for (const auto last : kLast) {
      wire::Text text;
      text.id.bytes.fill(7);
      text.id.bytes[15] = last;
      text.hlc = 1'000 << 16;
      text.text = last == 1 ? "I owe you 100" : "I owe you nothing";
      puppet.submit_inner(puppet.inner(puppet.payload(text)));
      world.settle();
    }
    CHECK(bob.texts(her) == Texts{"I owe you 100", "I owe you nothing"});
  }

  TEST_CASE("thousands of texts with one place in the history take no longer each time") {
    World world;
    SimDevice& bob = world.add("bob");
    SimDevice& mallory = world.add("mallory");
    world.tamper = not_to(mallory);
    Puppet puppet(mallory, bob);
    puppet.begin({});
    constexpr std::uint32_t kTexts = 2'000;
    std::uint64_t first = 0, last = 0, before = 0;  // looks into the database, a hundred texts
    for (std::uint32_t i = 1; i <= kTexts; ++i) {
      wire::Text text;
      text.id.bytes.fill(7);
      text.id.bytes[14] = static_cast<std::uint8_t>(i >> 8);
      text.id.bytes[15] = static_cast<std::uint8_t>(i);
      text.hlc = 1'000 << 16;
      const std::string what = std::to_string(i);
      text.text = what;
      puppet.submit_inner(puppet.inner(puppet.payload(text)));
      if (i % 100 != 0) continue;
      world.settle();
      last = bob.disk->gets - std::exchange(before, bob.disk->gets);
      if (i == 200) first = last;
    }
    CHECK(last < first + first / 2);
    auto texts = bob.texts(mallory.core->account().user.hex());
    std::ranges::sort(texts);
    CHECK(texts.size() == kTexts);
    CHECK(std::ranges::adjacent_find(texts) == texts.end());
  }

  TEST_CASE("who answers under the id of our own text does not stand in its place") {
    World world;
    SimDevice& bob = world.add("bob");
    SimDevice& mallory = world.add("mallory");
    world.tamper = not_to(mallory);  // the puppet answers
    const Sent ours = bob.send("mallory", "I owe you nothing");
    world.settle();
    Puppet puppet(mallory, bob);
    puppet.begin({});
    wire::Text text;
    std::ranges::copy(ours.id.bytes, text.id.bytes.begin());
    text.hlc = 1'000 << 16;
    text.text = "I owe you 100";
    puppet.submit_inner(puppet.inner(puppet.payload(text)));
    world.settle();
    CHECK(bob.texts("mallory") == Texts{"I owe you nothing"});
    CHECK(bob.count(EventKind::message_received) == 0);
    text.id.bytes.fill(7);
    text.hlc += 1 << 16;
    puppet.submit_inner(puppet.inner(puppet.payload(text)));
    world.settle();
    CHECK(bob.count(EventKind::message_received) == 1);  // under an id of her own
  }

  TEST_CASE("who makes many events of one kind hides no other, and that some left is told") {
    World world;
    SimDevice& bob = world.add("bob");
    SimDevice& mallory = world.add("mallory");
    Puppet puppet(mallory, bob);
    puppet.begin({});
    puppet.submit_inner(puppet.inner(puppet.text("two"), 2));  // and no first one
    wire::Text text;
    const auto years = std::chrono::duration_cast<std::chrono::milliseconds>(24h * 3'650).count();
    text.hlc = static_cast<std::uint64_t>(world.now().wall.count() + years) << 16;
    text.text = "from the future";
    constexpr std::uint64_t kMany = 100;
    for (std::uint64_t seq = 1; seq <= kMany + 1; ++seq) {
      if (seq == 2) continue;
      text.hlc += 1 << 16;
      mallory.random(text.id.bytes);
      puppet.submit_inner(puppet.inner(puppet.payload(text), seq));
      world.settle();
    }
    REQUIRE(bob.count(EventKind::late_clock) == kMany);
    const auto forget = [&](const std::vector<Event>& events) {
      for (const Event& event : events) {
        bob.round([&](core::Core& core) {
          core.forget_event(event.kind, event.number, world.now());
        });
      }
    };
    SUBCASE("to who takes each as it comes no event was lost") {
      forget(bob.events);
      bob.crash();
      CHECK(bob.core->kept_events().empty());
      return;
    }
    bob.crash();  // before the app has looked
    const auto kept = bob.core->kept_events();
    const auto count = [&](EventKind kind) { return std::ranges::count(kept, kind, &Event::kind); };
    CHECK(count(EventKind::gap) == 1);
    CHECK(count(EventKind::gap_closed) == 1);
    CHECK(count(EventKind::late_clock) == 64);
    CHECK(count(EventKind::events_lost) == 1);
    CHECK(std::ranges::is_sorted(kept, {}, &Event::number));
    // Before the one that made the others leave: with that one all has been taken.
    const auto lost = std::ranges::find(kept, EventKind::events_lost, &Event::kind);
    REQUIRE(lost + 1 != kept.end());
    CHECK((lost + 1)->number == lost->number);
    forget(kept);
    CHECK(bob.core->kept_events().empty());
  }

  TEST_CASE("a text that stands in the history is not shown again, whatever its number") {
    World world;
    SimDevice& bob = world.add("bob");
    SimDevice& mallory = world.add("mallory");
    Puppet puppet(mallory, bob);
    puppet.begin({});
    const auto her = mallory.core->account().user.hex();
    wire::Text text;
    text.id.bytes.fill(7);
    for (const char* what : {"one", "one", "another"}) {
      text.hlc += 1'000 << 16;
      text.text = what;
      puppet.submit_inner(puppet.inner(puppet.payload(text)));
      world.settle();
    }
    CHECK(bob.texts(her) == Texts{"one"});
    CHECK(bob.count(EventKind::message_received) == 1);
    CHECK(world.queued() == 0);
  }

  TEST_CASE("who sends a text again and again, encrypted anew, is not confirmed each time") {
    World world;
    SimDevice& bob = world.add("bob");
    SimDevice& mallory = world.add("mallory");
    world.tamper = not_to(mallory);
    Puppet puppet(mallory, bob);
    puppet.begin({});
    const wire::Bytes text = puppet.text("one");
    puppet.submit_inner(puppet.inner(text, 1));
    world.run(1min);
    std::size_t submits = 0;
    world.upstream = [&](SimDevice& from, wire::ByteView bytes) {
      const auto request = wire::parse_request(bytes);
      submits += &from == &bob && std::holds_alternative<wire::Submit>(request->body);
      return true;
    };
    for (int i = 0; i < 50; ++i) {
      puppet.h = {};
      puppet.submit_inner(puppet.inner(text, 1));
      world.settle();
    }
    CHECK(submits == 1);
    CHECK(world.queued() <= 2);  // her receipts
  }

  TEST_CASE("what comes in the name of our own account is acknowledged, and that is all") {
    World world;
    SimDevice& bob = world.add("bob");
    Puppet puppet(bob, bob);  // whoever has the keys of an earlier device of his
    puppet.begin({});
    const auto before = all_but_seen(bob);
    puppet.submit_inner(puppet.inner(puppet.text("it is you")));
    world.run(1min);
    CHECK(world.queued() == 0);
    CHECK(all_but_seen(bob) == before);
    CHECK(bob.core->settled());
  }

  TEST_CASE("nobody is called what is another's id") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    SimDevice& mallory = world.add("mallory");
    alice.send("bob", "it is me");
    mallory.send("bob", "no, me");
    world.settle();
    const std::string id = alice.core->account().user.hex();
    mallory.round([&](core::Core& core) { CHECK_FALSE(core.set_name(id, world.now()).ok()); });
    // Nor by the word of a relay.
    world.tamper = altering<wire::Welcome>([&](SimDevice& to, wire::Welcome& body) {
      if (&to != &mallory) return false;
      body.own_name = id;
      return true;
    });
    mallory.disconnect();
    mallory.connect();
    world.settle();
    CHECK(mallory.core->account().name == "mallory");
    bob.send(id, "for alice");
    world.settle();
    CHECK(alice.texts("bob") == Texts{"it is me", "for alice"});
  }

  TEST_CASE("resets without end do not bring everything again without end") {
    World world;
    SimDevice& bob = world.add("bob");
    SimDevice& mallory = world.add("mallory");
    mallory.send("bob", "hello");
    world.settle();
    mallory.disconnect();
    for (int i = 0; i < 20; ++i) bob.send("mallory", "text " + std::to_string(i));
    world.settle();
    Puppet puppet(mallory, bob);
    puppet.begin({}, 9);
    puppet.next_seq = 10;
    std::size_t submits = 0;
    world.upstream = [&](SimDevice& from, wire::ByteView bytes) {
      const auto request = wire::parse_request(bytes);
      submits += &from == &bob && std::holds_alternative<wire::Submit>(request->body);
      return true;
    };
    std::vector<std::uint64_t> seqs;
    for (std::uint64_t seq = 1; seq <= 20; ++seq) seqs.push_back(seq);
    mallory.connect();
    for (int i = 0; i < 100; ++i) {
      puppet.submit_inner(puppet.inner(puppet.payload(wire::Reset{})));
      puppet.submit_inner(puppet.inner(puppet.payload(wire::Repair{seqs})));
      world.tamper = [&](SimDevice& to, wire::ByteView bytes) -> Frames {
        return &to == &mallory ? Frames{} : as_is(bytes);
      };
      world.run(6s);
    }
    CHECK(submits <= 20 * (core::kResendsMax + 1));
  }

  TEST_CASE("nothing more is sent to whose lists contradict each other") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    alice.send("bob", "one");
    world.settle();
    bob.send("alice", "two");
    world.settle();
    bob.disconnect();
    alice.send("bob", "three");
    world.settle();
    const auto ghost = crypto::DeviceKeys::draw(bob.random)
                           .sign_device(keys_of(bob).account.user, 1, {1});
    const auto forked = forked_list(bob, ghost);
    Puppet puppet(bob, alice);
    puppet.begin({}, 9);
    puppet.next_seq = 50;
    world.tamper = altering<wire::User>([&](SimDevice& to, wire::User& body) {
      if (&to != &alice) return false;
      body.list = forked.view();
      return true;
    });
    // It names a list beyond ours, so that alice asks; the answer contradicts what she has.
    wire::Text text;
    text.id.bytes.fill(9);
    text.hlc = 1;
    text.text = "look";
    world.tamper = [&, lists = world.tamper](SimDevice& to, wire::ByteView bytes) -> Frames {
      return &to == &bob ? Frames{} : lists(to, bytes);
    };
    bob.connect();
    world.settle();
    puppet.submit_inner(puppet.inner(wire::encode_payload({{2, 1}, {}, text})));
    world.settle();
    REQUIRE(alice.count(EventKind::equivocation) == 1);
    int submits = 0;
    world.upstream = [&](SimDevice& from, wire::ByteView bytes) {
      const auto request = wire::parse_request(bytes);
      submits += &from == &alice && std::holds_alternative<wire::Submit>(request->body);
      return true;
    };
    alice.round([&](core::Core& core) {
      REQUIRE(core.set_typing("bob", true, world.now()).ok());
    });
    world.settle();
    puppet.submit_inner(puppet.inner(puppet.payload(wire::Repair{{1, 2, 3}})));
    world.run(1min);
    CHECK(submits == 0);
  }
}

}  // namespace godwit::test
