// store/table: one LMDB table: get, put, erase and scans, on raw bytes (records.hpp gives meaning).
// Refuses: to hand out a cursor; none outlives the call that opened it.
// Thread:  that of the transaction.
// Trust:   LMDB believes its pages, and a disk may return anything. A value longer than any that is
//          written is handed on as an empty one, which no checksum fits: read, it could lead past
//          the end of the file, and that ends the process. A shorter one does not: the file is
//          grown ahead of what is used of it.
#pragma once

#include <cassert>
#include <optional>
#include <span>

#include "relay/store/keys.hpp"
#include "relay/store/limits.hpp"
#include "relay/store/node.hpp"
#include "relay/store/txn.hpp"

namespace godwit::relay::store {

[[nodiscard]] inline MDB_val to_val(wire::ByteView bytes) {
  // LMDB takes pointers without const and does not write through them.
  return {bytes.size(), const_cast<std::uint8_t*>(bytes.data())};
}

[[nodiscard]] inline wire::ByteView to_view(const MDB_val& value) {
  return {static_cast<const std::uint8_t*>(value.mv_data), value.mv_size};
}

class RawTable {
 public:
  RawTable(TableId id, MDB_dbi dbi, std::size_t value_size_max = kValueSizeMax)
      : id_(id), dbi_(dbi), value_size_max_(value_size_max) {}

  [[nodiscard]] TableId id() const { return id_; }

  // The view lives until the transaction ends or writes.
  [[nodiscard]] Result<std::optional<wire::ByteView>> get(const ReadTxn& txn,
                                                          wire::ByteView key) const {
    MDB_val k = to_val(key);
    MDB_val v{};
    const int rc = mdb_get(txn.raw(), dbi_, &k, &v);
    if (rc == MDB_NOTFOUND) return std::nullopt;
    if (rc != MDB_SUCCESS) return tl::unexpected(LmdbError{rc, "read a record"});
    return to_value(v);
  }

  // Precondition: a record that is at `key` already is not damaged.
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

  // A record that is not there is fine. Precondition: it is not damaged.
  [[nodiscard]] Result<void> erase(WriteTxn& txn, wire::ByteView key) const {
    MDB_val k = to_val(key);
    const int rc = mdb_del(txn.raw(), dbi_, &k, nullptr);
    return rc == MDB_NOTFOUND ? Result<void>{} : checked(rc, "delete a record");
  }

  // As erase(), of a record whose checksum or size is wrong. `before` is of the last commit, and
  // nobody has written the record since.
  [[nodiscard]] Result<void> erase_damaged(WriteTxn& txn, const ReadTxn& before,
                                           wire::ByteView key) const {
    const auto cursor = open_cursor(txn);
    if (!cursor) return tl::unexpected(cursor.error());
    const auto look = open_cursor(before);
    if (!look) return tl::unexpected(look.error());
    const auto found = find(look->get(), key);
    if (!found) return tl::unexpected(found.error());
    return *found ? delete_damaged(cursor->get(), key, **found) : Result<void>{};
  }

  // Erases the records at `keys` (ascending), each after on_record(key, raw value) -> bool, which
  // says whether it is intact. The values are those of the last commit, which is what `before` is
  // of: pages that a transaction has changed lie in memory of their own, where a wrong size would
  // have something else read. One cursor each: neighbours on a page are found without a search.
  template <class OnRecord>
  [[nodiscard]] Result<void> erase_each(WriteTxn& txn, const ReadTxn& before,
                                        std::span<const std::uint64_t> keys,
                                        OnRecord&& on_record) const {
    const auto cursor = open_cursor(txn);
    if (!cursor) return tl::unexpected(cursor.error());
    const auto look = open_cursor(before);
    if (!look) return tl::unexpected(look.error());
    for (std::uint64_t key : keys) {
      const U64Key place(key);
      const auto there = find(cursor->get(), place.view());
      if (!there) return tl::unexpected(there.error());
      const auto found = find(look->get(), place.view());
      if (!found) return tl::unexpected(found.error());
      if (!*there || !*found) continue;
      const bool intact = on_record(key, to_value((*found)->key, (*found)->value));
      const auto done = intact ? checked(mdb_cursor_del(cursor->get(), 0), "delete a record")
                               : delete_damaged(cursor->get(), place.view(), **found);
      if (!done) return done;
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
      const wire::ByteView value = to_value(k, v);
      if (!is_key(k)) {
        if (!has_integer_keys()) return tl::unexpected(LmdbError{MDB_CORRUPTED, "scan a table"});
        k.mv_size = sizeof(std::uint64_t);  // LMDB finds it by its number all the same
      }
      if (!on_record(to_view(k), value)) return {};
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
  [[nodiscard]] wire::ByteView to_value(const MDB_val& value) const {
    return value.mv_size <= value_size_max_ ? to_view(value) : wire::ByteView{};
  }

  // Behind a key of a wrong size it is looked for at a wrong place.
  [[nodiscard]] wire::ByteView to_value(const MDB_val& key, const MDB_val& value) const {
    return is_key(key) ? to_value(value) : wire::ByteView{};
  }

  [[nodiscard]] bool has_integer_keys() const {
    return kTables[static_cast<std::size_t>(id_)].integer_key;
  }

  [[nodiscard]] bool is_key(const MDB_val& key) const {
    return has_integer_keys() ? key.mv_size == sizeof(std::uint64_t)
                              : key.mv_size > 0 && key.mv_size <= kKeySizeMax;
  }

  struct Found {
    MDB_val key;  // in its page
    MDB_val value;
  };
  [[nodiscard]] static Result<std::optional<Found>> find(MDB_cursor* cursor, wire::ByteView key) {
    Found found{to_val(key), {}};
    const int rc = mdb_cursor_get(cursor, &found.key, &found.value, MDB_SET_KEY);
    if (rc == MDB_NOTFOUND) return std::nullopt;
    if (rc != MDB_SUCCESS) return tl::unexpected(LmdbError{rc, "find a record"});
    return found;
  }

  // `found` is as of the last commit.
  [[nodiscard]] Result<void> delete_damaged(MDB_cursor* cursor, wire::ByteView key,
                                            const Found& found) const {
    const auto there = find(cursor, key);
    if (!there) return tl::unexpected(there.error());
    if (!*there) return {};
    MDB_stat stat{};
    int rc = mdb_stat(mdb_cursor_txn(cursor), dbi_, &stat);
    if (rc != MDB_SUCCESS) return checked(rc, "delete a damaged record");
    const auto room = room_of_value(found.key, key.size(), stat.ms_psize);
    if (!room) return tl::unexpected(room.error());
    const auto* const header =
        static_cast<const std::uint8_t*>(found.key.mv_data) - kNodeHeaderSize;
    const auto flags = wire::load_le<std::uint16_t>({header + kNodeFlagsAt, sizeof kOwnPagesFlag});
    const bool own_pages = (flags & kOwnPagesFlag) != 0;
    const std::size_t size = own_pages ? sizeof(std::uint64_t) : found.value.mv_size;
    if (*room && (found.key.mv_size != key.size() || size > **room || **room - size > 1)) {
      rc = own_pages ? MDB_CORRUPTED : set_sizes(cursor, key, found, **room);
    }
    if (rc == MDB_SUCCESS) rc = mdb_cursor_del(cursor, 0);
    return checked(rc, "delete a damaged record");
  }

  // To replace a value by one of the same size, reserved and not copied, moves nothing, and the
  // header in front of it can be written until the transaction ends.
  [[nodiscard]] static int set_sizes(MDB_cursor* cursor, wire::ByteView key, const Found& found,
                                     std::size_t value_size) {
    MDB_val k = to_val(key);
    MDB_val value{found.value.mv_size, nullptr};
    const int rc = mdb_cursor_put(cursor, &k, &value, MDB_RESERVE | kNoSpill);
    if (rc != MDB_SUCCESS) return rc;
    auto* const header =
        static_cast<std::uint8_t*>(value.mv_data) - found.key.mv_size - kNodeHeaderSize;
    wire::store_le(header, static_cast<std::uint32_t>(value_size));
    wire::store_le(header + kNodeKeySizeAt, static_cast<std::uint16_t>(key.size()));
    return MDB_SUCCESS;
  }

  [[nodiscard]] Result<Cursor> open_cursor(const ReadTxn& txn) const {
    MDB_cursor* cursor = nullptr;
    if (int rc = mdb_cursor_open(txn.raw(), dbi_, &cursor); rc != MDB_SUCCESS) {
      return tl::unexpected(LmdbError{rc, "open a cursor"});
    }
    return Cursor(cursor);
  }

  TableId id_;
  MDB_dbi dbi_;
  std::size_t value_size_max_;
};

}  // namespace godwit::relay::store
