// A relay that answers nonsense, lies about names, stores and time, or never comes to an end: the
// client neither crashes nor loops, and goes on as soon as the relay is honest.
#include <doctest/doctest.h>

#include "tests/support/forge.hpp"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;
using Texts = std::vector<std::string>;

struct Watched {
  World world;
  SimDevice& alice = world.add("alice");
  SimDevice& bob = world.add("bob");
  int frames = 0;  // of alice, since watch()

  // `keeps` may answer in the relay's place: true, and the relay does not get the request.
  using Keeps = std::function<bool(const wire::Request&)>;
  void watch(Keeps keeps = {}) {
    frames = 0;
    world.upstream = [this, keeps](SimDevice& from, wire::ByteView bytes) {
      if (&from != &alice) return true;
      if (++frames > 5'000) return false;
      const auto request = wire::parse_request(bytes);
      REQUIRE(request);
      return !keeps || !keeps(*request);
    };
  }
  // Now that the relay is honest all that was said arrives, once.
  void check_honest(Texts texts) {
    world.upstream = nullptr;
    world.tamper = nullptr;
    world.restart_relay();
    world.run(10min);
    texts.emplace_back("last");
    alice.send("bob", "last");
    world.run(1min);
    CHECK(bob.texts("alice") == texts);
    CHECK(alice.messages("bob").back().status == Status::delivered);
  }
};

template <class Body>
Watched::Keeps answers(Watched& watched, std::function<wire::RelayFrame(const Body&)> reply) {
  return [&watched, reply](const wire::Request& request) {
    const auto* body = std::get_if<Body>(&request.body);
    if (body == nullptr) return false;
    wire::RelayFrame frame = reply(*body);
    frame.request = request.id;
    tell(watched.alice, frame);
    return true;
  };
}

}  // namespace

TEST_SUITE("client-sdk/src/core: a malicious relay, answers") {
  TEST_CASE("outcomes of a wrong count: the submit is tried again, in no hurry") {
    for (const std::size_t outcomes : {2U, 7U}) {
      Watched watched;
      watched.watch(answers<wire::Submit>(watched, [&](const wire::Submit&) {
        wire::Submitted reply;
        reply.outcomes.resize(outcomes);
        return wire::RelayFrame{0, reply};
      }));
      const Sent sent = watched.alice.send("bob", "one");
      watched.world.run(1min);
      CHECK(watched.frames < 30);
      CHECK(watched.alice.status(sent.id) == Status::queued);
      watched.check_honest({"one"});
    }
  }

  TEST_CASE("a list that is always stale, and never comes: no loop, nothing lost") {
    Watched watched;
    watched.watch(answers<wire::Submit>(watched, [](const wire::Submit& submit) {
      wire::Submitted reply;
      reply.outcomes.assign(submit.recipients.size(),
                            {wire::ErrorCode::stale_list, wire::kNoList, 0});
      return wire::RelayFrame{0, reply};
    }));
    watched.alice.send("bob", "one");
    watched.alice.send("bob", "two");
    watched.world.run(5min);
    CHECK(watched.frames < 60);
    watched.check_honest({"one", "two"});
  }

  TEST_CASE("an answer of the wrong kind ends the connection; the next one goes on") {
    const std::vector<std::pair<std::string, wire::RelayFrame>> wrong{
        {"welcome", {0, wire::Welcome{}}},
        {"done", {0, wire::Done{}}},
        {"prekeys", {0, wire::Prekeys{}}},
    };
    for (const auto& one : wrong) {
      const auto& name = one.first;
      const auto& frame = one.second;
      CAPTURE(name);
      Watched watched;
      const auto list = keys_of(watched.bob).account.list;
      watched.watch([&](const wire::Request& request) {
        if (!std::holds_alternative<wire::Submit>(request.body)) return false;
        wire::RelayFrame reply = frame;
        reply.request = request.id;
        if (auto* prekeys = std::get_if<wire::Prekeys>(&reply.body)) prekeys->list = list.view();
        tell(watched.alice, reply);
        return true;
      });
      watched.alice.send("bob", "one");
      watched.world.run(1min);
      CHECK(watched.alice.count(EventKind::offline) > 0);
      CHECK(watched.frames < 400);  // the pause between connections is the connection's business
      watched.check_honest({"one"});
    }
  }

  TEST_CASE("answers to requests that were never made are passed over") {
    Watched watched;
    const auto before = all_but_seen(watched.alice);
    const auto list = keys_of(watched.bob).account.list;
    watched.watch();
    for (std::uint32_t id = 1'000; id < 1'200; ++id) {
      tell(watched.alice, {id, wire::Done{}});
      tell(watched.alice, {id, wire::User{list.view()}});
      tell(watched.alice, {id, wire::Refused{wire::ErrorCode::unauthorized, 0}});
      tell(watched.alice, {id, wire::Welcome{}});
    }
    tell(watched.alice, {0, wire::Refused{wire::ErrorCode::bad_request, 0}});
    watched.world.settle();
    CHECK(all_but_seen(watched.alice) == before);
    CHECK(watched.frames == 0);
    watched.check_honest({});
  }

  TEST_CASE("caught up twice is told once") {
    Watched watched;
    const auto told = watched.alice.count(EventKind::caught_up);
    for (int i = 0; i < 100; ++i) tell(watched.alice, {0, wire::CaughtUp{}});
    watched.world.settle();
    CHECK(watched.alice.count(EventKind::caught_up) == told);
  }

  TEST_CASE("a storm of KeysLow makes a bounded number of keys") {
    Watched watched;
    watched.watch(answers<wire::PutKeys>(watched, [](const wire::PutKeys&) {
      return wire::RelayFrame{0, wire::Done{}};
    }));
    for (int round = 0; round < 60; ++round) {
      for (int i = 0; i < 100; ++i) tell(watched.alice, {0, wire::KeysLow{0}});
      watched.world.run(1s);
    }
    CHECK(watched.frames < 10);
    CHECK(count(watched.alice, store::Table::prekeys) < 900);
    for (int round = 0; round < 60; ++round) {
      tell(watched.alice, {0, wire::KeysLow{0}});
      watched.world.run(11s);
    }
    CHECK(count(watched.alice, store::Table::prekeys) <= core::kOneTimeKeysKept + 2);
  }

  TEST_CASE("another store with every Welcome: sent again once a login, arrived once") {
    Watched watched;
    std::uint64_t generation = 100;
    watched.world.tamper = altering<wire::Welcome>([&](SimDevice&, wire::Welcome& welcome) {
      welcome.store_generation = ++generation;
      return true;
    });
    watched.alice.send("bob", "zero");
    watched.world.settle();
    watched.bob.disconnect();
    Texts texts{"zero"};
    for (int i = 0; i < 20; ++i) {
      texts.push_back("m" + std::to_string(i));
      watched.alice.send("bob", texts.back());
    }
    watched.world.settle();
    watched.watch();
    for (int i = 0; i < 10; ++i) {
      watched.alice.disconnect();
      watched.alice.connect();
      watched.world.settle();
    }
    CHECK(watched.frames <= 10 * 24);
    watched.bob.connect();
    watched.check_honest(texts);
  }

  TEST_CASE("a Login and a Register that are refused in turn come to an end") {
    Watched watched;
    const auto list = keys_of(watched.alice).account.list;
    watched.watch([&](const wire::Request& request) {
      if (std::holds_alternative<wire::Login>(request.body)) {
        tell(watched.alice, {request.id, wire::Refused{wire::ErrorCode::unknown_device, 0}});
      } else if (std::holds_alternative<wire::Register>(request.body)) {
        tell(watched.alice, {request.id, wire::User{list.view()}});
      }
      return true;
    });
    watched.alice.disconnect();
    watched.alice.connect();
    watched.world.settle();
    CHECK(watched.frames <= 8);
    CHECK(watched.alice.count(EventKind::removed) == 0);
    watched.alice.disconnect();
    watched.world.upstream = nullptr;
    watched.alice.connect();
    watched.check_honest({});
  }

  TEST_CASE("a list that is not ours, or older, does not make us believe that we were removed") {
    Watched watched;
    const auto theirs = keys_of(watched.bob).account.list;
    auto broken = following_list(watched.alice);
    broken.signature.bytes[1] ^= 1;
    const auto later = following_list(watched.bob);  // a version that ours has not had yet
    for (const auto& list : {theirs, later, broken}) {
      watched.watch([&](const wire::Request& request) {
        if (std::holds_alternative<wire::Login>(request.body)) {
          tell(watched.alice, {request.id, wire::Refused{wire::ErrorCode::unknown_device, 0}});
        } else if (std::holds_alternative<wire::Register>(request.body)) {
          tell(watched.alice, {request.id, wire::User{list.view()}});
        }
        return true;
      });
      const auto told = watched.alice.count(EventKind::list_refused);
      watched.alice.disconnect();
      watched.alice.connect();
      watched.world.settle();
      CHECK(watched.alice.count(EventKind::removed) == 0);
      CHECK(watched.alice.count(EventKind::list_refused) > told);
      CHECK(watched.frames <= 8);
    }
    watched.alice.disconnect();
    watched.world.upstream = nullptr;
    watched.alice.connect();
    watched.check_honest({});
  }

  TEST_CASE("waits without end are cut: an honest answer is sought within the hour") {
    Watched watched;
    watched.watch(answers<wire::Submit>(watched, [](const wire::Submit&) {
      return wire::RelayFrame{0, wire::Refused{wire::ErrorCode::busy, 0xffff'ffff}};
    }));
    watched.alice.send("bob", "one");
    watched.world.settle();
    watched.watch();
    watched.world.run(1h);
    CHECK(watched.bob.texts("alice") == Texts{"one"});
    tell(watched.alice, {0, wire::Closing{wire::ErrorCode::busy, 0xffff'ffff}});
    watched.alice.round([&](core::Core& core) {
      const ParsedFrame frame(watched.alice.to_device.back());
      core.on_frame(frame.value, watched.world.now());
      CHECK(core.link().retry_after <= 1h);
    });
  }

  TEST_CASE("the relay's clock ten years off: stamps stay beside it, and order holds") {
    for (const std::int64_t years : {10, -10}) {
      Watched watched;
      const std::int64_t off = years * 365 * 24 * 3'600'000;
      watched.alice.disconnect();
      std::int64_t relay_time = 0;
      watched.world.tamper = altering<wire::Welcome>([&](SimDevice&, wire::Welcome& welcome) {
        relay_time = static_cast<std::int64_t>(welcome.relay_time_ms) + off;
        welcome.relay_time_ms = static_cast<std::uint64_t>(relay_time);
        return true;
      });
      watched.alice.connect();
      watched.world.settle();
      watched.alice.send("bob", "one");
      watched.bob.send("alice", "two");
      watched.world.settle();
      const auto stamp = watched.alice.messages("bob");
      for (const auto& message : stamp) {
        if (!message.outgoing) continue;
        const std::int64_t from_relay = message.time.time_since_epoch().count() - relay_time;
        CHECK(std::abs(from_relay) <= 2 * 60'000 + 1'000);
      }
      CHECK(watched.bob.texts("alice") == watched.alice.texts("bob"));
      CHECK(watched.bob.count(EventKind::late_clock) == (years > 0 ? 1 : 0));
    }
  }

  TEST_CASE("a relay's time that no clock can show is not taken over") {
    for (const std::uint64_t time :
         {std::uint64_t{0}, ~std::uint64_t{0}, std::uint64_t{1} << 63, std::uint64_t{1} << 50}) {
      Watched watched;
      watched.alice.disconnect();
      watched.world.tamper = altering<wire::Welcome>([&](SimDevice&, wire::Welcome& welcome) {
        welcome.relay_time_ms = time;
        return true;
      });
      watched.alice.connect();
      watched.world.settle();
      watched.alice.send("bob", "one");
      watched.world.settle();
      REQUIRE(watched.bob.texts("alice") == Texts{"one"});
      CHECK(watched.alice.messages("bob").front().time.time_since_epoch() <=
            watched.world.now().wall + 10min);
    }
  }

  TEST_CASE("a contact's name that is claimed by another, with the relay's word, stays") {
    Watched watched;
    watched.alice.send("bob", "to bob");
    watched.bob.send("alice", "from bob");
    watched.world.settle();
    SimDevice& mallory = watched.world.add("mallory");
    const auto theirs = keys_of(mallory).account.list;
    watched.watch([&](const wire::Request& request) {
      const auto* ask = std::get_if<wire::GetUser>(&request.body);
      if (ask == nullptr || ask->name != "bob") return false;
      tell(watched.alice, {request.id, wire::User{theirs.view()}});
      return true;
    });
    Puppet puppet(mallory, watched.alice);
    puppet.begin({});
    wire::Text text;
    text.id.bytes[0] = 7;
    text.hlc = 1;
    text.text = "it is me";
    text.sender_name = "bob";
    puppet.submit_inner(puppet.inner(puppet.payload(text)));
    watched.world.run(5s);
    CHECK(watched.alice.count(EventKind::name_moved) == 1);
    watched.alice.send("bob", "for bob alone");
    watched.world.run(5s);
    CHECK(watched.bob.texts("alice").back() == "for bob alone");
    CHECK(mallory.count(EventKind::message_received) == 0);
  }

  TEST_CASE("a look-up that leads to a contact takes no name from them, and gives it to nobody") {
    Watched watched;
    watched.world.exchange_texts(watched.alice, watched.bob);
    const Sent vain = watched.alice.send("carol", "are you here yet?");
    watched.world.settle();
    REQUIRE(watched.alice.status(vain.id) == Status::failed);
    SimDevice& mallory = watched.world.add("mallory");
    const auto his = keys_of(watched.bob).account.list;
    const auto hers = keys_of(mallory).account.list;
    watched.watch([&](const wire::Request& request) {
      const auto* ask = std::get_if<wire::GetUser>(&request.body);
      if (ask == nullptr || !ask->name) return false;
      tell(watched.alice, {request.id, wire::User{(ask->name == "bob" ? hers : his).view()}});
      return true;
    });
    Texts texts{"one", "two"};
    std::string other = "carol";
    SUBCASE("of a name that we write to") {
      watched.alice.send("bbo", "a typo");
      watched.world.run(5s);
      watched.alice.send("bbo", "again");
      watched.world.run(5s);
      texts.insert(texts.end(), {"a typo", "again"});
      other = "bbo";
    }
    SUBCASE("of a name that somebody claims, to which we wrote once") {
      Puppet puppet(mallory, watched.alice);
      puppet.begin({});
      wire::Text text;
      text.id.bytes[0] = 7;
      text.hlc = 1;
      text.text = "it is me";
      text.sender_name = "carol";
      puppet.submit_inner(puppet.inner(puppet.payload(text)));
      watched.world.run(5s);
    }
    const auto contacts = watched.alice.core->contacts();
    const auto bob = watched.bob.core->account().user;
    CHECK(std::ranges::find(*contacts, bob, &Contact::user)->name == "bob");
    CHECK(std::ranges::count_if(watched.alice.events, [&](const Event& event) {
      return event.kind == EventKind::contact_added && event.user == bob && event.detail == other;
    }) == 1);
    watched.alice.send("bob", "for bob alone");
    watched.world.run(5s);
    texts.emplace_back("for bob alone");
    CHECK(watched.bob.texts("alice") == texts);
    CHECK(mallory.count(EventKind::message_received) == 0);
  }

  TEST_CASE("a name whose holder came to be known while a text to it waited stays theirs") {
    Watched watched;
    SimDevice& carol = watched.world.add("carol");
    SimDevice& mallory = watched.world.add("mallory");
    auto bad = following_list(carol);
    bad.signature.bytes[0] ^= 1;
    const auto hers = keys_of(mallory).account.list;
    int asked = 0;
    watched.watch([&](const wire::Request& request) {
      const auto* ask = std::get_if<wire::GetUser>(&request.body);
      if (ask == nullptr || ask->name != "carol") return false;
      if (++asked == 1) {
        tell(watched.alice, {request.id, wire::Refused{wire::ErrorCode::rate_limited, 30'000}});
      } else {  // her claim is confirmed, with a list that does not hold; then it is another's
        tell(watched.alice, {request.id, wire::User{(asked == 2 ? bad : hers).view()}});
      }
      return true;
    });
    watched.alice.send("carol", "for carol alone");
    watched.world.settle();
    carol.send("alice", "it is me");
    watched.world.run(10min);
    CHECK(asked >= 3);
    CHECK(mallory.count(EventKind::message_received) == 0);
    watched.world.upstream = nullptr;
    watched.world.run(10min);
    CHECK(carol.texts("alice") == Texts{"for carol alone", "it is me"});
    CHECK(watched.alice.texts("carol") == Texts{"for carol alone", "it is me"});
  }

  TEST_CASE("a look-up of a name that is refused for a while waits so long") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    int asked = 0;
    world.upstream = [&](SimDevice& from, wire::ByteView bytes) {
      const auto request = wire::parse_request(bytes);
      const auto* get = std::get_if<wire::GetUser>(&request->body);
      if (&from != &bob || get == nullptr || !get->name) return true;
      if (++asked < 2'000) {
        tell(from, {request->id, wire::Refused{wire::ErrorCode::rate_limited, 60'000}});
      }
      return false;
    };
    alice.send("bob", "hello");
    world.run(20s);
    CHECK(asked <= 2);
  }
}

}  // namespace godwit::test
