#include "client-sdk/src/crypto/session_set.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/unit/client-sdk/crypto/peers.hpp"

namespace godwit::crypto {
namespace {

struct Two {
  Peer one{"one"};
  Peer other{"other"};

  // A session that `one` begins and `other` has heard of.
  void connect(std::uint64_t now_s = kStart) {
    one.begin(other, now_s);
    CHECK(other.open(one, one.send("hello"), now_s).has_value());
  }
};

// Begins `count` sessions at one end without telling the other; their first messages.
std::vector<wire::Bytes> begin_many(Two& two, std::size_t count) {
  std::vector<wire::Bytes> first;
  for (std::size_t i = 0; i < count; ++i) {
    two.one.begin(two.other);
    first.push_back(two.one.send("first"));
  }
  return first;
}

// What `open` refuses leaves the set as it was.
void check_refused(Peer& by, const Peer& from, wire::ByteView inner, SessionError error) {
  const wire::Bytes before = packed(by.set);
  const auto opened = by.open(from, inner);
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error() == error);
  CHECK(packed(by.set) == before);
}

void check_flips(Peer& by, const Peer& from, wire::Bytes inner) {
  const wire::Bytes before = packed(by.set);
  for (std::size_t bit = 0; bit < inner.size() * 8; ++bit) {
    INFO("bit: " << bit);
    const auto mask = static_cast<std::uint8_t>(1U << (bit % 8));
    inner[bit / 8] ^= mask;
    CHECK_FALSE(by.open(from, inner));
    inner[bit / 8] ^= mask;
    REQUIRE(packed(by.set) == before);
  }
  CHECK(by.open(from, inner).has_value());
}

}  // namespace

TEST_SUITE("client-sdk/src/crypto/session_set") {
  TEST_CASE("a first message begins a session, names the one-time key it used, and is answered") {
    Two two;
    const auto key = two.other.give_one_time_key();
    two.one.set.add(two.one.begin_session(two.other, two.one.set.next_gen(), key), kStart);
    const auto opened = two.other.open(two.one, two.one.send("hello"));
    REQUIRE(opened.has_value());
    CHECK(opened->plaintext == text_bytes("hello"));
    CHECK(opened->began);
    CHECK(opened->used_one_time_key == key.id);
    CHECK(opened->session == two.one.set.current()->id());
    CHECK(two.other.set.next_gen() == 2);

    const auto second = two.other.open(two.one, two.one.send("again"));
    REQUIRE(second.has_value());
    CHECK_FALSE(second->began);
    CHECK_FALSE(second->used_one_time_key.has_value());
    CHECK(two.one.open(two.other, two.other.send("answer"))->plaintext == text_bytes("answer"));
    CHECK(two.one.set.size() == 1);
    CHECK(two.other.set.size() == 1);
  }

  TEST_CASE("no changed bit of a prekey message passes or leaves a trace") {
    Two two;
    const auto key = two.other.give_one_time_key();
    two.one.set.add(two.one.begin_session(two.other, 1, key), kStart);
    const wire::Bytes first = two.one.send("hello");
    SUBCASE("when it would begin a session") {
      check_flips(two.other, two.one, first);
    }
    SUBCASE("when its session is held") {
      CHECK(two.other.open(two.one, first).has_value());
      two.other.one_time_keys.clear();
      check_flips(two.other, two.one, two.one.send("again"));
    }
  }

  TEST_CASE("a message that was read before is refused, however it comes") {
    Two two;
    two.one.begin(two.other);
    const wire::Bytes first = two.one.send("hello");
    CHECK(two.other.open(two.one, first).has_value());
    check_refused(two.other, two.one, first, SessionError::replayed);
    // Its session has left; the base key is remembered.
    for (std::size_t i = 0; i < kReceiveOnlySessionsMax + 1; ++i) {
      two.one.begin(two.other);
      CHECK(two.other.open(two.one, two.one.send("newer")).has_value());
    }
    check_refused(two.other, two.one, first, SessionError::base_key_used);
  }

  TEST_CASE("a message for a prekey that is gone is refused") {
    Two two;
    two.one.set.add(two.one.begin_session(two.other, 1, two.other.give_one_time_key()), kStart);
    const wire::Bytes first = two.one.send("hello");
    two.other.one_time_keys.clear();
    check_refused(two.other, two.one, first, SessionError::unknown_prekey);

    Two rotated;
    wire::SignedKey old = rotated.other.bundle();
    old.id = Peer::kPrekeyId + 1;
    auto session = Session::initiate(rotated.one.identity, rotated.one.user, rotated.other.party(),
                                     old, {}, 1, std::ref(rotated.one.random));
    REQUIRE(session.has_value());
    const wire::Bytes inner = session->encrypt({}, std::ref(rotated.one.random));
    check_refused(rotated.other, rotated.one, inner, SessionError::unknown_prekey);
  }

  TEST_CASE("a session number far beyond ours is refused, and does not count") {
    Two two;
    for (const std::uint32_t ahead : {kGenAheadMax, kGenAheadMax + 1, 0xffff'ffffU}) {
      Session session = two.one.begin_session(two.other, ahead);
      const wire::Bytes inner = session.encrypt({}, std::ref(two.one.random));
      two.other.set = {};
      if (ahead == kGenAheadMax) {
        CHECK(two.other.open(two.one, inner).has_value());
        CHECK(two.other.set.next_gen() == kGenAheadMax + 1);
      } else {
        check_refused(two.other, two.one, inner, SessionError::gen_refused);
        two.other.set.saw_gen(ahead);
        CHECK(two.other.set.next_gen() == 1);
      }
    }
    two.other.set.saw_gen(kGenAheadMax);
    CHECK(two.other.set.next_gen() == kGenAheadMax + 1);
    two.other.set.saw_gen(3);
    CHECK(two.other.set.next_gen() == kGenAheadMax + 1);
  }

  TEST_CASE("two that begin at once settle on the lower id, and read each other all along") {
    Two two;
    two.one.begin(two.other);
    two.other.begin(two.one);
    const SessionId lower = std::min(two.one.set.current()->id(), two.other.set.current()->id());
    const wire::Bytes from_one = two.one.send("one");
    const wire::Bytes from_other = two.other.send("other");
    CHECK(two.other.open(two.one, from_one)->plaintext == text_bytes("one"));
    CHECK(two.one.open(two.other, from_other)->plaintext == text_bytes("other"));
    CHECK(two.one.set.current()->id() == lower);
    CHECK(two.other.set.current()->id() == lower);
  }

  TEST_CASE("a reset wins over what was current, and an older message over nothing") {
    Two two;
    two.connect();
    const wire::Bytes late = two.one.send("late");
    two.other.begin(two.one);
    const SessionId reset = two.other.set.current()->id();
    CHECK(two.one.open(two.other, two.other.send("reset")).has_value());
    CHECK(two.one.set.current()->id() == reset);
    CHECK(two.other.open(two.one, late)->plaintext == text_bytes("late"));
    CHECK(two.other.set.current()->id() == reset);
    // So does a session of a lower number that comes late.
    Session old = two.one.begin_session(two.other, 1);
    const wire::Bytes old_first = old.encrypt({}, std::ref(two.one.random));
    CHECK(two.other.open(two.one, old_first)->began);
    CHECK(two.other.set.current()->id() == reset);
  }

  TEST_CASE("five sessions are kept beside the current one, and the longest replaced leaves") {
    Two two;
    const auto first = begin_many(two, kReceiveOnlySessionsMax + 2);
    CHECK(two.one.set.size() == kReceiveOnlySessionsMax + 1);
    for (std::size_t i = 0; i < first.size(); ++i) {
      CHECK(two.other.open(two.one, first[i], kStart + i).has_value());
      CHECK(two.other.set.size() == std::min(i + 1, kReceiveOnlySessionsMax + 1));
    }
    // The first session was the first to be replaced; the second still reads.
    check_refused(two.other, two.one, first[0], SessionError::base_key_used);
    check_refused(two.other, two.one, first[1], SessionError::replayed);
  }

  TEST_CASE("a session that comes late is kept before one that was replaced long ago") {
    Two two;
    Session late = two.one.begin_session(two.other, 1);
    const wire::Bytes late_first = late.encrypt({}, std::ref(two.one.random));
    const wire::Bytes late_second = late.encrypt({}, std::ref(two.one.random));
    two.one.set.saw_gen(1);
    const auto first = begin_many(two, kReceiveOnlySessionsMax + 1);
    for (std::size_t i = 0; i < first.size(); ++i) {
      CHECK(two.other.open(two.one, first[i], kStart + i).has_value());
    }
    CHECK(two.other.open(two.one, late_first, kStart + 60)->began);
    CHECK(two.other.open(two.one, late_second, kStart + 60).has_value());
    check_refused(two.other, two.one, first[0], SessionError::base_key_used);
  }

  TEST_CASE("a replaced session reads for the retention time from when it was replaced") {
    for (const bool in_time : {true, false}) {
      Two two;
      two.connect();
      CHECK(two.one.open(two.other, two.other.send("answer")).has_value());
      const wire::Bytes early = two.one.send("early");
      const wire::Bytes late = two.one.send("late");
      // It stays current for longer than that first.
      const std::uint64_t replaced = kStart + 2 * kRetainSeconds;
      CHECK(two.other.open(two.one, early, replaced).has_value());
      two.other.begin(two.one, replaced);
      CHECK(two.other.set.size() == 2);
      CHECK(two.one.open(two.other, two.other.send("reset"), replaced).has_value());
      const wire::Bytes newer = two.one.send("newer");
      const std::uint64_t now = replaced + kRetainSeconds + (in_time ? 0 : 1);
      CHECK(two.other.open(two.one, newer, now).has_value());
      CHECK(two.other.open(two.one, late, now).has_value() == in_time);
      CHECK(two.other.set.size() == (in_time ? 2 : 1));
    }
  }

  TEST_CASE("a bounded number of base keys is remembered, for the retention time") {
    Two two;
    std::vector<wire::Bytes> first;
    std::vector<std::size_t> sizes;
    for (std::size_t i = 0; i < kUsedBaseKeysMax + 8; ++i) {
      two.one.begin(two.other);
      first.push_back(two.one.send("first"));
      CHECK(two.other.open(two.one, first.back()).has_value());
      sizes.push_back(packed(two.other.set).size());
    }
    CHECK(sizes[kUsedBaseKeysMax - 1] > sizes[kUsedBaseKeysMax - 2]);
    CHECK(sizes.back() == sizes[kUsedBaseKeysMax - 1]);
    // The oldest have left; of the sessions of these two none is held any more.
    for (const std::size_t known : {std::size_t{8}, kUsedBaseKeysMax + 1}) {
      check_refused(two.other, two.one, first[known], SessionError::base_key_used);
    }
    const std::uint64_t later = kStart + kRetainSeconds + 1;
    CHECK(two.other.open(two.one, two.one.send("more"), later).has_value());
    CHECK(two.other.set.size() == 1);
    CHECK(packed(two.other.set).size() < 1'000);
  }

  TEST_CASE("an ordinary message that no session opens is not authentic") {
    Two two;
    two.connect();
    CHECK(two.one.open(two.other, two.other.send("answer")).has_value());
    const wire::Bytes ordinary = two.one.send("hello");
    Peer stranger("stranger");
    check_refused(stranger, two.one, ordinary, SessionError::not_authentic);
    stranger.begin(two.one);
    check_refused(stranger, two.one, ordinary, SessionError::not_authentic);
    check_refused(two.other, two.one, wire::Bytes(200, 1), SessionError::malformed);
  }

  TEST_CASE("a first message of someone else's identity begins nothing") {
    Two two;
    two.one.begin(two.other);
    const wire::Bytes first = two.one.send("hello");
    const Peer stranger("stranger");
    check_refused(two.other, stranger, first, SessionError::not_authentic);
    CHECK(two.other.open(two.one, first).has_value());
  }
}

}  // namespace godwit::crypto
