#include "relay/net/static_secrets.hpp"

#include <bit>
#include <cassert>

#include "schema/wire/x25519.hpp"

namespace godwit::relay::net {

StaticSecrets::StaticSecrets(const wire::KeyPair& own, std::size_t places,
                             const wire::SipKey& hash_key)
    : own_(own), hash_key_(hash_key), places_(places) {
  assert(places >= 2 && std::has_single_bit(places));
}

StaticSecrets::~StaticSecrets() {
  for (Place& place : places_) wire::wipe(place.secret.bytes);
}

std::optional<wire::SecretKey> StaticSecrets::with(const wire::Key& peer) {
  if (peer == wire::Key{}) return {};  // marks a free place, and is a point of small order
  const std::size_t pair = wire::siphash(hash_key_, peer.view()) & (places_.size() - 2);
  Place& newer = places_[pair];
  Place& older = places_[pair + 1];
  if (newer.peer == peer) return newer.secret;
  if (older.peer == peer) return older.secret;
  wire::SecretKey shared;
  if (!wire::diffie_hellman(shared, own_.secret, peer)) return {};
  older = newer;
  newer = {peer, shared};
  wire::wipe(shared.bytes);
  return newer.secret;
}

}  // namespace godwit::relay::net
