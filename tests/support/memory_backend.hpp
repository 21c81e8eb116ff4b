// support/memory_backend: where sealed bytes lie in simulations: a map for each table, and a hook
// that makes a commit fail or the device crash there.
//
// A crash is a dropped backend: what was committed stays in the Disk, which outlives it.
//
// Owns:    nothing that lasts; the Disk is the caller's and outlives every backend over it.
// Thread:  one at a time; a write transaction ends in the thread that began it, as LMDB's do.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <map>

#include "client-sdk/src/store/backend.hpp"

namespace godwit::test {

class MemoryBackend : public store::Backend {
 public:
  // As LMDB orders keys; vector's own comparison makes g++ 12 warn of lengths that cannot be.
  struct KeyLess {
    bool operator()(const wire::Bytes& left, const wire::Bytes& right) const {
      const std::size_t both = std::min(left.size(), right.size());
      const int order = both == 0 ? 0 : std::memcmp(left.data(), right.data(), both);
      return order != 0 ? order < 0 : left.size() < right.size();
    }
  };
  using Records = std::map<wire::Bytes, wire::Bytes, KeyLess>;

  // What outlives a crash. A commit changes a table in place unless a read still looks at it.
  struct Disk {
    Disk();
    std::array<std::shared_ptr<Records>, store::kTables> tables;
    std::uint64_t commits = 0;
    std::uint64_t gets = 0;
    // Backends of an earlier life find nothing but a failing disk: a crashed process is not heard.
    std::uint64_t life = 0;
    store::StoreError refusal = store::StoreError::io;  // of a commit that the hook refuses
  };
  // Asked before a commit: false makes it fail, and nothing of it lands. `commit_number`
  // counts from 1 over the life of the disk, the ones that fail included. A hook that never
  // returns (it throws, or leaves the process) is a crash before the commit.
  using CommitHook = std::function<bool(std::uint64_t commit_number)>;

  explicit MemoryBackend(Disk& disk, CommitHook hook = {})
      : disk_(&disk), life_(disk.life), hook_(std::move(hook)) {}

  store::Result<std::unique_ptr<store::BackendTxn>> begin_read() override;
  // Precondition: there is no other.
  store::Result<std::unique_ptr<store::BackendTxn>> begin_write() override;

 private:
  class Txn;
  [[nodiscard]] bool dead() const { return disk_->life != life_; }

  Disk* disk_;
  std::uint64_t life_;
  CommitHook hook_;
  bool has_writer_ = false;
};

}  // namespace godwit::test
