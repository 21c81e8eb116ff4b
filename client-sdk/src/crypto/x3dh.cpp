#include "client-sdk/src/crypto/x3dh.hpp"

#include <sodium.h>

#include <array>
#include <cassert>

#include "client-sdk/src/crypto/hkdf.hpp"
#include "schema/wire/x25519.hpp"

namespace godwit::crypto {
namespace {

using tl::unexpected;
using wire::Bytes;
using wire::ByteView;

constexpr std::array<std::uint8_t, 3> kHeaderStart{0x01, kSuite1, 0x01};
constexpr std::uint8_t kWithOneTimeKey = 1 << 0;
constexpr std::uint8_t kWithInvite = 1 << 2;

// The input key material: what it holds is overwritten at the end.
class Secrets {
 public:
  Secrets() {
    bytes_.reserve(kSizeMax);
    bytes_.assign(wire::SecretKey::kSize, 0xff);
  }
  Secrets(const Secrets&) = delete;
  Secrets& operator=(const Secrets&) = delete;
  ~Secrets() { wire::wipe(bytes_); }

  [[nodiscard]] bool add(const wire::SecretKey& own, const wire::Key& peer) {
    StateKey shared;
    if (!wire::diffie_hellman(shared, own, peer)) return false;
    wire::append(bytes_, shared.view());
    return true;
  }
  [[nodiscard]] ByteView view() const { return bytes_; }

 private:
  static constexpr std::size_t kSizeMax = 5 * wire::SecretKey::kSize;  // 0xff..., then four DHs
  Bytes bytes_;
};

void append_party(Bytes& to, const PartyId& party) {
  wire::append(to, party.user.view());
  wire::append(to, party.identity.view());
}

TranscriptHash transcript_hash(const Beginning& beginning) {
  const PrekeyHeader& header = beginning.header;
  Bytes transcript = wire::label("x3dh", kSuite1);
  append_party(transcript, beginning.initiator);
  append_party(transcript, beginning.responder);
  wire::append(transcript, header.base_key.view());
  wire::append_le(transcript, header.gen);
  wire::append(transcript, beginning.signed_prekey.view());
  wire::append_le(transcript, header.signed_prekey_id);
  transcript.push_back(beginning.one_time_key ? 1 : 0);
  if (beginning.one_time_key) {
    wire::append(transcript, beginning.one_time_key->view());
    wire::append_le(transcript, header.one_time_key_id);
  }
  transcript.push_back(0);  // no post-quantum prekey in this suite
  transcript.push_back(header.invite ? 1 : 0);
  if (header.invite) wire::append(transcript, header.invite->view());
  TranscriptHash hash;
  [[maybe_unused]] const int failed =
      crypto_hash_sha512(hash.bytes.data(), transcript.data(), transcript.size());
  assert(failed == 0);
  return hash;
}

Agreement derive(const Beginning& beginning, const Secrets& secrets, const InviteSecret* invite) {
  assert(beginning.one_time_key.has_value() == (beginning.header.one_time_key_id != kNoOneTimeKey));
  assert(beginning.header.invite.has_value() == (invite != nullptr));
  Agreement agreement;
  agreement.th = transcript_hash(beginning);
  agreement.ad = wire::label("ad", kSuite1);
  append_party(agreement.ad, beginning.initiator);
  append_party(agreement.ad, beginning.responder);
  wire::append(agreement.ad, agreement.th.view().first(32));

  constexpr std::size_t kSize = wire::SecretKey::kSize;
  std::array<std::uint8_t, 6 * kSize> keys;
  hkdf_sha512(keys, invite ? invite->view() : ByteView{}, secrets.view(),
              {wire::label("x3dh", kSuite1), agreement.th.view()});
  const auto key = [&](std::size_t i) {
    return StateKey(wire::SecretKey::copy_of(ByteView(keys).subspan(i * kSize, kSize)));
  };
  agreement.root = key(0);
  agreement.header_ab = key(1);
  agreement.next_header_ba = key(2);
  // Key 3 is for the suites with post-quantum epochs.
  agreement.ephemeral_ab = key(4);
  agreement.ephemeral_ba = key(5);
  wire::wipe(keys);
  return agreement;
}

}  // namespace

InviteId invite_id_of(const InviteSecret& secret) {
  InviteId id;
  hkdf_sha512(id.bytes, {}, secret.view(), {wire::label("inv")});
  return id;
}

tl::expected<Agreement, SessionError> agree_as_initiator(const Beginning& beginning,
                                                         const SigningKey& identity,
                                                         const DhKey& base,
                                                         const InviteSecret* invite) {
  const auto peer = dh_public_of(beginning.responder.identity);
  if (!peer) return unexpected(SessionError::bad_key);
  const Secret own = dh_secret_of(identity);
  Secrets secrets;
  const bool usable =
      secrets.add(own.value(), beginning.signed_prekey) && secrets.add(base.secret(), *peer) &&
      secrets.add(base.secret(), beginning.signed_prekey) &&
      (!beginning.one_time_key || secrets.add(base.secret(), *beginning.one_time_key));
  if (!usable) return unexpected(SessionError::bad_key);
  return derive(beginning, secrets, invite);
}

tl::expected<Agreement, SessionError> agree_as_responder(const Beginning& beginning,
                                                         const SigningKey& identity,
                                                         const DhKey& signed_prekey,
                                                         const DhKey* one_time,
                                                         const InviteSecret* invite) {
  const auto peer = dh_public_of(beginning.initiator.identity);
  if (!peer) return unexpected(SessionError::bad_key);
  const Secret own = dh_secret_of(identity);
  const wire::Key& base = beginning.header.base_key;
  Secrets secrets;
  const bool usable = secrets.add(signed_prekey.secret(), *peer) &&
                      secrets.add(own.value(), base) && secrets.add(signed_prekey.secret(), base) &&
                      (!one_time || secrets.add(one_time->secret(), base));
  if (!usable) return unexpected(SessionError::bad_key);
  return derive(beginning, secrets, invite);
}

void append_prekey_header(Bytes& out, const PrekeyHeader& header) {
  wire::append(out, kHeaderStart);
  const bool one_time = header.one_time_key_id != kNoOneTimeKey;
  out.push_back(static_cast<std::uint8_t>((one_time ? kWithOneTimeKey : 0) |
                                          (header.invite ? kWithInvite : 0)));
  wire::append(out, header.base_key.view());
  wire::append_le(out, header.gen);
  wire::append_le(out, header.signed_prekey_id);
  wire::append_le(out, header.one_time_key_id);
  if (header.invite) wire::append(out, header.invite->view());
}

std::optional<PrekeyHeader> take_prekey_header(ByteView& from) {
  PrekeyHeader header;
  wire::FixedBytes<struct StartTag, kHeaderStart.size()> start;
  std::uint8_t flags = 0;
  if (!take(from, start) || start.bytes != kHeaderStart || !take(from, flags) ||
      (flags & ~(kWithOneTimeKey | kWithInvite)) != 0 || !take(from, header.base_key) ||
      !take(from, header.gen) || !take(from, header.signed_prekey_id) ||
      !take(from, header.one_time_key_id)) {
    return {};
  }
  const bool one_time = (flags & kWithOneTimeKey) != 0;
  if (one_time != (header.one_time_key_id != kNoOneTimeKey)) return {};
  if ((flags & kWithInvite) != 0 && !take(from, header.invite.emplace())) return {};
  return header;
}

}  // namespace godwit::crypto
