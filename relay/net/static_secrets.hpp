// net/static_secrets: the Diffie-Hellman of the relay's static key with that of a device, kept from
// one login to the next: one of the five that a handshake costs the relay.
//
// It may say nothing new: the secret follows from the two keys, so a hello that lies about its key
// can put in nothing but what is right for that key. A stranger who shows many keys can push others
// out, which costs what there was before; the places follow from a random key, so that nobody can
// choose whom to push out.
//
// Owns:    the secrets, wiped when they leave. They open nothing without the relay's own key pair,
//          which is in the same memory.
// Thread:  one.
#pragma once

#include <optional>
#include <vector>

#include "schema/wire/hash.hpp"

namespace godwit::relay::net {

class StaticSecrets {
 public:
  // `own` outlives this. `places`: a power of two, of 64 bytes each; taken at once. `hash_key`:
  // random.
  StaticSecrets(const wire::KeyPair& own, std::size_t places, const wire::SipKey& hash_key);
  ~StaticSecrets();
  StaticSecrets(const StaticSecrets&) = delete;
  StaticSecrets& operator=(const StaticSecrets&) = delete;

  [[nodiscard]] const wire::KeyPair& own() const { return own_; }
  // X25519(own secret, peer); nothing when it is zero.
  [[nodiscard]] std::optional<wire::SecretKey> with(const wire::Key& peer);

 private:
  struct Place {
    wire::Key peer;  // zero: free
    wire::SecretKey secret;
  };
  const wire::KeyPair& own_;
  const wire::SipKey hash_key_;
  std::vector<Place> places_;  // in pairs: the newer first
};

}  // namespace godwit::relay::net
