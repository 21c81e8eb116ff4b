// Happy path: one read transaction goes over bodies, log, counts and the small tables, each in
// key order, and lists what is wrong; a sound store is not written to.
// Failure: damaged records move to the quarantine, and the generation rises in the first
// transaction that moves one, so that no loss goes unannounced. A damaged count loses nothing:
// the log is the truth, and the count is written anew.
#include <algorithm>
#include <unordered_map>

#include "relay/store/applier.hpp"
#include "relay/store/slices.hpp"
#include "relay/store/state.hpp"

namespace godwit::relay::store {
namespace {

using wire::ByteView;

constexpr std::array kSmallTables{TableId::users, TableId::device_keys, TableId::one_time_keys,
                                  TableId::names};

struct Repair {
  enum class Kind : std::uint8_t { quarantine, erase, count };
  Kind kind{};
  TableId table{};
  wire::Bytes key;
  std::uint64_t value = 0;  // quarantine: raw bytes; count: what is right
};

class Recovery {
 public:
  explicit Recovery(Store::State& state) : state_(state), env_(*state.env) {}

  [[nodiscard]] Result<void> read(const std::function<void(const Recovered&)>& on_envelope);
  [[nodiscard]] tl::expected<void, Failure> repair();

 private:
  struct Body {
    std::size_t size = 0;
    std::uint64_t needed = 0;  // log records that name it
    bool counted_right = false;
  };
  [[nodiscard]] Result<void> read_bodies(const ReadTxn& txn);
  [[nodiscard]] Result<void> read_log(const ReadTxn& txn,
                                      const std::function<void(const Recovered&)>& on_envelope);
  [[nodiscard]] Result<void> read_counts(const ReadTxn& txn);
  [[nodiscard]] Result<void> read_small(const ReadTxn& txn, TableId table);
  void list_counts();
  void quarantine(TableId table, ByteView key, ByteView raw);
  [[nodiscard]] Result<bool> commit(std::span<const Repair> repairs);
  [[nodiscard]] Result<void> write(std::span<const Repair> repairs);
  [[nodiscard]] Result<void> apply(WriteTxn& txn, const ReadTxn& before, const Repair& repair);

  Store::State& state_;
  const Env& env_;
  std::unordered_map<std::uint64_t, Body> bodies_;
  std::vector<Repair> repairs_;  // those that lose something come first
  bool announced_ = false;
};

Result<void> Recovery::read(const std::function<void(const Recovered&)>& on_envelope) {
  auto txn = ReadTxn::begin(env_.raw());
  if (!txn) return tl::unexpected(txn.error());
  if (auto done = read_bodies(*txn); !done) return done;
  if (auto done = read_log(*txn, on_envelope); !done) return done;
  for (const TableId table : kSmallTables) {
    if (auto done = read_small(*txn, table); !done) return done;
  }
  if (auto done = read_counts(*txn); !done) return done;
  list_counts();
  return {};
}

Result<void> Recovery::read_bodies(const ReadTxn& txn) {
  return env_.table(TableId::bodies).scan(txn, {}, [&](ByteView key, ByteView raw) {
    if (const auto payload = payload_of(TableId::bodies, key, raw)) {
      bodies_.emplace(u64_of(key), Body{payload->size()});
    } else {
      quarantine(TableId::bodies, key, raw);
    }
    return true;
  });
}

Result<void> Recovery::read_log(const ReadTxn& txn,
                                const std::function<void(const Recovered&)>& on_envelope) {
  return env_.table(TableId::log).scan(txn, {}, [&](ByteView key, ByteView raw) {
    const std::uint64_t position = u64_of(key);
    const auto record = parse_log(position, raw);
    if (!record) {
      quarantine(TableId::log, key, raw);
      return true;
    }
    if (record->shared_id != 0) {
      const auto body = bodies_.find(record->shared_id);
      if (body == bodies_.end() || body->second.size != record->size) {
        quarantine(TableId::log, key, raw);
        return true;
      }
      ++body->second.needed;
    }
    on_envelope({position, record->slot, record->device, record->request, record->size,
                 record->expires});
    return true;
  });
}

// A record that is lost here is put back by its owner: the SDK registers again where it is not
// known, and puts its keys and claims its name again, since the generation has risen.
Result<void> Recovery::read_small(const ReadTxn& txn, TableId table) {
  return env_.table(table).scan(txn, {}, [&](ByteView key, ByteView raw) {
    if (!payload_of(table, key, raw)) quarantine(table, key, raw);
    return true;
  });
}

Result<void> Recovery::read_counts(const ReadTxn& txn) {
  return env_.table(TableId::body_refs).scan(txn, {}, [&](ByteView key, ByteView raw) {
    const auto count = parse_count(u64_of(key), raw);
    if (!count) state_.damage.note(TableId::body_refs, key);
    const auto body = bodies_.find(u64_of(key));
    if (body == bodies_.end() || body->second.needed == 0) {
      repairs_.push_back({Repair::Kind::erase, TableId::body_refs, {key.begin(), key.end()}});
    } else {
      body->second.counted_right = count == body->second.needed;
    }
    return true;
  });
}

void Recovery::list_counts() {
  for (const auto& [id, body] : bodies_) {
    const U64Key key(id);
    const wire::Bytes bytes(key.view().begin(), key.view().end());
    if (body.needed == 0) {
      repairs_.push_back({Repair::Kind::erase, TableId::bodies, bytes});
    } else if (!body.counted_right) {
      repairs_.push_back({Repair::Kind::count, TableId::body_refs, bytes, body.needed});
    }
  }
}

void Recovery::quarantine(TableId table, ByteView key, ByteView raw) {
  state_.damage.note(table, key);
  repairs_.push_back({Repair::Kind::quarantine, table, {key.begin(), key.end()}, raw.size()});
}

tl::expected<void, Failure> Recovery::repair() {
  const auto repaired = in_slices(
      std::span<const Repair>(repairs_), kRepairsPerCommitMax,
      [&](std::span<const Repair> slice) { return commit(slice); }, [] { return false; });
  if (!repaired) return tl::unexpected(to_failure(repaired.error()));
  if (*repaired) return {};
  return tl::unexpected(
      Failure{StoreError::no_space, "no room to repair the store; free disk space"});
}

// False: it does not fit.
Result<bool> Recovery::commit(std::span<const Repair> repairs) {
  constexpr std::uint64_t kRepairPages = 8;
  Cost cost = state_.space.base_cost();
  for (const Repair& repair : repairs) {
    cost.singles += kRepairPages;
    if (repair.kind != Repair::Kind::quarantine) continue;
    cost += state_.space.value_cost(repair.key.size() + 1, repair.value);
  }
  const auto fits = state_.space.admits_from_reserve(cost, repairs.size());
  if (!fits || !*fits) return fits;
  const auto written = write(repairs);
  if (!written && !written.error().map_full()) return tl::unexpected(written.error());
  return written.has_value();
}

Result<void> Recovery::write(std::span<const Repair> repairs) {
  const auto before = ReadTxn::begin(env_.raw());
  if (!before) return tl::unexpected(before.error());
  auto txn = WriteTxn::begin(env_.raw());
  if (!txn) return tl::unexpected(txn.error());
  const bool loses = std::ranges::any_of(
      repairs, [](const Repair& repair) { return repair.kind == Repair::Kind::quarantine; });
  MetaRecord meta = state_.meta;
  if (loses && !announced_) ++meta.identity.generation;
  for (const Repair& repair : repairs) {
    if (auto done = apply(*txn, *before, repair); !done) return done;
  }
  wire::Bytes record;
  encode_meta(meta, record);
  const auto put = env_.table(TableId::meta).put(*txn, wire::as_bytes(kMetaKey), record);
  if (!put) return put;
  if (auto done = std::move(*txn).commit(); !done) return done;
  announced_ = announced_ || loses;
  return state_.adopt(meta);
}

Result<void> Recovery::apply(WriteTxn& txn, const ReadTxn& before, const Repair& repair) {
  const RawTable& table = env_.table(repair.table);
  switch (repair.kind) {
    case Repair::Kind::erase:
      return table.erase_damaged(txn, before, repair.key);  // a count may be
    case Repair::Kind::count: {
      wire::Bytes record;
      if (auto done = table.erase_damaged(txn, before, repair.key); !done) return done;
      encode_count(u64_of(repair.key), repair.value, record);
      return table.put(txn, repair.key, record);
    }
    case Repair::Kind::quarantine:
      break;
  }
  const auto raw = table.get(before, repair.key);
  if (!raw) return tl::unexpected(raw.error());
  if (!*raw) return {};
  const auto kept = keep_in_quarantine(env_, txn, repair.table, repair.key, **raw);
  return kept ? table.erase_damaged(txn, before, repair.key) : kept;
}

}  // namespace

tl::expected<void, Failure> Store::recover(
    const std::function<void(const Recovered&)>& on_envelope) {
  Recovery recovery(*state_);
  if (auto read = recovery.read(on_envelope); !read) {
    return tl::unexpected(to_failure(read.error()));
  }
  return recovery.repair();
}

}  // namespace godwit::relay::store
