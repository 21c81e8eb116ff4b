// store/env: the LMDB environment: opening it, its tables, its file and what is in use of it.
// Owns:    the MDB_env; closed at its end, so every transaction and reader ends before.
// Refuses: to know what a record means or when the store is full.
// Thread:  const functions from any thread; reserve_file() from the writer's only.
#pragma once

#include <memory>

#include "relay/store/store.hpp"
#include "relay/store/table.hpp"

namespace godwit::relay::store {

// Where a failure leaves the store: one place maps LMDB's and the system's answers.
[[nodiscard]] Failure to_failure(const LmdbError& error);

// What the pages of the file are used for, as of the last commit.
struct Survey {
  std::uint64_t end = 0;   // pages from the start of the file that were ever used
  std::uint64_t used = 0;  // of these, pages that hold something; the others are free
  MDB_stat log{};
  MDB_stat bodies{};
  MDB_stat body_refs{};
};

class Env {
 public:
  // Creates directory and file when there are none. open_tables() comes next.
  [[nodiscard]] static tl::expected<std::unique_ptr<Env>, Failure> open(const Options& options);
  ~Env();
  Env(const Env&) = delete;
  Env& operator=(const Env&) = delete;

  // Opens every table, creating those that a fresh store lacks. Valid once `txn` has committed.
  [[nodiscard]] tl::expected<void, Failure> open_tables(WriteTxn& txn);

  [[nodiscard]] MDB_env* raw() const { return env_.get(); }
  // Precondition: open_tables() was called.
  [[nodiscard]] const RawTable& table(TableId id) const {
    return tables_[static_cast<std::size_t>(id)];
  }

  [[nodiscard]] std::uint64_t page_size() const { return page_size_; }
  [[nodiscard]] std::uint64_t map_pages() const { return map_pages_; }
  [[nodiscard]] std::uint64_t file_pages() const { return file_pages_; }
  // Pages from the start of the file that were ever used.
  [[nodiscard]] std::uint64_t end_page() const;
  [[nodiscard]] std::uint64_t newest_commit() const;

  // Makes the file at least `pages` long with room on the disk behind each page, so that no
  // commit can meet a full disk. Says with an errno why not; 0 is success. Nothing shrinks.
  [[nodiscard]] int reserve_file(std::uint64_t pages);

  [[nodiscard]] Result<Survey> survey(const ReadTxn& txn) const;
  // Free pages that the next write may take. What a reader may still look at is not among them,
  // however long ago it was freed.
  struct Reusable {
    std::uint64_t pages = 0;
    std::uint64_t rows = 0;  // of so many neighbours as were asked for, none in two of them
  };
  // Looks no further when there are `enough`. Precondition: `row` is not 0.
  [[nodiscard]] Result<Reusable> reusable_pages(const ReadTxn& txn, std::uint64_t enough,
                                                std::uint64_t row) const;
  // Frees the reader slots of processes that died with one.
  void check_readers() const;

 private:
  struct Close {
    void operator()(MDB_env* env) const { mdb_env_close(env); }
  };
  Env() = default;

  std::unique_ptr<MDB_env, Close> env_;
  std::vector<RawTable> tables_;  // by TableId
  MDB_dbi main_ = 0;
  int descriptor_ = -1;  // LMDB's own
  std::uint64_t page_size_ = 0;
  std::uint64_t map_pages_ = 0;
  std::uint64_t file_pages_ = 0;
};

}  // namespace godwit::relay::store
