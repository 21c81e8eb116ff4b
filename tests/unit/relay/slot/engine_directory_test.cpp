// Who exists, who holds a name, who is attached, and whose keys are handed out.
#include "tests/unit/relay/slot/engine_fixture.hpp"

namespace godwit::relay::slot::testing {
namespace {

using namespace std::chrono_literals;

TEST_SUITE_BEGIN("relay/slot/engine_directory");

// ---- Device lists ------------------------------------------------------------------------------

TEST_CASE("a registration is answered when it is on the disk") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.call(1, 5, EngineUnderTest::put_of(bob));
  CHECK(slot.said().empty());
  REQUIRE(slot.flush());
  CHECK(slot.said().empty());
  slot.finish();
  CHECK(slot.said() == Lines{"s1 call 5: ok"});
  slot.restart();
  slot.attach(1, bob);
  CHECK(slot.said() == Lines{"s1 call 1: attached", "s1 caught_up"});
}

TEST_CASE("the user's record is not handed out before it is on the disk") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.call(1, 5, EngineUnderTest::put_of(bob));
  slot.call(2, 6, GetUser{bob.id});
  CHECK(slot.said().empty());
  slot.commit();
  CHECK(slot.said() == Lines{"s1 call 5: ok", "s2 call 6: user"});
  slot.call(2, 7, GetUser{bob.id});
  CHECK(slot.said() == Lines{"s2 call 7: user"});
}

TEST_CASE("the same list again is answered ok and counted once") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1, {0, 1});
  slot.add(bob);
  slot.call(1, 5, EngineUnderTest::put_of(bob));
  slot.call(1, 6, EngineUnderTest::put_of(bob, wire::ListVersion{9, 9}, false));
  slot.commit();
  CHECK(slot.said() == Lines{"s1 call 5: ok", "s1 call 6: ok"});
  CHECK(slot.counters->users.get() == 1);
  CHECK(slot.counters->devices.get() == 2);
}

TEST_CASE("a change that follows the list in force is taken") {
  EngineUnderTest slot;
  slot.add(make_user(1));
  const TestUser next = make_user(1, {0, 1}, {1, 2});
  slot.call(1, 5, EngineUnderTest::put_of(next, wire::ListVersion{1, 1}, false));
  slot.commit();
  CHECK(slot.said() == Lines{"s1 call 5: ok"});
  CHECK(slot.counters->devices.get() == 2);
}

TEST_CASE("of two changes that follow the same list one wins and the other is told") {
  EngineUnderTest slot;
  slot.add(make_user(1));
  const TestUser first = make_user(1, {0, 1}, {1, 2});
  const TestUser second = make_user(1, {0, 2}, {1, 2});
  slot.call(1, 5, EngineUnderTest::put_of(first, wire::ListVersion{1, 1}, false));
  slot.call(2, 6, EngineUnderTest::put_of(second, wire::ListVersion{1, 1}, false));
  slot.commit();
  CHECK(slot.said() == Lines{"s2 call 6: conflict", "s1 call 5: ok"});
}

TEST_CASE("a list that is not newer, or follows another than the one in force, is a conflict") {
  EngineUnderTest slot;
  slot.add(make_user(1, {0}, {2, 5}));
  const auto put = [&](wire::ListVersion version, std::optional<wire::ListVersion> expected) {
    const TestUser next = make_user(1, {0, 1}, version);
    slot.call(1, 5, EngineUnderTest::put_of(next, expected, !expected));
    slot.commit();
    return slot.said().at(0);
  };
  CHECK(put({2, 5}, wire::ListVersion{2, 5}) == "s1 call 5: conflict");  // same version, other list
  CHECK(put({2, 4}, wire::ListVersion{2, 5}) == "s1 call 5: conflict");
  CHECK(put({1, 9}, wire::ListVersion{2, 5}) == "s1 call 5: conflict");
  CHECK(put({2, 6}, wire::ListVersion{2, 4}) == "s1 call 5: conflict");
  CHECK(put({3, 1}, wire::ListVersion{2, 5}) == "s1 call 5: ok");  // the generation counts first
  CHECK(put({3, 2}, {}) == "s1 call 5: ok");  // a registration with a newer list
}

TEST_CASE("a registration that is not newer is answered with the list in force, and changes "
          "nothing") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1, {0}, {2, 5});
  slot.add(bob);
  slot.attach(1, bob);
  (void)slot.said();
  for (const wire::ListVersion version : {wire::ListVersion{2, 5}, {2, 4}, {1, 9}}) {
    slot.call(2, 6, EngineUnderTest::put_of(make_user(1, {1}, version)));
    REQUIRE(slot.effects().size() == 1);
    const auto& answer = std::get<AnswerTo>(slot.effects()[0]);
    CHECK(answer.origin.session == 2);
    CHECK(std::get<FoundUser>(answer.answer).list->body == bob.list.body);
    CHECK(slot.said() == Lines{"s2 call 6: user"});
  }
  CHECK_FALSE(slot.flush());
  CHECK(slot.counters->devices.get() == 1);
  slot.call(2, 7, GetPrekeys{bob.id, {make_user(1, {1}).device()}, {}, false});
  CHECK(slot.said() == Lines{"s2 call 7: prekeys"});
}

TEST_CASE("the list that a registration must follow is not told before it is on the disk") {
  EngineUnderTest slot;
  slot.call(1, 5, EngineUnderTest::put_of(make_user(1)));
  slot.call(2, 6, EngineUnderTest::put_of(make_user(1, {1})));
  CHECK(slot.said().empty());
  slot.commit();
  CHECK(slot.said() == Lines{"s1 call 5: ok", "s2 call 6: user"});
}

TEST_CASE("without a record of the user any list is taken, whatever it follows") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1, {0}, {7, 7});
  slot.call(1, 5, EngineUnderTest::put_of(bob, wire::ListVersion{7, 6}, false));
  slot.commit();
  CHECK(slot.said() == Lines{"s1 call 5: ok"});
}

TEST_CASE("a damaged record reads as no record: the user registers again") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.restart();
  slot.disk.damage(store::Table::users, bob.id.view());
  slot.attach(1, bob);
  CHECK(slot.said() == Lines{"s1 call 1: unknown_device"});
  slot.call(1, 5, EngineUnderTest::put_of(bob));
  slot.commit();
  slot.attach(1, bob);
  CHECK(slot.said() == Lines{"s1 call 5: ok", "s1 call 1: attached", "s1 caught_up"});
}

TEST_CASE("a removed device loses its session, its mail and its keys; the others keep theirs") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1, {0, 1});
  slot.add(bob);
  slot.call(1, 0,
            PutKeys{bob.id, bob.device(1), signed_key(1), signed_key(2), one_time_keys(1, 2)});
  const auto shared = body_of(1, 0, 77);
  slot.enqueue_body(bob, 1, shared, 11, 0);
  slot.enqueue_body(bob, 1, shared, 12, 1);
  slot.commit();
  slot.attach(1, bob, 0);
  slot.attach(2, bob, 1);
  (void)slot.said();
  slot.enqueue_body(bob, 2, body_of(2), 13, 1);  // held, and on its way to the device
  (void)slot.said();
  const TestUser next = make_user(1, {0}, {1, 2});
  slot.call(1, 5, EngineUnderTest::put_of(next, wire::ListVersion{1, 1}, false));
  CHECK(slot.said() == Lines{"s9 submit 13: unknown_device after 60000"});
  slot.attach(4, bob, 1);
  CHECK(slot.said().empty());  // nobody comes back from what a loss of power might take back
  slot.commit();
  CHECK(slot.said() == Lines{"s2 closing removed", "s1 call 5: ok", "s4 call 1: unknown_device"});
  CHECK(slot.disk.log().size() == 1);
  CHECK(slot.counters->sessions.get() == 1);
  CHECK(slot.counters->devices.get() == 1);
  CHECK(slot.counted() == std::pair<std::uint64_t, std::uint64_t>{1, 2});
  CHECK(slot.counted() == slot.engine->recount());
  slot.call(3, 6, GetPrekeys{bob.id, {}, {}, false});
  CHECK(slot.said() == Lines{"s3 call 6: prekeys -"});
  wire::Bytes key(bob.id.bytes.begin(), bob.id.bytes.end()), value;
  wire::append(key, bob.device(1).view());
  for (const auto table : {store::Table::device_keys, store::Table::one_time_keys}) {
    CHECK(slot.disk.get(table, key, value) == Records::Found::no);
  }
}

TEST_CASE("a device whose transport key changed loses a session that proved the old one") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.attach(1, bob);
  (void)slot.said();
  TestUser next = make_user(1, {0}, {1, 2});
  next.parsed.devices[0].transport.bytes[5] ^= 1;
  slot.call(2, 5, EngineUnderTest::put_of(next));
  CHECK(slot.said().empty());
  slot.commit();
  CHECK(slot.said() == Lines{"s1 closing unauthorized", "s2 call 5: ok"});
  slot.attach(1, bob);  // with the old key
  CHECK(slot.said() == Lines{"s1 call 1: unauthorized"});
}

TEST_CASE("mail of a removed device that is on its way to the disk is removed when it is there") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1, {0, 1});
  slot.add(bob);
  slot.enqueue_body(bob, 1, body_of(1), 11, 1);
  REQUIRE(slot.flush());
  const TestUser next = make_user(1, {0}, {1, 2});
  slot.call(1, 5, EngineUnderTest::put_of(next, wire::ListVersion{1, 1}, false));
  CHECK(slot.said() == Lines{"s9 submit 11: unknown_device after 60000"});
  slot.finish();
  slot.commit();
  CHECK(slot.said() == Lines{"s1 call 5: ok"});
  CHECK(slot.disk.log().empty());
  CHECK(slot.engine->idle());
}

TEST_CASE("only a listed device with its listed transport key is attached") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.attach(1, bob);
  slot.add(bob);
  slot.call(1, 2, Attach{bob.id, bob.device(), make_user(2).transport()});
  slot.call(1, 3, Attach{bob.id, make_user(2).device(), bob.transport()});
  CHECK(slot.said() == Lines{"s1 call 2: unauthorized", "s1 call 3: unknown_device"});
  CHECK(slot.counters->sessions.get() == 0);
}

TEST_CASE("while the store is full, nobody registers, and no list grows") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.disk.set_full(true);
  slot.call(2, 5, EngineUnderTest::put_of(make_user(2)));
  const wire::ListVersion first{1, 1};
  slot.call(1, 6, EngineUnderTest::put_of(make_user(1, {0, 1}, {1, 2}), first, false));
  slot.call(1, 7, EngineUnderTest::put_of(make_user(1, {1}, {1, 2}), first, false));
  slot.commit();
  CHECK(slot.said() == Lines{"s2 call 5: store_full after 5000", "s1 call 6: store_full after 5000",
                             "s1 call 7: ok"});
  CHECK(slot.counters->users.get() == 1);
}

// ---- Prekeys -----------------------------------------------------------------------------------

TEST_CASE("while the store is full, keys are handed out and replaced, not added") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  const PutKeys more{bob.id, bob.device(), {}, {}, one_time_keys(1, 2)};
  slot.call(1, 5, more);
  slot.commit();
  slot.disk.set_full(true);
  slot.call(1, 6, more);  // the same again takes no room
  slot.call(1, 7, PutKeys{bob.id, bob.device(), {}, {}, one_time_keys(3, 1)});
  slot.call(2, 8, GetPrekeys{bob.id, {}, {}, false});
  slot.commit();
  CHECK(slot.said() == Lines{"s1 call 5: ok", "s1 call 7: store_full after 5000", "s1 call 6: ok",
                             "s2 call 8: prekeys 1"});
}

TEST_CASE("each one-time key is handed out once, the oldest first, then the signed one alone") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.call(1, 5, PutKeys{bob.id, bob.device(), {}, {}, one_time_keys(1, 2)});
  slot.commit();
  CHECK(slot.said() == Lines{"s1 call 5: ok"});
  for (std::uint32_t mark = 6; mark <= 8; ++mark) {
    slot.call(2, mark, GetPrekeys{bob.id, {}, {}, false});
  }
  CHECK(slot.said() == Lines{"s2 call 8: prekeys -"});
  slot.commit();
  CHECK(slot.said() == Lines{"s2 call 6: prekeys 1", "s2 call 7: prekeys 2"});
}

TEST_CASE("a one-time key leaves only when its removal is on the disk, so a crash gives it once") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.call(1, 5, PutKeys{bob.id, bob.device(), {}, {}, one_time_keys(1, 2)});
  slot.commit();
  (void)slot.said();
  slot.call(2, 6, GetPrekeys{bob.id, {}, {}, false});
  CHECK(slot.said().empty());
  slot.restart();
  slot.call(2, 7, GetPrekeys{bob.id, {}, {}, false});
  slot.commit();
  CHECK(slot.said() == Lines{"s2 call 7: prekeys 1"});
  slot.restart();
  slot.call(2, 8, GetPrekeys{bob.id, {}, {}, false});
  slot.commit();
  CHECK(slot.said() == Lines{"s2 call 8: prekeys 2"});
}

TEST_CASE("the list that keys come with is not told before it is on the disk") {
  EngineUnderTest slot;
  slot.add(make_user(1));
  const TestUser next = make_user(1, {0, 1}, {1, 2});
  slot.call(1, 5, EngineUnderTest::put_of(next, wire::ListVersion{1, 1}, false));
  slot.call(2, 6, GetPrekeys{next.id, {}, {}, false});  // no one-time key that would wait
  CHECK(slot.said().empty());
  slot.commit();
  CHECK(slot.said() == Lines{"s1 call 5: ok", "s2 call 6: prekeys -"});
}

TEST_CASE("who asks while there is no one-time key has not used up what there will be") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  const GetPrekeys ask{bob.id, {}, {}, true};
  for (std::uint32_t mark = 1; mark <= static_cast<std::uint32_t>(kPrekeyPopsBurst); ++mark) {
    slot.call(2, mark, ask);
  }
  slot.commit();
  (void)slot.said();
  slot.call(1, 5, PutKeys{bob.id, bob.device(), {}, {}, one_time_keys(1, 1)});
  slot.call(2, 6, ask);
  slot.commit();
  CHECK(slot.said() == Lines{"s1 call 5: ok", "s2 call 6: prekeys 1"});
}

TEST_CASE("an upload that is sent again brings back no key that was handed out") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  const PutKeys upload{bob.id, bob.device(), {}, {}, one_time_keys(1, 2)};
  slot.call(1, 5, upload);
  slot.call(2, 6, GetPrekeys{bob.id, {}, {}, false});
  slot.call(1, 7, upload);
  slot.call(2, 8, GetPrekeys{bob.id, {}, {}, false});
  slot.call(1, 9, upload);
  slot.call(2, 10, GetPrekeys{bob.id, {}, {}, false});
  slot.commit();
  slot.restart();
  slot.call(1, 11, upload);
  slot.call(2, 12, GetPrekeys{bob.id, {}, {}, false});
  slot.call(1, 13, PutKeys{bob.id, bob.device(), {}, {}, one_time_keys(3, 1)});
  slot.call(2, 14, GetPrekeys{bob.id, {}, {}, false});
  slot.commit();
  CHECK(slot.said() == Lines{"s2 call 12: prekeys -", "s1 call 11: ok", "s1 call 13: ok",
                             "s2 call 14: prekeys 3"});
}

TEST_CASE("past the keys that are kept an upload is refused whole") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.call(1, 5, PutKeys{bob.id, bob.device(), {}, {}, one_time_keys(1, kOneTimeKeysMax)});
  slot.commit();
  slot.call(1, 6, PutKeys{bob.id, bob.device(), signed_key(9), {},
                          one_time_keys(kOneTimeKeysMax + 1, 1)});
  CHECK(slot.said() == Lines{"s1 call 5: ok", "s1 call 6: too_large"});
  CHECK_FALSE(slot.flush());
}

TEST_CASE("a seal key or signed prekey that is uploaded alone leaves the other as it is") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);  // with seal key 1 and signed prekey 2
  slot.call(1, 5, PutKeys{bob.id, bob.device(), {}, signed_key(7), {}});
  slot.commit();
  (void)slot.said();
  slot.call(2, 6, GetPrekeys{bob.id, {bob.device()}, {}, false});
  REQUIRE(slot.effects().size() == 1);
  const auto& found = std::get<FoundPrekeys>(std::get<AnswerTo>(slot.effects()[0]).answer);
  REQUIRE(found.bundles.size() == 1);
  CHECK(found.bundles[0].seal_key.id == 1);
  CHECK(found.bundles[0].signed_prekey.id == 7);
  CHECK(found.bundles[0].signed_prekey.key == signed_key(7).key);
  CHECK(found.list->body == bob.list.body);
}

TEST_CASE("prekeys are given of the devices that were asked for, and of nobody unknown") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1, {0, 1});
  slot.add(bob);
  slot.call(1, 5, PutKeys{bob.id, bob.device(0), {}, {}, one_time_keys(1, 5)});
  slot.call(1, 6, PutKeys{bob.id, bob.device(1), signed_key(3), signed_key(4),
                          one_time_keys(11, 5)});
  slot.commit();
  (void)slot.said();
  slot.call(2, 7, GetPrekeys{bob.id, {}, {}, false});
  slot.call(2, 8, GetPrekeys{bob.id, {bob.device(1)}, {}, false});
  slot.call(2, 9, GetPrekeys{bob.id, {make_user(2).device()}, {}, false});
  slot.call(2, 10, GetPrekeys{make_user(2).id, {}, {}, false});
  slot.commit();
  CHECK(slot.said() == Lines{"s2 call 9: prekeys", "s2 call 10: not_found",
                             "s2 call 7: prekeys 1 11", "s2 call 8: prekeys 12"});
}

TEST_CASE("one user's one-time keys are given at a bounded rate, whoever asks; others' are not "
          "touched") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  const TestUser eve = make_user(2);
  for (const TestUser& user : {bob, eve}) {
    slot.add(user);
    slot.call(1, 5, PutKeys{user.id, user.device(), {}, {}, one_time_keys(1, kOneTimeKeysMax)});
  }
  slot.commit();
  (void)slot.said();
  const auto ask = [&](const TestUser& user) {
    slot.call(2, 6, GetPrekeys{user.id, {}, {}, false});
    slot.commit();
    return slot.said().at(0);
  };
  for (int i = 1; i <= static_cast<int>(kPrekeyPopsBurst); ++i) {
    CHECK(ask(bob) == "s2 call 6: prekeys " + std::to_string(i));
  }
  CHECK(ask(bob) == "s2 call 6: prekeys -");
  CHECK(ask(eve) == "s2 call 6: prekeys 1");
  slot.pass(5s);  // one every five seconds
  CHECK(ask(bob) == "s2 call 6: prekeys 151");
  CHECK(ask(bob) == "s2 call 6: prekeys -");
}

TEST_CASE("an attached device is told when its one-time keys run low and when they are gone") {
  EngineUnderTest slot;
  const TestUser bob = make_user(1);
  slot.add(bob);
  slot.call(1, 5, PutKeys{bob.id, bob.device(), {}, {}, one_time_keys(1, kOneTimeKeysLow + 2)});
  slot.attach(1, bob);
  slot.commit();
  (void)slot.said();
  Lines told;
  for (std::uint32_t i = 0; i < kOneTimeKeysLow + 3; ++i) {
    slot.call(2, 6, GetPrekeys{bob.id, {}, {}, false});
    for (const std::string& line : slot.said()) {
      if (line.starts_with("s1")) told.push_back(line);
    }
  }
  CHECK(told == Lines{"s1 keys_low 20", "s1 keys_low 0"});
}

TEST_SUITE_END();

}  // namespace
}  // namespace godwit::relay::slot::testing
