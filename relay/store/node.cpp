// Happy path: find the record as it was committed, where its page is a part of the file, and look
// which of the others in the page begins next behind it.
// Failure: MDB_CORRUPTED when the page contradicts itself.
#include "relay/store/node.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace godwit::relay::store {
namespace {

using wire::ByteView;
using wire::load_le;

constexpr std::size_t kPageHeaderSize = 16;
constexpr std::size_t kLowerAt = 12;

// 0: there is no such node.
std::size_t end_of_node(ByteView page, std::size_t begin) {
  const std::size_t lower = load_le<std::uint16_t>(page.subspan(kLowerAt));
  if (lower > page.size()) return 0;
  std::size_t end = page.size();
  bool found = false;
  for (std::size_t at = kPageHeaderSize; at + 2 <= lower; at += 2) {
    const std::size_t other = load_le<std::uint16_t>(page.subspan(at));
    if (other == begin) found = true;
    if (other > begin) end = std::min(end, other);
  }
  return found ? end : 0;
}

}  // namespace

Result<std::optional<std::size_t>> room_of_value(MDB_env* env, MDB_dbi table, ByteView key) {
  const auto txn = ReadTxn::begin(env);
  if (!txn) return tl::unexpected(txn.error());
  MDB_cursor* opened = nullptr;
  int rc = mdb_cursor_open(txn->raw(), table, &opened);
  // A start opens its tables and looks at `meta` in one transaction; nothing stands beside that.
  if (rc == EINVAL) return std::nullopt;
  const Cursor cursor(opened);
  MDB_val k{key.size(), const_cast<std::uint8_t*>(key.data())};  // LMDB does not write through it
  MDB_val v{};
  if (rc == MDB_SUCCESS) rc = mdb_cursor_get(opened, &k, &v, MDB_SET_KEY);
  if (rc == MDB_NOTFOUND) return std::nullopt;
  MDB_stat stat{};
  if (rc == MDB_SUCCESS) rc = mdb_stat(txn->raw(), table, &stat);
  if (rc != MDB_SUCCESS) return tl::unexpected(LmdbError{rc, "look at a damaged record"});

  // A file from a machine with larger pages may lie anywhere in memory.
  if (stat.ms_psize > static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE))) return std::nullopt;
  const auto address = reinterpret_cast<std::uintptr_t>(k.mv_data) - kNodeHeaderSize;
  const std::size_t begin = address % stat.ms_psize;
  const ByteView page(static_cast<const std::uint8_t*>(k.mv_data) - kNodeHeaderSize - begin,
                      stat.ms_psize);
  const std::size_t end = end_of_node(page, begin);
  const std::size_t head = begin + kNodeHeaderSize + key.size();
  if (end < head) return tl::unexpected(LmdbError{MDB_CORRUPTED, "look at a damaged record"});
  return end - head;
}

}  // namespace godwit::relay::store
