// A shard from end to end: sessions, slots and the disk behind them.
#include "tests/unit/relay/shard_world.hpp"

namespace godwit::relay {
namespace {

using World = ShardWorld;

TEST_SUITE_BEGIN("relay/shard");

TEST_CASE("a registration is welcomed when it is on the disk; only then are frames large") {
  World world;
  const Account bob = Account::from_seed(1);
  const SessionId session = world.connect(bob);
  world.ask(session, 7, World::registration(bob));
  world.shard.on_round_end(world.now);
  CHECK(world.host.take_frames(session).empty());
  CHECK(world.host.lifted.empty());
  REQUIRE(world.host.batches.size() == 1);
  world.round();
  const auto frames = world.host.take_frames(session);
  REQUIRE(frames.size() == 2);
  CHECK(frames[0]->request == 7);
  const auto& welcome = std::get<wire::Welcome>(frames[0]->body);
  CHECK(welcome.list == bob.version);
  CHECK(welcome.store_generation == 7);
  CHECK(welcome.relay_time_ms == world.now.wall_ms);
  CHECK(world.host.lifted.contains(session));
}

TEST_CASE("an unknown device is refused and may register on the same connection") {
  World world;
  const Account bob = Account::from_seed(1);
  const SessionId session = world.connect(bob);
  world.ask(session, 1, wire::Login{1, bob.user, bob.device});
  CHECK(world.refusal(session) == ErrorCode::unknown_device);
  world.ask(session, 2, World::registration(bob));
  world.round();
  CHECK(world.host.take_frames(session).size() == 2);
}

TEST_CASE("a registration for a key that the handshake did not prove is refused") {
  World world;
  const SessionId session = world.connect(Account::from_seed(2));
  world.ask(session, 1, World::registration(Account::from_seed(1)));
  CHECK(world.refusal(session) == ErrorCode::unauthorized);
  world.round();
  CHECK(world.counters.users.get() == 0);
}

TEST_CASE("a device with the root key alone is told the list, follows it, and takes over") {
  World world;
  const Account bob = Account::from_seed(1);
  const SessionId old = world.join(bob);
  world.ask(old, 5, wire::SetName{"bob"});
  world.round();
  (void)world.only<wire::Done>(old);

  Account fresh = Account::of_device(1, 1, support::recovered_list(1, nullptr, 1));
  const SessionId session = world.connect(fresh, false);  // under the rates
  world.ask(session, 1, wire::Login{1, fresh.user, fresh.device});
  CHECK(world.refusal(session) == ErrorCode::unknown_device);
  world.ask(session, 2, World::registration(fresh));
  const auto held = wire::SignedList::copy_of(world.only<wire::User>(session).list);
  CHECK(held.body == bob.list.body);
  CHECK(world.host.lifted.count(session) == 0);

  fresh = Account::of_device(1, 1, support::recovered_list(1, &held, 1));
  world.ask(session, 3, World::registration(fresh));
  CHECK(world.host.take_frames(old).empty());  // the list is not on the disk yet
  world.round();
  CHECK(world.only<wire::Closing>(old).code == ErrorCode::removed);
  const auto frames = world.host.take_frames(session);
  REQUIRE(frames.size() == 2);
  const auto& welcome = std::get<wire::Welcome>(frames[0]->body);
  CHECK(welcome.list == wire::ListVersion{2, 1});
  CHECK(welcome.own_name == "bob");
}

TEST_CASE(
    "a registration that does not follow the list must still prove its device, and counts "
    "for the rate") {
  World world;
  (void)world.join(Account::from_seed(1));
  const Account fresh = Account::of_device(1, 1, support::recovered_list(1, nullptr, 1));
  const SessionId stranger = world.connect(Account::from_seed(2), false);
  world.ask(stranger, 1, World::registration(fresh));
  CHECK(world.refusal(stranger) == ErrorCode::unauthorized);
  std::uint32_t told = 0;
  for (; told < 9; ++told) {
    const SessionId session = world.connect(fresh, false);
    world.ask(session, 1, World::registration(fresh));
    const auto frames = world.host.take_frames(session);
    REQUIRE(frames.size() == 1);
    if (const auto* refused = std::get_if<wire::Refused>(&frames[0]->body)) {
      CHECK(refused->code == ErrorCode::rate_limited);
      break;
    }
    CHECK(std::holds_alternative<wire::User>(frames[0]->body));
  }
  CHECK(told == 4);  // the stranger's was the first of five
}

TEST_CASE(
    "Welcome says the name that holds after the registration, whatever became of the one "
    "asked for") {
  World world;
  const Account bob = Account::from_seed(1);
  const Account eve = Account::from_seed(2);
  const auto own_name = [&](const Account& account, const char* asked) {
    const SessionId session = world.connect(account);
    wire::Register registration = World::registration(account);
    if (asked != nullptr) registration.name = asked;
    world.ask(session, 1, registration);
    world.round();
    const auto frames = world.host.take_frames(session);
    REQUIRE(frames.size() == 2);
    return std::get<wire::Welcome>(frames[0]->body).own_name;
  };
  CHECK(own_name(bob, nullptr).empty());
  CHECK(own_name(bob, "Bob") == "bob");
  CHECK(own_name(bob, nullptr) == "bob");
  CHECK(own_name(eve, "bob").empty());  // taken
  CHECK(own_name(eve, "eve") == "eve");
  CHECK(own_name(eve, "bob") == "eve");
}

TEST_CASE("a request out of its state ends the session, and nothing after it is answered") {
  World world;
  const Account bob = Account::from_seed(1);
  const SessionId early = world.connect(bob);
  world.submit(early, 1, {&bob}, 'a');
  CHECK(world.only<wire::Closing>(early).code == ErrorCode::out_of_state);
  CHECK(world.host.closed.contains(early));
  world.ask(early, 2, wire::Ping{});
  const SessionId live = world.join(bob);
  world.ask(live, 3, wire::Login{1, bob.user, bob.device});
  CHECK(world.only<wire::Closing>(live).code == ErrorCode::out_of_state);
  CHECK(world.counters.sessions.get() == 0);
}

TEST_CASE("a frame that does not parse ends the session") {
  World world;
  const SessionId session = world.connect(Account::from_seed(1));
  alignas(8) const std::array<std::uint8_t, 16> garbage{0xff, 0xff, 0xff, 0xff};
  world.shard.on_frame(session, garbage, world.now);
  CHECK(world.only<wire::Closing>(session).code == ErrorCode::bad_request);
}

TEST_CASE("an envelope goes from session to session, and its sender hears when it is safe") {
  World world;
  const Account bob = Account::from_seed(1);
  const Account eve = Account::from_seed(2);
  const SessionId to = world.join(bob);
  const SessionId from = world.join(eve);
  world.submit(from, 5, {&bob}, 'a');
  const auto& deliver = world.only<wire::Deliver>(to);
  CHECK(deliver.number == 1);
  CHECK(wire::Bytes(deliver.envelope.begin(), deliver.envelope.end()) == wire::Bytes{'a'});
  CHECK(world.host.take_frames(from).empty());
  world.ask(to, 9, wire::Ack{1, {}});
  const auto& submitted = world.only<wire::Submitted>(from);
  REQUIRE(submitted.outcomes.size() == 1);
  CHECK(submitted.outcomes[0].code == ErrorCode::ok);
  (void)world.only<wire::Done>(to);
  CHECK(world.disk.appended() == 0);
}

TEST_CASE("outcomes leave together, each in the place of its recipient") {
  World world;
  const Account bob = Account::from_seed(1);
  const Account nobody = Account::from_seed(3);
  const SessionId from = world.join(bob);
  world.submit(from, 5, {&bob, &nobody}, 'a');
  (void)world.only<wire::Deliver>(from);
  world.now.steady += 1s;
  world.round();
  const auto& submitted = world.only<wire::Submitted>(from);
  REQUIRE(submitted.outcomes.size() == 2);
  const bool bob_first = bob.device < nobody.device;
  CHECK(submitted.outcomes[bob_first ? 0 : 1].code == ErrorCode::ok);
  CHECK(submitted.outcomes[bob_first ? 1 : 0].code == ErrorCode::unknown_device);
}

TEST_CASE("a second login of a device ends the first session, which is told why") {
  World world;
  const Account bob = Account::from_seed(1);
  const SessionId first = world.join(bob);
  const SessionId second = world.connect(bob);
  world.ask(second, 1, wire::Login{1, bob.user, bob.device});
  world.round();
  CHECK(world.only<wire::Closing>(first).code == ErrorCode::replaced);
  CHECK(world.host.closed.contains(first));
  const auto frames = world.host.take_frames(second);
  REQUIRE(frames.size() == 2);
  CHECK(std::get<wire::Welcome>(frames[0]->body).replaced);
  CHECK(world.counters.sessions.get() == 1);
}

TEST_CASE("answers for a session that has ended are dropped") {
  World world;
  const Account bob = Account::from_seed(1);
  const SessionId session = world.connect(bob);
  world.ask(session, 1, World::registration(bob));
  world.shard.on_round_end(world.now);
  world.shard.on_closed(session, world.now);
  world.round();
  CHECK(world.host.take_frames(session).empty());
  CHECK(world.counters.sessions.get() == 0);
  CHECK(world.counters.users.get() == 1);
}

TEST_CASE(
    "what finds no room in another shard's inbox is kept in order, and its connection is not "
    "read until all of it has gone") {
  World world(2);
  const Account bob = account_on(0, 1);
  const Account eve = account_on(1, 10);
  const SessionId session = world.join(bob);
  world.host.room = 0;
  for (std::uint8_t i = 0; i < 3; ++i) world.submit(session, 5u + i, {&eve}, i + std::uint8_t{1});
  CHECK(world.host.paused.contains(session));
  CHECK(world.host.posted.empty());
  world.host.room = 2;
  world.round();
  CHECK(world.host.posted.size() == 2);
  CHECK(world.host.paused.contains(session));
  REQUIRE(world.host.wake);
  CHECK(*world.host.wake <= world.now.steady + 1ms);
  world.host.room = 10;
  world.submit(session, 9, {&eve}, 4);  // there is room, and others wait longer
  CHECK(world.host.posted.size() == 2);
  world.round();
  CHECK_FALSE(world.host.paused.contains(session));
  CHECK(world.host.pauses.size() == 2);
  REQUIRE(world.host.posted.size() == 4);
  for (std::uint8_t i = 0; i < 4; ++i) {
    const auto& ask = std::get<Ask>(world.host.posted[i].message);
    CHECK(world.host.posted[i].loop == 1);
    CHECK(std::get<slot::Enqueue>(ask.operation).body->bytes == wire::Bytes{std::uint8_t(i + 1)});
  }
}

TEST_CASE("a session may have so many calls open; submits and acks do not count among them") {
  World world(2);
  const Account bob = account_on(0, 1);
  const Account eve = account_on(1, 10);
  const SessionId session = world.join(bob);
  for (std::uint32_t i = 0; i < kCallsInFlightMax; ++i) {
    world.ask(session, 10 + i, wire::GetUser{eve.user, {}});
  }
  CHECK(world.host.take_frames(session).empty());
  world.ask(session, 100, wire::GetUser{eve.user, {}});
  CHECK(world.refusal(session) == ErrorCode::busy);
  world.ask(session, 101, wire::Ack{});
  (void)world.only<wire::Done>(session);
  world.submit(session, 102, {&eve}, 'a');
  CHECK(world.host.take_frames(session).empty());
  CHECK(world.host.posted.size() == kCallsInFlightMax + 1);
}

TEST_CASE("acks that outrun the disk are all taken, and meanwhile the connection is not read") {
  World world;
  const Account bob = Account::from_seed(1);
  const Account eve = Account::from_seed(2);
  const SessionId sender = world.join(eve);
  world.shard.on_closed(world.join(bob), world.now);
  world.submit(sender, 5, {&bob}, 'a');
  world.round();  // on the disk, so that each ack waits for a commit
  const SessionId session = world.connect(bob);
  world.ask(session, 1, wire::Login{1, bob.user, bob.device});
  world.round();
  REQUIRE(world.host.take_frames(session).size() == 3);

  for (std::uint32_t i = 1; i < kAcksInFlightMax; ++i) world.ask(session, i, wire::Ack{1, {}});
  CHECK_FALSE(world.host.paused.contains(session));
  world.ask(session, kAcksInFlightMax, wire::Ack{1, {}});
  world.ask(session, kAcksInFlightMax + 1, wire::Ack{1, {}});  // was read before the pause
  CHECK(world.host.paused.contains(session));
  CHECK(world.host.take_frames(session).empty());
  world.now.steady += 2 * kIdleDeadline;  // who is not read is not silent
  world.shard.on_tick(world.now);
  world.round();
  CHECK_FALSE(world.host.paused.contains(session));
  world.shard.on_tick(world.now);
  const auto frames = world.host.take_frames(session);
  CHECK(frames.size() == kAcksInFlightMax + 1);
  for (const auto* frame : frames) CHECK(std::holds_alternative<wire::Done>(frame->body));
}

TEST_CASE("only the Done of an Ack may wait for the next frame") {
  World world;
  const Account bob = Account::from_seed(1);
  const SessionId session = world.join(bob);
  const SessionId sender = world.join(Account::from_seed(2));
  world.submit(sender, 5, {&bob}, 'a');
  world.ask(session, 2, wire::Ping{});
  world.ask(session, 3, wire::Ack{9, {}});  // never delivered: refused
  const auto waits = [](const auto& sent) {
    return sent.leaves == Host::Leaves::with_the_next;
  };
  CHECK(std::ranges::none_of(world.host.sent, waits));
  world.ask(session, 4, wire::Ack{1, {}});
  CHECK(std::ranges::count_if(world.host.sent, waits) == 1);
  const auto waiting = std::ranges::find_if(world.host.sent, waits);
  CHECK(waiting->session == session);
  CHECK(waiting->frame.request == 4);
  CHECK(std::holds_alternative<wire::Done>(waiting->frame.body));
}

TEST_CASE("refused logins end the session after a few") {
  World world;
  const Account bob = Account::from_seed(1);
  const SessionId session = world.connect(bob);
  for (std::uint32_t i = 0; i < kLoginAttemptsMax; ++i) {
    world.ask(session, 1 + i, wire::Login{1, bob.user, bob.device});
    CHECK(world.refusal(session) == ErrorCode::unknown_device);
  }
  world.ask(session, 9, wire::Login{1, bob.user, bob.device});
  CHECK(world.only<wire::Closing>(session).code == ErrorCode::unauthorized);
  CHECK(world.host.closed.contains(session));
}

TEST_CASE("who is not logged in is answered so often, and no more") {
  World world;
  const Account bob = Account::from_seed(1);
  const auto ping = [&](SessionId session) { world.ask(session, 1, wire::Ping{}); };
  const SessionId session = world.connect(bob);
  for (std::uint32_t i = 0; i < kFramesBeforeLoginMax; ++i) ping(session);
  CHECK(world.host.take_frames(session).size() == kFramesBeforeLoginMax);
  SUBCASE("a Ping") { ping(session); }
  SUBCASE("what is out of bounds") {
    world.ask(session, 1, wire::Login{0, bob.user, bob.device});
  }
  CHECK(world.only<wire::Closing>(session).code == ErrorCode::unauthorized);
  CHECK(world.host.closed.contains(session));

  const SessionId live = world.join(Account::from_seed(2));
  for (std::uint32_t i = 0; i < 2 * kFramesBeforeLoginMax; ++i) ping(live);
  CHECK(world.host.take_frames(live).size() == 2 * kFramesBeforeLoginMax);
}

TEST_CASE("a requester gets five one-time keys of a user, then bundles without one") {
  World world;
  const Account bob = Account::from_seed(1, 20);
  const SessionId target = world.join(bob);
  world.ask(target, 5, wire::PutKeys{{}, {}, bob.one_time});
  world.round();
  const Account eve = Account::from_seed(2);
  world.shard.on_closed(world.join(eve), world.now);
  const SessionId requester = world.connect(eve, false);
  world.ask(requester, 1, wire::Login{1, eve.user, eve.device});
  world.round();
  REQUIRE(world.host.take_frames(requester).size() == 2);
  for (std::uint32_t i = 0; i < 7; ++i) {
    world.ask(requester, 10 + i, wire::GetPrekeys{bob.user, {}});
    world.round();
    const auto& bundles = world.only<wire::Prekeys>(requester).bundles;
    REQUIRE(bundles.size() == 1);
    CHECK(bundles[0].one_time.has_value() == (i < 5));
  }
}

TEST_CASE("a session that is silent or never logs in is ended") {
  World world;
  const Account bob = Account::from_seed(1);
  const SessionId live = world.join(bob);
  const SessionId mute = world.connect(Account::from_seed(2));
  world.now.steady += kLoginDeadline + 1s;
  world.shard.on_tick(world.now);
  CHECK(world.only<wire::Closing>(mute).code == ErrorCode::timeout);
  CHECK(world.host.take_frames(live).empty());
  world.now.steady += kIdleDeadline;
  world.shard.on_tick(world.now);
  CHECK(world.only<wire::Closing>(live).code == ErrorCode::timeout);
}

TEST_CASE("a session that is never silent is ended when its connection is too old") {
  World world;
  const SessionId live = world.join(Account::from_seed(1));
  const auto speak = [&] {
    world.ask(live, 2, wire::Ping{});
    world.shard.on_tick(world.now);
    return world.host.take_frames(live).size();
  };
  world.now.steady += wire::kConnectionAgeMax + 1h;
  CHECK(speak() == 1);
  CHECK_FALSE(world.host.closed.contains(live));
  world.now.steady += 1s;
  CHECK(speak() == 2);
  CHECK(world.host.closed.contains(live));
}

TEST_CASE("a clock that jumps years ahead ends no mail, and that nothing expires is shown") {
  World world;
  const Account bob = Account::from_seed(1);
  const Account eve = Account::from_seed(2);
  world.shard.on_closed(world.join(eve), world.now);
  const SessionId sender = world.join(bob);
  world.submit(sender, 5, {&eve}, 'a');
  world.round();
  const auto pass = [&](std::chrono::seconds steady, std::chrono::seconds wall) {
    world.now.steady += steady;
    world.now.wall_ms += static_cast<std::uint64_t>(std::chrono::milliseconds{wall}.count());
    world.shard.on_tick(world.now);
    world.round();
    return world.counters.queued_envelopes.get();
  };
  CHECK(pass(1s, 1s) == 1);
  CHECK(world.counters.expiry_paused.get() == 0);
  CHECK(pass(1s, 24h * 3'650) == 1);
  CHECK(world.counters.expiry_paused.get() == 1);
  const SessionId reader = world.connect(eve);
  world.ask(reader, 1, wire::Login{1, eve.user, eve.device});
  world.round();
  const auto frames = world.host.take_frames(reader);
  REQUIRE(frames.size() == 3);
  CHECK(std::holds_alternative<wire::Deliver>(frames[1]->body));
  world.shard.on_closed(reader, world.now);
  const std::chrono::seconds longest{world.config.ttl_max_s};
  CHECK(pass(longest - 1s, longest - 1s) == 1);
  CHECK(pass(1s, 1s) == 0);
  CHECK(world.counters.expiry_paused.get() == 0);
  CHECK(world.counters.expired_total.get() == 1);
}

TEST_CASE("at shutdown every session is told, and what was held goes to the disk") {
  World world;
  const Account bob = Account::from_seed(1);
  const SessionId session = world.join(bob);
  world.submit(session, 5, {&bob}, 'a');
  (void)world.host.take_frames(session);
  world.shard.on_shutdown(world.now);
  CHECK(world.only<wire::Closing>(session).code == ErrorCode::busy);
  CHECK_FALSE(world.shard.idle());
  world.round();
  CHECK(world.shard.idle());
  CHECK(world.disk.log().size() == 1);
}

TEST_SUITE_END();

}  // namespace
}  // namespace godwit::relay
