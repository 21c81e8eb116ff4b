#include "client-sdk/src/crypto/sealed.hpp"

#include <algorithm>
#include <cassert>
#include <deque>
#include <map>
#include <utility>

#include "schema/wire/bytes.hpp"
#include "schema/wire/hash.hpp"
#include "schema/wire/noise_handshake.hpp"
#include "schema/wire/x25519.hpp"

namespace godwit::crypto {
namespace {

using tl::unexpected;
using wire::ByteView;

constexpr std::uint8_t kSealedKind = 0x01;
constexpr std::size_t kPrefixSize = 1 + sizeof(std::uint32_t);
// e, s with its tag, and the tag of the payload.
constexpr std::size_t kNoiseOverhead =
    wire::Key::kSize + wire::Key::kSize + 2 * wire::kNoiseTagSize;
// Of the first Noise message; a transport message has the rest.
constexpr std::size_t kFirstPayloadMax = wire::kNoiseMessageSizeMax - kNoiseOverhead;
constexpr std::size_t kEnvelopeSizeMin = kPrefixSize + kNoiseOverhead + wire::UserId::kSize;

wire::Bytes prologue_of(const wire::DeviceId& recipient, std::uint32_t seal_id) {
  wire::Bytes prologue = wire::label("seal");
  wire::append(prologue, recipient.view());
  wire::append_le(prologue, seal_id);
  return prologue;
}

}  // namespace

// Keys of a map that hostile keys may fill; an ordered one has no bucket to aim at.
struct StaticDh::State {
  using Pair = std::pair<wire::Key, wire::Key>;  // own public key, peer
  std::map<Pair, Secret> secrets;
  std::deque<Pair> by_age;
};

StaticDh::StaticDh() : state_(std::make_unique<State>()) {}
StaticDh::~StaticDh() = default;

std::optional<wire::SecretKey> StaticDh::of(const DhKey& own, const wire::Key& peer) {
  const State::Pair pair{own.public_key(), peer};
  if (const auto kept = state_->secrets.find(pair); kept != state_->secrets.end()) {
    return kept->second.value();
  }
  std::optional<wire::SecretKey> shared(std::in_place);
  if (!wire::diffie_hellman(*shared, own.secret(), peer)) return {};
  if (state_->secrets.size() == kPairsMax) {
    state_->secrets.erase(state_->by_age.front());
    state_->by_age.pop_front();
  }
  state_->secrets.emplace(pair, Secret(*shared));
  state_->by_age.push_back(pair);
  return shared;
}

wire::EnvelopeHash envelope_hash(ByteView envelope) {
  wire::EnvelopeHash hash;
  wire::blake2b(hash.bytes, {envelope});
  return hash;
}

tl::expected<wire::Bytes, SealedError> seal(const SealTo& to, const DhKey& own,
                                            const wire::UserId& own_user, ByteView inner,
                                            const Random& random, StaticDh& cache) {
  assert(inner.size() <= kSealedInnerMax);
  const DhKey ephemeral = DhKey::draw(random);
  const wire::Bytes prologue = prologue_of(to.device, to.seal_id);
  wire::HandshakeConfig config;
  config.pattern = wire::NoisePattern::X;
  config.role = wire::NoiseRole::initiator;
  config.prologue = prologue;
  config.own.public_key = own.public_key();
  config.own.secret = own.secret();
  config.remote_static = to.seal_key;
  config.ephemeral.emplace();
  config.ephemeral->public_key = ephemeral.public_key();
  config.ephemeral->secret = ephemeral.secret();
  config.static_secret = [&](const wire::Key& peer) { return cache.of(own, peer); };
  wire::HandshakeState handshake(config);

  wire::Bytes payload;
  payload.reserve(own_user.view().size() + inner.size());
  wire::append(payload, own_user.view());
  wire::append(payload, inner);
  wire::Bytes envelope;
  envelope.reserve(kPrefixSize + kNoiseOverhead + payload.size());
  envelope.push_back(kSealedKind);
  wire::append_le(envelope, to.seal_id);
  const ByteView all(payload);
  const ByteView first = all.first(std::min(all.size(), kFirstPayloadMax));
  if (!handshake.write(first, envelope)) return unexpected(SealedError::bad_key);
  // Behind a full message there is always another, so that none can be cut off unseen.
  if (const ByteView rest = all.subspan(first.size()); first.size() == kFirstPayloadMax) {
    const std::size_t size = envelope.size();
    envelope.resize(size + rest.size() + wire::kNoiseTagSize);
    [[maybe_unused]] const auto sealed =
        handshake.split().send.seal(std::span(envelope).subspan(size), {}, rest);
    assert(sealed);  // the first nonce of its key
  }
  return envelope;
}

std::optional<std::uint32_t> seal_id_of(ByteView envelope) {
  if (envelope.size() < kEnvelopeSizeMin || envelope.size() > wire::kEnvelopeSizeMax) return {};
  if (envelope[0] != kSealedKind) return {};
  return wire::load_le<std::uint32_t>(envelope.subspan(1));
}

tl::expected<Unsealed, SealedError> unseal(ByteView envelope, const wire::DeviceId& own_device,
                                           const DhKey& seal_key, StaticDh& cache) {
  const auto seal_id = seal_id_of(envelope);
  if (!seal_id) return unexpected(SealedError::malformed);
  const wire::Bytes prologue = prologue_of(own_device, *seal_id);
  wire::HandshakeConfig config;
  config.pattern = wire::NoisePattern::X;
  config.role = wire::NoiseRole::responder;
  config.prologue = prologue;
  config.own.public_key = seal_key.public_key();
  config.own.secret = seal_key.secret();
  config.static_secret = [&](const wire::Key& peer) { return cache.of(seal_key, peer); };
  wire::HandshakeState handshake(config);

  const ByteView messages = envelope.subspan(kPrefixSize);
  const ByteView first = messages.first(std::min(messages.size(), wire::kNoiseMessageSizeMax));
  auto payload = handshake.read(first);
  if (!payload) {
    switch (payload.error()) {
      case wire::HandshakeError::bad_length:
        return unexpected(SealedError::malformed);
      case wire::HandshakeError::bad_key:
        return unexpected(SealedError::bad_key);
      case wire::HandshakeError::not_authentic:
      case wire::HandshakeError::dead:
        break;
    }
    return unexpected(SealedError::not_authentic);
  }
  if (const ByteView rest = messages.subspan(first.size());
      first.size() == wire::kNoiseMessageSizeMax) {
    if (rest.size() < wire::kNoiseTagSize) return unexpected(SealedError::malformed);
    const std::size_t size = payload->size();
    payload->resize(size + rest.size() - wire::kNoiseTagSize);
    if (!handshake.split().receive.open(std::span(*payload).subspan(size), {}, rest)) {
      return unexpected(SealedError::not_authentic);
    }
  }
  // Long enough: the size of the envelope was checked.
  const ByteView inner = ByteView(*payload).subspan(wire::UserId::kSize);
  return Unsealed{.user = wire::UserId::copy_of(ByteView(*payload).first(wire::UserId::kSize)),
                  .static_key = *handshake.remote_static(),
                  .inner = wire::Bytes(inner.begin(), inner.end())};
}

}  // namespace godwit::crypto
