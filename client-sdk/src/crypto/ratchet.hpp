// crypto/ratchet: the Double Ratchet with header encryption.
// Owns:    the chain keys, and the keys of messages that were skipped: at most
//          kSkippedPerSessionMax, the oldest leave.
// Refuses: to know who the ends are: they are in the associated data that each call is given.
// Thread:  a value with one owner.
// Trust:   messages are hostile. Everything is computed beside the state and stored once the body
//          has authenticated, so one that fails changes nothing, and costs no copy of the state.
// Spec:    schema/ENVELOPE.md, "Sessions"; The Double Ratchet, revision 1, section 4.
#pragma once

#include "client-sdk/src/crypto/x3dh.hpp"

namespace godwit::crypto {

inline constexpr std::size_t kRatchetHeaderSize = 32 + 4 + 4;
// Opening bytes, nonce, sealed header; the body follows.
inline constexpr std::size_t kRatchetPrefixSize = 4 + 24;
inline constexpr std::size_t kRatchetBodyAt = kRatchetPrefixSize + kRatchetHeaderSize + 16;

// True when the message has the form of one. seal() makes no other, open() takes no other.
[[nodiscard]] bool is_ratchet_message(wire::ByteView message);

class Ratchet {
 public:
  // Alice, who knows Bob's signed prekey. Randomness: her first ratchet key.
  [[nodiscard]] static tl::expected<Ratchet, SessionError> initiate(const Agreement& agreement,
                                                                    const wire::Key& signed_prekey,
                                                                    const Random& random);
  // Bob, who can send once he has received.
  [[nodiscard]] static Ratchet respond(const Agreement& agreement, const DhKey& signed_prekey);

  // Appends a message to `out`. Precondition: this end began the session or has received.
  void seal(wire::Bytes& out, wire::ByteView ad, wire::ByteView plaintext, const Random& random);
  [[nodiscard]] tl::expected<wire::Bytes, SessionError> open(wire::ByteView ad,
                                                             wire::ByteView message,
                                                             const Random& random);
  [[nodiscard]] std::size_t skipped() const { return skipped_count_; }

  void pack(wire::Bytes& out) const;
  [[nodiscard]] static std::optional<Ratchet> unpack(wire::ByteView& from);

 private:
  struct Chain {
    StateKey header_key;
    StateKey key;
    std::uint32_t next = 0;  // number of the next message
  };
  struct MessageKey {
    std::uint32_t number = 0;
    StateKey key;
  };
  struct SkippedChain {
    StateKey header_key;
    std::vector<MessageKey> keys;  // ascending, never empty
  };
  struct Header {
    wire::Key ratchet_key;
    std::uint32_t previous_count = 0;  // PN
    std::uint32_t number = 0;          // n
  };
  struct Incoming;  // a message and its associated data
  using Opened = tl::expected<wire::Bytes, SessionError>;

  [[nodiscard]] static std::optional<Header> open_header(const Incoming& in, const StateKey& key);
  [[nodiscard]] static Opened open_body(const Incoming& in, const StateKey& message_key);
  [[nodiscard]] static StateKey next_key(Chain& chain);
  [[nodiscard]] static tl::expected<void, SessionError> skip_to(Chain& chain, std::uint32_t number,
                                                                std::vector<MessageKey>& skipped);
  [[nodiscard]] Opened open_in_chain(const Incoming& in, const Header& header);
  [[nodiscard]] Opened open_in_next_chain(const Incoming& in, const Header& header,
                                          const Random& random);
  [[nodiscard]] Opened open_skipped(const Incoming& in, std::size_t chain, std::uint32_t number);
  void store(const StateKey& header_key, std::vector<MessageKey> keys);
  [[nodiscard]] static bool take_skipped(wire::ByteView& from, SkippedChain& chain);

  StateKey root_;        // RK
  StateKey own_secret_;  // DHs
  wire::Key own_public_;
  std::uint32_t previous_count_ = 0;  // PN
  StateKey next_sending_header_;      // NHKs
  StateKey next_receiving_header_;    // NHKr
  std::optional<Chain> sending_;
  std::optional<Chain> receiving_;
  std::vector<SkippedChain> skipped_;  // the oldest first
  std::size_t skipped_count_ = 0;      // keys in all of them
};

}  // namespace godwit::crypto
