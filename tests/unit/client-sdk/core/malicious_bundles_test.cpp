// What a relay or a contact can make of bundles: keys that are none, that hold for ever or not at
// all, and more devices than a frame has room for.
#include <doctest/doctest.h>

#include "tests/support/forge.hpp"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;
using Texts = std::vector<std::string>;

}  // namespace

TEST_SUITE("client-sdk/src/core") {
  TEST_CASE("a one-time key that is none is not taken") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    std::uint32_t id = 0;
    SUBCASE("none") { id = wire::kNoOneTimeKey; }
    SUBCASE("zero") {}
    world.tamper = altering<wire::Prekeys>([&](SimDevice&, wire::Prekeys& body) {
      for (auto& bundle : body.bundles) {
        if (bundle.one_time) bundle.one_time->id = id;
      }
      return true;
    });
    const auto sent = alice.send("bob", "hello");
    world.settle();
    CHECK(alice.status(sent.id) == Status::queued);
    world.tamper = {};
    world.run(10min);
    CHECK(bob.texts("alice") == Texts{"hello"});
  }

  TEST_CASE("a text to a contact with sixteen devices goes in several frames") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    const auto keys = keys_of(bob);
    std::vector<crypto::DeviceKeys> devices;
    std::vector<crypto::SignedDevice> entries{own_entry(bob)};
    for (int i = 0; i < 15; ++i) {
      devices.push_back(crypto::DeviceKeys::draw(bob.random));
      entries.push_back(devices.back().sign_device(keys.account.user, 1, {1}));
    }
    const auto list = list_after(bob, keys.account.list, entries);
    world.tamper = [&](SimDevice& to, wire::ByteView bytes) -> Frames {
      if (&to != &alice) return as_is(bytes);
      ParsedFrame frame(bytes);
      if (auto* user = std::get_if<wire::User>(&frame.value.body)) user->list = list.view();
      if (auto* prekeys = std::get_if<wire::Prekeys>(&frame.value.body)) {
        prekeys->list = list.view();
        for (const auto& device : devices) {
          const auto key = crypto::DhKey::draw(bob.random).public_key();
          wire::Bundle bundle;
          bundle.device = device.device_id();
          bundle.seal_key = device.sign_key(wire::SignedKeyKind::seal, keys.account.user, 1,
                                            {1, 4'000'000'000}, key);
          bundle.signed_prekey = device.sign_key(wire::SignedKeyKind::prekey, keys.account.user, 1,
                                                 {1, 4'000'000'000}, key);
          prekeys->bundles.push_back(bundle);
        }
      }
      return {frame_of(frame.value)};
    };
    std::vector<std::size_t> recipients;
    world.upstream = [&](SimDevice& from, wire::ByteView bytes) {
      const auto request = wire::parse_request(bytes);
      const auto* submit = std::get_if<wire::Submit>(&request->body);
      if (&from == &alice && submit != nullptr) recipients.push_back(submit->recipients.size());
      return true;
    };
    alice.send("bob", std::string(40'000, 'x'));
    world.settle();
    // As many as a frame holds; this relay knows nothing of the others.
    REQUIRE_FALSE(recipients.empty());
    CHECK(recipients.front() < entries.size());
    CHECK(recipients.front() > entries.size() / 2);
  }

  TEST_CASE("a seal key that holds for ever is not asked for again and again") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    const Keys keys = keys_of(bob);
    const crypto::DeviceKeys device(crypto::SigningKey::from_seed(keys.identity.seed()),
                                    crypto::DhKey::draw(bob.random));
    const auto seal = device.sign_key(wire::SignedKeyKind::seal, keys.account.user, 1,
                                      {1, std::uint64_t{1} << 61}, keys.upkeep.seal_key.key);
    world.tamper = altering<wire::Prekeys>([&](SimDevice& to, wire::Prekeys& body) {
      if (&to != &alice) return false;
      for (auto& bundle : body.bundles) bundle.seal_key = seal;
      return true;
    });
    int asked = 0;
    world.upstream = [&](SimDevice& from, wire::ByteView bytes) {
      const auto request = wire::parse_request(bytes);
      if (&from == &alice && std::holds_alternative<wire::GetPrekeys>(request->body)) {
        return ++asked < 1'000;
      }
      return true;
    };
    bob.send("alice", "hello");
    world.run(1min);
    CHECK(asked < 10);
  }

  TEST_CASE("a stranger without usable keys keeps nobody from being settled") {
    World world;
    SimDevice& bob = world.add("bob");
    SimDevice& mallory = world.add("mallory");
    const Keys keys = keys_of(mallory);
    const crypto::DeviceKeys device(crypto::SigningKey::from_seed(keys.identity.seed()),
                                    crypto::DhKey::draw(mallory.random));
    const auto old = device.sign_key(wire::SignedKeyKind::seal, keys.account.user, 1, {1, 2},
                                     keys.upkeep.seal_key.key);
    world.tamper = altering<wire::Prekeys>([&](SimDevice& to, wire::Prekeys& body) {
      if (&to != &bob) return false;
      for (auto& bundle : body.bundles) bundle.seal_key = old;
      return true;
    });
    mallory.send("bob", "hello");
    world.run(10min);
    CHECK(bob.core->settled());
  }
}

}  // namespace godwit::test
