#include "client-sdk/src/crypto/aead.hpp"

#include <sodium.h>

#include <cassert>

namespace godwit::crypto {

using wire::ByteView;

static_assert(kAeadNonceSize == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);
static_assert(kAeadTagSize == crypto_aead_xchacha20poly1305_ietf_ABYTES);
static_assert(wire::SecretKey::kSize == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);

void aead_seal(std::span<std::uint8_t> out, const wire::SecretKey& key, ByteView nonce, ByteView ad,
               ByteView plaintext) {
  assert(nonce.size() == kAeadNonceSize && out.size() == plaintext.size() + kAeadTagSize);
  // It fails for lengths only that no memory holds.
  [[maybe_unused]] const int failed = crypto_aead_xchacha20poly1305_ietf_encrypt(
      out.data(), nullptr, plaintext.data(), plaintext.size(), ad.data(), ad.size(), nullptr,
      nonce.data(), key.bytes.data());
  assert(failed == 0);
}

void aead_append(wire::Bytes& out, const wire::SecretKey& key, ByteView nonce, ByteView ad,
                 ByteView plaintext) {
  const std::size_t start = out.size();
  out.resize(start + plaintext.size() + kAeadTagSize);
  aead_seal(std::span(out).subspan(start), key, nonce, ad, plaintext);
}

bool aead_open(std::span<std::uint8_t> out, const wire::SecretKey& key, ByteView nonce, ByteView ad,
               ByteView sealed) {
  assert(nonce.size() == kAeadNonceSize && out.size() + kAeadTagSize == sealed.size());
  return crypto_aead_xchacha20poly1305_ietf_decrypt(out.data(), nullptr, nullptr, sealed.data(),
                                                    sealed.size(), ad.data(), ad.size(),
                                                    nonce.data(), key.bytes.data()) == 0;
}

}  // namespace godwit::crypto
