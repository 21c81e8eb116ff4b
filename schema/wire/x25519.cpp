#include "schema/wire/x25519.hpp"

#include <sodium.h>

#include <cassert>

#include "schema/wire/hash.hpp"

namespace godwit::wire {

KeyPair key_pair_of(const SecretKey& secret) {
  static_assert(SecretKey::kSize == crypto_scalarmult_SCALARBYTES);
  static_assert(Key::kSize == crypto_scalarmult_BYTES);
  KeyPair pair;
  pair.secret = secret;
  // The base point has a large order and the scalar is clamped: there is no scalar that fails.
  [[maybe_unused]] const int failed =
      crypto_scalarmult_base(pair.public_key.bytes.data(), pair.secret.bytes.data());
  assert(failed == 0);
  return pair;
}

KeyPair random_key_pair() {
  SecretKey secret;
  random_bytes(secret.bytes);
  const auto pair = key_pair_of(secret);
  wipe(secret.bytes);
  return pair;
}

bool diffie_hellman(SecretKey& shared, const SecretKey& own, const Key& peer) {
  return crypto_scalarmult(shared.bytes.data(), own.bytes.data(), peer.bytes.data()) == 0;
}

}  // namespace godwit::wire
