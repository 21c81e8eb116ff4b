// Happy path: look which of the other records in the page begins next behind this one.
// Failure: MDB_CORRUPTED when the page contradicts itself.
#include "relay/store/node.hpp"

#include <unistd.h>

#include <algorithm>
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

Result<std::optional<std::size_t>> room_of_value(const MDB_val& found, std::size_t key_size,
                                                 std::size_t page_size) {
  // A file from a machine with larger pages may lie anywhere in memory.
  if (page_size > static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))) return std::nullopt;
  // Pages lie one behind the other from the beginning of the map, which begins at a page.
  const auto* const node = static_cast<const std::uint8_t*>(found.mv_data) - kNodeHeaderSize;
  const std::size_t begin = reinterpret_cast<std::uintptr_t>(node) % page_size;
  const std::size_t end = end_of_node(ByteView(node - begin, page_size), begin);
  const std::size_t head = begin + kNodeHeaderSize + key_size;
  if (end < head) return tl::unexpected(LmdbError{MDB_CORRUPTED, "look at a damaged record"});
  return end - head;
}

}  // namespace godwit::relay::store
