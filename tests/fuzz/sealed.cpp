// A sealed envelope as its recipient opens it. It opens as it was sealed, at its own device and
// under its own seal key, or not at all; what it proves is the key of who sealed it.
// About: client-sdk/src/crypto/sealed.cpp
#include "client-sdk/src/crypto/sealed.hpp"

#include "schema/wire/hash.hpp"
#include "schema/wire/noise_handshake.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/support/fixed_random.hpp"

namespace godwit::fuzz {
namespace {

using namespace crypto;

constexpr std::uint32_t kSealId = 9;
constexpr wire::DeviceId kDevice{{4, 5, 6}};
constexpr wire::UserId kUser{{1, 2, 3}};

struct Ends {
  test::FixedRandom random{"sealed"};
  DhKey sender{DhKey::draw(std::ref(random))};
  DhKey seal_key{DhKey::draw(std::ref(random))};
  StaticDh cache;
};

// Made once: what an execution leaves in the cache is the same for every input.
Ends& ends() {
  static Ends ends;
  return ends;
}

tl::expected<Unsealed, SealedError> opened(wire::ByteView envelope,
                                           const wire::DeviceId& device = kDevice) {
  StaticDh fresh;
  return unseal(envelope, device, ends().seal_key, fresh);
}

void altered(Input& in) {
  wire::Bytes inner = copy_of(in.bytes(4096));
  if (in.chance(16)) inner.resize(kSealedInnerMax - in.byte(), 0x5a);  // two Noise messages
  const auto sealed = seal({kDevice, kSealId, ends().seal_key.public_key()}, ends().sender, kUser,
                           inner, wire::random_bytes, ends().cache);
  require(sealed.has_value(), "an envelope can be sealed");
  require(seal_id_of(*sealed) == kSealId, "an envelope names its seal key");
  wire::Bytes envelope = *sealed;
  const bool changed = mutate(in, envelope);
  const auto unsealed = opened(envelope);
  require(unsealed.has_value() == !changed, "an envelope opens as it was sealed");
  if (!unsealed) return require(!opened(*sealed, {{7}}), "an envelope opens at its own device");
  require(unsealed->user == kUser && unsealed->inner == inner, "it says what was said");
  require(unsealed->static_key == ends().sender.public_key(), "it proves who sealed it");
}

// Anybody may seal anything: with a payload of any length, from any static key.
void made_by_a_stranger(Input& in) {
  wire::Bytes prologue = wire::label("seal");
  wire::append(prologue, kDevice.view());
  wire::append_le(prologue, kSealId);
  const DhKey stranger = DhKey::from_secret(wire::SecretKey{{in.byte(), 1}});
  wire::HandshakeConfig config;
  config.pattern = wire::NoisePattern::X;
  config.prologue = prologue;
  config.own = stranger.pair();
  config.remote_static = ends().seal_key.public_key();
  config.ephemeral = ends().sender.pair();
  wire::HandshakeState handshake(config);
  const auto payload = in.bytes(256);
  wire::Bytes envelope{1};
  wire::append_le(envelope, kSealId);
  require(handshake.write(payload, envelope).has_value(), "anybody can seal");

  const auto unsealed = opened(envelope);
  require(unsealed.has_value() == (payload.size() >= wire::UserId::kSize),
          "what is sealed right is opened, when it names a user");
  if (!unsealed) return;
  require(unsealed->static_key == stranger.public_key(), "it proves who sealed it");
  require(same(unsealed->user.view(), payload.first(wire::UserId::kSize)), "it claims its user");
  require(same(unsealed->inner, payload.subspan(wire::UserId::kSize)), "it says what was said");
}

}  // namespace
}  // namespace godwit::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace godwit::fuzz;
  Input in(data, size);
  switch (in.below(3)) {
    case 0:
      altered(in);
      break;
    case 1:
      made_by_a_stranger(in);
      break;
    default:
      static_cast<void>(opened(in.rest()));
  }
  return 0;
}
