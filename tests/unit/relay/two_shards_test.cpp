// Two shards that pass each other messages: what one loop can do, two can.
#include "schema/wire/bytes.hpp"
#include "tests/unit/relay/shard_world.hpp"

namespace godwit::relay {
namespace {

class TwoShards {
 public:
  // A round of each shard, and one message from one to the other; false: there is none.
  bool step() {
    for (auto* from : shards) from->round();
    for (auto* from : shards) {
      if (from->host.posted.empty()) continue;
      auto posted = std::move(from->host.posted.front());
      from->host.posted.pop_front();
      shards.at(posted.loop)->shard.on_message(posted.message, from->now);
      return true;
    }
    return false;
  }
  void settle() {
    while (step()) {
    }
  }
  void pass(std::chrono::milliseconds time) {
    settle();
    for (auto* world : shards) world->now.steady += time;
    settle();
  }
  // Connected to the loop, wherever the user lives.
  SessionId join(ShardWorld& world, const Account& account) {
    const SessionId session = world.connect(account);
    world.ask(session, 1, ShardWorld::registration(account));
    settle();
    const auto frames = world.host.take_frames(session);
    REQUIRE(frames.size() == 2);
    REQUIRE(std::holds_alternative<wire::Welcome>(frames[0]->body));
    REQUIRE(std::holds_alternative<wire::CaughtUp>(frames[1]->body));
    return session;
  }

  ShardWorld zero{2, 0}, one{2, 1};
  std::array<ShardWorld*, 2> shards{&zero, &one};
};

}  // namespace

TEST_SUITE_BEGIN("relay/shard");

TEST_CASE("an envelope and its ack pass between loops, whichever the user lives on") {
  for (const std::uint32_t home : {0U, 1U}) {
    TwoShards both;
    const Account alice = account_on(0, 1);
    const Account bob = account_on(home, 10);
    const SessionId from = both.join(both.zero, alice);
    const SessionId to = both.join(both.one, bob);  // for one of the two, a guest there
    both.zero.submit(from, 5, {&bob}, 42);
    both.settle();
    const auto& delivered = both.one.only<wire::Deliver>(to);
    CHECK(wire::Bytes(delivered.envelope.begin(), delivered.envelope.end()) == wire::Bytes{42});
    wire::Ack ack;
    ack.upto = delivered.number;
    both.one.ask(to, 6, ack);
    both.settle();
    (void)both.one.only<wire::Done>(to);
    CHECK(both.zero.only<wire::Submitted>(from).outcomes.at(0).code == ErrorCode::ok);
    CHECK(both.shards.at(home)->disk.log().empty());
  }
}

TEST_CASE("a login on one loop ends the session of the same device on another") {
  TwoShards both;
  const Account bob = account_on(0, 1);
  const SessionId first = both.join(both.zero, bob);
  const SessionId second = both.one.connect(bob);
  both.one.ask(second, 1, wire::Login{1, bob.user, bob.device});
  both.settle();
  CHECK(both.zero.only<wire::Closing>(first).code == ErrorCode::replaced);
  CHECK(both.zero.host.closed.contains(first));
  const auto frames = both.one.host.take_frames(second);
  REQUIRE(frames.size() == 2);
  CHECK(std::get<wire::Welcome>(frames[0]->body).replaced);
}

TEST_CASE("a name is held once, whichever loops its holders are on") {
  TwoShards both;
  const Account bob = account_on(0, 1);
  const Account eve = account_on(1, 10);
  const SessionId his = both.join(both.zero, bob);
  const SessionId hers = both.join(both.one, eve);
  for (const char* name : {"bob", "rob", "somebody", "anybody"}) {
    both.zero.ask(his, 5, wire::SetName{name});
    both.settle();
    (void)both.zero.only<wire::Done>(his);
    both.one.ask(hers, 6, wire::SetName{name});
    both.settle();
    CHECK(both.one.refusal(hers) == ErrorCode::name_taken);
    both.one.ask(hers, 7, wire::GetUser{{}, name});
    both.settle();
    CHECK(both.one.only<wire::User>(hers).list.root == bob.list.root);
  }
}

TEST_CASE("a claim that a crash left is taken over by one, whatever its holder does meanwhile") {
  const std::string name = "bob";
  const std::uint32_t loop = slot::loop_of(slot::slot_of_name(name), 2);
  bool taken_over = false, kept = false;
  for (int steps = 0; steps < 30; ++steps) {
    CAPTURE(steps);
    TwoShards both;
    ShardWorld& here = *both.shards.at(loop);
    ShardWorld& there = *both.shards.at(1 - loop);
    const Account holder = account_on(loop, 1);
    const Account other = account_on(1 - loop, 10);
    const SessionId his = both.join(here, holder);
    const SessionId hers = both.join(there, other);
    store::Batch left;
    left.puts.push_back({store::Table::names, {name.begin(), name.end()},
                         wire::Bytes(holder.user.bytes.begin(), holder.user.bytes.end())});
    here.disk.apply(left);

    there.ask(hers, 5, wire::SetName{name});
    for (int i = 0; i < steps; ++i) (void)both.step();
    here.ask(his, 5, wire::SetName{name});
    both.settle();
    const auto done = [](ShardWorld& world, SessionId session) {
      const auto frames = world.host.take_frames(session);
      REQUIRE(frames.size() == 1);
      return std::holds_alternative<wire::Done>(frames[0]->body);
    };
    const bool he_has_it = done(here, his);
    const bool she_has_it = done(there, hers);
    CHECK(he_has_it != she_has_it);
    taken_over |= she_has_it;
    kept |= he_has_it;
    there.ask(hers, 6, wire::GetUser{{}, name});
    both.settle();
    const auto& found = there.only<wire::User>(hers);
    CHECK(found.list.root == (he_has_it ? holder : other).list.root);
  }
  CHECK(taken_over);
  CHECK(kept);
}

TEST_CASE("what is on its way to a session of another loop is dropped when that session ends") {
  TwoShards both;
  const Account alice = account_on(0, 1);
  const Account bob = account_on(0, 10);
  const SessionId from = both.join(both.zero, alice);
  const SessionId to = both.join(both.one, bob);
  both.zero.submit(from, 5, {&bob}, 42);
  both.zero.round();  // the push is on its way
  both.one.shard.on_closed(to, both.one.now);
  both.pass(25ms);  // so long the relay hopes for an ack before it writes
  CHECK(both.one.host.take_frames(to).empty());
  CHECK(both.zero.disk.log().size() == 1);  // it waits for the next login
}

// Whenever the removal comes in between the steps of putting the keys.
TEST_CASE("a device that is removed while it puts keys leaves none behind") {
  std::uint64_t seed = 1;
  while (slot::loop_of(slot::slot_of(Account::from_seed(seed).user), 2) != 0) ++seed;
  bool put = false, removed_first = false;
  for (int steps = 0; steps < 12; ++steps) {
    CAPTURE(steps);
    TwoShards both;
    const Account phone = Account::from_seed(seed);
    const SessionId first = both.join(both.zero, phone);
    const auto with_tablet = support::next_list(seed, phone.list, std::array{0U, 1U});
    const auto without = support::next_list(seed, with_tablet, std::array{0U});
    both.zero.ask(first, 2, wire::PutDevices{with_tablet.view(), phone.version});
    both.settle();
    (void)both.zero.only<wire::Done>(first);
    const Account tablet = Account::of_device(seed, 1, with_tablet, 3);
    const SessionId second = both.one.connect(tablet);
    both.one.ask(second, 1, wire::Login{1, tablet.user, tablet.device});
    both.settle();
    (void)both.one.host.take_frames(second);

    wire::PutKeys keys;
    keys.seal_key = tablet.seal_key;
    keys.signed_prekey = tablet.signed_prekey;
    keys.one_time = tablet.one_time;
    both.one.ask(second, 2, keys);
    for (int i = 0; i < steps; ++i) (void)both.step();
    both.zero.ask(first, 3, wire::PutDevices{without.view(), tablet.version});
    both.settle();
    (void)both.zero.only<wire::Done>(first);
    const auto told = both.one.host.take_frames(second);
    REQUIRE(!told.empty());
    (std::holds_alternative<wire::Done>(told[0]->body) ? put : removed_first) = true;

    wire::Bytes key(tablet.user.bytes.begin(), tablet.user.bytes.end());
    wire::append(key, tablet.device.view());
    for (const auto table : {store::Table::device_keys, store::Table::one_time_keys}) {
      wire::Bytes value;
      CHECK(both.zero.disk.get(table, key, value) == slot::Records::Found::no);
    }
  }
  CHECK(put);
  CHECK(removed_first);
}

TEST_CASE("a session that ends while it logs in on another loop is not attached there") {
  TwoShards both;
  const Account alice = account_on(0, 1);
  const Account bob = account_on(0, 10);
  const SessionId from = both.join(both.zero, alice);
  both.one.shard.on_closed(both.join(both.one, bob), both.one.now);
  both.settle();
  const SessionId again = both.one.connect(bob);
  both.one.ask(again, 1, wire::Login{1, bob.user, bob.device});
  both.one.shard.on_closed(again, both.one.now);  // the loop of its user has not heard of it yet
  both.settle();
  CHECK(both.zero.counters.sessions.get() == 1);
  both.zero.submit(from, 5, {&bob}, 42);
  both.settle();  // nobody is there to acknowledge it: it does not wait for that
  CHECK(both.zero.only<wire::Submitted>(from).outcomes.at(0).code == ErrorCode::ok);
}

TEST_CASE("a body that recipients share has an id that no other loop or start gives") {
  std::set<std::uint64_t> ids;
  for (const std::uint32_t boot : {1U, 2U}) {
    TwoShards both;
    const Account alice = account_on(0, 1);
    const Account bob = account_on(0, 10);
    for (const Account* away : {&alice, &bob}) {
      both.zero.shard.on_closed(both.join(both.zero, *away), both.zero.now);
    }
    for (std::uint8_t loop = 0; loop < 2; ++loop) {
      ShardWorld& world = *both.shards.at(loop);
      world.host.identity.boot = boot;
      const SessionId from = both.join(world, account_on(0, 20U + 10U * loop));
      world.submit(from, 5, {&alice, &bob}, loop);
    }
    both.settle();
    REQUIRE(both.zero.disk.log().size() == 4);
    for (const auto& [position, entry] : both.zero.disk.log()) ids.insert(entry.shared_id);
  }
  CHECK(ids.size() == 4);
  CHECK_FALSE(ids.contains(0));
}

TEST_SUITE_END();

}  // namespace godwit::relay
