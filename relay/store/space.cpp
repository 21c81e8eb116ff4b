#include "relay/store/space.hpp"

#include <algorithm>
#include <cerrno>

#include "relay/store/records.hpp"
#include "schema/wire/limits.hpp"

namespace godwit::relay::store {
namespace {

constexpr std::uint64_t kPageHeader = 16;
constexpr std::uint64_t kNodeOverhead = 8 + 2;  // node header and its pointer
// The way from the root to a leaf in every table, the main table and the table of free pages.
constexpr std::uint64_t kBasePages = 96;
constexpr std::uint64_t kPutPages = 4;  // leaf, the sibling of a split, their parents
// Of the reserve this part must be in rows: deleting puts down a list of the pages it frees.
constexpr std::uint64_t kReserveRowsPart = 16;
constexpr std::uint64_t kLookFurther = 4;      // for neighbours, than for as many pages
constexpr std::uint64_t kBodyChangePages = 6;  // the same in `bodies` and `body_refs`

bool is_no_room(int code) {
  return code == ENOSPC || code == EDQUOT || code == EFBIG;
}

std::uint64_t tree_pages(const MDB_stat& stat) {
  return stat.ms_branch_pages + stat.ms_leaf_pages;
}

// What the longest value of all takes.
std::uint64_t longest_row(const Env& env) {
  return wire::kEnvelopeSizeMax / env.page_size() + 2;
}

}  // namespace

Space::Space(Env& env, const Options& options)
    : env_(env),
      reserve_(std::min(options.reserve / env.page_size(), env.map_pages() / kReservePart)),
      grow_step_(std::max<std::uint64_t>(options.grow_step / env.page_size(), 1)) {
  survey_.end = env.end_page();
}

Result<void> Space::look() {
  auto txn = ReadTxn::begin(env_.raw());
  if (!txn) return tl::unexpected(txn.error());
  const auto survey = env_.survey(*txn);
  if (!survey) return tl::unexpected(survey.error());
  survey_ = *survey;
  return {};
}

Cost Space::base_cost() const {
  return {kBasePages, 4, 2, 2};
}

// LMDB keeps at least two nodes on a page; a longer value gets pages of its own, in a row.
Cost Space::value_cost(std::uint64_t key_size, std::uint64_t value_size) const {
  const std::uint64_t page = env_.page_size();
  if (kNodeOverhead + key_size + value_size <= (page - kPageHeader) / 2 - 2) return {};
  const std::uint64_t pages = (kPageHeader + value_size + page - 1) / page;
  return pages == 1 ? Cost{1} : Cost{0, pages, 1, pages};
}

Cost Space::cost_of_puts(std::span<const Put> puts) const {
  Cost cost;
  for (const Put& put : puts) {
    cost.singles += kPutPages;
    if (put.value) cost += value_cost(put.key.size(), kChecksumSize + put.value->size());
  }
  return cost;
}

Result<Cost> Space::cost_of_quarantines(std::span<const std::uint64_t> positions) const {
  Cost cost;
  if (positions.empty()) return cost;
  const auto txn = ReadTxn::begin(env_.raw());
  if (!txn) return tl::unexpected(txn.error());
  for (const std::uint64_t position : positions) {
    // The record moves to another table, and its body's count changes.
    cost.singles += 2 * kPutPages + kBodyChangePages;
    const U64Key key(position);
    const auto raw = env_.table(TableId::log).get(*txn, key.view());
    if (!raw) return tl::unexpected(raw.error());
    if (*raw) cost += value_cost(key.view().size() + 1, (*raw)->size());
  }
  return cost;
}

Cost Space::cost_of_appends(const Batch& batch) const {
  Cost cost;
  std::uint64_t leaf_bytes = 0;
  const Body* previous = nullptr;
  for (const Append& append : batch.appends) {
    const bool shared = append.body->shared_id != 0;
    const std::uint64_t value = kChecksumSize + append.body->bytes.size();
    const Cost own = shared ? Cost{} : value_cost(8, kLogHeaderSize + value);
    cost += own;
    const bool apart = own.singles + own.runs != 0 || shared;
    const std::uint64_t in_leaf = apart ? 8 : append.body->bytes.size();
    leaf_bytes += kNodeOverhead + 8 + kChecksumSize + kLogHeaderSize + in_leaf;
    // The recipients of one submit stand together; a body met again costs too much here, no harm.
    if (shared && append.body.get() != previous) {
      cost.singles += kBodyChangePages;
      cost += value_cost(8, value);
    }
    previous = append.body.get();
  }
  // Up to half of a page stays empty when the next record does not fit.
  cost.singles += 2 * (leaf_bytes / (env_.page_size() - kPageHeader) + 1);
  return cost;
}

Cost Space::cost_of_removes(std::span<const std::uint64_t> positions, Leaves where) const {
  if (positions.empty()) return {};
  // Neighbours share a leaf. Gaps in the log make a leaf span more positions than counted here, but
  // a part of it may be of long records, few of which share one.
  const std::uint64_t mean =
      survey_.log.ms_entries / std::max<std::uint64_t>(survey_.log.ms_leaf_pages, 1);
  const std::uint64_t per_leaf = where == Leaves::apart ? 1 : std::max<std::uint64_t>(mean, 1);
  std::uint64_t leaves = 0;
  std::uint64_t previous = ~std::uint64_t{0};
  for (const std::uint64_t position : positions) {
    leaves += position / per_leaf != previous;
    previous = position / per_leaf;
  }
  Cost cost;
  // A leaf that empties is merged with its neighbour. No table is copied more than whole.
  cost.singles = std::min(2 * leaves + 2, tree_pages(survey_.log)) +
                 std::min(kBodyChangePages * positions.size(),
                          tree_pages(survey_.bodies) + tree_pages(survey_.body_refs));
  // The list of freed pages is one value: 8 bytes for each, those of long values included. What is
  // left of older lists is put down again.
  const std::uint64_t freed = cost.singles + survey_.log.ms_overflow_pages * positions.size() /
                                                 std::max<std::uint64_t>(survey_.log.ms_entries, 1);
  const Cost list = value_cost(8, freed * 8);
  cost += list;
  cost += list;
  return cost;
}

Result<bool> Space::admits_appends(const Cost& cost) {
  Result<bool> fits = fits_map(cost);
  if (*fits) fits = fits_disk(cost, reserve_);
  if (fits && !*fits) refused_ = cost;
  return fits;
}

Result<bool> Space::admits_from_reserve(Cost cost, std::size_t records) {
  const Cost once = cost;
  if (records > 1) cost += once;
  map_refused_ = false;
  return fits_disk(cost, 0);
}

void Space::map_was_full() {
  map_refused_ = true;
  closed_until_ = std::chrono::steady_clock::now() + kRetryInterval;
}

Result<bool> Space::has_room_again() {
  if (std::chrono::steady_clock::now() < closed_until_) {
    map_refused_ = true;
    return false;
  }
  Cost cost = base_cost();
  // Rows for one value more. Pages for the rest, wherever they lie; a batch that could never fit
  // must not keep the others out: a fifth of what there is of the disk is enough.
  const std::uint64_t runs = std::min(refused_.runs, cost.runs + longest_row(env_));
  const std::uint64_t rest = refused_.singles + refused_.runs - runs;
  cost.singles = std::max(cost.singles, std::min(rest, env_.file_pages() / 5));
  cost.runs = std::max(cost.runs, runs);
  cost.values = std::max(cost.values, std::min(refused_.values, cost.values + 1));
  cost.row = std::max(cost.row, refused_.row);
  cost.singles += std::min(grow_step_, env_.map_pages() / 50);
  if (!fits_map(cost)) return false;
  return fits_disk(cost, reserve_);
}

bool Space::fits_map(const Cost& cost) {
  map_refused_ = survey_.used + cost.singles + cost.runs > env_.map_pages() * kMapPercentMax / 100;
  return !map_refused_;
}

Result<bool> Space::fits_disk(const Cost& cost, std::uint64_t keep) {
  const std::uint64_t need = survey_.end + keep + cost.singles + cost.runs;
  // A file as long as the map cannot run into the disk's end: LMDB answers MAP_FULL before.
  const auto holds = [&](std::uint64_t pages) {
    return std::min(pages, env_.map_pages()) <= env_.file_pages();
  };
  if (holds(need)) return true;

  if (const auto now = std::chrono::steady_clock::now(); now >= ask_disk_at_) {
    const std::uint64_t ahead = (need / grow_step_ + 1) * grow_step_;
    int rc = env_.reserve_file(ahead);
    if (is_no_room(rc)) rc = env_.reserve_file(need);
    if (rc == 0) return true;
    if (!is_no_room(rc)) return tl::unexpected(LmdbError{rc, "grow data.mdb"});
    ask_disk_at_ = now + kRetryInterval;
  }

  // Deleting takes pages from the end while those that are free are young, so what was full and is
  // drained has next to nothing left there: the reserve is then inside the file too.
  auto txn = ReadTxn::begin(env_.raw());
  if (!txn) return tl::unexpected(txn.error());
  const std::uint64_t in_rows = cost.runs + keep / kReserveRowsPart;
  const std::uint64_t rows = cost.values + (keep / kReserveRowsPart + cost.row - 1) / cost.row;
  const auto reusable =
      env_.reusable_pages(*txn, need - survey_.end + kLookFurther * in_rows, cost.row);
  if (!reusable) return tl::unexpected(reusable.error());
  // As many rows as there are values are enough for them in whatever order they come: a row that
  // the next value does not fit into holds as many as it was counted for.
  const std::uint64_t missing = rows - std::min(rows, reusable->rows);
  const std::uint64_t inside = need - survey_.end - std::min(in_rows, missing * cost.row);
  return holds(need - std::min(reusable->pages, inside));
}

}  // namespace godwit::relay::store
