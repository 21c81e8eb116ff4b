#include "client-sdk/src/core/records.hpp"

#include "schema/wire/hash.hpp"

namespace godwit::core {
namespace {

constexpr std::size_t kBesideSessionsMax = 1'024;  // bytes: the numbers, 32 ranges
constexpr std::uint8_t kSuite = 1;  // the highest that a contact was seen with: there is no other

void pack_list(Packer& to, const wire::SignedList& list) {
  to.fixed(list.root).fixed(list.list_key).fixed(list.delegation).bytes(list.body);
  to.fixed(list.signature);
}

void unpack_list(Unpacker& from, wire::SignedList& list) {
  from.fixed(list.root).fixed(list.list_key).fixed(list.delegation).bytes(list.body);
  from.fixed(list.signature);
}

void pack_key(Packer& to, const wire::SignedKey& key) {
  to.number(key.id).number(key.created).number(key.expires).fixed(key.key).fixed(key.signature);
}

void unpack_key(Unpacker& from, wire::SignedKey& key) {
  from.number(key.id).number(key.created).number(key.expires).fixed(key.key).fixed(key.signature);
}

void pack_ranges(Packer& to, const std::vector<wire::SeqRange>& ranges) {
  to.number(static_cast<std::uint32_t>(ranges.size()));
  for (const wire::SeqRange& range : ranges) to.number(range.first).number(range.last);
}

void unpack_ranges(Unpacker& from, std::vector<wire::SeqRange>& ranges) {
  ranges.resize(from.count(16));
  for (wire::SeqRange& range : ranges) from.number(range.first).number(range.last);
}

template <class Enum>
std::uint8_t byte_of(Enum value) {
  return static_cast<std::uint8_t>(value);
}

}  // namespace

void AccountRecord::pack(Packer& to) const {
  to.fixed(user).fixed(device).text(relay).text(name);
  to.flag(registered).flag(recovering).flag(requests);
  pack_list(to, list);
  to.fixed(store_id).number(store_generation).text(wanted_name);
}

void AccountRecord::unpack(Unpacker& from) {
  from.fixed(user).fixed(device).text(relay).text(name);
  from.flag(registered).flag(recovering).flag(requests);
  unpack_list(from, list);
  from.fixed(store_id).number(store_generation);
  if (from.more()) from.text(wanted_name);
}

void SecretsRecord::pack(Packer& to) const {
  to.flag(has_root).fixed(root).fixed(list).fixed(identity).fixed(transport).fixed(idempotency);
}

void SecretsRecord::unpack(Unpacker& from) {
  from.flag(has_root).fixed(root).fixed(list).fixed(identity).fixed(transport).fixed(idempotency);
}

SecretsRecord::~SecretsRecord() {
  for (wire::SecretKey* key : {&root, &list, &identity, &transport, &idempotency}) {
    wire::wipe(key->bytes);
  }
}

void CountersRecord::pack(Packer& to) const {
  to.number(hlc).number(outbox).number(activity).number(arrival).number(notices);
}

void CountersRecord::unpack(Unpacker& from) {
  from.number(hlc).number(outbox).number(activity).number(arrival);
  if (from.more()) from.number(notices);
}

void UpkeepRecord::pack(Packer& to) const {
  pack_key(to, signed_prekey);
  pack_key(to, seal_key);
  to.flag(put).number(one_time_last).number(one_time_put).number(session_key_at);
}

void UpkeepRecord::unpack(Unpacker& from) {
  unpack_key(from, signed_prekey);
  unpack_key(from, seal_key);
  from.flag(put).number(one_time_last).number(one_time_put).number(session_key_at);
}

void PrekeyRecord::pack(Packer& to) const {
  to.fixed(secret).fixed(key).number(created).number(replaced);
}

void PrekeyRecord::unpack(Unpacker& from) {
  from.fixed(secret).fixed(key).number(created).number(replaced);
}

PrekeyRecord::~PrekeyRecord() {
  wire::wipe(secret.bytes);
}

void ContactRecord::pack(Packer& to) const {
  to.fixed(user).text(name).text(claimed_name).flag(accepted).flag(blocked).flag(frozen);
  to.number(kSuite);
  pack_list(to, list);
  to.number(static_cast<std::uint32_t>(other_names.size()));
  for (const auto& other : other_names) to.text(other);
}

void ContactRecord::unpack(Unpacker& from) {
  from.fixed(user).text(name).text(claimed_name).flag(accepted).flag(blocked).flag(frozen);
  std::uint8_t suite = 0;
  from.number(suite);
  unpack_list(from, list);
  if (!from.more()) return;
  other_names.resize(from.count(4));
  for (auto& other : other_names) from.text(other);
}

void DeviceRecord::pack(Packer& to) const {
  to.fixed(device).fixed(user).fixed(identity).fixed(dh);
  to.number(seal_id).fixed(seal_key).number(seal_expires).number(sent_seq).fixed(sent_h);
  to.number(their_delivered);
  pack_ranges(to, their_ranges);
  to.number(their_read).flag(knows_name);
  to.number(seq).fixed(h);
  pack_ranges(to, ranges);
  to.number(text_top).number(read_to).number(receipted).flag(receipt_owed).number(receipted_at);
  to.number(gap_since).number(asked_at).number(asked).number(was_asked_at).number(reset_at);
  to.number(static_cast<std::uint32_t>(undecryptable.size()));
  for (const auto& hash : undecryptable) to.fixed(hash);
  to.flag(name_to_check).number(beyond).flag(begins_anew);
  to.number(gen).number(asked_to).number(name_sent).number(heard).flag(ask_dropped);
}

void DeviceRecord::unpack(Unpacker& from) {
  from.fixed(device).fixed(user).fixed(identity).fixed(dh);
  from.number(seal_id).fixed(seal_key).number(seal_expires).number(sent_seq).fixed(sent_h);
  from.number(their_delivered);
  unpack_ranges(from, their_ranges);
  from.number(their_read).flag(knows_name);
  from.number(seq).fixed(h);
  unpack_ranges(from, ranges);
  from.number(text_top).number(read_to).number(receipted).flag(receipt_owed).number(receipted_at);
  from.number(gap_since).number(asked_at).number(asked).number(was_asked_at).number(reset_at);
  undecryptable.resize(from.count(wire::EnvelopeHash::kSize));
  for (auto& hash : undecryptable) from.fixed(hash);
  from.flag(name_to_check);
  if (from.more()) from.number(beyond).flag(begins_anew);
  if (from.more()) from.number(gen);
  if (from.more()) from.number(asked_to);
  if (from.more()) from.number(name_sent);
  if (from.more()) from.number(heard);
  if (from.more()) from.flag(ask_dropped);
}

void SessionsRecord::pack(Packer& to) const {
  to.room(packed.size() + kBesideSessionsMax);
  to.bytes(packed).number(sent_seq).fixed(sent_h).number(seq).fixed(h);
  pack_ranges(to, ranges);
  to.number(beyond).flag(begins_anew);
}

void SessionsRecord::unpack(Unpacker& from) {
  from.bytes(packed);
  if (from.more()) from.number(sent_seq).fixed(sent_h);
  if (!from.more()) return;
  from.number(seq).fixed(h);
  unpack_ranges(from, ranges);
  from.number(beyond).flag(begins_anew);
}

SessionsRecord::~SessionsRecord() {
  wire::wipe(packed);
}

void ConversationRecord::pack(Packer& to) const {
  to.fixed(id).flag(resolved).fixed(user).text(name).number(unread).flag(request);
  to.number(activity).number(read_arrival).number(read_hlc).number(last_hlc).text(last_text);
  to.flag(last_outgoing).number(last_time);
}

void ConversationRecord::unpack(Unpacker& from) {
  from.fixed(id).flag(resolved).fixed(user).text(name).number(unread).flag(request);
  from.number(activity).number(read_arrival).number(read_hlc).number(last_hlc).text(last_text);
  from.flag(last_outgoing).number(last_time);
}

void MessagePlace::pack(Packer& to) const {
  to.fixed(conversation).fixed(key).fixed(sender);
}

void MessagePlace::unpack(Unpacker& from) {
  from.fixed(conversation).fixed(key).fixed(sender);
}

void MessageRecord::pack(Packer& to) const {
  to.fixed(id).flag(outgoing).fixed(sender).fixed(device).number(hlc).number(arrival);
  to.text(text).text(key).number(byte_of(status)).flag(late).number(outbox).number(attempts);
  to.number(refusal).text(failure).number(created).number(sealed).number(refused);
  to.number(accepted).number(delivered).number(read);
  if (!key.empty()) to.text(recipient);
  if (!outgoing) to.number(seq);
  if (status == Status::failed) to.number(failed);
}

void MessageRecord::unpack(Unpacker& from) {
  from.fixed(id).flag(outgoing).fixed(sender).fixed(device).number(hlc).number(arrival);
  from.text(text).text(key).choice(status).flag(late).number(outbox).number(attempts);
  from.number(refusal).text(failure).number(created).number(sealed).number(refused);
  from.number(accepted).number(delivered).number(read);
  if (!key.empty() && from.more()) from.text(recipient);
  if (!outgoing && from.more()) from.number(seq);
  if (status == Status::failed && from.more()) from.number(failed);
}

void OutboxRecord::pack(Packer& to) const {
  to.number(number).number(byte_of(kind)).number(byte_of(state)).flag(resolved).fixed(user);
  message.pack(to);
  to.bytes(payload).fixed(request).number(static_cast<std::uint32_t>(targets.size()));
  for (const Target& target : targets) {
    to.fixed(target.device).number(target.seq).flag(target.accepted).flag(target.delivered);
    to.fixed(target.hash).bytes(target.body);
  }
  to.number(expires);
}

void OutboxRecord::unpack(Unpacker& from) {
  from.number(number).choice(kind).choice(state).flag(resolved).fixed(user);
  message.unpack(from);
  from.bytes(payload).fixed(request);
  targets.resize(from.count(16 + 8 + 2 + 16 + 4));
  for (Target& target : targets) {
    from.fixed(target.device).number(target.seq).flag(target.accepted).flag(target.delivered);
    from.fixed(target.hash).bytes(target.body);
  }
  from.number(expires);
}

void SentRecord::pack(Packer& to) const {
  to.fixed(h).bytes(payload).flag(text);
  message.pack(to);
  to.number(outbox).number(resends).number(resent_at);
}

void SentRecord::unpack(Unpacker& from) {
  from.fixed(h).bytes(payload).flag(text);
  message.unpack(from);
  from.number(outbox).number(resends).number(resent_at);
}

void EarlyRecord::pack(Packer& to) const {
  to.fixed(h).flag(tombstone).bytes(payload);
}

void EarlyRecord::unpack(Unpacker& from) {
  from.fixed(h).flag(tombstone).bytes(payload);
}

void NoticeRecord::pack(Packer& to) const {
  to.number(time).fixed(conversation).fixed(message).fixed(user);
  to.number(byte_of(status)).text(detail);
}

void NoticeRecord::unpack(Unpacker& from) {
  from.number(time).fixed(conversation).fixed(message).fixed(user);
  from.choice(status).text(detail);
}

void SeenRecord::pack(Packer& to) const {
  to.fixed(device);
}
void SeenRecord::unpack(Unpacker& from) {
  from.fixed(device);
}

}  // namespace godwit::core
