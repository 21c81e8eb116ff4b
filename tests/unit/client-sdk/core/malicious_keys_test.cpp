// A relay that lies about keys, device lists and names: each lie is told to the app, nothing is
// sent under it, and what waited goes out once the relay behaves.
#include <doctest/doctest.h>

#include "tests/support/forge.hpp"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;
using Texts = std::vector<std::string>;
using wire::SignedKeyKind;

struct Three {
  World world;
  SimDevice& alice = world.add("alice");
  SimDevice& bob = world.add("bob");
  SimDevice& carol = world.add("carol");

  void talk() {
    alice.send("bob", "hello");
    world.settle();
    bob.send("alice", "hello too");
    world.settle();
  }
  // Bob on a new device, by his recovery code.
  SimDevice& recover_bob() {
    const auto code = bob.core->recovery_code();
    REQUIRE(code.ok());
    bob.disconnect();
    SimDevice& fresh = world.add_blank("bob again");
    fresh.recover(*code);
    fresh.connect();
    world.run(5s);
    return fresh;
  }
  // From now on counts what alice sends, and lets nothing through beyond a bound, so that a loop
  // ends. While there is a `stale`, the relay keeps her submits and says that this list is newer.
  void watch_alice() {
    frames = 0;
    world.upstream = [this](SimDevice& from, wire::ByteView bytes) {
      if (&from != &alice) return true;
      if (++frames > 5'000) return false;
      const auto request = wire::parse_request(bytes);
      REQUIRE(request);
      const auto* submit = std::get_if<wire::Submit>(&request->body);
      if (submit == nullptr || !stale) return true;
      wire::Submitted reply;
      reply.outcomes.assign(submit->recipients.size(), {wire::ErrorCode::stale_list, 0, 0});
      reply.lists = {stale->view()};
      tell(from, {request->id, reply});
      return false;
    };
  }
  std::optional<wire::SignedList> stale;
  int frames = 0;
};

wire::SignedKey signed_by(const SimDevice& device, SignedKeyKind kind, std::uint64_t expires) {
  const Keys keys = keys_of(device);
  return crypto::DeviceKeys(crypto::SigningKey::from_seed(keys.identity.seed()),
                            crypto::DhKey::draw(device.random))
      .sign_key(kind, keys.account.user, 9, {1, expires},
                crypto::DhKey::draw(device.random).public_key());
}

// All that a relay might put into a bundle of bob's.
std::vector<std::pair<std::string, std::function<void(wire::Bundle&)>>> bad_bundles(Three& three) {
  const auto bob = keys_of(three.bob).upkeep;
  const auto carol = keys_of(three.carol).upkeep;
  SimDevice& owner = three.bob;
  return {
      {"another's seal key", [=](auto& bundle) { bundle.seal_key = carol.seal_key; }},
      {"another's signed prekey",
       [=](auto& bundle) { bundle.signed_prekey = carol.signed_prekey; }},
      {"both keys of another's device",
       [=](auto& bundle) {
         bundle.seal_key = carol.seal_key;
         bundle.signed_prekey = carol.signed_prekey;
       }},
      {"a seal key of the relay's own", [](auto& bundle) { bundle.seal_key.key.bytes[3] ^= 1; }},
      {"a signed prekey of the relay's own",
       [](auto& bundle) { bundle.signed_prekey.key.bytes[3] ^= 1; }},
      {"the prekey as seal key", [=](auto& bundle) { bundle.seal_key = bob.signed_prekey; }},
      {"the seal key as prekey", [=](auto& bundle) { bundle.signed_prekey = bob.seal_key; }},
      {"a seal key with its time made longer", [](auto& bundle) { ++bundle.seal_key.expires; }},
      {"a seal key that ended years ago",
       [&owner](auto& bundle) {
         bundle.seal_key = signed_by(owner, SignedKeyKind::seal, 1'600'000'000);
       }},
      {"a signed prekey that ended years ago",
       [&owner](auto& bundle) {
         bundle.signed_prekey = signed_by(owner, SignedKeyKind::prekey, 1'600'000'000);
       }},
  };
}

wire::SignedList ghost_list(const Three& three) {
  const Keys carol = keys_of(three.carol);
  wire::SignedList list = keys_of(three.bob).account.list;
  const auto entries = crypto::devices_of(carol.account.list);
  REQUIRE(entries);
  constexpr std::size_t kCountAt = 73, kFirstAt = 74;
  list.body[kCountAt] = 2;
  wire::append(list.body, wire::ByteView(carol.account.list.body).subspan(kFirstAt));
  return list;
}

wire::SignedList with_bad_signature(wire::SignedList list) {
  list.signature.bytes[5] ^= 1;
  return list;
}

}  // namespace

TEST_SUITE("client-sdk/src/core: a malicious relay, keys and lists") {
  TEST_CASE("a substituted key is told, nothing is encrypted for it, and the message goes later") {
    const auto cases = [] {
      Three three;
      return bad_bundles(three).size();
    }();
    for (std::size_t i = 0; i < cases; ++i) {
      Three three;
      const auto bad = bad_bundles(three)[i];
      const auto& name = bad.first;
      const auto& change = bad.second;
      CAPTURE(name);
      three.world.tamper = altering<wire::Prekeys>([&](SimDevice&, wire::Prekeys& prekeys) {
        for (auto& bundle : prekeys.bundles) change(bundle);
        return true;
      });
      three.watch_alice();
      const Sent sent = three.alice.send("bob", "secret");
      three.world.run(5min);
      CHECK(three.alice.count(EventKind::prekey_refused) > 0);
      CHECK(three.alice.status(sent.id) == Status::queued);
      CHECK(count(three.alice, store::Table::sessions) == 0);
      CHECK(three.frames < 30);
      three.world.tamper = nullptr;
      three.world.run(2min);
      CHECK(three.bob.texts("alice") == Texts{"secret"});
      CHECK(three.alice.status(sent.id) == Status::delivered);
    }
  }

  TEST_CASE("bad bundles for a contact whose seal key has run out are not asked for in a loop") {
    Three three;
    three.talk();
    three.alice.disconnect();
    three.world.pass(std::chrono::hours{24 * 31});
    three.alice.connect();
    three.world.settle();
    three.world.tamper = altering<wire::Prekeys>([&](SimDevice&, wire::Prekeys& prekeys) {
      for (auto& bundle : prekeys.bundles) bundle.seal_key.key.bytes[3] ^= 1;
      return true;
    });
    three.watch_alice();
    three.alice.send("bob", "later");
    three.world.run(1min);
    CHECK(three.frames < 20);
    CHECK(three.alice.count(EventKind::prekey_refused) > 0);
    three.world.tamper = nullptr;
    three.world.run(10min);
    CHECK(three.bob.texts("alice") == Texts{"hello", "hello too", "later"});
  }

  TEST_CASE("keys past their time are used for a while, and that is told") {
    for (const SignedKeyKind kind : {SignedKeyKind::seal, SignedKeyKind::prekey}) {
      Three three;
      three.world.tamper = altering<wire::Prekeys>([&](SimDevice&, wire::Prekeys& prekeys) {
        for (auto& bundle : prekeys.bundles) {
          (kind == SignedKeyKind::seal ? bundle.seal_key : bundle.signed_prekey) =
              signed_by(three.bob, kind, 1'699'000'000);
        }
        return true;
      });
      const Sent sent = three.alice.send("bob", "secret");
      three.world.settle();
      CHECK(three.alice.count(EventKind::stale_prekey) == 1);
      CHECK(three.alice.status(sent.id) == Status::sent);
    }
  }

  TEST_CASE("a swapped one-time key opens nothing; an honest relay heals it") {
    Three three;
    three.world.tamper = altering<wire::Prekeys>([&](SimDevice&, wire::Prekeys& prekeys) {
      for (auto& bundle : prekeys.bundles) {
        if (bundle.one_time)
          bundle.one_time->key = crypto::DhKey::draw(three.bob.random).public_key();
      }
      return true;
    });
    const auto keys = count(three.bob, store::Table::prekeys);
    const Sent sent = three.alice.send("bob", "one");
    three.world.run(1min);
    CHECK(three.bob.texts("alice").empty());
    CHECK(three.alice.status(sent.id) == Status::sent);
    CHECK(count(three.bob, store::Table::prekeys) == keys);
    CHECK(count(three.bob, store::Table::contacts) == 0);
    three.world.tamper = nullptr;
    three.world.run(std::chrono::hours{25});
    three.alice.send("bob", "two");
    three.world.run(1min);
    CHECK(three.bob.texts("alice") == Texts{"one", "two"});
    CHECK(three.alice.status(sent.id) == Status::delivered);
  }

  TEST_CASE("a device list that does not hold is told, and the one that is known stays") {
    Three three;
    three.talk();
    const auto stranger = crypto::DeviceKeys::draw(three.carol.random);
    const crypto::RootKey root(crypto::SigningKey::draw(three.carol.random));
    const std::array own{stranger.sign_device(root.user_id(), 1, {1})};
    const auto made = crypto::make_first_list(
        root, crypto::ListKey(crypto::SigningKey::draw(three.carol.random)), own);
    REQUIRE(made);
    const std::vector<std::pair<std::string, wire::SignedList>> lists{
        {"another user's", keys_of(three.carol).account.list},
        {"the relay's own", *made},
        {"with a signature that does not hold",
         with_bad_signature(keys_of(three.bob).account.list)},
        {"with a ghost device", ghost_list(three)},
        {"newer, with a signature that does not hold",
         with_bad_signature(following_list(three.bob))},
    };
    const auto before = snapshot(three.alice, {store::Table::contacts});
    Texts texts{"hello", "hello too"};
    for (const auto& one : lists) {
      const auto& name = one.first;
      const auto& list = one.second;
      CAPTURE(name);
      const auto told = three.alice.count(EventKind::list_refused);
      three.stale = list;
      three.watch_alice();
      texts.push_back(name);
      three.alice.send("bob", name);
      three.world.run(1min);
      if (name != "with a signature that does not hold") {
        CHECK(three.alice.count(EventKind::list_refused) > told);
      }
      CHECK(three.frames < 60);
      three.stale.reset();
      three.world.run(3min);
      CHECK(snapshot(three.alice, {store::Table::contacts}) == before);
      CHECK(three.bob.texts("alice") == texts);
      CHECK(three.alice.messages("bob").back().status == Status::delivered);
    }
  }

  TEST_CASE("two lists of one version stop the sending and are told") {
    Three three;
    three.talk();
    const auto ghost = crypto::DeviceKeys::draw(three.carol.random)
                           .sign_device(keys_of(three.bob).account.user, 1, {1});
    three.stale = forked_list(three.bob, ghost);
    three.watch_alice();
    const Sent first = three.alice.send("bob", "one");
    three.world.run(1min);
    CHECK(three.alice.count(EventKind::equivocation) > 0);
    three.stale.reset();
    three.watch_alice();
    const Sent second = three.alice.send("bob", "two");
    three.world.run(1min);
    CHECK(three.alice.status(second.id) == Status::queued);
    CHECK(three.alice.status(first.id) != Status::delivered);
    CHECK(three.frames < 10);

    // Only who holds the recovery code can say which list holds.
    SimDevice& fresh = three.recover_bob();
    fresh.send("alice", "it is me");
    three.world.run(10s);
    CHECK(three.alice.status(second.id) == Status::delivered);
    CHECK(three.alice.texts("bob").back() == "it is me");
    three.alice.send("bob", "three");
    three.world.run(10s);
    CHECK(fresh.texts("alice").back() == "three");
  }

  TEST_CASE("a list that does not follow the one before it stops the sending and is told") {
    Three three;
    three.talk();
    const Keys bob = keys_of(three.bob);
    const crypto::ListKey key(crypto::SigningKey::draw(three.bob.random));
    const std::array own{own_entry(three.bob)};
    const auto second = crypto::make_recovered_list(bob.root, key, bob.account.list, own);
    REQUIRE(second);
    const auto third_after = [&](const wire::Hash32& previous) {
      auto list = wire::parse_device_list(second->body);
      REQUIRE(list);
      ++list->version.seq;
      list->previous = previous;
      wire::SignedList third = *second;
      third.body = wire::list_body(*list, std::array{own[0].signature});
      third.signature = key.sign(third.body);
      REQUIRE(wire::verify_device_list(third.view()));
      return third;
    };
    bool follows = false;
    SUBCASE("it follows") {
      follows = true;
    }
    SUBCASE("it follows another") {}
    three.watch_alice();
    three.stale = *second;
    three.alice.send("bob", "one");
    three.world.run(1min);
    REQUIRE(three.alice.count(EventKind::equivocation) == 0);
    three.stale = third_after(follows ? wire::sha512_32(second->body) : wire::Hash32{});
    three.alice.send("bob", "two");
    three.world.run(1min);
    CHECK((three.alice.count(EventKind::equivocation) > 0) == !follows);
    three.stale.reset();
    three.world.run(10min);
    const auto expected = follows ? Status::delivered : Status::queued;
    CHECK(three.alice.messages("bob").back().status == expected);
  }

  TEST_CASE("a list that the relay withholds is told as soon as its owner writes") {
    Three three;
    three.talk();
    const auto next = following_list(three.bob);
    three.bob.disconnect();
    three.world.tamper = altering<wire::Welcome>([&](SimDevice&, wire::Welcome& welcome) {
      welcome.list = version_of(next);
      return true;
    });
    three.world.upstream = [&](SimDevice& from, wire::ByteView bytes) {
      const auto request = wire::parse_request(bytes);
      REQUIRE(request);
      if (&from != &three.bob || !std::holds_alternative<wire::GetUser>(request->body)) return true;
      tell(from, {request->id, wire::User{next.view()}});
      return false;
    };
    three.bob.connect();  // bob has the new list, alice has not
    three.world.settle();
    CHECK(three.bob.count(EventKind::devices_changed) == 1);
    three.world.tamper = nullptr;
    three.world.upstream = nullptr;
    three.bob.send("alice", "look at my list");
    three.world.run(5s);
    CHECK(three.alice.count(EventKind::list_refused) == 1);
    CHECK(three.alice.texts("bob").back() == "look at my list");
    three.bob.disconnect();
    three.bob.connect();  // honest: bob puts it
    three.world.run(5s);
    three.bob.send("alice", "and now?");
    three.world.run(5s);
    CHECK(three.alice.count(EventKind::list_refused) == 1);
    three.alice.send("bob", "now I have it");
    three.world.run(10s);
    CHECK(three.alice.messages("bob").back().status == Status::delivered);
  }

  TEST_CASE("a list rolled back after a recovery is refused; the lost device gets nothing more") {
    Three three;
    three.talk();
    const auto old = keys_of(three.bob).account.list;
    SimDevice& fresh = three.recover_bob();
    three.alice.send("bob", "for the new one");
    three.world.run(10s);
    REQUIRE(fresh.texts("alice") == Texts{"for the new one"});
    const auto before = snapshot(three.alice, {store::Table::contacts});
    three.stale = old;
    three.watch_alice();
    three.alice.send("bob", "still for the new one");
    three.world.run(1min);
    CHECK(three.alice.count(EventKind::list_refused) > 0);
    CHECK(snapshot(three.alice, {store::Table::contacts}) == before);
    three.stale.reset();
    three.world.run(3min);
    CHECK(fresh.texts("alice") == Texts{"for the new one", "still for the new one"});
  }
}

}  // namespace godwit::test
