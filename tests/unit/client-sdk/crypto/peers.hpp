// Two devices and what a relay would hold of them, for tests of sessions.
#pragma once

#include <doctest/doctest.h>

#include <map>

#include "client-sdk/src/crypto/session_set.hpp"
#include "tests/support/fixed_random.hpp"

namespace godwit::crypto {

inline constexpr std::uint64_t kStart = 1'700'000'000;  // seconds since 1970

struct Peer {
  explicit Peer(std::string_view seed) : random(seed) { random(user.bytes); }

  test::FixedRandom random;
  SigningKey identity{SigningKey::draw(std::ref(random))};
  DhKey signed_prekey{DhKey::draw(std::ref(random))};
  wire::UserId user;
  std::map<std::uint32_t, wire::SecretKey> one_time_keys;
  std::optional<InviteSecret> invite;
  SessionSet set;  // towards the other

  static constexpr std::uint32_t kPrekeyId = 7;

  [[nodiscard]] PartyId party() const { return {user, identity.public_key()}; }
  [[nodiscard]] wire::SignedKey bundle() const {
    wire::SignedKey key;
    key.id = kPrekeyId;
    key.key = signed_prekey.public_key();
    return key;
  }
  // A fresh one-time key, as the relay gives it out.
  [[nodiscard]] wire::OneTimeKey give_one_time_key() {
    const auto id = static_cast<std::uint32_t>(one_time_keys.size());
    const DhKey key = DhKey::draw(std::ref(random));
    one_time_keys[id] = key.secret();
    return {id, key.public_key()};
  }
  [[nodiscard]] PrekeySource prekeys() const {
    return {.signed_prekey = [this](std::uint32_t id) -> std::optional<DhKey> {
              if (id != kPrekeyId) return {};
              return DhKey::from_secret(signed_prekey.secret());
            },
            .one_time_key = [this](std::uint32_t id) -> std::optional<DhKey> {
              const auto found = one_time_keys.find(id);
              if (found == one_time_keys.end()) return {};
              return DhKey::from_secret(found->second);
            },
            .invite = [this](const InviteId& id) -> std::optional<InviteSecret> {
              if (!invite || invite_id_of(*invite) != id) return {};
              return invite;
            }};
  }

  [[nodiscard]] Session begin_session(const Peer& other, std::uint32_t gen,
                                      const std::optional<wire::OneTimeKey>& one_time = {}) {
    auto session = Session::initiate(identity, user, other.party(), other.bundle(), one_time, gen,
                                     std::ref(random));
    REQUIRE(session.has_value());
    return std::move(*session);
  }
  [[nodiscard]] Session accept_session(const Peer& other, wire::ByteView inner) {
    const auto message = parse_inner(inner);
    REQUIRE(message.has_value());
    REQUIRE(message->prekey.has_value());
    auto session =
        Session::respond(identity, user, other.party(), *message->prekey, signed_prekey, nullptr);
    REQUIRE(session.has_value());
    return std::move(*session);
  }
  // Begins a session of our own in the set.
  void begin(const Peer& other, std::uint64_t now_s = kStart) {
    set.add(begin_session(other, set.next_gen()), now_s);
  }
  [[nodiscard]] tl::expected<Opened, SessionError> open(const Peer& other, wire::ByteView inner,
                                                        std::uint64_t now_s = kStart) {
    const Ends ends{identity, user, other.party()};
    return set.open(ends, inner, prekeys(), std::ref(random), now_s);
  }
  [[nodiscard]] wire::Bytes send(std::string_view text) {
    return set.encrypt(wire::as_bytes(text), std::ref(random));
  }
};

[[nodiscard]] inline wire::Bytes text_bytes(std::string_view text) {
  const wire::ByteView view = wire::as_bytes(text);
  return {view.begin(), view.end()};
}

template <class Packable>
[[nodiscard]] wire::Bytes packed(const Packable& value) {
  wire::Bytes bytes;
  value.pack(bytes);
  return bytes;
}

}  // namespace godwit::crypto
