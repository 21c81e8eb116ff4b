// store/table: one LMDB table: get, put, erase and scans, on raw bytes (records.hpp gives meaning).
// Refuses: to hand out a cursor; none outlives the call that opened it.
// Thread:  that of the transaction.
#pragma once

#include <cassert>
#include <memory>
#include <optional>
#include <span>

#include "relay/store/keys.hpp"
#include "relay/store/limits.hpp"
#include "relay/store/txn.hpp"

namespace godwit::relay::store {

[[nodiscard]] inline MDB_val to_val(wire::ByteView bytes) {
  // LMDB takes pointers without const and does not write through them.
  return {bytes.size(), const_cast<std::uint8_t*>(bytes.data())};
}

[[nodiscard]] inline wire::ByteView to_view(const MDB_val& value) {
  return {static_cast<const std::uint8_t*>(value.mv_data), value.mv_size};
}

struct CursorClose {
  void operator()(MDB_cursor* cursor) const { mdb_cursor_close(cursor); }
};
using Cursor = std::unique_ptr<MDB_cursor, CursorClose>;

class RawTable {
 public:
  RawTable(TableId id, MDB_dbi dbi) : id_(id), dbi_(dbi) {}

  [[nodiscard]] TableId id() const { return id_; }

  // The view lives until the transaction ends or writes.
  [[nodiscard]] Result<std::optional<wire::ByteView>> get(const ReadTxn& txn,
                                                          wire::ByteView key) const {
    MDB_val k = to_val(key);
    MDB_val v{};
    const int rc = mdb_get(txn.raw(), dbi_, &k, &v);
    if (rc == MDB_NOTFOUND) return std::nullopt;
    if (rc != MDB_SUCCESS) return tl::unexpected(LmdbError{rc, "read a record"});
    return to_view(v);
  }

  [[nodiscard]] Result<void> put(WriteTxn& txn, wire::ByteView key, wire::ByteView value) const {
    assert(!key.empty() && key.size() <= kKeySizeMax);
    MDB_val k = to_val(key);
    MDB_val v = to_val(value);
    return checked(mdb_put(txn.raw(), dbi_, &k, &v, 0), "write a record");
  }

  // Precondition: `key` is greater than each key in the table.
  [[nodiscard]] Result<void> append(WriteTxn& txn, wire::ByteView key, wire::ByteView value) const {
    MDB_val k = to_val(key);
    MDB_val v = to_val(value);
    return checked(mdb_put(txn.raw(), dbi_, &k, &v, MDB_APPEND), "append a record");
  }

  // A record that is not there is fine.
  [[nodiscard]] Result<void> erase(WriteTxn& txn, wire::ByteView key) const {
    MDB_val k = to_val(key);
    const int rc = mdb_del(txn.raw(), dbi_, &k, nullptr);
    return rc == MDB_NOTFOUND ? Result<void>{} : checked(rc, "delete a record");
  }

  // Erases the records at `keys` (ascending), each after on_record(key, raw value). One cursor:
  // neighbours on a page are found without a search.
  template <class OnRecord>
  [[nodiscard]] Result<void> erase_each(WriteTxn& txn, std::span<const std::uint64_t> keys,
                                        OnRecord&& on_record) const {
    auto cursor = open_cursor(txn);
    if (!cursor) return tl::unexpected(cursor.error());
    for (std::uint64_t key : keys) {
      MDB_val k{sizeof key, &key};
      MDB_val v{};
      int rc = mdb_cursor_get(cursor->get(), &k, &v, MDB_SET);
      if (rc == MDB_NOTFOUND) continue;
      if (rc == MDB_SUCCESS) {
        on_record(key, to_view(v));
        rc = mdb_cursor_del(cursor->get(), 0);
      }
      if (rc != MDB_SUCCESS) return tl::unexpected(LmdbError{rc, "delete a record"});
    }
    return {};
  }

  // Calls on_record(key, raw value) -> bool in key order from the first key not below `from` until
  // it answers false. The callback does not write to this table.
  template <class OnRecord>
  [[nodiscard]] Result<void> scan(const ReadTxn& txn, wire::ByteView from,
                                  OnRecord&& on_record) const {
    auto cursor = open_cursor(txn);
    if (!cursor) return tl::unexpected(cursor.error());
    MDB_val k = to_val(from);
    MDB_val v{};
    int rc = mdb_cursor_get(cursor->get(), &k, &v, from.empty() ? MDB_FIRST : MDB_SET_RANGE);
    while (rc == MDB_SUCCESS) {
      if (!on_record(to_view(k), to_view(v))) return {};
      rc = mdb_cursor_get(cursor->get(), &k, &v, MDB_NEXT);
    }
    return rc == MDB_NOTFOUND ? Result<void>{} : checked(rc, "scan a table");
  }

  // Of a table with integer keys; nothing when it is empty.
  [[nodiscard]] Result<std::optional<std::uint64_t>> last_u64(const ReadTxn& txn) const {
    auto cursor = open_cursor(txn);
    if (!cursor) return tl::unexpected(cursor.error());
    MDB_val k{};
    MDB_val v{};
    const int rc = mdb_cursor_get(cursor->get(), &k, &v, MDB_LAST);
    if (rc == MDB_NOTFOUND) return std::nullopt;
    if (rc != MDB_SUCCESS) return tl::unexpected(LmdbError{rc, "find the last record"});
    return u64_of(to_view(k));
  }

  [[nodiscard]] Result<MDB_stat> stat(const ReadTxn& txn) const {
    MDB_stat out{};
    if (int rc = mdb_stat(txn.raw(), dbi_, &out); rc != MDB_SUCCESS) {
      return tl::unexpected(LmdbError{rc, "measure a table"});
    }
    return out;
  }

 private:
  [[nodiscard]] Result<Cursor> open_cursor(const ReadTxn& txn) const {
    MDB_cursor* cursor = nullptr;
    if (int rc = mdb_cursor_open(txn.raw(), dbi_, &cursor); rc != MDB_SUCCESS) {
      return tl::unexpected(LmdbError{rc, "open a cursor"});
    }
    return Cursor(cursor);
  }

  TableId id_;
  MDB_dbi dbi_;
};

}  // namespace godwit::relay::store
