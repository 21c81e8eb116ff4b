// store/txn: LMDB transactions as types, so that a write inside a read does not compile.
// Owns:    one MDB_txn each; the end of the object ends the transaction.
// Thread:  a transaction stays on the thread that began it.
// Views into the map die with the transaction.
#pragma once

#include <lmdb.h>

#include <memory>
#include <tl/expected.hpp>
#include <utility>

namespace godwit::relay::store {

// What LMDB or the system answered, and to what. Becomes a Failure where it leaves the store.
struct LmdbError {
  int code = 0;
  const char* operation = "";
  [[nodiscard]] bool map_full() const { return code == MDB_MAP_FULL; }
};

template <class T>
using Result = tl::expected<T, LmdbError>;

[[nodiscard]] inline Result<void> checked(int code, const char* operation) {
  if (code == MDB_SUCCESS) return {};
  return tl::unexpected(LmdbError{code, operation});
}

// A snapshot. Begun alone it is aborted at its end; lent by a ReaderSlot it is given back.
class ReadTxn {
 public:
  [[nodiscard]] static Result<ReadTxn> begin(MDB_env* env) {
    MDB_txn* txn = nullptr;
    if (int rc = mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn); rc != MDB_SUCCESS) {
      return tl::unexpected(LmdbError{rc, "begin a read"});
    }
    return ReadTxn(txn, false);
  }
  ~ReadTxn() {
    if (txn_ == nullptr) return;
    if (lent_) {
      mdb_txn_reset(txn_);
    } else {
      mdb_txn_abort(txn_);
    }
  }
  ReadTxn(ReadTxn&& other) noexcept
      : txn_(std::exchange(other.txn_, nullptr)), lent_(other.lent_) {}
  ReadTxn(const ReadTxn&) = delete;
  ReadTxn& operator=(const ReadTxn&) = delete;
  ReadTxn& operator=(ReadTxn&&) = delete;

  [[nodiscard]] MDB_txn* raw() const { return txn_; }

 protected:
  friend class ReaderSlot;
  ReadTxn(MDB_txn* txn, bool lent) : txn_(txn), lent_(lent) {}
  MDB_txn* txn_;
  bool lent_;
};

// A place in LMDB's reader table that is kept between transactions: beginning one is then cheap.
class ReaderSlot {
 public:
  [[nodiscard]] static Result<ReaderSlot> open(MDB_env* env) {
    MDB_txn* txn = nullptr;
    if (int rc = mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn); rc != MDB_SUCCESS) {
      return tl::unexpected(LmdbError{rc, "open a reader"});
    }
    mdb_txn_reset(txn);
    return ReaderSlot(txn);
  }
  ~ReaderSlot() { mdb_txn_abort(txn_); }  // LMDB takes a null
  ReaderSlot(ReaderSlot&& other) noexcept : txn_(std::exchange(other.txn_, nullptr)) {}
  ReaderSlot(const ReaderSlot&) = delete;
  ReaderSlot& operator=(const ReaderSlot&) = delete;
  ReaderSlot& operator=(ReaderSlot&&) = delete;

  // One at a time; the transaction ends before the next begins and before the slot goes.
  [[nodiscard]] Result<ReadTxn> begin() {
    if (int rc = mdb_txn_renew(txn_); rc != MDB_SUCCESS) {
      return tl::unexpected(LmdbError{rc, "begin a read"});
    }
    return ReadTxn(txn_, true);
  }

 private:
  explicit ReaderSlot(MDB_txn* txn) : txn_(txn) {}
  MDB_txn* txn_;
};

// The one write transaction of the moment. What is not committed is aborted.
class WriteTxn : public ReadTxn {
 public:
  [[nodiscard]] static Result<WriteTxn> begin(MDB_env* env) {
    MDB_txn* txn = nullptr;
    if (int rc = mdb_txn_begin(env, nullptr, 0, &txn); rc != MDB_SUCCESS) {
      return tl::unexpected(LmdbError{rc, "begin a write"});
    }
    return WriteTxn(txn);
  }
  // After an error but MDB_MAP_FULL nobody knows what is on the disk: no further commit.
  [[nodiscard]] Result<void> commit() && {
    // LMDB frees the transaction even when this fails.
    return checked(mdb_txn_commit(std::exchange(txn_, nullptr)), "commit");
  }

 private:
  explicit WriteTxn(MDB_txn* txn) : ReadTxn(txn, false) {}
};

struct CursorClose {
  void operator()(MDB_cursor* cursor) const { mdb_cursor_close(cursor); }
};
using Cursor = std::unique_ptr<MDB_cursor, CursorClose>;

}  // namespace godwit::relay::store
