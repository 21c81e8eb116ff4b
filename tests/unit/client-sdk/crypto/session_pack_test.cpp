#include <doctest/doctest.h>

#include "tests/unit/client-sdk/crypto/peers.hpp"

namespace godwit::crypto {
namespace {

Session repacked(const Session& session) {
  const wire::Bytes bytes = packed(session);
  wire::ByteView from = bytes;
  auto again = Session::unpack(from);
  REQUIRE(again.has_value());
  CHECK(from.empty());
  CHECK(packed(*again) == bytes);
  CHECK(again->id() == session.id());
  CHECK(again->gen() == session.gen());
  CHECK(again->header() == session.header());
  CHECK(again->answered() == session.answered());
  CHECK(again->skipped() == session.skipped());
  return std::move(*again);
}

wire::Bytes repack(SessionSet& set) {
  wire::Bytes bytes = packed(set);
  auto again = SessionSet::unpack(bytes);
  REQUIRE(again.has_value());
  CHECK(packed(*again) == bytes);
  CHECK(again->size() == set.size());
  CHECK(again->next_gen() == set.next_gen());
  set = std::move(*again);
  return bytes;
}

}  // namespace

TEST_SUITE("client-sdk/src/crypto/session: pack") {
  TEST_CASE("a session goes on from its bytes in every state") {
    Peer one("one");
    Peer other("other");
    const auto say = [](Session& from, Peer& by) {
      from = repacked(from);
      return from.encrypt(wire::as_bytes("hello"), std::ref(by.random));
    };
    const auto hear = [](Session& to, Peer& by, const wire::Bytes& inner) {
      to = repacked(to);
      CHECK(to.decrypt(parse_inner(inner)->ratchet, std::ref(by.random)) == text_bytes("hello"));
      to = repacked(to);
    };
    Session alice = repacked(one.begin_session(other, 3));
    const wire::Bytes first = say(alice, one);
    const wire::Bytes second = say(alice, one);
    Session bob = repacked(other.accept_session(one, first));
    hear(bob, other, second);
    CHECK(bob.skipped() == 1);
    const wire::Bytes reply = say(bob, other);
    const wire::Bytes late_reply = say(bob, other);
    hear(alice, one, late_reply);
    hear(bob, other, say(alice, one));  // a step, with the first message still out
    hear(bob, other, first);
    hear(alice, one, reply);
    CHECK(alice.skipped() == 0);
    CHECK(bob.skipped() == 0);
    const wire::Bytes frame = alice.encrypt_ephemeral(wire::as_bytes("t"), std::ref(one.random));
    CHECK(repacked(bob).decrypt_ephemeral(frame) == text_bytes("t"));
  }

  TEST_CASE("a set goes on from its bytes, empty, with several sessions, and after use") {
    Peer one("one");
    Peer other("other");
    repack(one.set);
    one.begin(other);
    other.begin(one);
    repack(one.set);
    const wire::Bytes hello = one.send("hello");
    const wire::Bytes answer = other.send("answer");
    CHECK(other.open(one, hello).has_value());
    CHECK(one.open(other, answer).has_value());
    repack(one.set);
    repack(other.set);
    CHECK(one.set.current()->id() == other.set.current()->id());
    CHECK(other.open(one, one.send("more"))->plaintext == text_bytes("more"));
    CHECK(one.open(other, other.send("again"))->plaintext == text_bytes("again"));
  }

  TEST_CASE("bytes that are cut short or run on are refused") {
    Peer one("one");
    Peer other("other");
    one.begin(other);
    other.begin(one);
    static_cast<void>(one.send("skipped"));
    CHECK(other.open(one, one.send("hello")).has_value());
    const wire::Bytes bytes = repack(other.set);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      CHECK_FALSE(SessionSet::unpack(wire::ByteView(bytes).first(size)));
    }
    wire::Bytes longer = bytes;
    longer.push_back(0);
    CHECK_FALSE(SessionSet::unpack(longer));
  }

  TEST_CASE("changed bytes are refused or read as a state that packs alike") {
    Peer one("one");
    Peer other("other");
    one.begin(other);
    static_cast<void>(one.send("skipped"));
    CHECK(other.open(one, one.send("hello")).has_value());
    wire::Bytes bytes = packed(other.set);
    std::size_t refused = 0;
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      const auto mask = static_cast<std::uint8_t>(1U << (bit % 8));
      bytes[bit / 8] ^= mask;
      const auto set = SessionSet::unpack(bytes);
      if (set) {
        CHECK(packed(*set) == bytes);
      } else {
        ++refused;
      }
      bytes[bit / 8] ^= mask;
    }
    CHECK(refused > 0);
  }
}

}  // namespace godwit::crypto
