#include "schema/wire/noise_cipher.hpp"

#include <cassert>
#include <limits>

#include "schema/wire/bytes.hpp"
#include "schema/wire/chacha20_poly1305.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::wire {
namespace {

static_assert(kNoiseTagSize == kAeadTagSize);

// The last value is Noise's own: rekey() uses it, no message may.
constexpr std::uint64_t kNonceReserved = std::numeric_limits<std::uint64_t>::max();

AeadNonce nonce_bytes(std::uint64_t counter) {
  AeadNonce nonce{};  // 4 zero bytes, then the counter
  store_le(nonce.data() + 4, counter);
  return nonce;
}

}  // namespace

CipherState::CipherState(const SecretKey& key, std::uint64_t nonce) : key_(key), nonce_(nonce) {}

CipherState::~CipherState() {
  wipe(key_.bytes);
}

tl::expected<void, CipherError> CipherState::seal(std::span<std::uint8_t> out, ByteView ad,
                                                  ByteView plaintext) {
  assert(out.size() == plaintext.size() + kNoiseTagSize);
  if (nonce_ == kNonceReserved) return tl::unexpected(CipherError::nonce_exhausted);
  chacha20_poly1305_seal(out, key_, nonce_bytes(nonce_), ad, plaintext);
  ++nonce_;
  return {};
}

tl::expected<void, CipherError> CipherState::open(std::span<std::uint8_t> out, ByteView ad,
                                                  ByteView ciphertext) {
  if (ciphertext.size() < kNoiseTagSize) return tl::unexpected(CipherError::not_authentic);
  assert(out.size() == ciphertext.size() - kNoiseTagSize);
  if (nonce_ == kNonceReserved) return tl::unexpected(CipherError::nonce_exhausted);
  if (!chacha20_poly1305_open(out, key_, nonce_bytes(nonce_), ad, ciphertext)) {
    return tl::unexpected(CipherError::not_authentic);
  }
  ++nonce_;
  return {};
}

void CipherState::rekey() {
  const std::array<std::uint8_t, SecretKey::kSize> zeros{};
  std::array<std::uint8_t, SecretKey::kSize + kNoiseTagSize> sealed;
  chacha20_poly1305_seal(sealed, key_, nonce_bytes(kNonceReserved), {}, zeros);
  key_ = SecretKey::copy_of(ByteView(sealed).first(SecretKey::kSize));
  wipe(sealed);
}

RecordCipher::RecordCipher(CipherState cipher, std::uint64_t rekey_interval)
    : cipher_(std::move(cipher)), rekey_interval_(rekey_interval) {
  assert(rekey_interval_ > 0);
}

tl::expected<void, CipherError> RecordCipher::seal(std::span<std::uint8_t> out,
                                                   ByteView plaintext) {
  const auto sealed = cipher_.seal(out, {}, plaintext);
  if (sealed) count_record();
  return sealed;
}

tl::expected<void, CipherError> RecordCipher::open(std::span<std::uint8_t> out,
                                                   ByteView ciphertext) {
  const auto opened = cipher_.open(out, {}, ciphertext);
  if (opened) count_record();
  return opened;
}

// The nonce is the number of records, so no second counter is kept.
void RecordCipher::count_record() {
  if (cipher_.nonce() % rekey_interval_ == 0) cipher_.rekey();
}

}  // namespace godwit::wire
