// Who is who on the real daemon: registration, names, device lists, prekeys, sessions.
#include <array>
#include <set>

#include "schema/wire/x25519.hpp"
#include "tests/integration/story.hpp"

namespace godwit::integration {
namespace {

using DeviceIndexes = std::vector<std::uint32_t>;

// The user of seed 1, who has linked a second device; both are live.
struct TwoDevices {
  Story story;
  Device& first = story.member(1);
  wire::SignedList list = support::next_list(1, first.account().list, DeviceIndexes{0, 1});
  Device& second = story.device(Account::of_device(1, 1, list));

  TwoDevices() {
    REQUIRE(first.ask(wire::PutDevices{list.view(), {1, 1}}).done);
    second.come_back();
  }
};

wire::Register registration_of(const Account& account) {
  return {wire::kProtocolVersion, account.device,        account.list.view(),
          account.seal_key,       account.signed_prekey, {}};
}

TEST_SUITE("tests/integration/people") {
  TEST_CASE("a device that the relay does not know registers on the same connection") {
    Story story;
    auto& anna = story.device(Account::from_seed(1));
    anna.connect();
    CHECK(anna.login().code == ErrorCode::unknown_device);
    CHECK(anna.register_user().welcome);
    CHECK(story.relay.status().refused_total == 1);
  }

  TEST_CASE("a login or a registration with another transport key is refused") {
    Story story;
    story.absent(1);
    auto stolen = Account::from_seed(1);
    stolen.transport = wire::random_key_pair();
    auto& thief = story.device(stolen);
    thief.connect();
    CHECK(thief.login().code == ErrorCode::unauthorized);
    CHECK(thief.register_user().code == ErrorCode::unauthorized);
    CHECK(story.relay.status().sessions == 0);
  }

  TEST_CASE("a registration whose signatures do not hold is refused and changes nothing") {
    Story story;
    auto account = Account::from_seed(1);
    account.list.signature.bytes[0] ^= 1;
    auto& forged_list = story.device(account);
    forged_list.connect();
    CHECK(forged_list.register_user().code == ErrorCode::unauthorized);
    account = Account::from_seed(1);
    account.signed_prekey.signature.bytes[0] ^= 1;
    auto& forged_key = story.device(account);
    forged_key.connect();
    CHECK(forged_key.register_user().code == ErrorCode::unauthorized);
    CHECK(story.relay.status().users == 0);
  }

  TEST_CASE("the next login of a device replaces the one before, and both are told") {
    Story story;
    auto& before = story.member(1);
    auto& after = story.device(Account::from_seed(1));
    after.connect();
    const auto welcome = after.login().welcome;
    REQUIRE(welcome);
    CHECK(welcome->replaced);
    before.await_closed();
    CHECK(before.closing == ErrorCode::replaced);
    CHECK(after.ask(wire::Ping{}).done);
    CHECK(story.relay.status().sessions == 1);
  }

  TEST_CASE("a request before login ends the connection, but for a ping") {
    Story story;
    auto& anna = story.device(Account::from_seed(1));
    anna.connect();
    CHECK(anna.ask(wire::Ping{}).done);
    anna.raw().submit(anna.account(), request_id(1), wire::as_bytes("x"));
    anna.await_closed();
    CHECK(anna.closing == ErrorCode::out_of_state);
    CHECK(story.relay.status().closed_by_relay_total == 1);
  }

  TEST_CASE("a second login on one connection ends it") {
    Story story;
    auto& anna = story.member(1);
    anna.raw().login();
    anna.await_closed();
    CHECK(anna.closing == ErrorCode::out_of_state);
  }

  TEST_CASE("a name belongs to whoever claims it first, until it is released") {
    Story story;
    auto& anna = story.device(Account::from_seed(1));
    anna.connect();
    const auto welcome = anna.register_user("Anna").welcome;
    REQUIRE(welcome);
    CHECK(welcome->name == ErrorCode::ok);

    auto& other = story.device(Account::from_seed(2));
    other.connect();
    const auto second = other.register_user("anna").welcome;  // names are folded
    REQUIRE(second);
    CHECK(second->name == ErrorCode::name_taken);
    CHECK(other.ask(wire::SetName{"anna"}).code == ErrorCode::name_taken);
    CHECK(other.ask(wire::SetName{"no spaces"}).code == ErrorCode::name_invalid);
    CHECK(other.ask(wire::SetName{"berta"}).done);

    CHECK(anna.ask(wire::SetName{}).done);
    CHECK(other.ask(wire::GetUser{{}, "anna"}).code == ErrorCode::not_found);
    CHECK(other.ask(wire::SetName{"anna"}).done);
    CHECK(anna.ask(wire::GetUser{{}, "berta"}).code == ErrorCode::not_found);
    const auto found = anna.ask(wire::GetUser{{}, "ANNA"});
    CHECK(found.lists == std::vector<wire::Bytes>{other.account().list.body});

    story.restart();
    anna.come_back();
    CHECK(anna.ask(wire::GetUser{{}, "anna"}).lists == found.lists);
    CHECK(anna.ask(wire::SetName{"anna"}).code == ErrorCode::name_taken);
  }

  TEST_CASE("a user is found by id, and one who is not there is not") {
    Story story;
    auto& anna = story.member(1);
    auto& berta = story.absent(2);
    CHECK(anna.ask(wire::GetUser{berta.account().user, {}}).lists ==
          std::vector<wire::Bytes>{berta.account().list.body});
    const auto stranger = Account::from_seed(3).user;
    CHECK(anna.ask(wire::GetUser{stranger, {}}).code == ErrorCode::not_found);
    CHECK(anna.ask(wire::GetPrekeys{stranger, {}}).code == ErrorCode::not_found);
    CHECK(anna.ask(wire::GetUser{{}, "nobody"}).code == ErrorCode::not_found);
  }

  TEST_CASE("each one-time key is handed out once, and the owner hears when they run low") {
    Story story;
    constexpr std::size_t kKeys = 100;
    auto& berta = story.device(Account::from_seed(2, kKeys));
    berta.join();
    REQUIRE(berta.ask(wire::PutKeys{{}, {}, berta.account().one_time}).done);
    std::array<Device*, 2> askers{&story.member(3), &story.member(4)};
    std::set<std::uint32_t> handed_out;
    std::size_t without = 0;
    for (std::size_t i = 0; i < 2 * kKeys; ++i) {
      const auto answer = askers[i % 2]->ask(wire::GetPrekeys{berta.account().user, {}});
      REQUIRE(answer.bundles.size() == 1);
      const auto& bundle = answer.bundles.front();
      CHECK(bundle.device == berta.account().device);
      CHECK(bundle.signed_prekey.key == berta.account().signed_prekey.key);
      CHECK(bundle.seal_key.key == berta.account().seal_key.key);
      if (!bundle.one_time) {
        ++without;
        continue;
      }
      CHECK(without == 0);
      CHECK(handed_out.insert(bundle.one_time->id).second);
      CHECK(bundle.one_time->key == berta.account().one_time.at(bundle.one_time->id - 1).key);
    }
    CHECK(handed_out.size() == kKeys);
    CHECK(without == kKeys);
    story.run_until([&] { return berta.keys_low.size() == 2; });
    CHECK(berta.keys_low == std::vector<std::uint32_t>{20, 0});
  }

  TEST_CASE("a one-time key that was handed out does not come back by a kill or a second upload") {
    Story story;
    auto& berta = story.device(Account::from_seed(2, 3));
    berta.join();
    REQUIRE(berta.ask(wire::PutKeys{{}, {}, berta.account().one_time}).done);
    auto& anna = story.member(1);
    const auto first = anna.ask(wire::GetPrekeys{berta.account().user, {}});
    REQUIRE(first.bundles.at(0).one_time);
    story.restart();
    berta.come_back();
    REQUIRE(berta.ask(wire::PutKeys{{}, {}, berta.account().one_time}).done);
    anna.come_back();
    std::set<std::uint32_t> ids{first.bundles[0].one_time->id};
    for (int i = 0; i < 3; ++i) {
      const auto next = anna.ask(wire::GetPrekeys{berta.account().user, {}});
      REQUIRE(next.bundles.size() == 1);
      if (next.bundles[0].one_time) CHECK(ids.insert(next.bundles[0].one_time->id).second);
    }
    CHECK(ids.size() == 3);
  }

  TEST_CASE("a device list follows the one that it names, or is refused") {
    Story story;
    auto& anna = story.member(1);
    const auto list = support::next_list(1, anna.account().list, DeviceIndexes{0, 1});
    CHECK(anna.ask(wire::PutDevices{list.view(), {1, 7}}).code == ErrorCode::conflict);
    CHECK(story.relay.status().devices == 1);
    CHECK(anna.ask(wire::PutDevices{list.view(), {1, 1}}).done);
    CHECK(anna.ask(wire::PutDevices{list.view(), {1, 1}}).done);  // sent again
    CHECK(story.relay.status().devices == 2);
    // An older list does not come back.
    CHECK(anna.ask(wire::PutDevices{anna.account().list.view(), {1, 2}}).code ==
          ErrorCode::conflict);
    // Nobody puts the list of another.
    auto& berta = story.member(2);
    CHECK(berta.ask(wire::PutDevices{list.view(), {1, 1}}).code == ErrorCode::unauthorized);
    CHECK(berta.ask(wire::GetUser{anna.account().user, {}}).lists ==
          std::vector<wire::Bytes>{list.body});
  }

  TEST_CASE("the devices of all lists are counted, before a restart and after it") {
    Story story;
    auto& anna = story.member(1);
    story.absent(2);
    const auto more = support::next_list(1, anna.account().list, DeviceIndexes{0, 1, 2, 3});
    REQUIRE(anna.ask(wire::PutDevices{more.view(), {1, 1}}).done);  // they have put no keys yet
    CHECK(story.relay.status().devices == 5);
    story.restart();
    CHECK(story.relay.status().devices == 5);
    anna.come_back();
    const auto fewer = support::next_list(1, more, DeviceIndexes{0});
    REQUIRE(anna.ask(wire::PutDevices{fewer.view(), {1, 2}}).done);
    CHECK(story.relay.status().devices == 2);
  }

  TEST_CASE("a device that leaves the list loses its mail, its session and its place") {
    TwoDevices user;
    user.second.acks = false;
    auto& sender = user.story.member(9);
    REQUIRE(sender.submit(user.second.account(), 1, "in flight").accepted());
    user.second.await_texts(1);
    CHECK(user.story.relay.status().queued_envelopes == 1);

    const auto list = support::next_list(1, user.list, DeviceIndexes{0});
    REQUIRE(user.first.ask(wire::PutDevices{list.view(), {1, 2}}).done);
    user.second.await_closed();
    CHECK(user.second.closing == ErrorCode::removed);
    const auto figures = user.story.relay.status();
    CHECK(figures.queued_envelopes == 0);
    CHECK(figures.queued_bytes == 0);
    CHECK(figures.devices == 2);  // the first one and the sender's
    user.second.connect();
    CHECK(user.second.login().code == ErrorCode::unknown_device);

    auto late = user.second.account();
    late.version = {1, 3};
    const auto answer = sender.submit(late, 2, "too late");
    REQUIRE(answer.outcomes.size() == 1);
    CHECK(answer.outcomes[0].code == ErrorCode::unknown_device);
    CHECK(user.first.ask(wire::Ping{}).done);
  }

  TEST_CASE("a lost account comes back with the root key alone; the lost device and its mail go") {
    Story story;
    auto& lost = story.device(Account::from_seed(1));
    lost.acks = false;
    lost.connect();
    REQUIRE(lost.register_user("anna").welcome);
    auto& sender = story.member(9);
    REQUIRE(sender.submit(lost.account(), 1, "never acknowledged").accepted());
    CHECK(story.relay.status().queued_envelopes == 1);

    auto& fresh = story.device(Account::of_device(1, 1, support::recovered_list(1, nullptr, 1)));
    fresh.connect();
    const auto held = fresh.register_user().list;
    REQUIRE(held);
    REQUIRE(wire::verify_device_list(held->view()));
    CHECK(held->body == lost.account().list.body);
    CHECK(story.relay.status().devices == 2);  // nothing has changed yet
    CHECK(lost.ask(wire::Ping{}).done);

    const auto next = Account::of_device(1, 1, support::recovered_list(1, &*held, 1));
    const auto welcome = fresh.ask(registration_of(next)).welcome;
    REQUIRE(welcome);
    CHECK(welcome->list == wire::ListVersion{2, 1});
    CHECK(welcome->own_name == "anna");
    lost.await_closed();
    CHECK(lost.closing == ErrorCode::removed);
    const auto figures = story.relay.status();
    CHECK(figures.queued_envelopes == 0);
    CHECK(figures.devices == 2);

    // The lost device is told what became of it, and nothing else; the others find the new one.
    lost.connect();
    CHECK(lost.login().code == ErrorCode::unknown_device);
    CHECK(lost.register_user().lists == std::vector<wire::Bytes>{next.list.body});
    CHECK(sender.ask(wire::GetUser{{}, "anna"}).lists == std::vector<wire::Bytes>{next.list.body});
    CHECK(sender.submit(next, 2, "welcome back").accepted());
    fresh.await_texts(1);
  }

  TEST_CASE("a submit for an older device list is refused with the new one") {
    TwoDevices user;
    auto& sender = user.story.member(9);
    const auto answer = sender.submit(user.first.account(), 1, "x");  // still version 1, 1
    REQUIRE(answer.outcomes.size() == 1);
    CHECK(answer.outcomes[0].code == ErrorCode::stale_list);
    CHECK(answer.outcomes[0].list == 0);
    CHECK(answer.lists == std::vector<wire::Bytes>{user.list.body});
    CHECK(sender.submit(user.second.account(), 2, "y").accepted());
    user.second.await_texts(1);
    CHECK(user.first.inbox.empty());
  }
}

}  // namespace
}  // namespace godwit::integration
