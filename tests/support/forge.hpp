// support/forge: what lying relays and lying peers write, for tests over a World.
//
// A Puppet speaks with the keys of a device, which it reads from the device's own database, and
// writes what no honest client would.
// Owns:    nothing of the world.
// Thread:  one.
#pragma once

#include "client-sdk/src/core/round.hpp"
#include "client-sdk/src/crypto/sealed.hpp"
#include "client-sdk/src/crypto/session.hpp"
#include "schema/wire/codec.hpp"
#include "tests/support/world.hpp"

namespace godwit::test {

[[nodiscard]] wire::Bytes frame_of(const wire::RelayFrame& frame);

// A frame parsed over storage of its own; views of `value` live as long.
class ParsedFrame {
 public:
  explicit ParsedFrame(wire::ByteView bytes);
  ParsedFrame(const ParsedFrame&) = delete;
  ParsedFrame& operator=(const ParsedFrame&) = delete;
  wire::RelayFrame value;

 private:
  std::vector<std::uint64_t> storage_;
};

using Frames = std::vector<wire::Bytes>;
[[nodiscard]] inline Frames as_is(wire::ByteView frame) {
  return {wire::Bytes(frame.begin(), frame.end())};
}

// The relay alters every Body it sends: `change(device, body)`, false to leave it alone. Views put
// into the body must live until then.
template <class Body, class Change>
[[nodiscard]] World::Tamper altering(Change change) {
  return [change](SimDevice& to, wire::ByteView bytes) -> Frames {
    ParsedFrame frame(bytes);
    auto* body = std::get_if<Body>(&frame.value.body);
    if (body == nullptr || !change(to, *body)) return as_is(bytes);
    return {frame_of(frame.value)};
  };
}

// A frame that the relay made up. It arrives with the next settle().
void tell(SimDevice& device, const wire::RelayFrame& frame);
// Acknowledges to the relay what it keeps from the device.
void ack_for(SimDevice& device, std::uint32_t number);

// The committed records of a table, opened and sorted: equal when nothing has changed.
using Snapshot = std::vector<wire::Bytes>;
[[nodiscard]] Snapshot snapshot(const SimDevice& device,
                                std::initializer_list<store::Table> tables);
// Everything but what was seen.
[[nodiscard]] Snapshot all_but_seen(const SimDevice& device);
[[nodiscard]] std::size_t count(const SimDevice& device, store::Table table);

struct Keys {
  crypto::SigningKey identity;
  crypto::RootKey root;
  core::AccountRecord account;
  core::UpkeepRecord upkeep;
};
[[nodiscard]] Keys keys_of(const SimDevice& device);
[[nodiscard]] wire::ListVersion version_of(const wire::SignedList& list);
// Public half of a one-time key that the device holds the secret of.
[[nodiscard]] wire::OneTimeKey one_time_key_of(const SimDevice& device, std::uint32_t id);
// The first list of the same user, validly signed, with other devices.
[[nodiscard]] wire::SignedList forked_list(const SimDevice& device,
                                           const crypto::SignedDevice& ghost);
// The list of the next gen behind `before`, validly signed, with these devices.
[[nodiscard]] wire::SignedList list_after(const SimDevice& owner, const wire::SignedList& before,
                                          std::span<const crypto::SignedDevice> devices);
// What the device's first list says of it.
[[nodiscard]] crypto::SignedDevice own_entry(const SimDevice& owner);
// The list of the next gen with the same device alone, validly signed.
[[nodiscard]] wire::SignedList following_list(const SimDevice& device);

class Puppet {
 public:
  Puppet(SimDevice& device, const SimDevice& target);

  // A session of its own with the target, under whatever keys.
  void begin(const std::optional<wire::OneTimeKey>& one_time, std::uint32_t gen = 1);
  void begin(const wire::SignedKey& prekey, const std::optional<wire::OneTimeKey>& one_time,
             std::uint32_t gen);

  // The next payload of the puppet's chain; `seq` 0: the next number.
  template <class Body>
  [[nodiscard]] wire::Bytes payload(Body body) const {
    return wire::encode_payload({version_of(keys_.account.list), list_hash_, std::move(body)});
  }
  [[nodiscard]] wire::Bytes text(std::string_view text);
  [[nodiscard]] wire::Bytes inner(const wire::Bytes& payload, std::uint64_t seq = 0);
  [[nodiscard]] wire::Bytes envelope(wire::ByteView inner);
  // With a static key and a user that are not the puppet's.
  [[nodiscard]] wire::Bytes envelope_as(const crypto::SigningKey& identity,
                                        const wire::UserId& user, wire::ByteView inner);
  // Over the real relay.
  void submit(wire::ByteView envelope);
  void submit_inner(wire::ByteView inner) { submit(envelope(inner)); }

  [[nodiscard]] crypto::Session& session() { return *session_; }
  [[nodiscard]] const Keys& keys() const { return keys_; }
  [[nodiscard]] const crypto::Random& random() const { return device_.random; }
  std::uint64_t next_seq = 1;
  wire::Hash32 h;

 private:
  SimDevice& device_;
  Keys keys_;
  Keys theirs_;
  wire::ListHash list_hash_;
  std::optional<crypto::Session> session_;
  std::uint32_t requests_ = 0x7000'0000;
};

}  // namespace godwit::test
