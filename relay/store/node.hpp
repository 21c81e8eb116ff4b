// store/node: what the header of a damaged record should say, so that LMDB can delete it.
//
// LMDB moves the neighbours in a page by the sizes in that header. Wrong ones have it write over
// them, or outside of the page.
// Thread: any.
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
inline constexpr std::uint16_t kOwnPagesFlag = 1;  // the value lies elsewhere; its page is here

// The bytes from the end of `key` to the next record in its page, as of the last commit: one more
// than the value at most. Nothing when that does not have it, or the page cannot be told.
[[nodiscard]] Result<std::optional<std::size_t>> room_of_value(MDB_env* env, MDB_dbi table,
                                                               wire::ByteView key);

}  // namespace godwit::relay::store
