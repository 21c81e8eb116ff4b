// A change of name from end to end: the slots of the user and of both names, and the disk.
#include "tests/unit/relay/shard_world.hpp"

namespace godwit::relay {
namespace {

using World = ShardWorld;

TEST_SUITE_BEGIN("relay/names");

TEST_CASE("a change of name comes to its end although the connection drops in the middle") {
  World world;
  const Account bob = Account::from_seed(1);
  const SessionId session = world.join(bob);
  world.ask(session, 5, wire::SetName{"bob"});
  world.shard.on_closed(session, world.now);
  world.round();
  const SessionId other = world.join(Account::from_seed(2));
  world.ask(other, 6, wire::GetUser{{}, "bob"});
  CHECK(world.only<wire::User>(other).list.root == bob.list.root);
  world.ask(other, 7, wire::SetName{"bob"});
  world.round();
  CHECK(world.refusal(other) == ErrorCode::name_taken);
  world.ask(other, 8, wire::SetName{"rob"});  // nothing is left locked
  world.round();
  (void)world.only<wire::Done>(other);
}

TEST_CASE("who takes another name leaves no claim to the one before") {
  World world;
  const SessionId session = world.join(Account::from_seed(1));
  for (const char* name : {"bob", "rob"}) {
    world.ask(session, 5, wire::SetName{name});
    world.round();
    (void)world.only<wire::Done>(session);
  }
  using Found = slot::Records::Found;
  wire::Bytes holder;
  CHECK(world.disk.get(store::Table::names, wire::as_bytes("rob"), holder) == Found::yes);
  CHECK(world.disk.get(store::Table::names, wire::as_bytes("bob"), holder) == Found::no);
}

TEST_CASE("two changes of one name that cross leave the last one's outcome, never half of each") {
  World world;
  const Account bob = Account::from_seed(1);
  const SessionId session = world.join(bob);
  world.ask(session, 5, wire::SetName{"bob"});
  world.round();
  (void)world.only<wire::Done>(session);
  world.ask(session, 6, wire::SetName{});
  world.ask(session, 7, wire::SetName{"bob"});
  CHECK(world.refusal(session) == ErrorCode::busy);
  world.round();
  (void)world.only<wire::Done>(session);
  world.ask(session, 8, wire::GetUser{{}, "bob"});
  CHECK(world.refusal(session) == ErrorCode::not_found);
}

TEST_CASE("a name whose claim the disk has lost is its holder's again when that one asks for it") {
  for (const bool taken : {false, true}) {
    CAPTURE(taken);
    World world;
    const Account bob = Account::from_seed(1);
    const SessionId his = world.join(bob);
    const SessionId hers = world.join(Account::from_seed(2));
    world.ask(his, 5, wire::SetName{"bob"});
    world.round();
    (void)world.only<wire::Done>(his);
    store::Batch lost;
    lost.puts.push_back({store::Table::names, {'b', 'o', 'b'}, std::nullopt});
    world.disk.apply(lost);
    if (taken) {
      world.ask(hers, 6, wire::SetName{"bob"});
      world.round();
      (void)world.only<wire::Done>(hers);
    }
    world.ask(his, 7, wire::SetName{"bob"});
    world.round();
    if (taken) {
      CHECK(world.refusal(his) == ErrorCode::name_taken);
      const SessionId again = world.connect(bob);
      world.ask(again, 8, wire::Login{1, bob.user, bob.device});
      world.round();
      const auto frames = world.host.take_frames(again);
      REQUIRE(!frames.empty());
      CHECK(std::get<wire::Welcome>(frames[0]->body).own_name.empty());
      continue;
    }
    (void)world.only<wire::Done>(his);
    world.ask(hers, 8, wire::GetUser{{}, "bob"});
    world.round();
    CHECK(world.only<wire::User>(hers).list.root == bob.list.root);
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace godwit::relay
