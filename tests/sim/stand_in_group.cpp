// A stand-in for Curve25519 in the simulator, which spends two thirds of its time there otherwise:
// the numbers modulo 2^61 - 1, with Diffie-Hellman and Schnorr signatures as on the curve, though
// they protect nothing. All else of the encryption is real. The program `sim_curve` is the same
// simulator without it.
//
// These are libsodium's names: defined in the program, they are taken before the library's.
// An element is 8 bytes and 24 zeros. A secret scalar is an exponent, and so is a seed.
#include <algorithm>
#include <cstdint>
#include <cstring>

extern "C" {
int crypto_generichash(unsigned char* out, std::size_t out_size, const unsigned char* in,
                       unsigned long long in_size, const unsigned char* key, std::size_t key_size);
int crypto_scalarmult(unsigned char* q, const unsigned char* n, const unsigned char* p);
int crypto_scalarmult_base(unsigned char* q, const unsigned char* n);
int crypto_core_ed25519_is_valid_point(const unsigned char* p);
int crypto_sign_ed25519_seed_keypair(unsigned char* pk, unsigned char* sk,
                                     const unsigned char* seed);
int crypto_sign_ed25519_detached(unsigned char* sig, unsigned long long* sig_size,
                                 const unsigned char* m, unsigned long long m_size,
                                 const unsigned char* sk);
int crypto_sign_ed25519_verify_detached(const unsigned char* sig, const unsigned char* m,
                                        unsigned long long m_size, const unsigned char* pk);
int crypto_sign_ed25519_pk_to_curve25519(unsigned char* x25519, const unsigned char* ed25519);
int crypto_sign_ed25519_sk_to_curve25519(unsigned char* x25519, const unsigned char* ed25519);
}

namespace {

constexpr std::uint64_t kPrime = (std::uint64_t{1} << 61) - 1;
constexpr std::uint64_t kOrder = kPrime - 1;
constexpr std::uint64_t kGenerator = 37;
constexpr std::size_t kSize = 32;
constexpr std::size_t kSignatureSize = 64;

__extension__ using Wide = unsigned __int128;

std::uint64_t times(std::uint64_t a, std::uint64_t b, std::uint64_t modulus = kPrime) {
  return static_cast<std::uint64_t>(static_cast<Wide>(a) * b % modulus);
}

std::uint64_t power(std::uint64_t base, std::uint64_t exponent) {
  std::uint64_t result = 1;
  for (; exponent != 0; exponent >>= 1) {
    if ((exponent & 1) != 0) result = times(result, base);
    base = times(base, base);
  }
  return result;
}

std::uint64_t word(const unsigned char* bytes) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

bool is_zero(const unsigned char* bytes, std::size_t size) {
  return std::all_of(bytes, bytes + size, [](unsigned char byte) { return byte == 0; });
}

// Every bit of a scalar counts.
std::uint64_t exponent_of(const unsigned char* bytes) {
  return (word(bytes) ^ word(bytes + 8) ^ word(bytes + 16) ^ word(bytes + 24)) % kOrder;
}

// What is no element becomes one that nobody knows the exponent of, as any string is a point.
std::uint64_t element_of(const unsigned char* bytes) {
  return (word(bytes) ^ word(bytes + 8) ^ word(bytes + 16) ^ word(bytes + 24)) % kPrime;
}

int put(unsigned char* out, std::uint64_t element) {
  std::memset(out, 0, kSize);
  std::memcpy(out, &element, sizeof element);
  return element <= 1 ? -1 : 0;  // as for a point of low order
}

std::uint64_t hash(std::uint64_t one, std::uint64_t other, const unsigned char* m,
                   std::size_t m_size) {
  const std::uint64_t key[4] = {one, other, 0, 0};
  std::uint64_t sum[2] = {0, 0};
  (void)crypto_generichash(reinterpret_cast<unsigned char*>(sum), sizeof sum, m, m_size,
                           reinterpret_cast<const unsigned char*>(key), sizeof key);
  return sum[0] % kOrder;
}

}  // namespace

int crypto_scalarmult(unsigned char* q, const unsigned char* n, const unsigned char* p) {
  return put(q, power(element_of(p), exponent_of(n)));
}

int crypto_scalarmult_base(unsigned char* q, const unsigned char* n) {
  return put(q, power(kGenerator, exponent_of(n)));
}

int crypto_core_ed25519_is_valid_point(const unsigned char* p) {
  return word(p) > 1 && word(p) < kPrime && is_zero(p + 8, kSize - 8) ? 1 : 0;
}

int crypto_sign_ed25519_seed_keypair(unsigned char* pk, unsigned char* sk,
                                     const unsigned char* seed) {
  (void)crypto_scalarmult_base(pk, seed);
  std::memcpy(sk, seed, kSize);
  std::memcpy(sk + kSize, pk, kSize);
  return 0;
}

int crypto_sign_ed25519_detached(unsigned char* sig, unsigned long long* sig_size,
                                 const unsigned char* m, unsigned long long m_size,
                                 const unsigned char* sk) {
  const std::uint64_t secret = exponent_of(sk);
  const std::uint64_t nonce = hash(secret, 1, m, m_size);
  const std::uint64_t point = power(kGenerator, nonce);
  const std::uint64_t challenge = hash(point, word(sk + kSize), m, m_size);
  const std::uint64_t answer = (nonce + times(challenge, secret, kOrder)) % kOrder;
  std::memset(sig, 0, kSignatureSize);
  std::memcpy(sig, &point, sizeof point);
  std::memcpy(sig + 8, &answer, sizeof answer);
  if (sig_size != nullptr) *sig_size = kSignatureSize;
  return 0;
}

int crypto_sign_ed25519_verify_detached(const unsigned char* sig, const unsigned char* m,
                                        unsigned long long m_size, const unsigned char* pk) {
  const std::uint64_t point = word(sig);
  const std::uint64_t answer = word(sig + 8);
  if (!is_zero(sig + 16, kSignatureSize - 16) || answer >= kOrder) return -1;
  const std::uint64_t challenge = hash(point, word(pk), m, m_size);
  const bool right =
      power(kGenerator, answer) == times(point % kPrime, power(element_of(pk), challenge));
  return right && point < kPrime ? 0 : -1;
}

int crypto_sign_ed25519_pk_to_curve25519(unsigned char* x25519, const unsigned char* ed25519) {
  std::memcpy(x25519, ed25519, kSize);
  return crypto_core_ed25519_is_valid_point(ed25519) == 1 ? 0 : -1;
}

int crypto_sign_ed25519_sk_to_curve25519(unsigned char* x25519, const unsigned char* ed25519) {
  std::memcpy(x25519, ed25519, kSize);
  return 0;
}
