// store/node: what the header of a damaged record should say, so that LMDB can delete it.
//
// LMDB moves the neighbours in a page by the sizes in that header. Wrong ones have it write over
// them, or outside of the page.
// Thread: that of the transaction.
// Trust:  the page may be damaged anywhere; nothing is looked at outside of it.
// Spec:   the pages of LMDB 0.9: number u64 | pad u16 | flags u16 | lower u16 | upper u16, then up
//         to `lower` where each node begins u16, and from `upper` on the nodes: size u32 |
//         flags u16 | size of the key u16 | key | value
#pragma once

#include <optional>

#include "relay/store/txn.hpp"
#include "schema/wire/bytes.hpp"

namespace godwit::relay::store {

inline constexpr std::size_t kNodeHeaderSize = 8;
inline constexpr std::size_t kNodeFlagsAt = 4;
inline constexpr std::size_t kNodeKeySizeAt = 6;
inline constexpr unsigned kNoSpill = 0x8000;  // LMDB's own flag: it makes no room for the value
inline constexpr std::uint16_t kOwnPagesFlag = 1;  // the value lies elsewhere; its page is here

// The bytes from the end of a key to the next record in its page: one more than the value at most.
// `found` is the key as LMDB answers it in a read, whose pages are a part of the file; `key_size`
// is what it should have. Nothing when its page cannot be told.
[[nodiscard]] Result<std::optional<std::size_t>> room_of_value(const MDB_val& found,
                                                               std::size_t key_size,
                                                               std::size_t page_size);

}  // namespace godwit::relay::store
