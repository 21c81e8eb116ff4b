// Happy path: renew the kept transaction, look, give it back.
// Failure: what LMDB cannot read is `damaged`, and everything is once a failed commit has made LMDB
// refuse: the process is then about to end, and to say "not there" would be a lie.
#include <algorithm>
#include <cassert>

#include "relay/store/state.hpp"

namespace godwit::relay::store {

using wire::ByteView;

struct Reader::State {
  Store::State& store;
  ReaderSlot slot;
  bool reading = false;  // a callback must not read through the Reader that calls it

  [[nodiscard]] Found payload(const ReadTxn& txn, TableId table, ByteView key, ByteView& out);
  [[nodiscard]] Found envelope(const ReadTxn& txn, std::uint64_t position, Envelope& out);
  [[nodiscard]] Found log_record(const ReadTxn& txn, std::uint64_t position, LogRecord& out);
};

namespace {

// Marks the Reader as busy; at its end the views are dead and the next call may come.
class Busy {
 public:
  explicit Busy(bool& flag) : flag_(flag) {
    assert(!flag_);
    flag_ = true;
  }
  ~Busy() { flag_ = false; }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  bool& flag_;
};

}  // namespace

Reader::Found Reader::State::payload(const ReadTxn& txn, TableId table, ByteView key,
                                     ByteView& out) {
  const auto raw = store.env->table(table).get(txn, key);
  if (raw && !*raw) return Found::no;
  if (raw) {
    if (const auto payload = payload_of(table, key, **raw)) {
      out = *payload;
      return Found::yes;
    }
  }
  store.damage.note(table, key);
  return Found::damaged;
}

Reader::Found Reader::State::log_record(const ReadTxn& txn, std::uint64_t position,
                                        LogRecord& out) {
  const U64Key key(position);
  const auto raw = store.env->table(TableId::log).get(txn, key.view());
  if (raw && !*raw) return Found::no;
  if (raw) {
    if (const auto record = parse_log(position, **raw)) {
      out = *record;
      return Found::yes;
    }
  }
  store.damage.note(TableId::log, key.view());
  return Found::damaged;
}

Reader::Found Reader::State::envelope(const ReadTxn& txn, std::uint64_t position, Envelope& out) {
  LogRecord record;
  if (const Found found = log_record(txn, position, record); found != Found::yes) return found;
  out.request = record.request;
  if (record.shared_id == 0) {
    out.bytes = record.bytes;
    return Found::yes;
  }
  const U64Key key(record.shared_id);
  const Found found = payload(txn, TableId::bodies, key.view(), out.bytes);
  if (found == Found::yes && out.bytes.size() == record.size) return Found::yes;
  // An envelope without its body cannot be delivered: the record that names it goes as damaged.
  return Found::damaged;
}

Reader::Reader(std::unique_ptr<State> state) : state_(std::move(state)) {}
Reader::~Reader() = default;

tl::expected<std::unique_ptr<Reader>, Failure> Reader::open(const Store& store) {
  auto slot = ReaderSlot::open(store.state_->env->raw());
  if (!slot) return tl::unexpected(to_failure(slot.error()));
  return std::unique_ptr<Reader>(
      new Reader(std::unique_ptr<State>(new State{*store.state_, std::move(*slot)})));
}

Reader::Found Reader::get(Table table, ByteView key, wire::Bytes& value) {
  const Busy busy(state_->reading);
  value.clear();
  auto txn = state_->slot.begin();
  if (!txn) return Found::damaged;
  ByteView payload;
  const Found found = state_->payload(*txn, table_id(table), key, payload);
  if (found == Found::yes) value.assign(payload.begin(), payload.end());
  return found;
}

void Reader::envelopes(
    std::span<const std::uint64_t> positions,
    const std::function<void(std::size_t index, Found, const Envelope&)>& on_one) {
  const Busy busy(state_->reading);
  auto txn = state_->slot.begin();
  for (std::size_t index = 0; index < positions.size(); ++index) {
    Envelope one;
    const Found found = txn ? state_->envelope(*txn, positions[index], one) : Found::damaged;
    on_one(index, found, found == Found::yes ? one : Envelope{});
  }
}

std::optional<RequestTag> Reader::request_at(std::uint64_t position) {
  const Busy busy(state_->reading);
  auto txn = state_->slot.begin();
  if (!txn) return std::nullopt;
  LogRecord record;
  if (state_->log_record(*txn, position, record) != Found::yes) return std::nullopt;
  return record.request;
}

}  // namespace godwit::relay::store
