// To open a message: the session that its prekey header names; else, without a header, the current
// session and then the others; else the header begins a session. Refusals that cost nothing come
// first, then the Diffie-Hellmans, then authentication; only then is the set changed.
#include "client-sdk/src/crypto/session_set.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include "client-sdk/src/crypto/packed.hpp"

namespace godwit::crypto {
namespace {

using tl::unexpected;
using wire::Bytes;
using wire::ByteView;

// True when `a` speaks rather than `b`.
bool outranks(const Session& a, const Session& b) {
  return a.gen() != b.gen() ? a.gen() > b.gen() : a.id() < b.id();
}

bool too_far_ahead(std::uint32_t gen, std::uint32_t ours) {
  return gen > ours && gen - ours > kGenAheadMax;
}

bool too_old(std::uint64_t since_s, std::uint64_t now_s) {
  return now_s > since_s && now_s - since_s > kRetainSeconds;
}

}  // namespace

const Session* SessionSet::current() const {
  return sessions_.empty() ? nullptr : &sessions_.front().session;
}

void SessionSet::saw_gen(std::uint32_t gen) {
  if (!too_far_ahead(gen, highest_gen_)) highest_gen_ = std::max(highest_gen_, gen);
}

void SessionSet::add(Session session, std::uint64_t now_s) {
  highest_gen_ = std::max(highest_gen_, session.gen());
  // The current one is kept for a time from when it stops to speak, which may be now.
  if (!sessions_.empty()) sessions_.front().since_s = now_s;
  const auto place = std::ranges::find_if(
      sessions_, [&](const Held& held) { return outranks(session, held.session); });
  sessions_.insert(place, Held{std::move(session), now_s});
  evict(now_s);
}

Bytes SessionSet::encrypt(ByteView plaintext, const Random& random) {
  assert(!sessions_.empty());
  return sessions_.front().session.encrypt(plaintext, random);
}

tl::expected<Opened, SessionError> SessionSet::open(const Ends& ends, ByteView inner,
                                                    const PrekeySource& prekeys,
                                                    const Random& random, std::uint64_t now_s) {
  const auto message = parse_inner(inner);
  if (!message) return unexpected(message.error());
  const auto named = [&](const Held& held) {
    return !message->prekey || held.session.header() == *message->prekey;
  };
  if (message->prekey && std::ranges::none_of(sessions_, named)) {
    return begin(ends, *message, prekeys, random, now_s);
  }
  for (Held& held : sessions_) {
    if (!named(held)) continue;
    auto plaintext = held.session.decrypt(message->ratchet, random);
    if (plaintext) {
      Opened opened{std::move(*plaintext), held.session.id(), false, {}};
      evict(now_s);
      return opened;
    }
    // Any other error comes after the header has authenticated: the message is this session's.
    if (plaintext.error() != SessionError::not_authentic) return unexpected(plaintext.error());
  }
  return unexpected(SessionError::not_authentic);
}

tl::expected<Opened, SessionError> SessionSet::begin(const Ends& ends, const InnerMessage& message,
                                                     const PrekeySource& prekeys,
                                                     const Random& random, std::uint64_t now_s) {
  const PrekeyHeader& header = *message.prekey;
  if (too_far_ahead(header.gen, highest_gen_)) return unexpected(SessionError::gen_refused);
  const bool used = std::ranges::any_of(used_base_keys_, [&](const UsedBaseKey& key) {
    return key.base_key == header.base_key && key.signed_prekey_id == header.signed_prekey_id;
  });
  if (used) return unexpected(SessionError::base_key_used);

  const auto signed_prekey = prekeys.signed_prekey(header.signed_prekey_id);
  if (!signed_prekey) return unexpected(SessionError::unknown_prekey);
  std::optional<DhKey> one_time;
  if (header.one_time_key_id != kNoOneTimeKey) {
    one_time = prekeys.one_time_key(header.one_time_key_id);
    if (!one_time) return unexpected(SessionError::unknown_prekey);
  }
  std::optional<InviteSecret> invite;
  if (header.invite) {
    if (prekeys.invite) invite = prekeys.invite(*header.invite);
    if (!invite) return unexpected(SessionError::unknown_prekey);
  }
  auto session =
      Session::respond(ends.own_identity, ends.own_user, ends.peer, header, *signed_prekey,
                       one_time ? &*one_time : nullptr, invite ? &*invite : nullptr);
  if (invite) wire::wipe(invite->bytes);
  if (!session) return unexpected(session.error());
  auto plaintext = session->decrypt(message.ratchet, random);
  if (!plaintext) return unexpected(plaintext.error());

  Opened opened{std::move(*plaintext), session->id(), true, {}};
  if (one_time) opened.used_one_time_key = header.one_time_key_id;
  used_base_keys_.push_back({header.base_key, header.signed_prekey_id, now_s});
  add(std::move(*session), now_s);
  return opened;
}

// The current session stays. Of the others the one that has been receive-only the longest leaves,
// and of such as have been for the same time that of the lowest rank.
void SessionSet::evict(std::uint64_t now_s) {
  if (sessions_.empty()) return;
  const auto others = sessions_.begin() + 1;
  sessions_.erase(std::remove_if(others, sessions_.end(),
                                 [&](const Held& held) { return too_old(held.since_s, now_s); }),
                  sessions_.end());
  while (sessions_.size() > 1 + kReceiveOnlySessionsMax) {
    auto oldest = sessions_.end() - 1;
    for (auto held = oldest; held-- != sessions_.begin() + 1;) {
      if (held->since_s < oldest->since_s) oldest = held;
    }
    sessions_.erase(oldest);
  }
  std::erase_if(used_base_keys_,
                [&](const UsedBaseKey& key) { return too_old(key.since_s, now_s); });
  if (used_base_keys_.size() > kUsedBaseKeysMax) used_base_keys_.erase(used_base_keys_.begin());
}

void SessionSet::pack(Bytes& out) const {
  // All the room at once: a vector that grows leaves its old bytes, with keys in them, behind.
  std::size_t size = out.size() + 4 + 1 + 1 + used_base_keys_.size() * (wire::Key::kSize + 4 + 8);
  for (const Held& held : sessions_) size += 8 + held.session.packed_size_max();
  out.reserve(size);
  wire::append_le(out, highest_gen_);
  out.push_back(static_cast<std::uint8_t>(sessions_.size()));
  for (const Held& held : sessions_) {
    wire::append_le(out, held.since_s);
    held.session.pack(out);
  }
  out.push_back(static_cast<std::uint8_t>(used_base_keys_.size()));
  for (const UsedBaseKey& key : used_base_keys_) {
    wire::append(out, key.base_key.view());
    wire::append_le(out, key.signed_prekey_id);
    wire::append_le(out, key.since_s);
  }
  assert(out.size() <= size);
}

std::optional<SessionSet> SessionSet::unpack(ByteView from) {
  SessionSet set;
  std::uint8_t sessions = 0;
  if (!take(from, set.highest_gen_) || !take(from, sessions) ||
      sessions > 1 + kReceiveOnlySessionsMax) {
    return {};
  }
  for (; sessions > 0; --sessions) {
    std::uint64_t since_s = 0;
    if (!take(from, since_s)) return {};
    auto session = Session::unpack(from);
    if (!session || session->gen() > set.highest_gen_) return {};
    if (!set.sessions_.empty() && !outranks(set.sessions_.back().session, *session)) return {};
    set.sessions_.push_back({std::move(*session), since_s});
  }
  std::uint8_t used = 0;
  if (!take(from, used) || used > kUsedBaseKeysMax) return {};
  for (; used > 0; --used) {
    UsedBaseKey key;
    if (!take(from, key.base_key) || !take(from, key.signed_prekey_id) ||
        !take(from, key.since_s)) {
      return {};
    }
    set.used_base_keys_.push_back(key);
  }
  if (!from.empty()) return {};
  return set;
}

}  // namespace godwit::crypto
