// Messages that no honest client writes but whose header authenticates, as only the peer of a
// session could make them: its keys are read from where pack() puts them.
#pragma once

#include "client-sdk/src/crypto/aead.hpp"
#include "tests/unit/client-sdk/crypto/peers.hpp"

namespace godwit::crypto {

struct ForgedHeader {
  std::uint32_t previous_count = 0;
  std::uint32_t number = 0;
  std::optional<wire::Key> ratchet_key = {};  // else the session's own
};

// A message of `session` under this header, with a body that does not authenticate. Precondition:
// the session was begun without a one-time key, and can send.
[[nodiscard]] inline wire::Bytes forged(const Session& session, const ForgedHeader& header) {
  constexpr std::size_t kAdAt = 2 + 48;
  constexpr std::size_t kAdSize = 139;
  constexpr std::size_t kRatchetAt = kAdAt + kAdSize + 2 * 32;
  constexpr std::size_t kOwnPublicAt = kRatchetAt + 1 + 2 * 32;
  constexpr std::size_t kSendingHeaderKeyAt = kOwnPublicAt + 32 + 4 + 2 * 32;
  const wire::Bytes state = packed(session);
  const wire::ByteView all = state;

  wire::Bytes message{0x01, kSuite1, 0x02, 0x00};
  message.resize(message.size() + kAeadNonceSize, 0x24);
  wire::Bytes ad;
  wire::append(ad, all.subspan(kAdAt, kAdSize));
  wire::append(ad, message);
  wire::Bytes fields;
  wire::append(fields, header.ratchet_key ? header.ratchet_key->view()
                                          : all.subspan(kOwnPublicAt, wire::Key::kSize));
  wire::append_le(fields, header.previous_count);
  wire::append_le(fields, header.number);
  const wire::Bytes nonce(kAeadNonceSize, 0x24);
  aead_append(message, wire::SecretKey::copy_of(all.subspan(kSendingHeaderKeyAt, 32)), nonce, ad,
            fields);
  message.resize(message.size() + 32);
  return message;
}

}  // namespace godwit::crypto
