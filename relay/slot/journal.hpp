// slot/journal: what the slots of one loop want on disk, and what may be said once it is there.
//
// Small records put here are seen by get() at once, before they are committed: the next operation
// on the slot builds on them. Nothing that depends on them leaves before the commit does.
//
// Owns:    the batch that gathers, the one under way, the effects that wait for each.
// Refuses: to know what a record means.
// Thread:  the loop's.
#pragma once

#include <string>
#include <unordered_map>

#include "relay/slot/operation.hpp"
#include "relay/slot/records.hpp"

namespace godwit::relay::slot {

class Journal {
 public:
  explicit Journal(Records& records) : records_(records), gathering_(new_batch()) {}

  // The newest value, committed or not. `damaged` records read as absent: they were reported.
  [[nodiscard]] std::optional<wire::Bytes> get(store::Table table, wire::ByteView key);
  // True when the newest value of this record is not committed yet.
  [[nodiscard]] bool pending(store::Table table, wire::ByteView key) const;
  // True while the store takes nothing that needs more room than there was.
  [[nodiscard]] bool full() const { return records_.full(); }

  void put(store::Table table, wire::Bytes key, std::optional<wire::Bytes> value);
  void append(store::Append append) { gathering_->appends.push_back(std::move(append)); }
  void remove(std::uint64_t position) { gathering_->removes.push_back(position); }
  void quarantine(std::uint64_t position) { gathering_->quarantines.push_back(position); }

  // Released when all that was put here so far is committed, and all that committing the batch
  // under way makes the engine put here.
  void after_commit(Effect effect) { waiting_.push_back(std::move(effect)); }
  // The number of the batch that gathers, counted from 1, and whether a batch is on the disk.
  [[nodiscard]] std::uint64_t gathering() const { return gathering_number_; }
  [[nodiscard]] bool is_committed(std::uint64_t batch) const {
    return batch + (under_way_ ? 1 : 0) < gathering_number_;
  }

  [[nodiscard]] bool under_way() const { return under_way_; }
  [[nodiscard]] bool empty() const { return gathering_->empty() && waiting_.empty(); }

  // Hands the gathered batch out to be committed. Precondition: none is under way.
  [[nodiscard]] std::unique_ptr<store::Batch> take();
  // The batch taken last is committed: moves what waited for it to `effects`.
  void committed(Effects& effects);

 private:
  struct Pending {
    std::optional<wire::Bytes> value;
    std::uint64_t batch = 0;  // the batch that carries it
  };
  static std::unique_ptr<store::Batch> new_batch() { return std::make_unique<store::Batch>(); }
  static std::string overlay_key(store::Table table, wire::ByteView key);

  Records& records_;
  std::unique_ptr<store::Batch> gathering_;
  std::uint64_t gathering_number_ = 1;
  bool under_way_ = false;
  std::unordered_map<std::string, Pending> overlay_;  // table | key -> not yet committed
  Effects waiting_;
  Effects waiting_under_way_;
};

}  // namespace godwit::relay::slot
