// store/space: decides whether a transaction fits, before it begins: no commit may meet a full
// disk, because LMDB's error for it is that of a failed sync, after which nothing may be trusted.
//
// The map: appends stop at kMapPercentMax of its pages; LMDB itself answers MAP_FULL at the end of
// the map, which harms nothing. The disk: a transaction is let in only when the file already holds
// every page it may take, and the reserve after an append. The file grows ahead by a step; when
// the disk refuses, free pages inside the file count as well; for a value longer than a page only
// rows of neighbours as long as it: else it is taken from the end.
//
// Thread: the writer's (before it starts: the opener's).
#pragma once

#include <algorithm>
#include <chrono>

#include "relay/store/env.hpp"

namespace godwit::relay::store {

// What a transaction may take, generously: a page changed is a page copied.
struct Cost {
  std::uint64_t singles = 0;
  std::uint64_t runs = 0;    // pages of values that are longer than one: each lies in a row
  std::uint64_t values = 0;  // so many of them
  std::uint64_t row = 0;     // pages of the longest
  Cost& operator+=(const Cost& other) {
    singles += other.singles;
    runs += other.runs;
    values += other.values;
    row = std::max(row, other.row);
    return *this;
  }
};

class Space {
 public:
  Space(Env& env, const Options& options);

  // After each commit: how the file stands now. Before the first, only its length is known.
  [[nodiscard]] Result<void> look();
  [[nodiscard]] const Survey& survey() const { return survey_; }

  [[nodiscard]] Cost base_cost() const;  // of any transaction
  [[nodiscard]] Cost value_cost(std::uint64_t key_size, std::uint64_t value_size) const;
  [[nodiscard]] Cost cost_of_puts(std::span<const Put> puts) const;
  [[nodiscard]] Result<Cost> cost_of_quarantines(std::span<const std::uint64_t> positions) const;
  [[nodiscard]] Cost cost_of_appends(const Batch& batch) const;
  // Precondition: `positions` ascend. `Leaves::dense`: as many are on a leaf of the log as on the
  // mean one; `apart`: each may be on its own, which is never too little.
  enum class Leaves : std::uint8_t { dense, apart };
  [[nodiscard]] Cost cost_of_removes(std::span<const std::uint64_t> positions, Leaves leaves) const;

  // True: a transaction with appends fits and leaves the reserve whole. False: the store is full.
  // An error of the disk other than "no room" is an error.
  [[nodiscard]] Result<bool> admits_appends(const Cost& cost);
  // True: it fits when the reserve is used. Asks the disk like the former. More than one record
  // must leave as much as it takes: the pages that a commit frees the next cannot take yet, only
  // the one after, so that removing goes on, one at a time if need be.
  [[nodiscard]] Result<bool> admits_from_reserve(Cost cost, std::size_t records);
  // LMDB answered MAP_FULL though the pages had been counted as enough: too scattered, or held by
  // readers. No figure says when that is over, so time does.
  void map_was_full();
  // True: there is room again for what was refused last and some more, so that a full store does
  // not flap at the edge. Of rows for its long values only some: pictures that find no more on a
  // disk full of texts do not keep the texts out.
  [[nodiscard]] Result<bool> has_room_again();
  // What refused last: the map, which is as long as size_max says, and not the disk.
  [[nodiscard]] bool map_refused() const { return map_refused_; }

 private:
  [[nodiscard]] bool fits_map(const Cost& cost);
  [[nodiscard]] Result<bool> fits_disk(const Cost& cost, std::uint64_t keep);

  Env& env_;
  std::uint64_t reserve_;    // pages
  std::uint64_t grow_step_;  // pages
  Survey survey_;
  Cost refused_;  // the last append batch that did not fit
  bool map_refused_ = false;
  std::chrono::steady_clock::time_point closed_until_{};
  std::chrono::steady_clock::time_point ask_disk_at_{};
};

}  // namespace godwit::relay::store
