#include "relay/store/applier.hpp"

#include <cassert>

namespace godwit::relay::store {

using wire::ByteView;

Result<void> keep_in_quarantine(const Env& env, WriteTxn& txn, TableId table, ByteView key,
                                ByteView raw) {
  const RawTable& quarantine = env.table(TableId::quarantine);
  const auto stat = quarantine.stat(txn);
  if (!stat) return tl::unexpected(stat.error());
  if (stat->ms_entries >= kQuarantineMax) return {};
  // Copied first: a write may move what `raw` looks at.
  const wire::Bytes bytes(raw.begin(), raw.end());
  return quarantine.put(txn, quarantine_key(table, key), bytes);
}

Result<void> Applier::put(const Put& put) {
  const RawTable& table = env_.table(table_id(put.table));
  const wire::Bytes place = quarantine_key(table.id(), put.key);
  if (put_.emplace(place.begin(), place.end()).second) {
    const auto old = table.get(before_, put.key);
    if (!old) return tl::unexpected(old.error());
    if (*old && !payload_of(table.id(), put.key, **old)) {  // it has rotted since the start
      damage_.note(table.id(), put.key);
      if (auto done = table.erase_damaged(txn_, before_, put.key); !done) return done;
    }
  }
  if (!put.value) return table.erase(txn_, put.key);
  encode_value(table.id(), put.key, *put.value, record_);
  return table.put(txn_, put.key, record_);
}

Result<void> Applier::append(Append& append) {
  assert(append.body != nullptr);
  append.position = meta_.next_position;
  encode_log(append.position, append, record_);
  const U64Key key(append.position);
  if (auto done = env_.table(TableId::log).append(txn_, key.view(), record_); !done) return done;
  ++meta_.next_position;
  ++appended_;

  const std::uint64_t body_id = append.body->shared_id;
  if (body_id == 0) return {};
  const auto count = count_of(body_id);
  if (!count) return tl::unexpected(count.error());
  const bool first = (*count)->known && (*count)->stored == 0 && (*count)->added == 0;
  ++(*count)->added;
  if (!first) return {};
  const U64Key body_key(body_id);
  encode_value(TableId::bodies, body_key.view(), append.body->bytes, record_);
  return env_.table(TableId::bodies).put(txn_, body_key.view(), record_);
}

Result<void> Applier::remove(std::span<const std::uint64_t> positions) {
  // The bodies are looked up after the scan: its cursor is the only one at work until it ends.
  std::unordered_map<std::uint64_t, std::uint64_t> released;
  const auto on_record = [&](std::uint64_t position, ByteView raw) {
    const auto record = parse_log(position, raw);
    // Damaged, hence its body unknown; recovery finds the body when nothing names it any more.
    if (!record) damage_.note(TableId::log, U64Key(position).view());
    if (record && record->shared_id != 0) ++released[record->shared_id];
    return record.has_value();
  };
  const auto done = env_.table(TableId::log).erase_each(txn_, before_, positions, on_record);
  if (!done) return done;
  for (const auto& [body_id, count] : released) {
    const auto known = count_of(body_id);
    if (!known) return tl::unexpected(known.error());
    (*known)->removed += count;
  }
  return {};
}

Result<void> Applier::quarantine(std::uint64_t position) {
  const U64Key key(position);
  const auto raw = env_.table(TableId::log).get(before_, key.view());
  if (!raw) return tl::unexpected(raw.error());
  if (!*raw) {  // a mailbox has it, so nothing but decay has taken it from the log
    damage_.note(TableId::log, key.view());
    lost_some_ = true;
    return {};
  }
  const auto record = parse_log(position, **raw);
  if (record) {
    const auto intact = is_intact(*record);
    if (!intact) return tl::unexpected(intact.error());
    if (*intact) return {};
  }
  damage_.note(TableId::log, key.view());
  lost_some_ = true;
  const std::uint64_t body_id = record ? record->shared_id : 0;
  if (auto kept = keep_in_quarantine(env_, txn_, TableId::log, key.view(), **raw); !kept) {
    return kept;
  }
  const auto erased = env_.table(TableId::log).erase_damaged(txn_, before_, key.view());
  if (!erased || body_id == 0) return erased;
  const auto count = count_of(body_id);
  if (!count) return tl::unexpected(count.error());
  ++(*count)->removed;
  return {};
}

Result<bool> Applier::is_intact(const LogRecord& record) {
  if (record.shared_id == 0) return true;
  const U64Key key(record.shared_id);
  const auto raw = env_.table(TableId::bodies).get(before_, key.view());
  if (!raw) return tl::unexpected(raw.error());
  if (!*raw) return false;
  const auto payload = payload_of(TableId::bodies, key.view(), **raw);
  return payload && payload->size() == record.size;
}

Result<Applier::Count*> Applier::count_of(std::uint64_t body_id) {
  if (auto found = counts_.find(body_id); found != counts_.end()) return &found->second;
  const U64Key key(body_id);
  const auto raw = env_.table(TableId::body_refs).get(before_, key.view());
  if (!raw) return tl::unexpected(raw.error());
  Count count;
  if (*raw) {
    const auto stored = parse_count(body_id, **raw);
    count.known = stored.has_value();
    count.stored = stored.value_or(0);
    if (!count.known) damage_.note(TableId::body_refs, key.view());
  }
  return &counts_.emplace(body_id, count).first->second;
}

Result<void> Applier::finish() {
  for (const auto& [body_id, count] : counts_) {
    if (auto done = write_count(body_id, count); !done) return done;
  }
  if (lost_some_) ++meta_.identity.generation;
  if (!lost_some_ && appended_ == 0) return {};
  return write_meta();
}

Result<void> Applier::write_meta() {
  encode_meta(meta_, record_);
  return env_.table(TableId::meta).put(txn_, wire::as_bytes(kMetaKey), record_);
}

Result<void> Applier::write_count(std::uint64_t body_id, const Count& count) {
  const std::uint64_t all = count.stored + count.added;
  // More removed than counted: the record was gone or wrong; recovery counts again.
  if (!count.known || count.removed > all) return {};
  const U64Key key(body_id);
  if (count.removed < all) {
    encode_count(body_id, all - count.removed, record_);
    return env_.table(TableId::body_refs).put(txn_, key.view(), record_);
  }
  if (auto done = erase_body(body_id); !done) return done;
  return env_.table(TableId::body_refs).erase(txn_, key.view());
}

// A long body has pages of its own, unless its size is wrong: it is deleted without reading them.
Result<void> Applier::erase_body(std::uint64_t body_id) {
  const RawTable& bodies = env_.table(TableId::bodies);
  const U64Key key(body_id);
  const auto raw = bodies.get(before_, key.view());
  if (!raw) return tl::unexpected(raw.error());
  if (!*raw) return bodies.erase(txn_, key.view());
  const bool is_short = (*raw)->size() <= env_.page_size() / 2;
  const bool is_intact = is_short && payload_of(TableId::bodies, key.view(), **raw);
  return is_intact ? bodies.erase(txn_, key.view())
                   : bodies.erase_damaged(txn_, before_, key.view());
}

}  // namespace godwit::relay::store
