// The sessions of the design's own vectors, in both roles: what is agreed on, then each message
// that is sent, received or refused, byte for byte, with the randomness that the file names.
#include "client-sdk/src/crypto/session.hpp"

#include <doctest/doctest.h>

#include "client-sdk/src/crypto/x3dh.hpp"
#include "schema/wire/bytes.hpp"
#include "tests/support/fixed_random.hpp"
#include "tests/vectors/vector_files.hpp"

using namespace godwit::crypto;
using namespace godwit::vectors;
using namespace godwit::wire;
using godwit::test::FixedRandom;

namespace {

bool is_suite1(const Json& session) {
  return session.at("suite") == kSuite1;
}

PartyId party(const Json& identity) {
  return {fixed_from_hex<UserId>(identity.at("user_id")),
          fixed_from_hex<Key>(identity.at("ik_pk"))};
}

SigningKey identity_of(const Json& identity) {
  return SigningKey::from_seed(fixed_from_hex<SecretKey>(identity.at("ik_seed")));
}

DhKey dh_key(const Json& secret) {
  return DhKey::from_secret(fixed_from_hex<SecretKey>(secret));
}

bool has_one_time(const Json& session) {
  return session.at("opk").get<bool>();
}

std::optional<InviteSecret> invite_of(const Json& session) {
  if (session.at("invite_secret") == "") return {};
  return fixed_from_hex<InviteSecret>(session.at("invite_secret"));
}

SignedKey bundle_prekey(const Json& session) {
  SignedKey key;  // its signature is checked elsewhere
  key.id = session.at("spk_id").get<std::uint32_t>();
  key.key = fixed_from_hex<Key>(session.at("spk_pk"));
  return key;
}

std::optional<OneTimeKey> bundle_one_time(const Json& session) {
  if (!has_one_time(session)) return {};
  return OneTimeKey{session.at("opk_id").get<std::uint32_t>(),
                    fixed_from_hex<Key>(session.at("opk_pk"))};
}

PrekeyHeader header_of(const Json& session) {
  const Bytes bytes = from_hex(session.at("prekey_header"));
  ByteView from = bytes;
  const auto header = take_prekey_header(from);
  REQUIRE(header);
  CHECK(from.empty());
  Bytes again;
  append_prekey_header(again, *header);
  CHECK(again == bytes);
  return *header;
}

void check_secrets(const Json& session, const Agreement& agreement) {
  CHECK(agreement.th == fixed_from_hex<TranscriptHash>(session.at("th")));
  CHECK(agreement.ad == from_hex(session.at("ad")));
  const auto same = [&](const SecretKey& key, const char* name) {
    INFO("key: " << name);
    CHECK(key == fixed_from_hex<SecretKey>(session.at(name)));
  };
  same(agreement.root, "SK");
  same(agreement.header_ab, "HK_AB");
  same(agreement.next_header_ba, "NHK_BA");
  same(agreement.ephemeral_ab, "EPH_AB");
  same(agreement.ephemeral_ba, "EPH_BA");
}

void check_agreement(const Json& session) {
  Beginning beginning{party(session.at("alice")),
                      party(session.at("bob")),
                      header_of(session),
                      fixed_from_hex<Key>(session.at("spk_pk")),
                      {}};
  if (const auto key = bundle_one_time(session)) beginning.one_time_key = key->key;
  const auto invite = invite_of(session);
  const InviteSecret* const secret = invite ? &*invite : nullptr;
  const auto alice = agree_as_initiator(beginning, identity_of(session.at("alice")),
                                        dh_key(session.at("ek_sk")), secret);
  REQUIRE(alice);
  check_secrets(session, *alice);
  std::optional<DhKey> one_time;
  if (has_one_time(session)) one_time = dh_key(session.at("opk_sk"));
  const auto bob =
      agree_as_responder(beginning, identity_of(session.at("bob")), dh_key(session.at("spk_sk")),
                         one_time ? &*one_time : nullptr, secret);
  REQUIRE(bob);
  check_secrets(session, *bob);
}

// One end, with the stream that it draws from.
struct End {
  Session session;
  FixedRandom random;
};

End begin_alice(const Json& vector) {
  FixedRandom random(from_hex(vector.at("rngA_seed")));
  const auto invite = invite_of(vector);
  auto session = Session::initiate(identity_of(vector.at("alice")), party(vector.at("alice")).user,
                                   party(vector.at("bob")), bundle_prekey(vector),
                                   bundle_one_time(vector), vector.at("gen").get<std::uint32_t>(),
                                   std::ref(random), invite ? &*invite : nullptr);
  REQUIRE(session);
  return {std::move(*session), random};
}

End begin_bob(const Json& vector) {
  FixedRandom random(from_hex(vector.at("rngB_seed")));
  const DhKey signed_prekey = DhKey::draw(std::ref(random));
  std::optional<DhKey> one_time;
  if (has_one_time(vector)) one_time = DhKey::draw(std::ref(random));
  const auto invite = invite_of(vector);
  auto session = Session::respond(identity_of(vector.at("bob")), party(vector.at("bob")).user,
                                  party(vector.at("alice")), header_of(vector), signed_prekey,
                                  one_time ? &*one_time : nullptr, invite ? &*invite : nullptr);
  REQUIRE(session);
  return {std::move(*session), random};
}

Bytes packed(const Session& session) {
  Bytes bytes;
  session.pack(bytes);
  return bytes;
}

void check_step(const Json& vector, const Json& step, End& end) {
  const Bytes message = from_hex(step.at("msg"));
  if (step.at("op") == "send") {
    Bytes expected;
    if (!end.session.answered()) expected = from_hex(vector.at("prekey_header"));
    append(expected, message);
    CHECK(end.session.encrypt(from_hex(step.at("pt")), std::ref(end.random)) == expected);
  } else if (step.at("op") == "recv") {
    const auto plaintext = end.session.decrypt(message, std::ref(end.random));
    REQUIRE(plaintext);
    CHECK(*plaintext == from_hex(step.at("pt")));
  } else {
    REQUIRE(step.at("op") == "fail");
    INFO("why: " << step.at("why").get<std::string>());
    const Bytes before = packed(end.session);
    CHECK_FALSE(end.session.decrypt(message, std::ref(end.random)));
    CHECK(packed(end.session) == before);
  }
}

void check_log(const Json& vector) {
  End alice = begin_alice(vector);
  End bob = begin_bob(vector);
  for (End* end : {&alice, &bob}) {
    CHECK(end->session.id() == fixed_from_hex<SessionId>(vector.at("session_id")));
  }
  std::size_t number = 0;
  for (const Json& step : vector.at("log")) {
    INFO("step: " << number++);
    const auto who = step.at(step.at("op") == "send" ? "from" : "by").get<std::string>();
    check_step(vector, step, who == "A" ? alice : bob);
  }
  const Json& ephemeral = vector.at("ephemeral_frame");
  const Bytes frame = from_hex(ephemeral.at("frame"));
  const Bytes plaintext = from_hex(ephemeral.at("pt"));
  CHECK(alice.session.encrypt_ephemeral(plaintext, std::ref(alice.random)) == frame);
  const auto opened = bob.session.decrypt_ephemeral(frame);
  REQUIRE(opened);
  CHECK(*opened == plaintext);
}

// What a later suite sends is refused for its form, before any key is tried.
void check_refused(const Json& session, const Json& suite1_session) {
  const Bytes header = from_hex(session.at("prekey_header"));
  End bob = begin_bob(suite1_session);
  for (const Json& step : session.at("log")) {
    if (step.at("op") != "send") continue;
    const Bytes message = from_hex(step.at("msg"));
    Bytes first = header;
    append(first, message);
    CHECK(parse_inner(message).error() == SessionError::malformed);
    CHECK(parse_inner(first).error() == SessionError::malformed);
    CHECK(bob.session.decrypt(message, std::ref(bob.random)).error() == SessionError::malformed);
  }
  CHECK(
      bob.session.decrypt_ephemeral(from_hex(session.at("ephemeral_frame").at("frame"))).error() ==
      SessionError::malformed);
}

// Calls `check` for each session of suite 1, or of another.
template <class Check>
std::size_t for_each_session(const Json& file, bool suite1, const Check& check) {
  std::size_t checked = 0;
  for (const Json& session : file.at("sessions")) {
    if (is_suite1(session) != suite1) continue;
    INFO("session: " << session.at("session_id").get<std::string>());
    check(session);
    ++checked;
  }
  return checked;
}

}  // namespace

TEST_SUITE("tests/vectors/session") {
  TEST_CASE("both ends of every session agree on the secrets of the file") {
    check_file("design_kat.json",
               [](const Json& file) { return for_each_session(file, true, check_agreement); });
  }

  TEST_CASE("the id of an invite follows from its secret") {
    check_file("design_kat.json", [](const Json& file) {
      std::size_t checked = 0;
      for (const Json& session : file.at("sessions")) {
        const auto invite = invite_of(session);
        if (!invite) continue;
        CHECK(invite_id_of(*invite) == fixed_from_hex<InviteId>(session.at("inv_id")));
        ++checked;
      }
      return checked;
    });
  }

  TEST_CASE("both ends of every session send, receive and refuse as the file does") {
    check_file("design_kat.json",
               [](const Json& file) { return for_each_session(file, true, check_log); });
  }

  TEST_CASE("the messages of a later suite are malformed") {
    check_file("design_kat.json", [](const Json& file) {
      const Json& ours = file.at("sessions").at(0);
      REQUIRE(is_suite1(ours));
      return for_each_session(file, false,
                              [&](const Json& session) { check_refused(session, ours); });
    });
  }
}
