// store/lmdb_backend: the sealed bytes in LMDB: one tree, the table as first byte of the key.
// Owns:    the environment, and the size of its file: it grows ahead of each commit, so that a full
//          disk is met before LMDB writes and not in the middle.
// Thread:  as Backend. Transactions end before the backend does.
#pragma once

#include "client-sdk/src/store/backend.hpp"

namespace godwit::store {

class LmdbBackend {
 public:
  // An empty file, durable when it returns.
  [[nodiscard]] static Result<std::unique_ptr<Backend>> create(
      const std::filesystem::path& directory);
  // Looks the file over first: pages and all, unless it is a large one that was closed in order.
  [[nodiscard]] static Result<std::unique_ptr<Backend>> open(const std::filesystem::path& directory,
                                                             bool closed_in_order);
};

}  // namespace godwit::store
