// What a request is refused for, with which code, and that a refusal leaves nothing behind.
#include "schema/wire/bytes.hpp"
#include "tests/unit/relay/shard_world.hpp"

namespace godwit::relay {
namespace {

// A session that the rates apply to.
SessionId join_limited(ShardWorld& world, const Account& account) {
  world.shard.on_closed(world.join(account), world.now);
  const SessionId session = world.connect(account, false);
  world.ask(session, 1, wire::Login{1, account.user, account.device});
  world.round();
  REQUIRE(world.host.take_frames(session).size() == 2);
  return session;
}

// Asks until the rate is used up; then the same is taken again when the time told has passed.
template <class Body>
std::uint32_t allowed(ShardWorld& world, SessionId session, const Body& body) {
  for (std::uint32_t asked = 0;; ++asked) {
    REQUIRE(asked < 2'000);
    world.ask(session, 10 + asked, body);
    world.round();
    const auto frames = world.host.take_frames(session);
    REQUIRE(frames.size() == 1);
    const auto* refused = std::get_if<wire::Refused>(&frames[0]->body);
    if (refused == nullptr || refused->code != ErrorCode::rate_limited) continue;
    CHECK(refused->retry_after_ms > 0);
    world.now.steady += std::chrono::milliseconds{refused->retry_after_ms};
    world.ask(session, 9, body);
    world.round();
    const auto again = world.host.take_frames(session);
    REQUIRE(again.size() == 1);
    const auto* still = std::get_if<wire::Refused>(&again[0]->body);
    CHECK((still == nullptr || still->code != ErrorCode::rate_limited));
    return asked;
  }
}

void flip(wire::Signature& signature) {
  signature.bytes[5] ^= 1;
}

}  // namespace

TEST_SUITE_BEGIN("relay/handlers");

TEST_CASE("a version that is no longer spoken is refused, at login and at registration") {
  ShardWorld world;
  const Account bob = Account::from_seed(1);
  const SessionId session = world.connect(bob);
  world.ask(session, 1, wire::Login{0, bob.user, bob.device});
  CHECK(world.refusal(session) == ErrorCode::version_unsupported);
  wire::Register registration = ShardWorld::registration(bob);
  registration.version = 0;
  world.ask(session, 2, registration);
  CHECK(world.refusal(session) == ErrorCode::version_unsupported);
}

TEST_CASE(
    "a registration is refused unless every key and signature in it holds, and leaves nothing") {
  const Account bob = Account::from_seed(1);
  const Account eve = Account::from_seed(2);
  wire::Register bad = ShardWorld::registration(bob);
  wire::Bytes body = bob.list.body;
  ErrorCode code = ErrorCode::unauthorized;
  SUBCASE("the list's signature") {
    flip(bad.list.signature);
  }
  SUBCASE("the root key's signature of the list key") {
    flip(bad.list.delegation);
  }
  SUBCASE("the seal key's signature") {
    flip(bad.seal_key.signature);
  }
  SUBCASE("the prekey's signature") {
    flip(bad.signed_prekey.signature);
  }
  SUBCASE("a seal key in the place of the prekey") {
    bad.signed_prekey = bob.seal_key;
  }
  SUBCASE("another root key") {
    bad.list.root = eve.list.root;
    code = ErrorCode::bad_request;
  }
  SUBCASE("a list that is cut short") {
    body.pop_back();
    bad.list.body = body;
    code = ErrorCode::bad_request;
  }
  SUBCASE("a seal key of small order") {
    bad.seal_key.key = {};
    code = ErrorCode::bad_request;
  }
  SUBCASE("a prekey of small order") {
    bad.signed_prekey.key = {};
    code = ErrorCode::bad_request;
  }
  SUBCASE("a device that the list does not name") {
    bad.device = eve.device;
    code = ErrorCode::unknown_device;
  }
  SUBCASE("a name that none may have") {
    bad.name = "no spaces";
    code = ErrorCode::name_invalid;
  }
  ShardWorld world;
  const SessionId session = world.connect(bob);
  world.ask(session, 1, bad);
  CHECK(world.refusal(session) == code);
  world.round();
  CHECK(world.counters.users.get() == 0);
  world.ask(session, 2, ShardWorld::registration(bob));  // the same connection, set right
  world.round();
  CHECK(world.host.take_frames(session).size() == 2);
}

TEST_CASE("a list of more devices than the relay allows is too large, also as a change") {
  ShardWorld world;
  world.config.devices_max = 1;
  const Account bob = Account::from_seed(1);
  const SessionId session = world.join(bob);
  const std::array<std::uint32_t, 2> devices{0, 1};
  const wire::SignedList two = support::next_list(1, bob.list, devices);
  world.ask(session, 2, wire::PutDevices{two.view(), bob.version});
  CHECK(world.refusal(session) == ErrorCode::too_large);
  // It is counted before anything is verified, which takes some work for each device.
  wire::SignedList unsigned_list = two;
  flip(unsigned_list.signature);
  world.ask(session, 3, wire::PutDevices{unsigned_list.view(), bob.version});
  CHECK(world.refusal(session) == ErrorCode::too_large);
  const Account second = Account::of_device(1, 1, two);
  const SessionId other = world.connect(second);
  world.ask(other, 3, ShardWorld::registration(second));
  CHECK(world.refusal(other) == ErrorCode::too_large);
  world.round();
  CHECK(world.counters.devices.get() == 1);
}

TEST_CASE("nobody changes another user's devices, nor their own with a list that does not verify") {
  ShardWorld world;
  const Account bob = Account::from_seed(1);
  const Account eve = Account::from_seed(2);
  const SessionId session = world.join(bob);
  (void)world.join(eve);
  const std::array<std::uint32_t, 2> devices{0, 1};
  const wire::SignedList others = support::next_list(2, eve.list, devices);
  world.ask(session, 2, wire::PutDevices{others.view(), eve.version});
  CHECK(world.refusal(session) == ErrorCode::unauthorized);
  wire::SignedList own = support::next_list(1, bob.list, devices);
  flip(own.signature);
  world.ask(session, 3, wire::PutDevices{own.view(), bob.version});
  CHECK(world.refusal(session) == ErrorCode::unauthorized);
  flip(own.signature);
  world.ask(session, 4, wire::PutDevices{own.view(), {1, 7}});  // it does not build on that one
  CHECK(world.refusal(session) == ErrorCode::conflict);
  world.ask(session, 5, wire::PutDevices{own.view(), bob.version});
  world.round();
  (void)world.only<wire::Done>(session);
}

TEST_CASE("prekeys that another key signed are refused, and the good ones stay") {
  ShardWorld world;
  const Account bob = Account::from_seed(1);
  const Account eve = Account::from_seed(2);
  const SessionId session = world.join(bob);
  world.ask(session, 2, wire::PutKeys{eve.seal_key, {}, {}});
  CHECK(world.refusal(session) == ErrorCode::unauthorized);
  world.ask(session, 3, wire::PutKeys{{}, eve.signed_prekey, {}});
  CHECK(world.refusal(session) == ErrorCode::unauthorized);
  world.ask(session, 4, wire::PutKeys{bob.signed_prekey, {}, {}});  // in the other's place
  CHECK(world.refusal(session) == ErrorCode::unauthorized);
  world.round();
  world.ask(session, 5, wire::GetPrekeys{bob.user, {}});
  const auto& bundles = world.only<wire::Prekeys>(session).bundles;
  REQUIRE(bundles.size() == 1);
  CHECK(bundles[0].seal_key.signature == bob.seal_key.signature);
  CHECK(bundles[0].signed_prekey.signature == bob.signed_prekey.signature);
}

TEST_CASE("more one-time keys than a device may have are refused, not cut off") {
  ShardWorld world;
  const Account bob = Account::from_seed(1, kOneTimeKeysMax + 1);
  const SessionId session = world.join(bob);
  std::uint32_t id = 2;
  const auto put = [&](std::size_t from, std::size_t count) {
    wire::PutKeys keys;
    keys.one_time.assign(bob.one_time.begin() + static_cast<std::ptrdiff_t>(from),
                         bob.one_time.begin() + static_cast<std::ptrdiff_t>(from + count));
    world.ask(session, id++, keys);
    world.round();
  };
  std::size_t done = 0;
  for (; done < kOneTimeKeysMax; done += wire::kOneTimeKeysPerRequestMax) {
    put(done, std::min<std::size_t>(wire::kOneTimeKeysPerRequestMax, kOneTimeKeysMax - done));
    (void)world.only<wire::Done>(session);
  }
  put(kOneTimeKeysMax, 1);
  CHECK(world.refusal(session) == ErrorCode::too_large);
}

TEST_CASE("a submit beyond what the relay allows is refused as a whole") {
  ShardWorld world;
  const Account bob = Account::from_seed(1);
  const Account eve = Account::from_seed(2);
  const SessionId session = world.join(bob);
  world.shard.on_closed(world.join(eve), world.now);
  const wire::Bytes body(101, 7);
  wire::Submit submit;
  submit.bodies = {body};
  submit.recipients.push_back({eve.user, eve.device, eve.version, 0});
  std::size_t taken = 0;
  SUBCASE("a lifetime that is too long") {
    submit.ttl_s = world.config.ttl_max_s + 1;
    world.ask(session, 2, submit);
    CHECK(world.refusal(session) == ErrorCode::too_large);
  }
  SUBCASE("an envelope that is too large") {
    world.config.envelope_size_max = 100;
    world.ask(session, 2, submit);
    CHECK(world.refusal(session) == ErrorCode::too_large);
  }
  SUBCASE("more under way than allowed") {
    world.config.submits_in_flight_max = 2;
    for (std::uint8_t i = 0; i < 3; ++i) world.submit(session, 2u + i, {&eve}, i + std::uint8_t{1});
    const auto& refused = world.only<wire::Refused>(session);
    CHECK(refused.code == ErrorCode::busy);
    CHECK(refused.retry_after_ms > 0);
    taken = 2;
  }
  world.round();
  CHECK(world.host.take_frames(session).size() == taken);
  CHECK(world.disk.appended() == taken);
  world.config = Config{};
  world.submit(session, 9, {&eve}, 9);  // the session goes on
  world.round();
  CHECK(world.only<wire::Submitted>(session).outcomes.at(0).code == ErrorCode::ok);
}

TEST_CASE("an envelope is kept as long as its sender asks, else as long as the relay says") {
  ShardWorld world;
  world.config.ttl_default_s = 100;
  const Account bob = Account::from_seed(1);
  const Account eve = Account::from_seed(2);
  const SessionId session = world.join(bob);
  world.shard.on_closed(world.join(eve), world.now);
  const wire::Bytes body(1, 7);
  wire::Submit submit;
  submit.bodies = {body};
  submit.recipients.push_back({eve.user, eve.device, eve.version, 0});
  for (const std::uint32_t ttl_s : {0U, 1U, world.config.ttl_max_s}) {
    submit.ttl_s = ttl_s;
    ++submit.request_id.bytes[0];
    world.ask(session, 2, submit);
    world.round();
    (void)world.only<wire::Submitted>(session);
    const std::uint32_t kept_s = ttl_s == 0 ? 100 : ttl_s;
    CHECK(world.disk.log().rbegin()->second.expires == world.now.wall_s() + kept_s);
  }
}

TEST_CASE("each kind of request has a rate; who waits as long as told is served again") {
  ShardWorld world;
  const Account bob = Account::from_seed(1);
  const SessionId session = join_limited(world, bob);
  const auto lookups = static_cast<std::uint32_t>(kLookupsBurst);
  SUBCASE("GetUser") {
    wire::GetUser ask;
    ask.user = bob.user;
    CHECK(allowed(world, session, ask) == lookups);
  }
  SUBCASE("SetName") {
    CHECK(allowed(world, session, wire::SetName{"bob"}) == lookups);
  }
  SUBCASE("PutKeys") {
    CHECK(allowed(world, session, wire::PutKeys{}) == lookups / kLookupsPerPutKeys);
  }
  SUBCASE("PutDevices") {
    CHECK(allowed(world, session, wire::PutDevices{bob.list.view(), bob.version}) ==
          lookups / kLookupsPerPutDevices);
  }
  SUBCASE("GetPrekeys") {
    CHECK(allowed(world, session, wire::GetPrekeys{bob.user, {}}) ==
          static_cast<std::uint32_t>(kPrekeyFetchesBurst));
  }
  SUBCASE("Submit") {
    world.config.ttl_max_s = 0;  // refused for that, so that nothing comes back as a delivery
    const wire::Bytes body{1};
    wire::Submit submit;
    submit.ttl_s = 1;
    submit.bodies = {body};
    submit.recipients.push_back({bob.user, bob.device, bob.version, 0});
    const auto name = [&](std::size_t devices) {
      while (submit.recipients.size() < devices) {
        submit.recipients.push_back(submit.recipients.back());
        const auto number = static_cast<std::uint16_t>(submit.recipients.size());
        wire::store_u16_be(submit.recipients.back().device.bytes.data(), number);
      }
      std::ranges::sort(submit.recipients, {}, &wire::Recipient::device);
    };
    std::uint32_t tokens = 0;
    SUBCASE("to one") {
      tokens = 1;
    }
    SUBCASE("to as many as one token is for") {
      name(kRecipientsPerToken);
      tokens = 1;
    }
    SUBCASE("to one more") {
      name(kRecipientsPerToken + 1);
      tokens = 2;
    }
    SUBCASE("to as many as a Submit can name") {
      name(wire::kRecipientsMax);
      tokens = wire::kRecipientsMax / kRecipientsPerToken;
    }
    CHECK(allowed(world, session, submit) == (world.config.submits_burst + tokens - 1) / tokens);
  }
}

TEST_CASE("who asks beyond its rate is answered, and is not read for a moment") {
  ShardWorld world;
  const Account bob = Account::from_seed(1);
  const SessionId session = join_limited(world, bob);
  std::uint32_t number = 10;
  const auto ask = [&] { world.ask(session, number++, wire::GetUser{bob.user, {}}); };
  const auto is_read_after = [&](std::chrono::milliseconds time) {
    world.now.steady += time;
    world.round();
    return !world.host.paused.contains(session);
  };
  for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(kLookupsBurst); ++i) ask();
  REQUIRE(is_read_after(0ms));
  (void)world.host.take_frames(session);
  ask();
  ask();  // was read before the pause
  CHECK(world.host.paused.contains(session));
  const auto frames = world.host.take_frames(session);
  REQUIRE(frames.size() == 2);
  for (const auto* frame : frames) {
    CHECK(std::get<wire::Refused>(frame->body).code == ErrorCode::rate_limited);
  }
  CHECK_FALSE(is_read_after(kRestAfterRefusal - 1ms));
  REQUIRE(world.host.wake);
  CHECK(*world.host.wake <= world.now.steady + 1ms);
  CHECK(is_read_after(1ms));

  // Another time; and one that leaves meanwhile.
  for (int i = 0; i < 10; ++i) ask();
  CHECK(world.host.paused.contains(session));
  world.shard.on_closed(session, world.now);
  const SessionId again = world.connect(bob, false);
  world.now.steady += kRestAfterRefusal;
  world.round();
  CHECK_FALSE(world.host.paused.contains(again));
}

TEST_CASE("a name that none may have is refused wherever it is said") {
  ShardWorld world;
  const SessionId session = world.join(Account::from_seed(1));
  world.ask(session, 2, wire::SetName{"no spaces"});
  CHECK(world.refusal(session) == ErrorCode::name_invalid);
  world.ask(session, 3, wire::GetUser{{}, "no spaces"});
  CHECK(world.refusal(session) == ErrorCode::name_invalid);
}

TEST_CASE(
    "a request with a field out of its bounds is refused by its number, and the session goes on") {
  ShardWorld world;
  const Account bob = Account::from_seed(1);
  const SessionId session = world.join(bob);
  const wire::Bytes body{1};
  wire::Submit submit;
  submit.bodies = {body};
  submit.recipients.assign(2, {bob.user, bob.device, bob.version, 0});  // the same device twice
  world.ask(session, 77, submit);
  const auto frames = world.host.take_frames(session);
  REQUIRE(frames.size() == 1);
  CHECK(frames[0]->request == 77);
  CHECK(std::get<wire::Refused>(frames[0]->body).code == ErrorCode::bad_request);
  world.ask(session, 78, wire::Ping{});
  (void)world.only<wire::Done>(session);
}

TEST_SUITE_END();

}  // namespace godwit::relay
