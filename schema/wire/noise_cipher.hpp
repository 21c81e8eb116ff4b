// wire/noise_cipher: one key and its counter; the CipherState of Noise with ChaCha20-Poly1305, and
// the same with the rekeying that records of a connection follow.
// Owns:    a 32-byte key, wiped when it dies.
// Refuses: to work without a key (no pattern of ours sends in clear what a key could hide).
// Thread:  one owner; not shared.
// Trust:   a ciphertext is hostile; nothing of it is released unless its tag holds.
// Spec:    The Noise Protocol Framework, revision 34, sections 5.1, 11.3 and 12.3; RFC 8439.
#pragma once

#include <tl/expected.hpp>

#include "schema/wire/limits.hpp"
#include "schema/wire/types.hpp"

namespace godwit::wire {

enum class CipherError : std::uint8_t {
  not_authentic,    // the tag does not hold, or the ciphertext is shorter than a tag
  nonce_exhausted,  // 2^64 - 1 messages were made with this cipher
};

class CipherState {
 public:
  explicit CipherState(const SecretKey& key, std::uint64_t nonce = 0);
  CipherState(CipherState&&) noexcept = default;  // what is moved from is wiped when it dies
  CipherState& operator=(CipherState&&) noexcept = default;
  ~CipherState();

  // Precondition: `out` is kNoiseTagSize longer than `plaintext`; they may begin at one address.
  [[nodiscard]] tl::expected<void, CipherError> seal(std::span<std::uint8_t> out, ByteView ad,
                                                     ByteView plaintext);
  // Precondition: `out` is kNoiseTagSize shorter than `ciphertext` (empty when that is too short);
  // they may begin at one address. A failure zeroes `out` and does not count.
  [[nodiscard]] tl::expected<void, CipherError> open(std::span<std::uint8_t> out, ByteView ad,
                                                     ByteView ciphertext);
  // Replaces the key by a one-way function of it. The counter goes on.
  void rekey();

  // Messages that were sealed or opened so far.
  [[nodiscard]] std::uint64_t nonce() const { return nonce_; }

 private:
  SecretKey key_;
  std::uint64_t nonce_;
};

// One direction of an established connection: no associated data, a new key after every
// `rekey_interval` records.
class RecordCipher {
 public:
  explicit RecordCipher(CipherState cipher, std::uint64_t rekey_interval = kRekeyInterval);

  // As in CipherState.
  [[nodiscard]] tl::expected<void, CipherError> seal(std::span<std::uint8_t> out,
                                                     ByteView plaintext);
  [[nodiscard]] tl::expected<void, CipherError> open(std::span<std::uint8_t> out,
                                                     ByteView ciphertext);

 private:
  void count_record();

  CipherState cipher_;
  std::uint64_t rekey_interval_;
};

}  // namespace godwit::wire
