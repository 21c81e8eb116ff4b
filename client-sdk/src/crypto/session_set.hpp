// crypto/session_set: all sessions with one device of a peer, and which of them speaks.
//
// The current session is the one of the highest gen, at a tie that of the lower id; every other is
// receive-only. A session that a prekey message opens is ranked after that message has
// authenticated. Ordinary messages never promote a session: rules that did were seen to swap for
// ever when both ends reset at once.
// Owns:    the sessions, and the base keys of first messages that opened one.
// Refuses: to decide on a reset (rates are the caller's), to delete used one-time keys (the caller
//          does, in the transaction that stores the plaintext).
// Thread:  a value with one owner.
// Trust:   messages are hostile; one that fails changes nothing.
// Spec:    schema/ENVELOPE.md, "Which session".
#pragma once

#include <functional>

#include "client-sdk/src/crypto/session.hpp"

namespace godwit::crypto {

inline constexpr std::size_t kReceiveOnlySessionsMax = 5;
inline constexpr std::size_t kUsedBaseKeysMax = 64;
inline constexpr std::uint32_t kGenAheadMax = 1'000;
inline constexpr std::uint64_t kRetainSeconds = std::uint64_t{60} * 24 * 3600;  // TTL limit + 15 d

// Finds the secret halves that a prekey header names; nothing when they are gone.
struct PrekeySource {
  std::function<std::optional<DhKey>(std::uint32_t id)> signed_prekey;
  std::function<std::optional<DhKey>(std::uint32_t id)> one_time_key;
  // May be empty: then no invite is ours.
  std::function<std::optional<InviteSecret>(const InviteId& id)> invite;
};

// Who we are towards this peer device.
struct Ends {
  const SigningKey& own_identity;
  wire::UserId own_user;
  PartyId peer;
};

struct Opened {
  wire::Bytes plaintext;
  SessionId session;
  bool began = false;                              // this message began the session
  std::optional<std::uint32_t> used_one_time_key;  // delete it with the commit of the plaintext
};

class SessionSet {
 public:
  SessionSet() = default;
  // In the place of sessions that are lost: the next one outranks what the peer still has of them.
  explicit SessionSet(std::uint32_t highest_gen) : highest_gen_(highest_gen) {}

  [[nodiscard]] bool empty() const { return sessions_.empty(); }
  // The session that speaks; null when there is none.
  [[nodiscard]] const Session* current() const;
  // 1 + the highest gen seen from, or used towards, this device.
  [[nodiscard]] std::uint32_t next_gen() const { return highest_gen_ + 1; }
  [[nodiscard]] std::uint32_t highest_gen() const { return highest_gen_; }
  // A failed prekey message may name a higher gen; at most kGenAheadMax above ours counts.
  void saw_gen(std::uint32_t gen);

  // Adds a session that we initiated.
  void add(Session session, std::uint64_t now_s);

  // Precondition: current() is not null.
  [[nodiscard]] wire::Bytes encrypt(wire::ByteView plaintext, const Random& random);

  // Tries the session that the message names, or all when it names none, the current one first.
  // A prekey message with no session yet begins one. On failure nothing has changed.
  [[nodiscard]] tl::expected<Opened, SessionError> open(const Ends& ends, wire::ByteView inner,
                                                        const PrekeySource& prekeys,
                                                        const Random& random, std::uint64_t now_s);

  void pack(wire::Bytes& out) const;
  [[nodiscard]] static std::optional<SessionSet> unpack(wire::ByteView from);

  [[nodiscard]] std::size_t size() const { return sessions_.size(); }

 private:
  struct Held {
    Session session;
    std::uint64_t since_s = 0;  // receive-only since then; of the current one: held since then
  };
  struct UsedBaseKey {
    wire::Key base_key;
    std::uint32_t signed_prekey_id = 0;
    std::uint64_t since_s = 0;
  };
  [[nodiscard]] tl::expected<Opened, SessionError> begin(const Ends& ends,
                                                         const InnerMessage& message,
                                                         const PrekeySource& prekeys,
                                                         const Random& random, std::uint64_t now_s);
  void evict(std::uint64_t now_s);

  std::vector<Held> sessions_;  // by rank: the first one is current
  std::vector<UsedBaseKey> used_base_keys_;
  std::uint32_t highest_gen_ = 0;
};

}  // namespace godwit::crypto
