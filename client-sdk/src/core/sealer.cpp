#include "client-sdk/src/core/sealer.hpp"

#include "client-sdk/src/crypto/sequence.hpp"

namespace godwit::core {

wire::Bytes Sealer::envelope(Round& round, const Peer& peer, wire::ByteView inner) {
  const DeviceRecord& to = peer.record;
  auto sealed = crypto::seal({to.device, to.seal_id, to.seal_key}, account_.identity_dh(),
                             account_.record.user, inner, round.random, kept_);
  assert(sealed);  // the seal key and the identity were checked when they were taken
  return std::move(*sealed);
}

OutboxRecord::Target Sealer::target(Round& round, Peer& peer, const wire::Plaintext& plaintext) {
  const wire::Bytes padded = crypto::pad(wire::encode_plaintext(plaintext));
  const wire::Bytes inner = peer.sessions.encrypt(padded, round.random);
  peer.sessions_changed = true;
  OutboxRecord::Target target;
  target.device = peer.record.device;
  target.seq = plaintext.seq;
  target.body = envelope(round, peer, inner);
  target.hash = crypto::envelope_hash(target.body);
  return target;
}

OutboxRecord::Target Sealer::seal(Round& round, Peer& peer, wire::Bytes payload, SentRecord sent) {
  DeviceRecord& record = peer.change();
  record.sent_h = crypto::chain(record.sent_h, payload);
  ++record.sent_seq;
  sent.h = record.sent_h;
  sent.payload = std::move(payload);
  round.save(record.device.view(), order_bytes(record.sent_seq), sent);
  return target(round, peer,
                {wire::Plaintext::Kind::payload, record.sent_seq, sent.h, sent.payload});
}

std::optional<OutboxRecord::Target> Sealer::seal_again(Round& round, Peer& peer,
                                                       std::uint64_t seq) {
  const auto sent = round.load<SentRecord>(peer.record.device.view(), order_bytes(seq));
  if (!sent) return std::nullopt;
  const auto kind =
      sent->payload.empty() ? wire::Plaintext::Kind::tombstone : wire::Plaintext::Kind::payload;
  return target(round, peer, {kind, seq, sent->h, sent->payload});
}

wire::Bytes Sealer::seal_typing(Round& round, Peer& peer, bool active) {
  const wire::Bytes payload = payload_of(wire::Typing{active});
  return envelope(round, peer, peer.sessions.current()->encrypt_ephemeral(payload, round.random));
}

}  // namespace godwit::core
