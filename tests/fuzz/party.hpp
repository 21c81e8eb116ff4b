// fuzz/party: one end of a pair of devices: its keys, its prekeys, its sessions with the other.
// Thread: one.
#pragma once

#include <set>

#include "client-sdk/src/crypto/session_set.hpp"
#include "schema/wire/hash.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/support/fixed_random.hpp"

namespace godwit::fuzz {

inline constexpr std::uint64_t kStart = 1'700'000'000;  // seconds since 1970

template <class Packable>
[[nodiscard]] wire::Bytes packed(const Packable& value) {
  wire::Bytes bytes;
  value.pack(bytes);
  return bytes;
}

// What does not change from input to input.
struct PartyKeys {
  explicit PartyKeys(std::string_view seed) : random(seed) { random(user.bytes); }

  test::FixedRandom random;
  crypto::SigningKey identity{crypto::SigningKey::draw(std::ref(random))};
  crypto::DhKey signed_prekey{crypto::DhKey::draw(std::ref(random))};
  crypto::DhKey one_time_key{crypto::DhKey::draw(std::ref(random))};
  wire::UserId user;
  crypto::InviteSecret invite{{7}};
};

struct Party {
  explicit Party(const PartyKeys& own) : keys(own) {}

  static constexpr std::uint32_t kPrekeyId = 7;

  [[nodiscard]] crypto::PartyId id() const { return {keys.user, keys.identity.public_key()}; }
  [[nodiscard]] wire::SignedKey bundle() const {
    wire::SignedKey key;
    key.id = kPrekeyId;
    key.key = keys.signed_prekey.public_key();
    return key;
  }
  // All one-time keys have the same secret half: an id is one while it was given and not used.
  [[nodiscard]] wire::OneTimeKey give_one_time_key() {
    one_time_ids.insert(++last_one_time);
    return {last_one_time, keys.one_time_key.public_key()};
  }
  [[nodiscard]] crypto::PrekeySource prekeys() const {
    using crypto::DhKey;
    return {.signed_prekey = [this](std::uint32_t id) -> std::optional<DhKey> {
              if (id != kPrekeyId) return {};
              return DhKey::from_secret(keys.signed_prekey.secret());
            },
            .one_time_key = [this](std::uint32_t id) -> std::optional<DhKey> {
              if (!one_time_ids.contains(id)) return {};
              return DhKey::from_secret(keys.one_time_key.secret());
            },
            .invite = [this](const crypto::InviteId& id) -> std::optional<crypto::InviteSecret> {
              if (crypto::invite_id_of(keys.invite) != id) return {};
              return keys.invite;
            }};
  }
  [[nodiscard]] crypto::Session session_with(Party& other, std::uint32_t gen,
                                             const std::optional<wire::OneTimeKey>& one_time = {},
                                             const crypto::InviteSecret* invite = nullptr) {
    auto session = crypto::Session::initiate(keys.identity, keys.user, other.id(), other.bundle(),
                                             one_time, gen, wire::random_bytes, invite);
    require(session.has_value(), "a session can be begun with honest keys");
    return std::move(*session);
  }
  // As the core does: a one-time key that was used is deleted.
  [[nodiscard]] tl::expected<crypto::Opened, crypto::SessionError> open(const Party& other,
                                                                        wire::ByteView inner,
                                                                        std::uint64_t now_s) {
    const crypto::Ends ends{keys.identity, keys.user, other.id()};
    auto opened = set.open(ends, inner, prekeys(), wire::random_bytes, now_s);
    if (opened && opened->used_one_time_key) one_time_ids.erase(*opened->used_one_time_key);
    return opened;
  }

  const PartyKeys& keys;
  std::set<std::uint32_t> one_time_ids;  // given, and not used
  std::uint32_t last_one_time = 0;
  crypto::SessionSet set;  // towards the other
};

}  // namespace godwit::fuzz
