// To open a message: the current chain's header key, then the next chain's (a step of the root),
// then those of chains with skipped keys. The header that opens says which message key is due.
//
// What fails:
//   no header key opens it, or the body does not     not_authentic
//   a header that no client writes                   malformed
//   a number whose key is neither to come nor kept   replayed
//   a number too far ahead                           too_many_skipped
#include "client-sdk/src/crypto/ratchet.hpp"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

#include "client-sdk/src/crypto/aead.hpp"
#include "client-sdk/src/crypto/hkdf.hpp"
#include "schema/wire/x25519.hpp"

namespace godwit::crypto {
namespace {

using tl::unexpected;
using wire::Bytes;
using wire::ByteView;

constexpr std::array<std::uint8_t, 4> kStart{0x01, kSuite1, 0x02, 0x00};
constexpr std::size_t kSealedHeaderSize = kRatchetHeaderSize + kAeadTagSize;
static_assert(kRatchetPrefixSize == kStart.size() + kAeadNonceSize);
static_assert(kRatchetBodyAt == kRatchetPrefixSize + kSealedHeaderSize);

constexpr std::uint8_t kHasSending = 1 << 0;
constexpr std::uint8_t kHasReceiving = 1 << 1;

ByteView nonce_of(ByteView message) {
  return message.subspan(kStart.size(), kAeadNonceSize);
}

Bytes joined(ByteView first, ByteView second) {
  Bytes both;
  both.reserve(first.size() + second.size());
  wire::append(both, first);
  wire::append(both, second);
  return both;
}

// KDF_RK.
struct RootStep {
  StateKey root;
  StateKey chain;
  StateKey next_header;
};
RootStep step_root(const StateKey& root, const StateKey& shared) {
  constexpr std::size_t kSize = wire::SecretKey::kSize;
  std::array<std::uint8_t, 3 * kSize> keys;
  hkdf_sha512(keys, root.view(), shared.view(), {wire::label("root", kSuite1)});
  const auto key = [&](std::size_t i) {
    return StateKey(wire::SecretKey::copy_of(ByteView(keys).subspan(i * kSize, kSize)));
  };
  RootStep step{key(0), key(1), key(2)};
  wire::wipe(keys);
  return step;
}

StateKey cipher_key_of(const StateKey& message_key) {
  StateKey key;
  hkdf_sha512(key.bytes, {}, message_key.view(), {wire::label("msg", kSuite1)});
  return key;
}

}  // namespace

struct Ratchet::Incoming {
  ByteView message;
  Bytes header_ad;
  Bytes body_ad;
};

bool is_ratchet_message(ByteView message) {
  return message.size() >= kRatchetBodyAt + kAeadTagSize &&
         std::ranges::equal(message.first(kStart.size()), kStart);
}

tl::expected<Ratchet, SessionError> Ratchet::initiate(const Agreement& agreement,
                                                      const wire::Key& signed_prekey,
                                                      const Random& random) {
  const DhKey own = DhKey::draw(random);
  StateKey shared;
  if (!wire::diffie_hellman(shared, own.secret(), signed_prekey)) {
    return unexpected(SessionError::bad_key);
  }
  const RootStep step = step_root(agreement.root, shared);
  Ratchet ratchet;
  ratchet.root_ = step.root;
  ratchet.own_secret_ = StateKey(own.secret());
  ratchet.own_public_ = own.public_key();
  ratchet.next_sending_header_ = step.next_header;
  ratchet.next_receiving_header_ = agreement.next_header_ba;
  ratchet.sending_ = Chain{agreement.header_ab, step.chain, 0};
  return ratchet;
}

Ratchet Ratchet::respond(const Agreement& agreement, const DhKey& signed_prekey) {
  Ratchet ratchet;
  ratchet.root_ = agreement.root;
  ratchet.own_secret_ = StateKey(signed_prekey.secret());
  ratchet.own_public_ = signed_prekey.public_key();
  ratchet.next_sending_header_ = agreement.next_header_ba;
  ratchet.next_receiving_header_ = agreement.header_ab;
  return ratchet;
}

void Ratchet::seal(Bytes& out, ByteView ad, ByteView plaintext, const Random& random) {
  assert(sending_ && sending_->next < kMessageNumberMax);
  Bytes header;
  header.reserve(kRatchetHeaderSize);
  wire::append(header, own_public_.view());
  wire::append_le(header, previous_count_);
  wire::append_le(header, sending_->next);

  Bytes message;
  message.reserve(kRatchetBodyAt + plaintext.size() + kAeadTagSize);
  wire::append(message, kStart);
  std::array<std::uint8_t, kAeadNonceSize> nonce;
  random(nonce);
  wire::append(message, nonce);
  aead_append(message, sending_->header_key, nonce, joined(ad, message), header);
  const StateKey key = cipher_key_of(next_key(*sending_));
  aead_append(message, key, nonce, joined(ad, message), plaintext);
  wire::append(out, message);
}

Ratchet::Opened Ratchet::open(ByteView ad, ByteView message, const Random& random) {
  if (!is_ratchet_message(message)) return unexpected(SessionError::malformed);
  const Incoming in{message, joined(ad, message.first(kRatchetPrefixSize)),
                    joined(ad, message.first(kRatchetBodyAt))};
  if (receiving_) {
    if (const auto header = open_header(in, receiving_->header_key)) {
      return open_in_chain(in, *header);
    }
  }
  if (const auto header = open_header(in, next_receiving_header_)) {
    return open_in_next_chain(in, *header, random);
  }
  std::size_t tried = 0;
  for (std::size_t i = skipped_.size(); i-- > 0 && tried < kSkippedHeaderKeysMax;) {
    if (receiving_ && skipped_[i].header_key == receiving_->header_key) continue;
    if (const auto header = open_header(in, skipped_[i].header_key)) {
      return open_skipped(in, i, header->number);
    }
    ++tried;
  }
  return unexpected(SessionError::not_authentic);
}

std::optional<Ratchet::Header> Ratchet::open_header(const Incoming& in, const StateKey& key) {
  std::array<std::uint8_t, kRatchetHeaderSize> opened;
  if (!aead_open(opened, key, nonce_of(in.message), in.header_ad,
                 in.message.subspan(kRatchetPrefixSize, kSealedHeaderSize))) {
    return {};
  }
  ByteView from = opened;
  Header header;
  const bool whole = take(from, header.ratchet_key) && take(from, header.previous_count) &&
                     take(from, header.number);
  assert(whole);
  static_cast<void>(whole);
  return header;
}

Ratchet::Opened Ratchet::open_body(const Incoming& in, const StateKey& message_key) {
  const ByteView sealed = in.message.subspan(kRatchetBodyAt);
  Bytes plaintext(sealed.size() - kAeadTagSize);
  if (!aead_open(plaintext, cipher_key_of(message_key), nonce_of(in.message), in.body_ad, sealed)) {
    return unexpected(SessionError::not_authentic);
  }
  return plaintext;
}

// KDF_CK.
StateKey Ratchet::next_key(Chain& chain) {
  constexpr std::array<std::uint8_t, 1> kMessage{0x01};
  constexpr std::array<std::uint8_t, 1> kChain{0x02};
  StateKey message_key;
  StateKey next;
  hmac_sha512(message_key.bytes, chain.key.view(), {kMessage});
  hmac_sha512(next.bytes, chain.key.view(), {kChain});
  chain.key = next;
  ++chain.next;
  return message_key;
}

// Appends the keys of the messages before `number`. Precondition: they are still to come.
tl::expected<void, SessionError> Ratchet::skip_to(Chain& chain, std::uint32_t number,
                                                  std::vector<MessageKey>& skipped) {
  assert(number >= chain.next);
  const std::uint32_t count = number - chain.next;
  if (count > kSkippedPerChainMax) return unexpected(SessionError::too_many_skipped);
  skipped.reserve(count);
  while (chain.next < number) {
    const std::uint32_t at = chain.next;
    skipped.push_back({at, next_key(chain)});
  }
  return {};
}

Ratchet::Opened Ratchet::open_in_chain(const Incoming& in, const Header& header) {
  if (header.number >= kMessageNumberMax) return unexpected(SessionError::malformed);
  if (header.number < receiving_->next) {
    // The keys that this chain skipped are the newest ones, if there are any.
    if (skipped_.empty() || skipped_.back().header_key != receiving_->header_key) {
      return unexpected(SessionError::replayed);
    }
    return open_skipped(in, skipped_.size() - 1, header.number);
  }
  Chain chain = *receiving_;
  std::vector<MessageKey> skipped;
  if (auto done = skip_to(chain, header.number, skipped); !done) return unexpected(done.error());
  Opened plaintext = open_body(in, next_key(chain));
  if (!plaintext) return plaintext;
  store(chain.header_key, std::move(skipped));
  receiving_ = chain;
  return plaintext;
}

Ratchet::Opened Ratchet::open_in_next_chain(const Incoming& in, const Header& header,
                                            const Random& random) {
  // The peer ends its chain with as many messages as it says. Without a chain it sent none.
  const std::uint32_t received = receiving_ ? receiving_->next : 0;
  if (header.number >= kMessageNumberMax || header.previous_count < received ||
      (!receiving_ && header.previous_count > 0)) {
    return unexpected(SessionError::malformed);
  }
  std::optional<Chain> ended = receiving_;
  std::vector<MessageKey> skipped_before;
  if (ended) {
    auto done = skip_to(*ended, header.previous_count, skipped_before);
    if (!done) return unexpected(done.error());
  }
  StateKey shared;
  if (!wire::diffie_hellman(shared, own_secret_, header.ratchet_key)) {
    return unexpected(SessionError::bad_key);
  }
  const RootStep receive = step_root(root_, shared);
  Chain begun{next_receiving_header_, receive.chain, 0};
  std::vector<MessageKey> skipped;
  if (auto done = skip_to(begun, header.number, skipped); !done) return unexpected(done.error());
  Opened plaintext = open_body(in, next_key(begun));
  if (!plaintext) return plaintext;

  const DhKey own = DhKey::draw(random);
  if (!wire::diffie_hellman(shared, own.secret(), header.ratchet_key)) {
    return unexpected(SessionError::bad_key);
  }
  const RootStep send = step_root(receive.root, shared);
  if (ended) store(ended->header_key, std::move(skipped_before));
  store(begun.header_key, std::move(skipped));
  root_ = send.root;
  own_secret_ = StateKey(own.secret());
  own_public_ = own.public_key();
  previous_count_ = sending_ ? sending_->next : 0;
  sending_ = Chain{next_sending_header_, send.chain, 0};
  next_sending_header_ = send.next_header;
  receiving_ = begun;
  next_receiving_header_ = receive.next_header;
  return plaintext;
}

Ratchet::Opened Ratchet::open_skipped(const Incoming& in, std::size_t chain, std::uint32_t number) {
  std::vector<MessageKey>& keys = skipped_[chain].keys;
  const auto key = std::ranges::lower_bound(keys, number, {}, &MessageKey::number);
  if (key == keys.end() || key->number != number) return unexpected(SessionError::replayed);
  Opened plaintext = open_body(in, key->key);
  if (!plaintext) return plaintext;
  keys.erase(key);
  --skipped_count_;
  if (keys.empty()) skipped_.erase(skipped_.begin() + static_cast<std::ptrdiff_t>(chain));
  return plaintext;
}

void Ratchet::store(const StateKey& header_key, std::vector<MessageKey> keys) {
  if (keys.empty()) return;
  skipped_count_ += keys.size();
  if (!skipped_.empty() && skipped_.back().header_key == header_key) {
    std::ranges::move(keys, std::back_inserter(skipped_.back().keys));
  } else {
    skipped_.push_back({header_key, std::move(keys)});
  }
  while (skipped_count_ > kSkippedPerSessionMax) {
    std::vector<MessageKey>& oldest = skipped_.front().keys;
    const std::size_t count = std::min(oldest.size(), skipped_count_ - kSkippedPerSessionMax);
    oldest.erase(oldest.begin(), oldest.begin() + static_cast<std::ptrdiff_t>(count));
    skipped_count_ -= count;
    if (oldest.empty()) skipped_.erase(skipped_.begin());
  }
}

void Ratchet::pack(Bytes& out) const {
  const auto append_chain = [&](const std::optional<Chain>& chain) {
    if (!chain) return;
    wire::append(out, chain->header_key.view());
    wire::append(out, chain->key.view());
    wire::append_le(out, chain->next);
  };
  out.push_back(
      static_cast<std::uint8_t>((sending_ ? kHasSending : 0) | (receiving_ ? kHasReceiving : 0)));
  wire::append(out, root_.view());
  wire::append(out, own_secret_.view());
  wire::append(out, own_public_.view());
  wire::append_le(out, previous_count_);
  wire::append(out, next_sending_header_.view());
  wire::append(out, next_receiving_header_.view());
  append_chain(sending_);
  append_chain(receiving_);
  wire::append_le(out, static_cast<std::uint32_t>(skipped_.size()));
  for (const SkippedChain& chain : skipped_) {
    wire::append(out, chain.header_key.view());
    wire::append_le(out, static_cast<std::uint32_t>(chain.keys.size()));
    for (const MessageKey& key : chain.keys) {
      wire::append_le(out, key.number);
      wire::append(out, key.key.view());
    }
  }
}

std::optional<Ratchet> Ratchet::unpack(ByteView& from) {
  const auto take_chain = [&](std::optional<Chain>& chain) {
    chain = Chain{};
    return take(from, chain->header_key) && take(from, chain->key) && take(from, chain->next) &&
           chain->next <= kMessageNumberMax;
  };
  Ratchet ratchet;
  std::uint8_t flags = 0;
  std::uint32_t chains = 0;
  if (!take(from, flags) || (flags & ~(kHasSending | kHasReceiving)) != 0 ||
      !take(from, ratchet.root_) || !take(from, ratchet.own_secret_) ||
      !take(from, ratchet.own_public_) || !take(from, ratchet.previous_count_) ||
      !take(from, ratchet.next_sending_header_) || !take(from, ratchet.next_receiving_header_) ||
      ((flags & kHasSending) != 0 && !take_chain(ratchet.sending_)) ||
      ((flags & kHasReceiving) != 0 && !take_chain(ratchet.receiving_)) || !take(from, chains) ||
      chains > kSkippedPerSessionMax) {
    return {};
  }
  for (std::uint32_t i = 0; i < chains; ++i) {
    SkippedChain chain;
    if (!take_skipped(from, chain)) return {};
    ratchet.skipped_count_ += chain.keys.size();
    if (ratchet.skipped_count_ > kSkippedPerSessionMax) return {};
    ratchet.skipped_.push_back(std::move(chain));
  }
  return ratchet;
}

bool Ratchet::take_skipped(ByteView& from, SkippedChain& chain) {
  std::uint32_t count = 0;
  if (!take(from, chain.header_key) || !take(from, count) || count == 0 ||
      count > kSkippedPerSessionMax) {
    return false;
  }
  chain.keys.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    MessageKey key;
    if (!take(from, key.number) || !take(from, key.key) || key.number >= kMessageNumberMax ||
        (!chain.keys.empty() && key.number <= chain.keys.back().number)) {
      return false;
    }
    chain.keys.push_back(key);
  }
  return true;
}

}  // namespace godwit::crypto
