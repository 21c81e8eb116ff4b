// core/round: what all parts of the core work with: typed records over a transaction, the time,
// randomness, and the outputs that wait for the commit.
//
// A failure of the database is remembered, not handed around: reads answer "nothing" after it, and
// the commit refuses. So the parts read like what they do, and nothing half-done is ever kept.
// Owns:    the open transaction; events and frames of this round.
// Thread:  one at a time.
#pragma once

#include <map>

#include "client-sdk/src/core/core.hpp"
#include "client-sdk/src/core/limits.hpp"
#include "client-sdk/src/core/records.hpp"

namespace godwit::core {

// Big-endian, so that records lie in the order of the number.
[[nodiscard]] std::array<std::uint8_t, 8> order_bytes(std::uint64_t number);
[[nodiscard]] std::uint64_t order_number(wire::ByteView bytes);  // of its first 8 bytes

[[nodiscard]] Error error_of(store::StoreError error);  // in the words of the public API

// Typed reads. Over a snapshot (any thread) or over a round (its own writes included).
class View {
 public:
  explicit View(const store::ReadTxn& txn) : txn_(&txn) {}
  virtual ~View() = default;
  View(const View&) = delete;
  View& operator=(const View&) = delete;

  // Nothing when there is none, or it is damaged, or the database failed (see failed()).
  template <class Record>
  [[nodiscard]] std::optional<Record> load(wire::ByteView name, wire::ByteView suffix = {}) const {
    return load_from<Record>(Record::kTable, name, suffix);
  }
  [[nodiscard]] bool contains(Table table, wire::ByteView name, wire::ByteView suffix = {}) const;
  void scan(Table table, wire::ByteView name, wire::ByteView from, store::ReadTxn::Order order,
            const store::ReadTxn::Visit& visit, std::size_t skip = 0) const;
  // Every record of the table that is whole.
  template <class Record>
  void each(const std::function<void(Record&)>& visit) const {
    each_bytes(Record::kTable, [&](wire::ByteView bytes) {
      if (auto record = parse<Record>(bytes)) visit(*record);
    });
  }
  template <class Record>
  [[nodiscard]] static std::optional<Record> parse(wire::ByteView bytes) {
    Record record;
    Unpacker from(bytes);
    record.unpack(from);
    if (!from.done()) return std::nullopt;
    return record;
  }

  [[nodiscard]] const std::optional<store::StoreError>& failed() const { return failed_; }
  // A record that was asked for does not authenticate, or is of no form that we write.
  [[nodiscard]] bool found_damage() const { return !damaged_.empty(); }

 protected:
  View() = default;
  [[nodiscard]] std::optional<wire::Bytes> get(Table table, wire::ByteView name,
                                               wire::ByteView suffix) const;
  void each_bytes(Table table, const std::function<void(wire::ByteView)>& visit) const;
  [[nodiscard]] virtual const store::ReadTxn* txn() const { return txn_; }
  static void wipe(wire::Bytes& bytes);

  mutable std::optional<store::StoreError> failed_;
  mutable std::vector<Table> damaged_;

 private:
  template <class Record>
  [[nodiscard]] std::optional<Record> load_from(Table table, wire::ByteView name,
                                                wire::ByteView suffix) const {
    auto bytes = get(table, name, suffix);
    if (!bytes) return std::nullopt;
    auto record = parse<Record>(*bytes);
    if (!record) damaged_.push_back(table);
    wipe(*bytes);  // it may have been a secret
    return record;
  }
  const store::ReadTxn* txn_ = nullptr;
};

class Round final : public View {
 public:
  Round(store::Database& database, crypto::Random random_source);

  Now now;
  crypto::Random random;
  CountersRecord counters;

  [[nodiscard]] Milliseconds wall() const { return static_cast<Milliseconds>(now.wall.count()); }

  template <class Record>
  void save(wire::ByteView name, wire::ByteView suffix, const Record& record) {
    packed_.clear();
    Packer to(packed_);
    record.pack(to);
    put(Record::kTable, name, suffix, packed_);
    wipe(packed_);  // it may have been a secret
  }
  template <class Record>
  void save(wire::ByteView name, const Record& record) {
    save(name, {}, record);
  }
  void put(Table table, wire::ByteView name, wire::ByteView suffix, wire::ByteView value);
  void erase(Table table, wire::ByteView name, wire::ByteView suffix = {});

  // Marks the counters as used, so that the commit writes them.
  CountersRecord& count() {
    counters_used_ = true;
    return counters;
  }

  // A sentence may tell more: `detail`.
  Event& tell(EventKind kind, const wire::UserId& user = {}, std::string detail = {});
  void send(wire::Bytes frame) { frames_.push_back(std::move(frame)); }

  [[nodiscard]] bool dirty() const {
    return write_.has_value() || !events_.empty() || !frames_.empty() || failed_.has_value();
  }
  // Then the outputs can be taken.
  [[nodiscard]] tl::expected<void, store::StoreError> commit();
  [[nodiscard]] std::vector<wire::Bytes> take_frames() { return std::exchange(ready_frames_, {}); }
  [[nodiscard]] std::vector<Event> take_events() { return std::exchange(ready_events_, {}); }

 protected:
  [[nodiscard]] const store::ReadTxn* txn() const override;

 private:
  [[nodiscard]] store::WriteTxn* writing();
  void keep(Event& event);
  void put_notice(const Event& event, std::size_t most);

  store::Database& database_;
  std::optional<store::WriteTxn> write_;
  bool counters_used_ = false;
  wire::Bytes packed_;
  std::vector<Event> events_, ready_events_;
  std::vector<wire::Bytes> frames_, ready_frames_;
};

// Whether a wait that began at `since`, a time of the wall clock, is over. A time further ahead
// than the wait is long was kept before somebody set the clock back: nobody sits that out.
[[nodiscard]] inline bool is_over(Milliseconds since, milliseconds wait, Milliseconds wall) {
  const auto length = static_cast<Milliseconds>(wait.count());
  return wall >= since + length || since > wall + length;
}

// ---- The few names that records have
[[nodiscard]] inline wire::ByteView name_bytes(std::string_view name) {
  return wire::as_bytes(name);
}
// What nothing tells but its event, such as a new device: it is kept until the app has taken it for
// sure. Of each kind the newest kNoticesMax, so that whoever can cause many of one hides no other;
// where older ones leave, one events_lost is kept. It stands first: before the event of its number.
inline constexpr std::size_t kNoticesMax = 64;
inline constexpr std::array kKeptEvents{
    EventKind::events_lost,  EventKind::expired,        EventKind::devices_changed,
    EventKind::list_refused, EventKind::equivocation,   EventKind::prekey_refused,
    EventKind::name_moved,   EventKind::gap,            EventKind::gap_closed,
    EventKind::chain_broken, EventKind::stale_prekey,   EventKind::undecryptable,
    EventKind::late_clock};

inline constexpr std::string_view kAccountName = "account";
inline constexpr std::string_view kSecretsName = "secrets";
inline constexpr std::string_view kCountersName = "counters";
inline constexpr std::string_view kUpkeepName = "upkeep";

template <class To, class From>
[[nodiscard]] To as_id(const From& from) {  // between public ids and those of the wire
  To to;
  static_assert(sizeof to.bytes == sizeof from.bytes);
  to.bytes = from.bytes;
  return to;
}

}  // namespace godwit::core
