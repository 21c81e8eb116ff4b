#include "tests/support/memory_backend.hpp"

#include <cassert>
#include <thread>

namespace godwit::test {
namespace {

using store::BackendTxn;
using store::ReadTxn;
using store::Result;
using store::StoreError;
using store::Table;
using wire::Bytes;
using wire::ByteView;

Bytes to_bytes(ByteView view) {
  return {view.begin(), view.end()};
}

// The first key of the map at or behind `from` in that order; null when there is none.
template <class Map>
const typename Map::value_type* closest(const Map& map, const Bytes& from, bool inclusive,
                                        bool ascending) {
  if (ascending) {
    const auto at = inclusive ? map.lower_bound(from) : map.upper_bound(from);
    return at == map.end() ? nullptr : &*at;
  }
  const auto behind = inclusive ? map.upper_bound(from) : map.lower_bound(from);
  return behind == map.begin() ? nullptr : &*std::prev(behind);
}

}  // namespace

MemoryBackend::Disk::Disk() {
  for (auto& table : tables) table = std::make_shared<Records>();
}

// What it has written lies over the tables as they were when it began.
class MemoryBackend::Txn : public BackendTxn {
 public:
  Txn(MemoryBackend& backend, bool writes) : backend_(backend), writes_(writes) {
    for (std::size_t i = 0; i < store::kTables; ++i) tables_[i] = backend.disk_->tables[i];
    assert(!writes || !backend.has_writer_);
    if (writes) backend.has_writer_ = true;
    thread_ = std::this_thread::get_id();
  }
  Txn(const Txn&) = delete;
  Txn& operator=(const Txn&) = delete;
  ~Txn() override {
    assert((!writes_ || thread_ == std::this_thread::get_id()) && "LMDB would never unlock it");
    if (writes_) backend_.has_writer_ = false;
  }

  Result<std::optional<ByteView>> get(Table table, ByteView key) override {
    ++backend_.disk_->gets;
    const auto& changes = changes_[index_of(table)];
    const auto& records = *tables_[index_of(table)];
    const Bytes at = to_bytes(key);
    if (const auto changed = changes.find(at); changed != changes.end()) {
      if (!changed->second) return std::nullopt;
      return *changed->second;
    }
    const auto found = records.find(at);
    if (found == records.end()) return std::nullopt;
    return found->second;
  }

  Result<void> put(Table table, ByteView key, ByteView value) override {
    assert(writes_);
    changes_[index_of(table)][to_bytes(key)] = to_bytes(value);
    return {};
  }

  Result<void> erase(Table table, ByteView key) override {
    assert(writes_);
    changes_[index_of(table)][to_bytes(key)] = std::nullopt;
    return {};
  }

  Result<void> scan(Table table, ByteView from, ReadTxn::Order order, const Visit& visit) override {
    const auto& changes = changes_[index_of(table)];
    const auto& records = *tables_[index_of(table)];
    const bool ascending = order == ReadTxn::Order::ascending;
    Bytes at = to_bytes(from);
    for (bool inclusive = true;; inclusive = false) {
      const auto* const old = closest(records, at, inclusive, ascending);
      const auto* const changed = closest(changes, at, inclusive, ascending);
      if (old == nullptr && changed == nullptr) return {};
      const bool old_first =
          changed == nullptr || (old != nullptr && (ascending ? old->first < changed->first
                                                              : old->first > changed->first));
      at = old_first ? old->first : changed->first;
      if (!old_first && !changed->second) continue;
      if (!visit(at, old_first ? old->second : *changed->second)) return {};
    }
  }

  Result<void> commit() override {
    assert(writes_);
    Disk& disk = *backend_.disk_;
    if (backend_.dead()) return tl::unexpected(StoreError::io);
    ++disk.commits;
    if (backend_.hook_ && !backend_.hook_(disk.commits)) return tl::unexpected(disk.refusal);
    for (std::size_t i = 0; i < store::kTables; ++i) {
      tables_[i].reset();
      if (changes_[i].empty()) continue;
      auto& table = disk.tables[i];
      if (table.use_count() > 1) table = std::make_shared<Records>(*table);
      for (auto& [key, value] : changes_[i]) {
        if (value) {
          (*table)[key] = std::move(*value);
        } else {
          table->erase(key);
        }
      }
      changes_[i].clear();
    }
    return {};
  }

 private:
  static std::size_t index_of(Table table) { return static_cast<std::size_t>(table); }

  MemoryBackend& backend_;
  bool writes_;
  std::thread::id thread_;
  std::array<std::shared_ptr<const Records>, store::kTables> tables_;
  std::array<std::map<Bytes, std::optional<Bytes>, KeyLess>, store::kTables> changes_;
};

Result<std::unique_ptr<BackendTxn>> MemoryBackend::begin_read() {
  if (dead()) return tl::unexpected(StoreError::io);
  return std::make_unique<Txn>(*this, false);
}

Result<std::unique_ptr<BackendTxn>> MemoryBackend::begin_write() {
  if (dead()) return tl::unexpected(StoreError::io);
  return std::make_unique<Txn>(*this, true);
}

}  // namespace godwit::test
