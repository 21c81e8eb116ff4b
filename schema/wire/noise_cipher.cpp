#include "schema/wire/noise_cipher.hpp"

#include <sodium.h>

#include <cassert>
#include <limits>

#include "schema/wire/bytes.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::wire {
namespace {

static_assert(SecretKey::kSize == crypto_aead_chacha20poly1305_ietf_KEYBYTES);
static_assert(kNoiseTagSize == crypto_aead_chacha20poly1305_ietf_ABYTES);

// The last value is Noise's own: rekey() uses it, no message may.
constexpr std::uint64_t kNonceReserved = std::numeric_limits<std::uint64_t>::max();

using Nonce = std::array<std::uint8_t, crypto_aead_chacha20poly1305_ietf_NPUBBYTES>;

Nonce nonce_bytes(std::uint64_t counter) {
  Nonce nonce{};  // 4 zero bytes, then the counter
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
  const Nonce nonce = nonce_bytes(nonce_);
  [[maybe_unused]] const int failed = crypto_aead_chacha20poly1305_ietf_encrypt(
      out.data(), nullptr, plaintext.data(), plaintext.size(), ad.data(), ad.size(), nullptr,
      nonce.data(), key_.bytes.data());
  assert(failed == 0);  // it fails for no input that fits into memory
  ++nonce_;
  return {};
}

tl::expected<void, CipherError> CipherState::open(std::span<std::uint8_t> out, ByteView ad,
                                                  ByteView ciphertext) {
  if (ciphertext.size() < kNoiseTagSize) return tl::unexpected(CipherError::not_authentic);
  assert(out.size() == ciphertext.size() - kNoiseTagSize);
  if (nonce_ == kNonceReserved) return tl::unexpected(CipherError::nonce_exhausted);
  const Nonce nonce = nonce_bytes(nonce_);
  // libsodium compares the tag first, and zeroes `out` when it does not hold. An empty `out` may
  // have no address, which libsodium would take for "verify only": the same thing.
  if (crypto_aead_chacha20poly1305_ietf_decrypt(out.data(), nullptr, nullptr, ciphertext.data(),
                                                ciphertext.size(), ad.data(), ad.size(),
                                                nonce.data(), key_.bytes.data()) != 0) {
    return tl::unexpected(CipherError::not_authentic);
  }
  ++nonce_;
  return {};
}

void CipherState::rekey() {
  const Nonce nonce = nonce_bytes(kNonceReserved);
  const std::array<std::uint8_t, SecretKey::kSize> zeros{};
  std::array<std::uint8_t, SecretKey::kSize + kNoiseTagSize> sealed;
  [[maybe_unused]] const int failed = crypto_aead_chacha20poly1305_ietf_encrypt(
      sealed.data(), nullptr, zeros.data(), zeros.size(), nullptr, 0, nullptr, nonce.data(),
      key_.bytes.data());
  assert(failed == 0);
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
