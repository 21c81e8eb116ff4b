// Happy path: wait for batches, take all of them, apply them in one transaction, commit, hand each
// back. While the commit runs the next ones gather.
//
// Full: appends that do not fit are refused; what remains goes in from the reserve, as one if that
// fits. Else removals first, for they make room; then what else is in each batch: a slice per
// transaction, halved until it fits. A record that does not fit alone waits, is tried again each
// kRetryInterval, and no batch is handed back before all of it is committed.
// Fatal: any other error. It is reported once; batches under way are dropped, not handed back.
#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#include "relay/store/applier.hpp"
#include "relay/store/slices.hpp"
#include "relay/store/state.hpp"

namespace godwit::relay::store {
namespace {

struct Handed {
  std::uint32_t loop = 0;
  std::unique_ptr<Batch> batch;
};
using Group = std::vector<Handed>;
using Positions = std::span<const std::uint64_t>;

Result<void> apply_puts(Applier& applier, std::span<const Put> puts) {
  for (const Put& put : puts) {
    if (auto done = applier.put(put); !done) return done;
  }
  return {};
}

Result<void> apply_quarantines(Applier& applier, Positions positions) {
  for (const std::uint64_t position : positions) {
    if (auto done = applier.quarantine(position); !done) return done;
  }
  return {};
}

}  // namespace

struct Writer::State {
  State(Store::State& opened, OnCommitted committed, OnFatal fatal)
      : store(opened), on_committed(std::move(committed)), on_fatal(std::move(fatal)) {}

  void run();
  void write();
  [[nodiscard]] Group next_group();
  [[nodiscard]] Result<void> house_keeping();
  [[nodiscard]] Result<void> ripen();

  // True: committed, hand it back. False: there was no room until the writer had to stop.
  [[nodiscard]] Result<bool> commit(Group& group);
  [[nodiscard]] Result<bool> commit_if_it_fits(Group& group, std::size_t records);
  void refuse_appends(Group& group);
  [[nodiscard]] Result<bool> commit_from_reserve(const Group& group);
  [[nodiscard]] Result<void> commit_whole(Group& group);
  template <class Write>
  [[nodiscard]] Result<void> transact(Write&& write);
  template <class Record, class CostOf, class Write>
  [[nodiscard]] Result<bool> transact_in_slices(std::span<const Record> records,
                                                std::size_t slice_max, CostOf&& cost_of_slice,
                                                Write&& write);
  [[nodiscard]] bool wait_for_room();
  void gather_removes(const Group& group);
  [[nodiscard]] Result<Cost> cost_of(const Group& group, Space::Leaves leaves) const;

  Store::State& store;
  OnCommitted on_committed;
  OnFatal on_fatal;

  std::mutex mutex;
  std::condition_variable wake;
  Group waiting;          // guarded by `mutex`; at most one batch per loop, by the loops' own rule
  bool stopping = false;  // guarded by `mutex`
  bool stopped = false;   // guarded by `mutex`

  std::vector<std::uint64_t> removes;  // of the group under way, ascending
  bool refused = false;                // its appends: they found no room
  std::uint64_t looked_at = 0;         // the newest commit when ripen() was called last
  std::uint64_t ripened = 0;           // the commit that it made last
  std::chrono::steady_clock::time_point readers_checked{};
  std::thread thread;
};

void Writer::State::run() {
  write();
  const std::scoped_lock lock(mutex);
  stopped = true;
  wake.notify_all();
}

void Writer::State::write() {
  for (;;) {
    Group group = next_group();
    Result<bool> committed = true;
    if (!group.empty()) committed = commit(group);
    if (committed) {
      if (auto kept = house_keeping(); !kept) committed = tl::unexpected(kept.error());
    }
    if (!committed) {
      on_fatal(to_failure(committed.error()));
      // Whatever comes now is dropped with the writer; submit() stays harmless until then.
      std::unique_lock lock(mutex);
      wake.wait(lock, [&] { return stopping; });
      return;
    }
    if (*committed) {
      for (Handed& handed : group) on_committed(handed.loop, std::move(handed.batch));
    }
    const std::scoped_lock lock(mutex);
    if (stopping && waiting.empty()) return;
  }
}

// Empty when there is nothing but house-keeping to do.
Group Writer::State::next_group() {
  const auto patience = store.full ? kRetryInterval : kReaderCheckInterval;
  std::unique_lock lock(mutex);
  wake.wait_for(lock, patience, [&] { return stopping || !waiting.empty(); });
  return std::exchange(waiting, {});
}

Result<void> Writer::State::house_keeping() {
  const auto now = std::chrono::steady_clock::now();
  if (now - readers_checked >= kReaderCheckInterval) {
    readers_checked = now;
    store.env->check_readers();
  }
  if (!store.full) return {};
  const auto room = store.space.has_room_again();
  if (!room) return tl::unexpected(room.error());
  store.set_full(!*room);
  store.file_bytes = store.env->file_pages() * store.env->page_size();
  return *room ? Result<void>{} : ripen();
}

// What a commit frees can be taken when another has followed it. While all appends are refused
// nobody may have anything to commit; then this does, once.
Result<void> Writer::State::ripen() {
  const std::uint64_t newest = store.env->newest_commit();
  const bool others_commit = newest != std::exchange(looked_at, newest);
  if (others_commit || newest == ripened) return {};
  const auto fits = store.space.admits_from_reserve(store.space.base_cost(), 2);
  if (!fits) return tl::unexpected(fits.error());
  if (!*fits) return {};
  const auto done = transact([](Applier& applier) { return applier.write_meta(); });
  if (!done && !done.error().map_full()) return done;
  looked_at = ripened = store.env->newest_commit();
  return {};
}

Result<bool> Writer::State::commit(Group& group) {
  gather_removes(group);
  refused = false;
  std::size_t appends = 0;
  std::size_t records = removes.size();
  for (const Handed& handed : group) {
    appends += handed.batch->appends.size();
    records += handed.batch->puts.size() + handed.batch->quarantines.size();
  }
  if (appends > 0) {
    const auto whole = commit_if_it_fits(group, records);
    if (!whole || *whole) return whole;
    refuse_appends(group);
    if (records == 0) return true;
  }
  // What else is in a batch belongs together: the list that a device has left, and its mail.
  const auto rest = commit_if_it_fits(group, records);
  if (!rest || *rest) return rest;
  store.set_full(true);
  return commit_from_reserve(group);
}

void Writer::State::refuse_appends(Group& group) {
  refused = true;
  store.set_full(true);
  for (Handed& handed : group) {
    for (Append& append : handed.batch->appends) append.position = 0;
  }
}

Result<bool> Writer::State::commit_if_it_fits(Group& group, std::size_t records) {
  bool appending = false;
  for (const Handed& handed : group) appending |= !refused && !handed.batch->appends.empty();
  if (appending) {
    const auto likely = cost_of(group, Space::Leaves::dense);
    if (!likely) return tl::unexpected(likely.error());
    const auto fits = store.space.admits_appends(*likely);
    if (!fits || !*fits) return fits;
  }
  const auto most = cost_of(group, Space::Leaves::apart);
  if (!most) return tl::unexpected(most.error());
  const auto fits = store.space.admits_from_reserve(*most, appending ? 1 : records);
  if (!fits || !*fits) return fits;
  const auto done = commit_whole(group);
  if (done) return true;
  if (!done.error().map_full()) return tl::unexpected(done.error());
  store.space.map_was_full();
  return false;
}

Result<Cost> Writer::State::cost_of(const Group& group, Space::Leaves leaves) const {
  Cost cost = store.space.base_cost();
  cost += store.space.cost_of_removes(removes, leaves);
  for (const Handed& handed : group) {
    cost += store.space.cost_of_puts(handed.batch->puts);
    const auto moved = store.space.cost_of_quarantines(handed.batch->quarantines);
    if (!moved) return moved;
    cost += *moved;
    if (!refused) cost += store.space.cost_of_appends(*handed.batch);
  }
  return cost;
}

// In the order of the log, so that neighbours on a page go together.
void Writer::State::gather_removes(const Group& group) {
  removes.clear();
  for (const Handed& handed : group) {
    removes.insert(removes.end(), handed.batch->removes.begin(), handed.batch->removes.end());
  }
  std::ranges::sort(removes);
}

Result<void> Writer::State::commit_whole(Group& group) {
  return transact([&](Applier& applier) -> Result<void> {
    for (Handed& handed : group) {
      if (auto done = apply_puts(applier, handed.batch->puts); !done) return done;
      for (Append& append : handed.batch->appends) {
        if (refused) break;
        if (auto done = applier.append(append); !done) return done;
      }
    }
    if (auto done = applier.remove(removes); !done) return done;
    for (const Handed& handed : group) {
      const auto moved = apply_quarantines(applier, handed.batch->quarantines);
      if (!moved) return moved;
    }
    return {};
  });
}

Result<bool> Writer::State::commit_from_reserve(const Group& group) {
  const auto removed = transact_in_slices(
      Positions(removes), kRemovesWhileFullMax,
      [&](Positions slice) { return store.space.cost_of_removes(slice, Space::Leaves::apart); },
      [](Applier& applier, Positions slice) { return applier.remove(slice); });
  if (!removed || !*removed) return removed;
  for (const Handed& handed : group) {
    const Batch& batch = *handed.batch;
    // Whole where that fits: some of them belong together.
    const auto put = transact_in_slices(
        std::span(batch.puts), batch.puts.size(),
        [&](std::span<const Put> slice) { return store.space.cost_of_puts(slice); }, apply_puts);
    if (!put || !*put) return put;
    const auto moved = transact_in_slices(
        Positions(batch.quarantines), kRepairsPerCommitMax,
        [&](Positions slice) { return store.space.cost_of_quarantines(slice); }, apply_quarantines);
    if (!moved || !*moved) return moved;
  }
  return true;
}

template <class Record, class CostOf, class Write>
Result<bool> Writer::State::transact_in_slices(std::span<const Record> records,
                                               std::size_t slice_max, CostOf&& cost_of_slice,
                                               Write&& write) {
  const auto commit_slice = [&](std::span<const Record> slice) -> Result<bool> {
    const Result<Cost> own = cost_of_slice(slice);
    if (!own) return tl::unexpected(own.error());
    Cost cost = store.space.base_cost();
    cost += *own;
    const auto fits = store.space.admits_from_reserve(cost, slice.size());
    if (!fits || !*fits) return fits;
    const auto done = transact([&](Applier& applier) { return write(applier, slice); });
    if (!done && !done.error().map_full()) return tl::unexpected(done.error());
    return done.has_value();
  };
  return in_slices(records, slice_max, commit_slice, [&] { return wait_for_room(); });
}

// False: the writer has to stop; what is not committed was not acknowledged.
bool Writer::State::wait_for_room() {
  std::unique_lock lock(mutex);
  return !wake.wait_for(lock, kRetryInterval, [&] { return stopping; });
}

template <class Write>
Result<void> Writer::State::transact(Write&& write) {
  const auto before = ReadTxn::begin(store.env->raw());
  if (!before) return tl::unexpected(before.error());
  auto txn = WriteTxn::begin(store.env->raw());
  if (!txn) return tl::unexpected(txn.error());
  Applier applier(*store.env, *txn, *before, store.damage, store.meta);
  if (auto done = write(applier); !done) return done;
  if (auto done = applier.finish(); !done) return done;
  if (auto done = std::move(*txn).commit(); !done) return done;
  store.stored += applier.appended();
  return store.adopt(applier.meta());
}

Writer::Writer(std::unique_ptr<State> state) : state_(std::move(state)) {}

tl::expected<std::unique_ptr<Writer>, Failure> Writer::start(Store& store, OnCommitted on_committed,
                                                             OnFatal on_fatal) {
  auto state = std::make_unique<State>(*store.state_, std::move(on_committed), std::move(on_fatal));
  State* const running = state.get();
  try {
    state->thread = std::thread([running] { running->run(); });
  } catch (const std::system_error& error) {
    // The one way in which std::thread says that the system has no thread to give.
    return tl::unexpected(
        Failure{StoreError::io, std::string("no thread for the writer: ") + error.what() +
                                    "; raise the limit of processes (ulimit -u)"});
  }
  return std::unique_ptr<Writer>(new Writer(std::move(state)));
}

Writer::~Writer() {
  (void)stop({});
  state_->thread.join();
}

bool Writer::stop(std::chrono::milliseconds patience) {
  std::unique_lock lock(state_->mutex);
  state_->stopping = true;
  state_->wake.notify_all();
  return state_->wake.wait_for(lock, patience, [&] { return state_->stopped; });
}

void Writer::submit(std::uint32_t loop, std::unique_ptr<Batch> batch) {
  {
    const std::scoped_lock lock(state_->mutex);
    state_->waiting.push_back({loop, std::move(batch)});
  }
  state_->wake.notify_one();
}

}  // namespace godwit::relay::store
