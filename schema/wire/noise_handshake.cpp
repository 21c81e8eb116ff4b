#include "schema/wire/noise_handshake.hpp"

#include <cassert>

#include "schema/wire/bytes.hpp"
#include "schema/wire/hash.hpp"
#include "schema/wire/x25519.hpp"

namespace godwit::wire {
namespace {

constexpr std::size_t kSealedKeySize = Key::kSize + kNoiseTagSize;

// Makes room for `size` more bytes of `out`.
std::span<std::uint8_t> extend(Bytes& out, std::size_t size) {
  out.resize(out.size() + size);
  return std::span(out).last(size);
}

HandshakeError error_of(CipherError) {
  return HandshakeError::not_authentic;
}

}  // namespace

struct HandshakeState::Pattern {
  std::string_view protocol_name;
  std::array<std::span<const Token>, 2> messages;  // the first is the initiator's
  std::size_t count;
  bool with_psk;
};

const HandshakeState::Pattern& HandshakeState::pattern_of(NoisePattern pattern) {
  static constexpr std::array kFirst{Token::e, Token::es, Token::s, Token::ss};
  static constexpr std::array kSecond{Token::e, Token::ee, Token::se};
  static constexpr std::array kSecondPsk{Token::e, Token::ee, Token::se, Token::psk};
  static constexpr Pattern kX{"Noise_X_25519_ChaChaPoly_BLAKE2b", {kFirst, {}}, 1, false};
  static constexpr Pattern kIK{"Noise_IK_25519_ChaChaPoly_BLAKE2b", {kFirst, kSecond}, 2, false};
  static constexpr Pattern kIKpsk2{
      "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b", {kFirst, kSecondPsk}, 2, true};
  switch (pattern) {
    case NoisePattern::X:
      return kX;
    case NoisePattern::IK:
      return kIK;
    case NoisePattern::IKpsk2:
      break;
  }
  return kIKpsk2;
}

HandshakeConfig::~HandshakeConfig() {
  wipe(own.secret.bytes);
  if (psk) wipe(psk->bytes);
  if (ephemeral) wipe(ephemeral->secret.bytes);
}

HandshakeState::HandshakeState(const HandshakeConfig& config)
    : pattern_(&pattern_of(config.pattern)),
      role_(config.role),
      symmetric_(pattern_->protocol_name),
      own_(config.own),
      ephemeral_(config.ephemeral),
      psk_(config.psk),
      static_secret_(config.static_secret),
      remote_static_(config.remote_static) {
  assert(remote_static_.has_value() == (role_ == NoiseRole::initiator));
  assert(psk_.has_value() == pattern_->with_psk);
  init_crypto();
  symmetric_->mix_hash(config.prologue);
  // The pre-message of all three patterns: <- s.
  symmetric_->mix_hash(role_ == NoiseRole::initiator ? remote_static_->view()
                                                     : own_.public_key.view());
}

HandshakeState::~HandshakeState() {
  die();
}

bool HandshakeState::complete() const {
  return symmetric_ && messages_done_ == pattern_->count;
}

bool HandshakeState::initiates_next() const {
  return messages_done_ % 2 == 0;
}

bool HandshakeState::writes_next() const {
  return symmetric_ && !complete() && initiates_next() == (role_ == NoiseRole::initiator);
}

bool HandshakeState::reads_next() const {
  return symmetric_ && !complete() && !writes_next();
}

std::span<const HandshakeState::Token> HandshakeState::next_tokens() const {
  assert(messages_done_ < pattern_->count);
  return pattern_->messages[messages_done_];
}

std::size_t HandshakeState::overhead() const {
  std::size_t size = kNoiseTagSize;  // of the payload
  for (const Token token : next_tokens()) {
    if (token == Token::e) size += Key::kSize;
    if (token == Token::s) size += kSealedKeySize;
  }
  return size;
}

tl::expected<void, HandshakeError> HandshakeState::write(ByteView payload, Bytes& out) {
  if (!symmetric_) return tl::unexpected(HandshakeError::dead);
  assert(writes_next());
  assert(overhead() + payload.size() <= kNoiseMessageSizeMax);
  const std::size_t size_before = out.size();
  const Result written = write_tokens(payload, out);
  if (written) {
    ++messages_done_;
  } else {
    out.resize(size_before);
    die();
  }
  return written;
}

tl::expected<Bytes, HandshakeError> HandshakeState::read(ByteView message) {
  if (!symmetric_) return tl::unexpected(HandshakeError::dead);
  assert(reads_next());
  Bytes payload;
  if (const Result result = read_tokens(message, payload); !result) {
    die();
    return tl::unexpected(result.error());
  }
  ++messages_done_;
  return payload;
}

HandshakeState::Result HandshakeState::write_tokens(ByteView payload, Bytes& out) {
  for (const Token token : next_tokens()) {
    Result result;
    if (token == Token::e) {
      if (!ephemeral_) {
        KeyPair drawn = random_key_pair();
        ephemeral_ = drawn;
        wipe(drawn.secret.bytes);
      }
      append(out, ephemeral_->public_key.view());
      mix_ephemeral(ephemeral_->public_key);
    } else if (token == Token::s) {
      result = write_static(out);
    } else {
      result = mix_secret(token);
    }
    if (!result) return result;
  }
  const auto room = extend(out, payload.size() + kNoiseTagSize);
  return symmetric_->seal_and_hash(room, payload).map_error(error_of);
}

HandshakeState::Result HandshakeState::read_tokens(ByteView message, Bytes& payload) {
  if (message.size() < overhead() || message.size() > kNoiseMessageSizeMax) {
    return tl::unexpected(HandshakeError::bad_length);
  }
  for (const Token token : next_tokens()) {
    Result result;
    if (token == Token::e) {
      remote_ephemeral_ = Key::copy_of(message.first(Key::kSize));
      mix_ephemeral(*remote_ephemeral_);
      message = message.subspan(Key::kSize);
    } else if (token == Token::s) {
      result = read_static(message.first(kSealedKeySize));
      message = message.subspan(kSealedKeySize);
    } else {
      result = mix_secret(token);
    }
    if (!result) return result;
  }
  const auto room = extend(payload, message.size() - kNoiseTagSize);
  return symmetric_->open_and_hash(room, message).map_error(error_of);
}

HandshakeState::Result HandshakeState::write_static(Bytes& out) {
  return symmetric_->seal_and_hash(extend(out, kSealedKeySize), own_.public_key.view())
      .map_error(error_of);
}

HandshakeState::Result HandshakeState::read_static(ByteView sealed) {
  Key key;
  const auto opened = symmetric_->open_and_hash(key.bytes, sealed);
  if (opened) remote_static_ = key;
  return opened.map_error(error_of);
}

void HandshakeState::mix_ephemeral(const Key& key) {
  symmetric_->mix_hash(key.view());
  // Section 9.2: with a psk the ephemeral also randomises the keys that come before the first DH.
  if (pattern_->with_psk) symmetric_->mix_key(key.view());
}

// es and se name the initiator's key first, so which of the two we hold depends on our role.
HandshakeState::Result HandshakeState::mix_secret(Token token) {
  const bool initiator = role_ == NoiseRole::initiator;
  switch (token) {
    case Token::ee:
      return mix_dh(ephemeral_->secret, *remote_ephemeral_);
    case Token::ss:
      return mix_static_secret();
    case Token::es:
      return initiator ? mix_dh(ephemeral_->secret, *remote_static_)
                       : mix_dh(own_.secret, *remote_ephemeral_);
    case Token::se:
      return initiator ? mix_dh(own_.secret, *remote_ephemeral_)
                       : mix_dh(ephemeral_->secret, *remote_static_);
    case Token::psk:
      symmetric_->mix_key_and_hash(psk_->view());
      return {};
    case Token::e:
    case Token::s:
      break;
  }
  assert(false && "e and s are not secrets");
  return {};
}

HandshakeState::Result HandshakeState::mix_static_secret() {
  if (!static_secret_) return mix_dh(own_.secret, *remote_static_);
  std::optional<SecretKey> shared = static_secret_(*remote_static_);
  if (!shared) return tl::unexpected(HandshakeError::bad_key);
  symmetric_->mix_key(shared->view());
  wipe(shared->bytes);
  return {};
}

HandshakeState::Result HandshakeState::mix_dh(const SecretKey& own, const Key& peer) {
  SecretKey shared;
  const bool usable = diffie_hellman(shared, own, peer);
  if (usable) symmetric_->mix_key(shared.view());
  wipe(shared.bytes);
  if (!usable) return tl::unexpected(HandshakeError::bad_key);
  return {};
}

HandshakeState::Ciphers HandshakeState::split() const {
  assert(complete());
  SymmetricState::Pair pair = symmetric_->split();
  if (role_ == NoiseRole::initiator) {
    return {std::move(pair.from_initiator), std::move(pair.from_responder)};
  }
  return {std::move(pair.from_responder), std::move(pair.from_initiator)};
}

const NoiseHash& HandshakeState::hash() const {
  assert(complete());
  return symmetric_->hash();
}

void HandshakeState::die() {
  symmetric_.reset();
  wipe(own_.secret.bytes);
  if (ephemeral_) wipe(ephemeral_->secret.bytes);
  if (psk_) wipe(psk_->bytes);
  ephemeral_.reset();
  psk_.reset();
  remote_static_.reset();
  remote_ephemeral_.reset();
}

}  // namespace godwit::wire
