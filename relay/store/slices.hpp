// store/slices: many records in transactions that each fit into what is left of a full disk.
#pragma once

#include <algorithm>
#include <span>

#include "relay/store/txn.hpp"

namespace godwit::relay::store {

// Hands `records` in order to commit(slice) -> Result<bool>, which answers false where the slice
// does not fit: it is halved then, and doubled again up to `slice_max` after one that did. Only for
// a record that does not fit alone wait_for_room() -> bool is asked; false of it ends all.
template <class Record, class Commit, class Wait>
[[nodiscard]] Result<bool> in_slices(std::span<const Record> records, std::size_t slice_max,
                                     Commit&& commit, Wait&& wait_for_room) {
  std::size_t size = slice_max;
  while (!records.empty()) {
    size = std::min(size, records.size());
    const Result<bool> fits = commit(records.first(size));
    if (!fits) return fits;
    if (*fits) {
      records = records.subspan(size);
      size = std::min(2 * size, slice_max);
    } else if (size > 1) {
      size /= 2;
    } else if (!wait_for_room()) {
      return false;
    }
  }
  return true;
}

}  // namespace godwit::relay::store
