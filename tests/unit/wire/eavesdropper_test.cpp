// What somebody who watches the network cannot do, and one who later has the keys of both ends.
#include <sodium.h>

#include <set>

#include "schema/wire/noise_symmetric.hpp"
#include "tests/unit/wire/channel_support.hpp"

using namespace godwit::wire;

namespace {

constexpr std::size_t kSealedKeySize = Key::kSize + kNoiseTagSize;

Key dh(const SecretKey& own, const Key& peer) {
  Key shared;
  REQUIRE(crypto_scalarmult(shared.bytes.data(), own.bytes.data(), peer.bytes.data()) == 0);
  return shared;
}

// Both ends as they stand on the wire. The ephemeral secrets are gone when the handshake is over;
// here they are fixed, so that the test can show that they are what is missing.
struct Recorded {
  Bytes hello, answer, record;
  Key device_ephemeral, relay_ephemeral;

  Recorded() {
    Channel device_channel = device_end();
    Channel relay_channel = relay_end();
    hello = flushed(device_channel);
    REQUIRE(relay_channel.receive(hello, refuse_frames));
    answer = flushed(relay_channel);
    REQUIRE(device_channel.receive(answer, refuse_frames));
    device_channel.send(body_of(100));
    record = flushed(device_channel);
    device_ephemeral = Key::copy_of(ByteView(hello).subspan(2, Key::kSize));
    relay_ephemeral = Key::copy_of(ByteView(answer).subspan(2, Key::kSize));
  }
};

// Follows the recorded handshake with the static keys of both ends, with `ee` in the place of the
// one secret that they do not give. True when the record opens.
bool opens(const Recorded& recorded, const Key& ee) {
  SymmetricState state("Noise_IK_25519_ChaChaPoly_BLAKE2b");
  state.mix_hash(prologue());
  state.mix_hash(relay().public_key.view());
  ByteView hello = ByteView(recorded.hello).subspan(2);
  state.mix_hash(recorded.device_ephemeral.view());
  hello = hello.subspan(Key::kSize);
  state.mix_key(dh(relay().secret, recorded.device_ephemeral).view());
  Key device_key;
  REQUIRE(state.open_and_hash(device_key.bytes, hello.first(kSealedKeySize)));
  CHECK(device_key == device().public_key);  // the first message has no forward secrecy
  state.mix_key(dh(relay().secret, device().public_key).view());
  REQUIRE(state.open_and_hash({}, hello.subspan(kSealedKeySize)));

  state.mix_hash(recorded.relay_ephemeral.view());
  state.mix_key(ee.view());
  state.mix_key(dh(device().secret, recorded.relay_ephemeral).view());
  if (!state.open_and_hash({}, ByteView(recorded.answer).subspan(2 + Key::kSize))) return false;
  SymmetricState::Pair ciphers = state.split();
  const ByteView record = ByteView(recorded.record).subspan(2);
  Bytes plaintext(record.size() - kNoiseTagSize);
  return ciphers.from_initiator.open(plaintext, {}, record).has_value();
}

}  // namespace

TEST_SUITE_BEGIN("schema/README.md");

TEST_CASE("what was recorded does not open with the static keys of both ends") {
  const Recorded recorded;
  Key zero;
  const std::array known{
      dh(relay().secret, recorded.device_ephemeral),  dh(device().secret, recorded.relay_ephemeral),
      dh(relay().secret, device().public_key),        dh(relay().secret, recorded.relay_ephemeral),
      dh(device().secret, recorded.device_ephemeral), zero};
  for (const Key& guess : known) CHECK_FALSE(opens(recorded, guess));
  // With the ephemeral secret of one end, which nobody has any more, it would.
  CHECK(opens(recorded, dh(fixed_pair(4).secret, recorded.device_ephemeral)));
}

TEST_CASE("nothing on the wire is the same from connection to connection, nor names the device") {
  std::set<Bytes> seen;
  for (int connection = 0; connection < 20; ++connection) {
    Channel device_channel = Channel::initiator(device(), relay().public_key);
    Channel relay_channel = Channel::responder(relay());
    Bytes wire = flushed(device_channel);
    REQUIRE(relay_channel.receive(wire, refuse_frames));
    append(wire, flushed(relay_channel));
    REQUIRE(device_channel.receive(ByteView(wire).subspan(kHello), refuse_frames));
    device_channel.send(body_of(100));
    append(wire, flushed(device_channel));
    for (const Key& key : {device().public_key, relay().public_key}) {
      CHECK(std::ranges::search(wire, key.bytes).empty());
    }
    // No eight bytes of one connection come again in another, wherever they stand.
    std::set<Bytes> here;
    for (std::size_t at = 0; at + 8 <= wire.size(); ++at) {
      here.emplace(wire.begin() + static_cast<std::ptrdiff_t>(at),
                   wire.begin() + static_cast<std::ptrdiff_t>(at + 8));
    }
    for (const Bytes& part : here) CHECK(seen.insert(part).second);
  }
}

TEST_SUITE_END();
