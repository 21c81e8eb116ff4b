// Each function below stands before one of libsodium (the linker's --wrap) and says what of its
// result is public, and why. All else that it computes stays as secret as what it was given.
#include "tests/secrets/taint.hpp"

#include <sodium.h>
#include <valgrind/memcheck.h>

#include "client-sdk/src/crypto/ratchet.hpp"

namespace godwit::secrets {

void make_secret(wire::ByteView bytes) {
  VALGRIND_MAKE_MEM_UNDEFINED(bytes.data(), bytes.size());
}

void make_public(wire::ByteView bytes) {
  VALGRIND_MAKE_MEM_DEFINED(bytes.data(), bytes.size());
}

unsigned findings() {
  return static_cast<unsigned>(VALGRIND_COUNT_ERRORS);
}

namespace {

[[nodiscard]] int as_public(int value) {
  VALGRIND_MAKE_MEM_DEFINED(&value, sizeof value);
  return value;
}

}  // namespace
}  // namespace godwit::secrets

using godwit::secrets::as_public;
using godwit::secrets::make_public;
using Byte = unsigned char;
using Size = unsigned long long;

// The names are the linker's.
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {

int __real_crypto_scalarmult(Byte* shared, const Byte* secret, const Byte* peer);
int __real_crypto_scalarmult_base(Byte* made, const Byte* secret);
int __real_crypto_sign_ed25519_seed_keypair(Byte* made, Byte* expanded, const Byte* seed);
int __real_crypto_sign_ed25519_detached(Byte* signature, Size* size, const Byte* message,
                                        Size message_size, const Byte* expanded);
int __real_crypto_aead_chacha20poly1305_ietf_decrypt(Byte* out, Size* out_size, Byte* none,
                                                     const Byte* sealed, Size size, const Byte* ad,
                                                     Size ad_size, const Byte* nonce,
                                                     const Byte* key);
int __real_crypto_stream_chacha20_ietf_xor(Byte* out, const Byte* in, Size size, const Byte* nonce,
                                           const Byte* key);
int __real_crypto_aead_xchacha20poly1305_ietf_decrypt(Byte* out, Size* out_size, Byte* none,
                                                      const Byte* sealed, Size size, const Byte* ad,
                                                      Size ad_size, const Byte* nonce,
                                                      const Byte* key);
int __real_sodium_memcmp(const void* left, const void* right, std::size_t size);
int __real_sodium_unpad(std::size_t* size, const Byte* padded, std::size_t padded_size,
                        std::size_t step);

// Whether the result is zero: then the peer's key is of small order, and everybody sees that what
// it sent is refused.
int __wrap_crypto_scalarmult(Byte* shared, const Byte* secret, const Byte* peer) {
  return as_public(__real_crypto_scalarmult(shared, secret, peer));
}

// A public key: it is made to be given away.
int __wrap_crypto_scalarmult_base(Byte* made, const Byte* secret) {
  const int result = __real_crypto_scalarmult_base(made, secret);
  make_public({made, crypto_scalarmult_BYTES});
  return as_public(result);
}

// The same; the second half of libsodium's secret key is this public key again.
int __wrap_crypto_sign_ed25519_seed_keypair(Byte* made, Byte* expanded, const Byte* seed) {
  const int result = __real_crypto_sign_ed25519_seed_keypair(made, expanded, seed);
  make_public({made, crypto_sign_ed25519_PUBLICKEYBYTES});
  make_public({expanded + crypto_sign_ed25519_SEEDBYTES, crypto_sign_ed25519_PUBLICKEYBYTES});
  return as_public(result);
}

// A signature: it is published beside what it signs.
int __wrap_crypto_sign_ed25519_detached(Byte* signature, Size* size, const Byte* message,
                                        Size message_size, const Byte* expanded) {
  const int result =
      __real_crypto_sign_ed25519_detached(signature, size, message, message_size, expanded);
  make_public({signature, crypto_sign_ed25519_BYTES});
  return as_public(result);
}

// Whether a tag holds: what does not authenticate is dropped before everybody's eyes. What Noise
// carries is no key of ours and no text: a frame between device and relay, the inner message of an
// envelope (itself encrypted), the sender's public key. Its reader looks at it by branches.
int __wrap_crypto_aead_chacha20poly1305_ietf_decrypt(Byte* out, Size* out_size, Byte* none,
                                                     const Byte* sealed, Size size, const Byte* ad,
                                                     Size ad_size, const Byte* nonce,
                                                     const Byte* key) {
  const int result = as_public(__real_crypto_aead_chacha20poly1305_ietf_decrypt(
      out, out_size, none, sealed, size, ad, ad_size, nonce, key));
  if (result == 0) make_public({out, size - crypto_aead_chacha20poly1305_ietf_ABYTES});
  return result;
}

// The same for short records, whose tag sodium_memcmp() compares; the first block is the key of
// the tag.
int __wrap_crypto_stream_chacha20_ietf_xor(Byte* out, const Byte* in, Size size, const Byte* nonce,
                                           const Byte* key) {
  const int result = __real_crypto_stream_chacha20_ietf_xor(out, in, size, nonce, key);
  constexpr Size kBlock = 64;
  make_public({out + kBlock, size - kBlock});
  return as_public(result);
}

// Whether a tag holds, as above. Of what opens, the header of a ratchet message is looked at: a
// public key and two counters, and how many steps a chain takes follows from these. Nothing else
// that is sealed with this cipher has its size here. Records, wrapped keys and texts stay secret.
int __wrap_crypto_aead_xchacha20poly1305_ietf_decrypt(Byte* out, Size* out_size, Byte* none,
                                                      const Byte* sealed, Size size, const Byte* ad,
                                                      Size ad_size, const Byte* nonce,
                                                      const Byte* key) {
  const int result = as_public(__real_crypto_aead_xchacha20poly1305_ietf_decrypt(
      out, out_size, none, sealed, size, ad, ad_size, nonce, key));
  const std::size_t opened = size - crypto_aead_xchacha20poly1305_ietf_ABYTES;
  if (result == 0 && opened == godwit::crypto::kRatchetHeaderSize) make_public({out, opened});
  return result;
}

// The outcome of a comparison in constant time: the caller acts on it, by its nature.
int __wrap_sodium_memcmp(const void* left, const void* right, std::size_t size) {
  return as_public(__real_sodium_memcmp(left, right, size));
}

// How long a text is, the device that shows it may know; the relay knows the padded length alone.
// And whether the padding is one: what has none is dropped.
int __wrap_sodium_unpad(std::size_t* size, const Byte* padded, std::size_t padded_size,
                        std::size_t step) {
  const int result = as_public(__real_sodium_unpad(size, padded, padded_size, step));
  make_public({reinterpret_cast<const Byte*>(size), sizeof *size});
  return result;
}

}  // extern "C"
// NOLINTEND(bugprone-reserved-identifier)
