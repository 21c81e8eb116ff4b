// No branch and no address depends on a secret in what we have written around libsodium: the
// program runs itself under valgrind, with every secret marked as undefined (taint.hpp), and each
// test case fails when memcheck has counted a finding in it.
//
// Not looked at: what the app's own device does with a text that it shows (UTF-8, FlatBuffers), and
// the recovery code as a person types it, in which each wrong letter is named.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <unistd.h>
#include <valgrind/valgrind.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "client-sdk/src/crypto/at_rest.hpp"
#include "client-sdk/src/crypto/hkdf.hpp"
#include "client-sdk/src/crypto/recovery_code.hpp"
#include "client-sdk/src/crypto/sealed.hpp"
#include "client-sdk/src/crypto/sequence.hpp"
#include "client-sdk/src/crypto/session_set.hpp"
#include "schema/wire/address.hpp"
#include "schema/wire/channel.hpp"
#include "schema/wire/hash.hpp"
#include "schema/wire/payload.hpp"
#include "schema/wire/x25519.hpp"
#include "tests/secrets/taint.hpp"

namespace godwit::secrets {
namespace {

using namespace crypto;
using wire::Bytes;
using wire::ByteView;

constexpr int kSkipped = 77;  // what meson takes for it

// Fails the test case in which something branched on a secret.
struct Watch {
  unsigned before = findings();
  ~Watch() { CHECK(findings() == before); }
};

Bytes secret_bytes(std::string_view text) {
  Bytes bytes(text.begin(), text.end());
  make_secret(bytes);
  return bytes;
}

// Compares what it declassifies first, so that a failed CHECK may print it.
bool is(Bytes bytes, std::string_view text) {
  make_public(bytes);
  return std::ranges::equal(bytes, wire::as_bytes(text));
}

// One device: its keys, its prekeys, its sessions with the other.
struct Device {
  explicit Device(std::string_view seed) : random(seed) {
    random(user.bytes);
    make_public(user.bytes);  // a name for everybody
  }

  SecretRandom random;
  wire::UserId user;
  SigningKey identity{SigningKey::draw(std::ref(random))};
  DhKey identity_dh{dh_key_of(identity)};
  DhKey signed_prekey{DhKey::draw(std::ref(random))};
  DhKey one_time_key{DhKey::draw(std::ref(random))};
  DhKey seal_key{DhKey::draw(std::ref(random))};
  InviteSecret invite{InviteSecret::copy_of(secret_key("invite").view().first(16))};
  wire::DeviceId id{wire::device_id_of(identity.public_key())};
  StaticDh cache;
  SessionSet set;

  static constexpr std::uint32_t kPrekey = 7, kOneTime = 9, kSeal = 3;
  static constexpr std::uint64_t kNow = 1'700'000'000;

  [[nodiscard]] PartyId party() const { return {user, identity.public_key()}; }
  [[nodiscard]] PrekeySource prekeys() const {
    return {.signed_prekey = [this](std::uint32_t) -> std::optional<DhKey> {
              return DhKey::from_secret(signed_prekey.secret());
            },
            .one_time_key = [this](std::uint32_t) -> std::optional<DhKey> {
              return DhKey::from_secret(one_time_key.secret());
            },
            .invite = [this](const InviteId&) -> std::optional<InviteSecret> { return invite; }};
  }
  void begin(const Device& other, bool with_invite = false) {
    wire::SignedKey bundle;
    bundle.id = kPrekey;
    bundle.key = other.signed_prekey.public_key();
    auto session =
        Session::initiate(identity, user, other.party(), bundle,
                          wire::OneTimeKey{kOneTime, other.one_time_key.public_key()},
                          set.next_gen(), std::ref(random), with_invite ? &other.invite : nullptr);
    REQUIRE(session.has_value());
    set.add(std::move(*session), kNow);
  }
  // Sequence, padding, session, envelope: what the outbox does with a payload.
  [[nodiscard]] Bytes write(Device& to, std::string_view text) {
    const Bytes payload = secret_bytes(text);
    const wire::Hash32 h = crypto::chain({}, payload);
    const Bytes plaintext =
        wire::encode_plaintext({wire::Plaintext::Kind::payload, 1, h, ByteView(payload)});
    const Bytes inner = sent(set.encrypt(pad(plaintext), std::ref(random)));
    auto envelope = seal({to.id, kSeal, to.seal_key.public_key()}, identity_dh, user, inner,
                         std::ref(random), cache);
    REQUIRE(envelope.has_value());
    return sent(*std::move(envelope));
  }
  // What the inbox does with an envelope; nothing when it does not open.
  [[nodiscard]] std::optional<Bytes> read(const Device& from, ByteView envelope) {
    auto unsealed = unseal(envelope, id, seal_key, cache);
    if (!unsealed) return {};
    auto opened = set.open({identity, user, from.party()}, unsealed->inner, prekeys(),
                           std::ref(random), kNow);
    if (!opened || !unpad(opened->plaintext)) return {};
    // The form of what is inside: a kind, and a counter that the device counts by.
    make_public(ByteView(opened->plaintext).first(9));
    const auto plaintext = wire::parse_plaintext(opened->plaintext);
    if (!plaintext) return {};
    return Bytes(plaintext->payload.begin(), plaintext->payload.end());
  }
};

}  // namespace

TEST_SUITE("tests/secrets/constant_time") {
  TEST_CASE("the watch sees a branch on a secret, and an index by one") {
    Bytes secret = secret_bytes("x");
    const unsigned before = findings();
    volatile std::size_t seen = 0;
    if (secret[0] > 'm') seen = seen + 1;
    const unsigned after_branch = findings();
    CHECK(after_branch > before);
    constexpr std::array<std::uint8_t, 256> kTable{1, 2, 3};
    const volatile std::uint8_t* const table = kTable.data();
    seen = seen + table[secret[0]];
    CHECK(findings() > after_branch);
  }

  TEST_CASE("keys are drawn, converted and sign without a branch on them") {
    const Watch watch;
    SecretRandom random("keys");
    const RootKey root(SigningKey::draw(std::ref(random)));
    const ListKey list_key(SigningKey::draw(std::ref(random)));
    const DeviceKeys device = DeviceKeys::draw(std::ref(random));
    CHECK(make_first_list(root, list_key, std::array{device.sign_device(root.user_id(), 1, {1})})
              .has_value());
    const auto prekey = device.sign_key(wire::SignedKeyKind::prekey, root.user_id(), 1, {1, 2},
                                        device.transport().public_key());
    CHECK(wire::verify_signed_key(wire::SignedKeyKind::prekey, root.user_id(),
                                  device.identity().public_key(), prekey)
              .has_value());
    CHECK(dh_key_of(device.identity()).public_key() ==
          dh_public_of(device.identity().public_key()));
  }

  TEST_CASE("two devices agree and talk without a branch on a key or a text") {
    const Watch watch;
    Device alice("alice"), bob("bob");
    alice.begin(bob);
    const Bytes first = alice.write(bob, "first"), second = alice.write(bob, "second");
    CHECK(is(bob.read(alice, first).value(), "first"));
    const Bytes answer = bob.write(alice, "answer");
    CHECK(is(alice.read(bob, answer).value(), "answer"));
    // Out of order, over a step of the ratchet, and again after it was read.
    const Bytes third = alice.write(bob, "third"), fourth = alice.write(bob, "fourth");
    CHECK(is(bob.read(alice, fourth).value(), "fourth"));
    CHECK(is(bob.read(alice, second).value(), "second"));
    CHECK(is(bob.read(alice, third).value(), "third"));
    CHECK_FALSE(bob.read(alice, third));
  }

  TEST_CASE("an envelope that was altered is refused without a branch on more than its tags") {
    const Watch watch;
    Device alice("alice"), bob("bob");
    alice.begin(bob);
    const Bytes whole = alice.write(bob, "text");
    for (std::size_t at = 0; at < whole.size(); at += 97) {
      Bytes altered = whole;
      altered[at] ^= 0x10;
      CHECK_FALSE(bob.read(alice, altered));
    }
    CHECK(is(bob.read(alice, whole).value(), "text"));
    // The tags of the ratchet itself, behind an envelope that holds.
    const Bytes inner = sent(alice.set.encrypt(pad(secret_bytes("next")), std::ref(alice.random)));
    for (const std::size_t from_end : {1U, 17U, 300U}) {
      Bytes altered = inner;
      altered[altered.size() - from_end] ^= 1;
      CHECK_FALSE(bob.set
                      .open({bob.identity, bob.user, alice.party()}, altered, bob.prekeys(),
                            std::ref(bob.random), Device::kNow)
                      .has_value());
    }
  }

  TEST_CASE("a contact link's secret is mixed in without a branch on it") {
    const Watch watch;
    Device alice("alice"), bob("bob");
    InviteId named = invite_id_of(bob.invite);
    make_public(named.bytes);  // it stands in the header, for the recipient to find the secret by
    alice.begin(bob, true);
    Bytes inner = sent(alice.set.encrypt(pad(secret_bytes("hello")), std::ref(alice.random)));
    auto opened = bob.set.open({bob.identity, bob.user, alice.party()}, inner, bob.prekeys(),
                               std::ref(bob.random), Device::kNow);
    REQUIRE(opened.has_value());
    CHECK(unpad(opened->plaintext));
    CHECK(is(opened->plaintext, "hello"));
  }

  TEST_CASE("a session is packed, unpacked and goes on without a branch on its keys") {
    const Watch watch;
    Device alice("alice"), bob("bob");
    alice.begin(bob);
    const Bytes first = alice.write(bob, "first"), second = alice.write(bob, "second");
    CHECK(is(bob.read(alice, second).value(), "second"));
    Bytes packed;
    bob.set.pack(packed);
    auto unpacked = SessionSet::unpack(packed);
    REQUIRE(unpacked.has_value());
    bob.set = *std::move(unpacked);
    CHECK(is(bob.read(alice, first).value(), "first"));
  }

  TEST_CASE("frames outside the ratchet are sealed and opened without a branch on a key") {
    const Watch watch;
    Device alice("alice"), bob("bob");
    alice.begin(bob);
    CHECK(is(bob.read(alice, alice.write(bob, "first")).value(), "first"));
    Bytes frame = sent(
        alice.set.current()->encrypt_ephemeral(secret_bytes("typing"), std::ref(alice.random)));
    auto opened = bob.set.current()->decrypt_ephemeral(frame);
    REQUIRE(opened.has_value());
    CHECK(is(*opened, "typing"));
    frame.back() ^= 1;
    CHECK_FALSE(bob.set.current()->decrypt_ephemeral(frame));
  }

  TEST_CASE("padding is added and taken off without a branch on what it pads") {
    const Watch watch;
    for (const std::size_t size : {0U, 1U, 255U, 256U, 4'095U, 4'096U, 9'000U}) {
      Bytes text(size, 0x80);
      make_secret(text);
      Bytes padded = pad(text);
      CHECK(unpad(padded));
      CHECK(padded.size() == size);
    }
    Bytes none(256);
    make_secret(none);
    CHECK_FALSE(unpad(none));
  }

  TEST_CASE("the Noise channel carries frames without a branch on a key") {
    const Watch watch;
    for (const bool invited : {false, true}) {
      std::optional<wire::SecretKey> psk;
      if (invited) psk = secret_key("psk");
      const wire::KeyPair relay = wire::key_pair_of(secret_key("relay"));
      const wire::KeyPair device = wire::key_pair_of(secret_key("device"));
      auto one = wire::Channel::initiator(device, relay.public_key, psk,
                                          wire::key_pair_of(secret_key("ephemeral one")));
      auto other =
          wire::Channel::responder(relay, psk, wire::key_pair_of(secret_key("ephemeral other")));
      const auto none = [](ByteView) { return true; };
      const auto carry = [](wire::Channel& from, wire::Channel& to, const auto& on_frame) {
        Bytes out;
        from.flush(out);
        return to.receive(sent(std::move(out)), on_frame).has_value();
      };
      REQUIRE(carry(one, other, none));
      REQUIRE(carry(other, one, none));
      REQUIRE(one.established());
      std::size_t frames = 0;
      for (const std::size_t size : {std::size_t{16}, std::size_t{4'000}}) {
        Bytes frame(size, 'f');
        make_secret(frame);
        one.send(frame);
        CHECK(carry(one, other, [&](ByteView body) {
          frames += body.size() == size;
          return true;
        }));
      }
      CHECK(frames == 2);
      Bytes out;
      one.send(Bytes(16, 'f'));
      one.flush(out);
      make_public(out);
      out.back() ^= 1;
      CHECK_FALSE(other.receive(out, none));
    }
  }

  TEST_CASE("records, names and wrapped keys are sealed at rest without a branch on a key") {
    const Watch watch;
    constexpr std::array<std::string_view, 2> kTables{"one", "two"};
    SecretRandom random("at rest");
    const wire::SecretKey dek = secret_key("dek");
    const RecordKeys keys(dek, 1, kTables);
    Nonce nonce;
    random(nonce);
    const Bytes value = secret_bytes("what a record holds"), key{1, 2, 3};
    Bytes record(value.size() + kRecordOverhead);
    keys.seal(record, 1, key, nonce, value);
    make_public(record);  // on the disk
    Bytes out(value.size());
    CHECK(keys.open(out, 1, key, record));
    CHECK(is(out, "what a record holds"));
    CHECK_FALSE(keys.open(out, 0, key, record));
    const NameKeys names(dek, kTables);
    (void)names.hash(0, secret_bytes("a contact"));

    const Wrap wrapped =
        wrap(wrap_key_of(dek).value(), secret_key("session"), {}, std::ref(random));
    make_public(wrapped.bytes);  // on the disk
    CHECK(unwrap(wrap_key_of(dek).value(), wrapped, {}).has_value());
    CHECK_FALSE(unwrap(dek, wrapped, {}));
  }

  TEST_CASE("a passphrase and a key file are compared without a branch on them") {
    const Watch watch;
    const Bytes passphrase = secret_bytes("correct horse");
    const std::string_view typed(reinterpret_cast<const char*>(passphrase.data()),
                                 passphrase.size());
    const Salt salt;
    const PasswordCost cheap{1, 8'192};  // the cost changes no branch of ours
    const auto kek = kek_of_passphrase(typed, salt, cheap);
    const auto again = kek_of_passphrase(typed, salt, cheap);
    REQUIRE((kek.has_value() && again.has_value()));
    CHECK(wire::equal_in_constant_time(kek->commitment.view(), again->commitment.view()));
    const Kek other = kek_of_key(secret_key("key file"));
    CHECK_FALSE(wire::equal_in_constant_time(kek->commitment.view(), other.commitment.view()));
  }

  TEST_CASE("a recovery code is written without a branch on the root key or an index by it") {
    const Watch watch;
    std::string code = format_recovery_code(secret_key("root"));
    make_public(wire::as_bytes(code));  // the user writes it down
    CHECK(parse_recovery_code(code).has_value());
  }

  TEST_CASE("base64url is written without a branch on the bytes") {
    const Watch watch;
    std::string text = wire::base64url(secret_key("of a link").view());
    make_public(wire::as_bytes(text));
    CHECK(wire::parse_base64url(text).has_value());
  }
}

}  // namespace godwit::secrets

int main(int argc, char** argv) {
  if (!RUNNING_ON_VALGRIND) {
    std::vector<char*> command;
    char valgrind[] = "valgrind", quiet[] = "--quiet", known[] = "--suppressions=" GODWIT_KNOWN;
    command.insert(command.end(), {valgrind, quiet, known});
    command.insert(command.end(), argv, argv + argc);
    command.push_back(nullptr);
    ::execvp("valgrind", command.data());
    const bool missing = errno == ENOENT;
    std::perror("valgrind");
    return missing ? godwit::secrets::kSkipped : 1;
  }
  godwit::wire::init_crypto();
  doctest::Context context(argc, argv);
  return context.run();
}
