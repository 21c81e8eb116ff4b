// wire/noise_handshake: the HandshakeState of Noise for the three patterns of the protocol.
//
// Owns:    both secrets of one handshake until it ends; wiped when it dies.
// Refuses: to frame, to count records, to decide whether a static key is welcome.
// Thread:  one owner; not shared.
// Trust:   a message is hostile. One that fails leaves a dead state: no key, no peer, no way on.
// Spec:    The Noise Protocol Framework, revision 34, sections 5.3, 7 and 9.
#pragma once

#include <functional>

#include "schema/wire/noise_symmetric.hpp"

namespace godwit::wire {

// In all three the initiator knows the responder's static key beforehand.
enum class NoisePattern : std::uint8_t {
  X,       // one message, one way: -> e, es, s, ss
  IK,      // -> e, es, s, ss   <- e, ee, se
  IKpsk2,  // as IK, and a shared secret at the end of message 2
};

enum class NoiseRole : std::uint8_t { initiator, responder };

enum class HandshakeError : std::uint8_t {
  bad_length,     // shorter than the keys and tags it must hold, or longer than any Noise message
  bad_key,        // a Diffie-Hellman with it gives zero: a point of small order
  not_authentic,  // a tag does not hold: other keys, another prologue, or altered bytes
  dead,           // an earlier message failed
};

// The Diffie-Hellman of our static key with `peer`, kept from before; nothing when it is zero.
using StaticSecret = std::function<std::optional<SecretKey>(const Key& peer)>;

struct HandshakeConfig {  // wipes the secrets it carries when it dies
  NoisePattern pattern = NoisePattern::IK;
  NoiseRole role = NoiseRole::initiator;
  ByteView prologue;  // read during construction only
  KeyPair own;
  std::optional<Key> remote_static;  // the initiator's config has it, the responder's has not
  std::optional<SecretKey> psk;      // with IKpsk2 only
  std::optional<KeyPair> ephemeral;  // fixed in tests and simulations, else drawn from the system
  StaticSecret static_secret = {};   // empty: the handshake computes it

  ~HandshakeConfig();
};

class HandshakeState {
 public:
  explicit HandshakeState(const HandshakeConfig& config);
  HandshakeState(const HandshakeState&) = delete;
  HandshakeState& operator=(const HandshakeState&) = delete;
  ~HandshakeState();

  // True when the next message is ours to write.
  [[nodiscard]] bool writes_next() const;
  // True when it is ours to read.
  [[nodiscard]] bool reads_next() const;
  // Bytes that the next message has beyond its payload. Precondition: there is a next one.
  [[nodiscard]] std::size_t overhead() const;

  // Appends the next message to `out`; on failure `out` is as it was. Precondition: writes_next()
  // or dead; message at most kNoiseMessageSizeMax.
  [[nodiscard]] tl::expected<void, HandshakeError> write(ByteView payload, Bytes& out);
  // The payload of the next message. Precondition: reads_next() or dead.
  [[nodiscard]] tl::expected<Bytes, HandshakeError> read(ByteView message);

  // True once all messages were written and read.
  [[nodiscard]] bool complete() const;
  // The peer's static key, once it is known and authentic.
  [[nodiscard]] const std::optional<Key>& remote_static() const { return remote_static_; }

  struct Ciphers {
    CipherState send;     // in X: the initiator's
    CipherState receive;  // in X: the responder's
  };
  // Preconditions of both: complete().
  [[nodiscard]] Ciphers split() const;
  [[nodiscard]] const NoiseHash& hash() const;

 private:
  enum class Token : std::uint8_t { e, s, ee, es, se, ss, psk };
  using Result = tl::expected<void, HandshakeError>;
  struct Pattern;
  static const Pattern& pattern_of(NoisePattern pattern);

  [[nodiscard]] std::span<const Token> next_tokens() const;
  [[nodiscard]] bool initiates_next() const;
  [[nodiscard]] Result write_tokens(ByteView payload, Bytes& out);
  [[nodiscard]] Result read_tokens(ByteView message, Bytes& payload);
  [[nodiscard]] Result write_static(Bytes& out);
  [[nodiscard]] Result read_static(ByteView sealed);
  [[nodiscard]] Result mix_secret(Token token);
  [[nodiscard]] Result mix_static_secret();
  [[nodiscard]] Result mix_dh(const SecretKey& own, const Key& peer);
  void mix_ephemeral(const Key& key);
  void die();

  const Pattern* pattern_;
  NoiseRole role_;
  std::uint8_t messages_done_ = 0;
  std::optional<SymmetricState> symmetric_;  // nothing once dead
  KeyPair own_;
  std::optional<KeyPair> ephemeral_;
  std::optional<SecretKey> psk_;
  StaticSecret static_secret_;
  std::optional<Key> remote_static_;
  std::optional<Key> remote_ephemeral_;
};

}  // namespace godwit::wire
