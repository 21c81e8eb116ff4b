// Who holds a name: its claim in the slot of the name, and the user's record that says so too.
#include "tests/unit/relay/slot/engine_fixture.hpp"

namespace godwit::relay::slot::testing {
namespace {

TEST_SUITE_BEGIN("relay/slot/engine_directory");

TEST_CASE("of two claims of one name one wins, even before the first is on the disk") {
  EngineUnderTest slot;
  const wire::UserId bob = make_user(1).id;
  const wire::UserId eve = make_user(2).id;
  slot.call(1, 5, ClaimName{"bob", bob, {}});
  slot.call(2, 6, ClaimName{"bob", eve, {}});
  CHECK(slot.said().empty());  // the loser waits too: what it was told must stay true
  slot.commit();
  CHECK(slot.said() == Lines{"s1 call 5: ok", "s2 call 6: found"});
  slot.call(1, 7, ClaimName{"bob", bob, {}});
  CHECK(slot.said() == Lines{"s1 call 7: ok"});
}

TEST_CASE("a name resolves to its holder, and to nobody when it was released by its holder") {
  EngineUnderTest slot;
  const wire::UserId bob = make_user(1).id;
  const wire::UserId eve = make_user(2).id;
  slot.call(1, 5, ClaimName{"bob", bob, {}});
  slot.call(3, 6, ResolveName{"bob"});
  slot.commit();
  CHECK(slot.said() == Lines{"s1 call 5: ok", "s3 call 6: found"});
  slot.call(2, 7, ReleaseName{"bob", eve});  // not hers: nothing happens
  slot.call(3, 8, ResolveName{"bob"});
  CHECK(slot.said() == Lines{"s2 call 7: ok", "s3 call 8: found"});
  slot.call(1, 9, ReleaseName{"bob", bob});
  slot.commit();
  slot.call(3, 10, ResolveName{"bob"});
  slot.call(2, 11, ClaimName{"bob", eve, {}});
  slot.commit();
  CHECK(slot.said() == Lines{"s1 call 9: ok", "s3 call 10: not_found", "s2 call 11: ok"});
}

TEST_CASE("a claim found to be void goes to the next, unless the holder has changed meanwhile") {
  EngineUnderTest slot;
  const wire::UserId bob = make_user(1).id;
  const wire::UserId eve = make_user(2).id;
  const wire::UserId zoe = make_user(3).id;
  slot.call(1, 5, ClaimName{"bob", bob, {}});
  slot.call(2, 6, ClaimName{"bob", eve, bob});
  slot.call(3, 7, ClaimName{"bob", zoe, bob});
  slot.commit();
  CHECK(slot.said() == Lines{"s1 call 5: ok", "s2 call 6: ok", "s3 call 7: found"});
}

TEST_CASE("the user's record remembers one name, and a new list keeps it") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.call(1, 3, BeginNaming{bob.id});
  slot.call(1, 4, SetUserName{bob.id, "bob"});
  slot.call(1, 4, EndNaming{bob.id});
  CHECK(slot.said() == Lines{"s1 call 3: not_found", "s1 call 4: not_found", "s1 call 4: ok"});
  slot.add(bob);
  slot.call(1, 5, SetUserName{bob.id, "bob"});
  slot.commit();
  const TestUser next = make_user(1, {0, 1}, {1, 2});
  slot.call(1, 6, EngineUnderTest::put_of(next, wire::ListVersion{1, 1}, false));
  slot.commit();
  slot.call(1, 7, BeginNaming{bob.id});
  CHECK(slot.said() == Lines{"s1 call 5: ok", "s1 call 6: ok", "s1 call 7: previous bob"});
}

TEST_CASE("a device that is attached is told the name that its user's record says") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  const auto told = [&] {
    slot.attach(1, bob);
    REQUIRE_FALSE(slot.effects().empty());
    const auto attached = std::get<AttachedAs>(std::get<AnswerTo>(slot.effects()[0]).answer);
    slot.detach(1, bob);
    (void)slot.said();
    return attached.name;
  };
  const auto name_it = [&](const char* name) {
    slot.call(1, 5, SetUserName{bob.id, name});
    slot.commit();
    (void)slot.said();
  };
  CHECK(told().empty());
  name_it("bob");
  CHECK(told() == "bob");
  slot.restart();
  CHECK(told() == "bob");
  name_it("");
  CHECK(told().empty());
}

TEST_CASE("one change of a user's name at a time") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.call(1, 5, BeginNaming{bob.id});
  slot.call(2, 6, BeginNaming{bob.id});
  CHECK(slot.said() == Lines{"s1 call 5: previous -", "s2 call 6: busy"});
  slot.call(1, 8, EndNaming{bob.id});
  slot.call(2, 10, BeginNaming{bob.id});
  CHECK(slot.said() == Lines{"s1 call 8: ok", "s2 call 10: previous -"});
  const wire::UserId nobody = make_user(9).id;  // may register and claim while it is looked into
  slot.call(1, 11, BeginNaming{nobody});
  slot.call(2, 12, BeginNaming{nobody});
  CHECK(slot.said() == Lines{"s1 call 11: not_found", "s2 call 12: busy"});
}

TEST_CASE("a name is set, and released, when that is on the disk, so a crash takes neither back") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.call(1, 5, ClaimName{"bob", bob.id, {}});
  slot.commit();
  (void)slot.said();
  slot.call(1, 6, SetUserName{bob.id, "bob"});
  CHECK(slot.said().empty());  // else the name before it would be let go, and a crash leave none
  slot.commit();
  CHECK(slot.said() == Lines{"s1 call 6: ok"});
  slot.call(1, 7, ReleaseName{"bob", bob.id});
  CHECK(slot.said().empty());
  slot.commit();
  CHECK(slot.said() == Lines{"s1 call 7: ok"});
}

TEST_SUITE_END();

}  // namespace
}  // namespace godwit::relay::slot::testing
