// Happy path: open the environment, make sure that the reserve is on the disk, then in one
// transaction: open the tables, read who the store is, count this boot.
// Failure: a store of a newer version is left as it was found. A damaged meta record makes it a
// new store with the old mail: clients send again what they do not know to be delivered.
#include "relay/store/store.hpp"

#include <algorithm>

#include "relay/store/applier.hpp"
#include "relay/store/state.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::relay::store {
namespace {

using Checked = tl::expected<void, Failure>;

Checked checked_failure(const Result<void>& result) {
  if (result) return {};
  return tl::unexpected(to_failure(result.error()));
}

// A fresh store needs its whole reserve; one that is full already opens, so that it can be drained.
Checked make_room(Store::State& state, const Options& options) {
  const Cost cost = state.space.base_cost();
  const bool fresh = state.env->end_page() <= 2;
  const auto small = state.space.admits_from_reserve(cost, 1);
  if (!small) return tl::unexpected(to_failure(small.error()));
  const auto whole = state.space.admits_appends(cost);
  if (!whole) return tl::unexpected(to_failure(whole.error()));
  if (!*small || (fresh && !*whole)) {
    return tl::unexpected(Failure{StoreError::no_space,
                                  "no room for the reserve of " + std::to_string(options.reserve) +
                                      " bytes in " + options.directory.string() +
                                      "; free disk space or lower store.reserve"});
  }
  return {};
}

MetaRecord new_meta() {
  MetaRecord meta;
  meta.version = kDataVersion;
  wire::init_crypto();
  wire::random_bytes(meta.identity.id.bytes);
  meta.identity.generation = 1;
  return meta;
}

tl::expected<MetaRecord, Failure> load_meta(Store::State& state, WriteTxn& txn) {
  const wire::ByteView key = wire::as_bytes(kMetaKey);
  const auto raw = state.env->table(TableId::meta).get(txn, key);
  if (!raw) return tl::unexpected(to_failure(raw.error()));
  if (!*raw) return new_meta();
  if (auto meta = parse_meta(**raw)) {
    if (meta->version <= kDataVersion) return *meta;
    return tl::unexpected(Failure{StoreError::newer_version,
                                  "the store has data version " + std::to_string(meta->version) +
                                      ", this program knows " + std::to_string(kDataVersion) +
                                      ": start the version that wrote it, or a later one"});
  }
  state.damage.note(TableId::meta, key);
  auto moved = keep_in_quarantine(*state.env, txn, TableId::meta, key, **raw);
  // It is the one record of its table: there are no neighbours that a wrong size could have moved.
  if (moved) moved = state.env->table(TableId::meta).erase(txn, key);
  if (!moved) return tl::unexpected(to_failure(moved.error()));
  return new_meta();
}

Checked begin_boot(Store::State& state) {
  auto txn = WriteTxn::begin(state.env->raw());
  if (!txn) return tl::unexpected(to_failure(txn.error()));
  if (auto opened = state.env->open_tables(*txn); !opened) return opened;
  auto meta = load_meta(state, *txn);
  if (!meta) return tl::unexpected(meta.error());
  const auto last = state.env->table(TableId::log).last_u64(*txn);
  if (!last) return tl::unexpected(to_failure(last.error()));
  const auto body = state.env->table(TableId::bodies).last_u64(*txn);
  if (!body) return tl::unexpected(to_failure(body.error()));

  // Where the meta record was damaged, both go on above what the old mail has.
  meta->identity.boot = std::max(meta->identity.boot, boot_of(body->value_or(0))) + 1;
  meta->next_position = std::max(meta->next_position, last->value_or(0) + 1);
  wire::Bytes record;
  encode_meta(*meta, record);
  const RawTable& table = state.env->table(TableId::meta);
  if (auto put = table.put(*txn, wire::as_bytes(kMetaKey), record); !put) {
    return checked_failure(put);
  }
  if (auto committed = std::move(*txn).commit(); !committed) return checked_failure(committed);
  state.opened_as = meta->identity;
  return checked_failure(state.adopt(*meta));
}

}  // namespace

Store::Store(std::unique_ptr<State> state) : state_(std::move(state)) {}
Store::~Store() = default;

tl::expected<std::unique_ptr<Store>, Failure> Store::open(const Options& options) {
  auto env = Env::open(options);
  if (!env) return tl::unexpected(env.error());
  auto state = std::make_unique<State>(std::move(*env), options);
  if (auto room = make_room(*state, options); !room) return tl::unexpected(room.error());
  if (auto begun = begin_boot(*state); !begun) return tl::unexpected(begun.error());
  const auto room = state->space.has_room_again();
  if (!room) return tl::unexpected(to_failure(room.error()));
  state->set_full(!*room);
  return std::unique_ptr<Store>(new Store(std::move(state)));
}

Identity Store::identity() const {
  Identity now = state_->opened_as;
  now.generation = state_->generation;
  return now;
}

Figures Store::figures() const {
  Figures out;
  out.file_bytes = state_->file_bytes;
  out.used_bytes = state_->used_bytes;
  out.reclaimable_bytes = state_->reclaimable_bytes;
  out.commits = state_->commits;
  out.stored = state_->stored;
  out.quarantined = state_->damage.count();
  out.full = state_->full;
  out.at_size_max = state_->at_size_max;
  return out;
}

bool Store::full() const {
  return state_->full;
}

std::uint64_t Store::count(Table table) const {
  auto txn = ReadTxn::begin(state_->env->raw());
  if (!txn) return 0;
  const auto stat = state_->env->table(table_id(table)).stat(*txn);
  return stat ? stat->ms_entries : 0;
}

// A scan that fails ends early: a figure is wrong then, and no more.
void Store::each(Table table, const std::function<void(wire::ByteView value)>& visit) const {
  auto txn = ReadTxn::begin(state_->env->raw());
  if (!txn) return;
  const RawTable& records = state_->env->table(table_id(table));
  (void)records.scan(*txn, {}, [&](wire::ByteView key, wire::ByteView raw) {
    if (const auto value = payload_of(records.id(), key, raw)) visit(*value);
    return true;
  });
}

}  // namespace godwit::relay::store
