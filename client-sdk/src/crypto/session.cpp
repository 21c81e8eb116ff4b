#include "client-sdk/src/crypto/session.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include "client-sdk/src/crypto/aead.hpp"
#include "client-sdk/src/crypto/ratchet.hpp"
#include "client-sdk/src/crypto/x3dh.hpp"

namespace godwit::crypto {
namespace {

using tl::unexpected;
using wire::Bytes;
using wire::ByteView;

constexpr std::array<std::uint8_t, 4> kEphemeralStart{0x01, kSuite1, 0x06, 0x00};
constexpr std::size_t kEphemeralPrefixSize = kEphemeralStart.size() + kAeadNonceSize;

// "godwit/ad" 00 suite, both parties, half a transcript hash whose first bytes are the session id.
constexpr std::size_t kAdSize = 11 + 2 * 48 + 32;
constexpr std::size_t kSessionIdAt = kAdSize - 32;
using Ad = wire::FixedBytes<struct AdTag, kAdSize>;

Bytes ephemeral_ad(const Ad& ad, ByteView frame) {
  Bytes all(ad.bytes.begin(), ad.bytes.end());
  wire::append(all, frame.first(kEphemeralPrefixSize));
  return all;
}

}  // namespace

struct Session::State {
  State(const Agreement& agreement, const PrekeyHeader& named, bool began, Ratchet running)
      : initiator(began),
        header(named),
        ad(Ad::copy_of(agreement.ad)),
        id(SessionId::copy_of(agreement.th.view().first(SessionId::kSize))),
        ephemeral_out(began ? agreement.ephemeral_ab : agreement.ephemeral_ba),
        ephemeral_in(began ? agreement.ephemeral_ba : agreement.ephemeral_ab),
        ratchet(std::move(running)) {}
  State() = default;

  bool initiator = false;
  bool received = false;  // a message of the peer has authenticated
  PrekeyHeader header;
  Ad ad;
  SessionId id;
  StateKey ephemeral_out;
  StateKey ephemeral_in;
  Ratchet ratchet;
};

tl::expected<InnerMessage, SessionError> parse_inner(ByteView inner) {
  InnerMessage message;
  if (!is_ratchet_message(inner)) {
    message.prekey = take_prekey_header(inner);
    if (!message.prekey || !is_ratchet_message(inner)) return unexpected(SessionError::malformed);
  }
  message.ratchet = inner;
  return message;
}

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::Session(const Session& from) : state_(std::make_unique<State>(*from.state_)) {}
Session& Session::operator=(const Session& from) {
  if (this != &from) state_ = std::make_unique<State>(*from.state_);
  return *this;
}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

tl::expected<Session, SessionError> Session::initiate(
    const SigningKey& own_identity, const wire::UserId& own_user, const PartyId& peer,
    const wire::SignedKey& bundle_prekey, const std::optional<wire::OneTimeKey>& one_time,
    std::uint32_t gen, const Random& random, const InviteSecret* invite) {
  assert(!one_time || one_time->id != kNoOneTimeKey);
  const DhKey base = DhKey::draw(random);
  Beginning beginning{.initiator = {own_user, own_identity.public_key()},
                      .responder = peer,
                      .header = {.base_key = base.public_key(),
                                 .gen = gen,
                                 .signed_prekey_id = bundle_prekey.id,
                                 .one_time_key_id = kNoOneTimeKey,
                                 .invite = {}},
                      .signed_prekey = bundle_prekey.key,
                      .one_time_key = {}};
  if (one_time) {
    beginning.header.one_time_key_id = one_time->id;
    beginning.one_time_key = one_time->key;
  }
  if (invite) beginning.header.invite = invite_id_of(*invite);
  const auto agreement = agree_as_initiator(beginning, own_identity, base, invite);
  if (!agreement) return unexpected(agreement.error());
  auto ratchet = Ratchet::initiate(*agreement, bundle_prekey.key, random);
  if (!ratchet) return unexpected(ratchet.error());
  return Session(std::make_unique<State>(*agreement, beginning.header, true, std::move(*ratchet)));
}

tl::expected<Session, SessionError> Session::respond(
    const SigningKey& own_identity, const wire::UserId& own_user, const PartyId& peer,
    const PrekeyHeader& header, const DhKey& signed_prekey, const DhKey* one_time,
    const InviteSecret* invite) {
  Beginning beginning{.initiator = peer,
                      .responder = {own_user, own_identity.public_key()},
                      .header = header,
                      .signed_prekey = signed_prekey.public_key(),
                      .one_time_key = {}};
  if (one_time) beginning.one_time_key = one_time->public_key();
  const auto agreement =
      agree_as_responder(beginning, own_identity, signed_prekey, one_time, invite);
  if (!agreement) return unexpected(agreement.error());
  return Session(std::make_unique<State>(*agreement, header, false,
                                         Ratchet::respond(*agreement, signed_prekey)));
}

Bytes Session::encrypt(ByteView plaintext, const Random& random) {
  Bytes inner;
  if (!answered()) append_prekey_header(inner, state_->header);
  state_->ratchet.seal(inner, state_->ad.view(), plaintext, random);
  return inner;
}

tl::expected<Bytes, SessionError> Session::decrypt(ByteView ratchet, const Random& random) {
  auto plaintext = state_->ratchet.open(state_->ad.view(), ratchet, random);
  if (plaintext) state_->received = true;
  return plaintext;
}

Bytes Session::encrypt_ephemeral(ByteView plaintext, const Random& random) const {
  Bytes frame;
  frame.reserve(kEphemeralPrefixSize + plaintext.size() + kAeadTagSize);
  wire::append(frame, kEphemeralStart);
  std::array<std::uint8_t, kAeadNonceSize> nonce;
  random(nonce);
  wire::append(frame, nonce);
  aead_append(frame, state_->ephemeral_out, nonce, ephemeral_ad(state_->ad, frame), plaintext);
  return frame;
}

tl::expected<Bytes, SessionError> Session::decrypt_ephemeral(ByteView frame) const {
  if (frame.size() < kEphemeralPrefixSize + kAeadTagSize ||
      !std::ranges::equal(frame.first(kEphemeralStart.size()), kEphemeralStart)) {
    return unexpected(SessionError::malformed);
  }
  const ByteView sealed = frame.subspan(kEphemeralPrefixSize);
  Bytes plaintext(sealed.size() - kAeadTagSize);
  if (!aead_open(plaintext, state_->ephemeral_in,
                 frame.subspan(kEphemeralStart.size(), kAeadNonceSize),
                 ephemeral_ad(state_->ad, frame), sealed)) {
    return unexpected(SessionError::not_authentic);
  }
  return plaintext;
}

const SessionId& Session::id() const {
  return state_->id;
}
std::uint32_t Session::gen() const {
  return state_->header.gen;
}
const PrekeyHeader& Session::header() const {
  return state_->header;
}
bool Session::answered() const {
  return !state_->initiator || state_->received;
}
std::size_t Session::skipped() const {
  return state_->ratchet.skipped();
}

void Session::pack(Bytes& out) const {
  out.push_back(state_->initiator ? 1 : 0);
  out.push_back(state_->received ? 1 : 0);
  append_prekey_header(out, state_->header);
  wire::append(out, state_->ad.view());
  wire::append(out, state_->ephemeral_out.view());
  wire::append(out, state_->ephemeral_in.view());
  state_->ratchet.pack(out);
}

std::size_t Session::packed_size_max() const {
  // A skipped key with its number, and at worst a chain of its own with its count.
  constexpr std::size_t kSkippedMax = 2 * (wire::SecretKey::kSize + 4);
  constexpr std::size_t kAllElse = 768;
  return kAllElse + skipped() * kSkippedMax;
}

std::optional<Session> Session::unpack(ByteView& from) {
  auto state = std::make_unique<State>();
  std::uint8_t initiator = 0;
  std::uint8_t received = 0;
  if (!take(from, initiator) || initiator > 1 || !take(from, received) || received > 1) return {};
  const auto header = take_prekey_header(from);
  if (!header || !take(from, state->ad) || !take(from, state->ephemeral_out) ||
      !take(from, state->ephemeral_in)) {
    return {};
  }
  auto ratchet = Ratchet::unpack(from);
  if (!ratchet) return {};
  state->initiator = initiator == 1;
  state->received = received == 1;
  state->header = *header;
  state->id = SessionId::copy_of(state->ad.view().subspan(kSessionIdAt, SessionId::kSize));
  state->ratchet = std::move(*ratchet);
  return Session(std::move(state));
}

}  // namespace godwit::crypto
