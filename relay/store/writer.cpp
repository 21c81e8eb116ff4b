// Happy path: wait for batches, take all of them, apply them in one transaction, commit, hand each
// back. While the commit runs the next ones gather.
//
// Full: appends that do not fit are refused; what remains goes in from the reserve: removals
// first, for they make room, a slice per transaction, so that each is surely small enough; then
// the puts of each batch. What does not fit even so waits, is tried again each kRetryInterval, and
// is not handed back before it is committed.
// Fatal: any other error. It is reported once; batches under way are dropped, not handed back.
#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#include "relay/store/applier.hpp"
#include "relay/store/state.hpp"

namespace godwit::relay::store {
namespace {

struct Handed {
  std::uint32_t loop = 0;
  std::unique_ptr<Batch> batch;
};
using Group = std::vector<Handed>;
using Positions = std::span<const std::uint64_t>;

Result<void> apply_puts(Applier& applier, const Batch& batch) {
  for (const Put& put : batch.puts) {
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

// Hands `positions` to `commit` in slices until one of them is not committed.
template <class Commit>
Result<bool> in_slices(Positions positions, std::size_t slice_max, Commit&& commit) {
  while (!positions.empty()) {
    const Positions slice = positions.first(std::min(positions.size(), slice_max));
    const Result<bool> done = commit(slice);
    if (!done || !*done) return done;
    positions = positions.subspan(slice.size());
  }
  return true;
}

}  // namespace

struct Writer::State {
  State(Store::State& opened, OnCommitted committed, OnFatal fatal)
      : store(opened), on_committed(std::move(committed)), on_fatal(std::move(fatal)) {}

  void run();
  [[nodiscard]] Group next_group();
  [[nodiscard]] Result<void> house_keeping();

  // True: committed, hand it back. False: there was no room until the writer had to stop.
  [[nodiscard]] Result<bool> commit(Group& group);
  [[nodiscard]] Result<bool> commit_from_reserve(Group& group);
  [[nodiscard]] Result<void> commit_whole(Group& group);
  template <class Write>
  [[nodiscard]] Result<void> transact(Write&& write);
  template <class Write>
  [[nodiscard]] Result<bool> transact_when_it_fits(Cost cost, Write&& write);
  [[nodiscard]] bool wait_for_room();
  void gather_removes(const Group& group);
  [[nodiscard]] Cost cost_of(const Group& group) const;

  Store::State& store;
  OnCommitted on_committed;
  OnFatal on_fatal;

  std::mutex mutex;
  std::condition_variable wake;
  Group waiting;          // guarded by `mutex`; at most one batch per loop, by the loops' own rule
  bool stopping = false;  // guarded by `mutex`

  std::vector<std::uint64_t> removes;  // of the group under way, ascending
  std::chrono::steady_clock::time_point readers_checked{};
  std::thread thread;
};

void Writer::State::run() {
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
  store.full = !*room;
  store.file_bytes = store.env->file_pages() * store.env->page_size();
  return {};
}

Result<bool> Writer::State::commit(Group& group) {
  gather_removes(group);
  const bool appending = std::ranges::any_of(
      group, [](const Handed& handed) { return !handed.batch->appends.empty(); });
  const Cost cost = cost_of(group);
  const auto fits =
      appending ? store.space.admits_appends(cost) : store.space.admits_from_reserve(cost);
  if (!fits) return tl::unexpected(fits.error());
  if (*fits) {
    const auto done = commit_whole(group);
    if (done) return true;
    if (!done.error().map_full()) return tl::unexpected(done.error());
    store.space.map_was_full();
  }
  store.full = true;
  return commit_from_reserve(group);
}

Cost Writer::State::cost_of(const Group& group) const {
  Cost cost = store.space.base_cost();
  cost += store.space.cost_of_removes(removes);
  for (const Handed& handed : group) {
    cost += store.space.cost_of_puts(*handed.batch);
    cost += store.space.cost_of_quarantines(handed.batch->quarantines.size());
    cost += store.space.cost_of_appends(*handed.batch);
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
      if (auto done = apply_puts(applier, *handed.batch); !done) return done;
      for (Append& append : handed.batch->appends) {
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

Result<bool> Writer::State::commit_from_reserve(Group& group) {
  for (Handed& handed : group) {
    for (Append& append : handed.batch->appends) append.position = 0;
  }
  const auto removed = in_slices(removes, kRemovesWhileFullMax, [&](Positions slice) {
    return transact_when_it_fits(store.space.cost_of_removes(slice),
                                 [&](Applier& applier) { return applier.remove(slice); });
  });
  if (!removed || !*removed) return removed;
  for (const Handed& handed : group) {
    const Batch& batch = *handed.batch;
    if (!batch.puts.empty()) {
      const auto done =
          transact_when_it_fits(store.space.cost_of_puts(batch),
                                [&](Applier& applier) { return apply_puts(applier, batch); });
      if (!done || !*done) return done;
    }
    const auto moved = in_slices(batch.quarantines, kRepairsPerCommitMax, [&](Positions slice) {
      return transact_when_it_fits(
          store.space.cost_of_quarantines(slice.size()),
          [&](Applier& applier) { return apply_quarantines(applier, slice); });
    });
    if (!moved || !*moved) return moved;
  }
  return true;
}

template <class Write>
Result<bool> Writer::State::transact_when_it_fits(Cost cost, Write&& write) {
  cost += store.space.base_cost();
  for (;;) {
    const auto fits = store.space.admits_from_reserve(cost);
    if (!fits) return tl::unexpected(fits.error());
    if (*fits) {
      const auto done = transact(write);
      if (done) return true;
      if (!done.error().map_full()) return tl::unexpected(done.error());
    }
    if (!wait_for_room()) return false;
  }
}

// False: the writer has to stop; what is not committed was not acknowledged.
bool Writer::State::wait_for_room() {
  std::unique_lock lock(mutex);
  return !wake.wait_for(lock, kRetryInterval, [&] { return stopping; });
}

template <class Write>
Result<void> Writer::State::transact(Write&& write) {
  auto txn = WriteTxn::begin(store.env->raw());
  if (!txn) return tl::unexpected(txn.error());
  Applier applier(*store.env, *txn, store.damage, store.meta);
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
  {
    const std::scoped_lock lock(state_->mutex);
    state_->stopping = true;
  }
  state_->wake.notify_all();
  state_->thread.join();
}

void Writer::submit(std::uint32_t loop, std::unique_ptr<Batch> batch) {
  {
    const std::scoped_lock lock(state_->mutex);
    state_->waiting.push_back({loop, std::move(batch)});
  }
  state_->wake.notify_one();
}

}  // namespace godwit::relay::store
