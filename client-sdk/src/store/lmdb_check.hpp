// store/lmdb_check: looks over a data.mdb before LMDB maps it, since LMDB trusts its own pages: a
// flipped bit in one would end the process.
// Refuses: to read values or to judge keys; what is sealed tells by itself when it is damaged.
// Trust:   the file is hostile; every number in it is checked before it is used.
// Spec:    the file format of LMDB 0.9: two meta pages, B+trees of pages, and a tree of free pages.
#pragma once

#include "client-sdk/src/store/database.hpp"

namespace godwit::store {

// `whole`: walks every tree of the newest meta page; else the meta pages alone.
// truncated: the file ends before its last page. damaged: LMDB could not work on it.
[[nodiscard]] Result<void> check_lmdb_file(int file, bool whole);

}  // namespace godwit::store
