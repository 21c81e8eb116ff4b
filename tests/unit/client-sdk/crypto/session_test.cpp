#include "client-sdk/src/crypto/session.hpp"

#include <doctest/doctest.h>

#include <functional>

#include "tests/unit/client-sdk/crypto/forged.hpp"

namespace godwit::crypto {
namespace {

using Plaintext = tl::expected<wire::Bytes, SessionError>;

// The ratchet message of an inner message.
wire::Bytes ratchet_of(const wire::Bytes& inner) {
  const auto message = parse_inner(inner);
  REQUIRE(message.has_value());
  return {message->ratchet.begin(), message->ratchet.end()};
}

// Two ends of one session; Bob has read Alice's first message, Alice no reply yet.
struct Pair {
  Pair() {
    const wire::Bytes first = alice.encrypt(wire::as_bytes("first"), std::ref(one.random));
    bob.emplace(other.accept_session(one, first));
    CHECK(receive_bob(ratchet_of(first)) == text_bytes("first"));
  }

  wire::Bytes from_alice(std::string_view text = "hello") {
    return ratchet_of(alice.encrypt(wire::as_bytes(text), std::ref(one.random)));
  }
  wire::Bytes from_bob(std::string_view text = "hello") {
    return ratchet_of(bob->encrypt(wire::as_bytes(text), std::ref(other.random)));
  }
  Plaintext receive_alice(wire::ByteView message) {
    return alice.decrypt(message, std::ref(one.random));
  }
  Plaintext receive_bob(wire::ByteView message) {
    return bob->decrypt(message, std::ref(other.random));
  }
  // Each hears from the other, so that both have stepped.
  void round_trip() {
    CHECK(receive_alice(from_bob()).has_value());
    CHECK(receive_bob(from_alice()).has_value());
  }

  Peer one{"one"};
  Peer other{"other"};
  Session alice{one.begin_session(other, 1)};
  std::optional<Session> bob;
};

// Every bit of the message, changed, is refused and leaves no trace in the session.
void check_flips(const Session& session, wire::Bytes message,
                 const std::function<Plaintext(Session&, wire::ByteView)>& open) {
  Session target = session;
  const wire::Bytes before = packed(session);
  for (std::size_t bit = 0; bit < message.size() * 8; ++bit) {
    INFO("bit: " << bit);
    const auto mask = static_cast<std::uint8_t>(1U << (bit % 8));
    message[bit / 8] ^= mask;
    CHECK_FALSE(open(target, message));
    message[bit / 8] ^= mask;
    REQUIRE(packed(target) == before);
  }
  CHECK(open(target, message).has_value());
}

}  // namespace

TEST_SUITE("client-sdk/src/crypto/session") {
  TEST_CASE("what one end sends the other reads, in any order, each once") {
    Pair pair;
    const wire::Bytes a1 = pair.from_alice("a1");
    const wire::Bytes a2 = pair.from_alice("a2");
    const wire::Bytes b1 = pair.from_bob("b1");
    CHECK(pair.receive_bob(a2) == text_bytes("a2"));
    CHECK(pair.receive_alice(b1) == text_bytes("b1"));
    const wire::Bytes a3 = pair.from_alice("a3");
    CHECK(pair.receive_bob(a3) == text_bytes("a3"));
    CHECK(pair.receive_bob(a1) == text_bytes("a1"));
    CHECK(pair.bob->skipped() == 0);
    for (const wire::Bytes& message : {a1, a2, a3}) {
      const wire::Bytes before = packed(*pair.bob);
      CHECK_FALSE(pair.receive_bob(message));
      CHECK(packed(*pair.bob) == before);
    }
  }

  TEST_CASE("a message of the current chain that was read before is a replay") {
    Pair pair;
    const wire::Bytes message = pair.from_alice();
    CHECK(pair.receive_bob(message).has_value());
    CHECK(pair.receive_bob(message).error() == SessionError::replayed);
  }

  TEST_CASE("the prekey header is repeated until the first reply that authenticates") {
    Pair pair;
    const auto has_header = [&] {
      const auto inner = pair.alice.encrypt({}, std::ref(pair.one.random));
      return parse_inner(inner)->prekey == pair.alice.header();
    };
    CHECK(has_header());
    CHECK_FALSE(pair.alice.answered());
    wire::Bytes reply = pair.from_bob();
    reply.back() ^= 1;
    CHECK_FALSE(pair.receive_alice(reply));
    CHECK(has_header());
    reply.back() ^= 1;
    CHECK(pair.receive_alice(reply).has_value());
    CHECK(pair.alice.answered());
    CHECK_FALSE(has_header());
  }

  TEST_CASE("no changed bit of a ratchet message passes or leaves a trace") {
    Pair pair;
    const auto open = [&](Session& session, wire::ByteView message) {
      return session.decrypt(message, std::ref(pair.one.random));
    };
    SUBCASE("in a chain that begins") {
      const wire::Bytes message = pair.from_bob();
      check_flips(pair.alice, message, open);
    }
    SUBCASE("in a chain that runs, past a skipped message") {
      CHECK(pair.receive_alice(pair.from_bob()).has_value());
      static_cast<void>(pair.from_bob("skipped"));
      const wire::Bytes message = pair.from_bob();
      check_flips(pair.alice, message, open);
    }
    SUBCASE("under a skipped key") {
      const wire::Bytes message = pair.from_bob();
      CHECK(pair.receive_alice(pair.from_bob()).has_value());
      CHECK(pair.receive_bob(pair.from_alice()).has_value());
      CHECK(pair.receive_alice(pair.from_bob()).has_value());
      check_flips(pair.alice, message, open);
    }
  }

  TEST_CASE("no changed bit of an ephemeral frame passes") {
    Pair pair;
    const wire::Bytes frame =
        pair.alice.encrypt_ephemeral(wire::as_bytes("typing"), std::ref(pair.one.random));
    check_flips(*pair.bob, frame, [](Session& session, wire::ByteView message) {
      return session.decrypt_ephemeral(message);
    });
    CHECK(pair.bob->decrypt_ephemeral(frame) == text_bytes("typing"));
    CHECK(pair.alice.decrypt_ephemeral(frame).error() == SessionError::not_authentic);
    CHECK(pair.bob->decrypt(frame, std::ref(pair.other.random)).error() == SessionError::malformed);
  }

  TEST_CASE("a message that is too short is malformed, whatever its length") {
    Pair pair;
    const wire::Bytes inner = pair.alice.encrypt({}, std::ref(pair.one.random));
    REQUIRE(parse_inner(inner).has_value());
    for (std::size_t size = 0; size < inner.size(); ++size) {
      CHECK(parse_inner(wire::ByteView(inner).first(size)).error() == SessionError::malformed);
    }
    const wire::Bytes frame = pair.alice.encrypt_ephemeral({}, std::ref(pair.one.random));
    for (std::size_t size = 0; size < frame.size(); ++size) {
      CHECK(pair.bob->decrypt_ephemeral(wire::ByteView(frame).first(size)).error() ==
            SessionError::malformed);
    }
  }

  TEST_CASE("keys of small order begin no session, and step none") {
    Pair pair;
    const wire::Key zero;
    wire::SignedKey prekey = pair.other.bundle();
    prekey.key = zero;
    const auto initiate = [&](const PartyId& peer, const wire::SignedKey& key,
                              const std::optional<wire::OneTimeKey>& one_time) {
      return Session::initiate(pair.one.identity, pair.one.user, peer, key, one_time, 1,
                               std::ref(pair.one.random));
    };
    const wire::SignedKey good = pair.other.bundle();
    CHECK(initiate(pair.other.party(), prekey, {}).error() == SessionError::bad_key);
    CHECK(initiate(pair.other.party(), good, wire::OneTimeKey{1, zero}).error() ==
          SessionError::bad_key);
    CHECK(initiate({pair.other.user, zero}, good, {}).error() == SessionError::bad_key);
    PrekeyHeader header = pair.alice.header();
    header.base_key = zero;
    CHECK(Session::respond(pair.other.identity, pair.other.user, pair.one.party(), header,
                           pair.other.signed_prekey, nullptr)
              .error() == SessionError::bad_key);

    const wire::Bytes before = packed(pair.alice);
    CHECK(pair.receive_alice(
                  forged(*pair.bob, {.previous_count = 0, .number = 0, .ratchet_key = zero}))
              .error() == SessionError::bad_key);
    CHECK(packed(pair.alice) == before);
  }

  TEST_CASE("an invite binds the session to who holds its secret") {
    Peer one("one");
    Peer other("other");
    InviteSecret secret;
    one.random(secret.bytes);
    auto alice = Session::initiate(one.identity, one.user, other.party(), other.bundle(), {}, 1,
                                   std::ref(one.random), &secret);
    REQUIRE(alice.has_value());
    const wire::Bytes first = alice->encrypt(wire::as_bytes("hi"), std::ref(one.random));
    CHECK(parse_inner(first)->prekey->invite == invite_id_of(secret));
    CHECK(other.open(one, first).error() == SessionError::unknown_prekey);
    CHECK(other.set.empty());
    other.invite = secret;
    CHECK(other.open(one, first)->plaintext == text_bytes("hi"));
  }
}

}  // namespace godwit::crypto
