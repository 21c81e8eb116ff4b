// Opening: look the file over (lmdb_check), then let LMDB map it.
// Committing: count the pages that the writes may have dirtied, make the file long enough for all
// of them, then let LMDB commit.
// Failure: no room for the file to grow: disk_full, and the transaction is dropped. Anything else
// that goes wrong in a commit: io.

#include "client-sdk/src/store/lmdb_backend.hpp"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>

#include "client-sdk/src/crypto/at_rest.hpp"
#include "client-sdk/src/store/directory.hpp"
#include "client-sdk/src/store/lmdb_check.hpp"

namespace godwit::store {
namespace {

using tl::unexpected;
using wire::ByteView;

constexpr std::size_t kMapSize = std::size_t{64} << 30;  // address space only; the file is sparse
// The least that a program is content with that may have only so much, by a limit or a debugger.
constexpr std::size_t kMapSizeMin = std::size_t{1} << 30;
constexpr unsigned kReadersMax = 1024;
constexpr std::size_t kKeySizeMax = crypto::kRecordKeySizeMax;
constexpr std::uint64_t kGrowthPages = 256;  // the file grows by so many at least
// From the root to a leaf, the tree of free pages with it.
constexpr std::uint64_t kCommitPages = 64;
constexpr std::uint64_t kWritePages = 4;  // leaf, the sibling of a split, their parents
// Up to this size a look at every page takes a few milliseconds.
constexpr off_t kAlwaysCheckedSize = off_t{64} << 20;

[[nodiscard]] StoreError error_of(int code) {
  switch (code) {
    case MDB_MAP_FULL:
      return StoreError::map_full;
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INCOMPATIBLE:
      return StoreError::damaged;
    default:
      return code > 0 ? error_of_system(code) : StoreError::io;
  }
}

[[nodiscard]] Result<void> checked(int code) {
  if (code == MDB_SUCCESS) return {};
  return unexpected(error_of(code));
}

[[nodiscard]] MDB_val to_val(ByteView bytes) {
  // LMDB takes pointers without const and does not write through them.
  return {bytes.size(), const_cast<std::uint8_t*>(bytes.data())};
}

[[nodiscard]] ByteView to_view(const MDB_val& value) {
  return {static_cast<const std::uint8_t*>(value.mv_data), value.mv_size};
}

// `table | key` as LMDB sees it. A key of the full size, which no record has, may stand for the
// end of a range: it is cut.
class FullKey {
 public:
  FullKey(Table table, ByteView key) : size_(1 + std::min(key.size(), kKeySizeMax - 1)) {
    bytes_[0] = static_cast<std::uint8_t>(table);
    std::copy_n(key.begin(), size_ - 1, bytes_.begin() + 1);
  }
  [[nodiscard]] MDB_val val() { return {size_, bytes_.data()}; }
  [[nodiscard]] ByteView view() const { return {bytes_.data(), size_}; }

 private:
  std::array<std::uint8_t, kKeySizeMax> bytes_;
  std::size_t size_;
};

struct CursorClose {
  void operator()(MDB_cursor* cursor) const { mdb_cursor_close(cursor); }
};
struct EnvClose {
  void operator()(MDB_env* env) const { mdb_env_close(env); }
};
struct TxnAbort {
  void operator()(MDB_txn* txn) const { mdb_txn_abort(txn); }
};
using Env = std::unique_ptr<MDB_env, EnvClose>;
using Cursor = std::unique_ptr<MDB_cursor, CursorClose>;
using Txn = std::unique_ptr<MDB_txn, TxnAbort>;

// The file behind an environment.
class Growth {
 public:
  explicit Growth(MDB_env* env) : env_(env) {
    MDB_stat stat{};
    mdb_env_stat(env, &stat);  // these two fail only without an environment
    mdb_env_get_fd(env, &file_);
    page_size_ = stat.ms_psize;
    struct stat status {};
    if (::fstat(file_, &status) == 0)
      pages_ = static_cast<std::uint64_t>(status.st_size) / page_size_;
  }

  [[nodiscard]] std::uint64_t page_size() const { return page_size_; }

  // Room behind the last page of the last commit.
  [[nodiscard]] Result<void> make_room(std::uint64_t pages) {
    MDB_envinfo info{};
    mdb_env_info(env_, &info);
    const std::uint64_t needed = info.me_last_pgno + 1 + pages;
    if (needed <= pages_) return {};
    const std::uint64_t rounded = (needed + kGrowthPages - 1) / kGrowthPages * kGrowthPages;
    if (extend(rounded) == 0) return {};
    if (const int failed = extend(needed); failed != 0) return unexpected(error_of_system(failed));
    return {};
  }

 private:
  [[nodiscard]] int extend(std::uint64_t pages) {
    int failed = EINTR;
    while (failed == EINTR) {
      failed = ::posix_fallocate(file_, static_cast<off_t>(pages_ * page_size_),
                                 static_cast<off_t>((pages - pages_) * page_size_));
    }
    if (failed == 0) pages_ = pages;
    return failed;
  }

  MDB_env* env_;
  mdb_filehandle_t file_ = -1;  // LMDB's own
  std::uint64_t page_size_ = 0;
  std::uint64_t pages_ = 0;
};

class LmdbTxn : public BackendTxn {
 public:
  LmdbTxn(Txn txn, MDB_dbi dbi, Growth* growth)
      : txn_(std::move(txn)), dbi_(dbi), growth_(growth) {}

  Result<std::optional<ByteView>> get(Table table, ByteView key) override {
    FullKey full(table, key);
    MDB_val k = full.val();
    MDB_val v{};
    const int code = mdb_get(txn_.get(), dbi_, &k, &v);
    if (code == MDB_NOTFOUND) return std::nullopt;
    if (code != MDB_SUCCESS) return unexpected(error_of(code));
    return to_view(v);
  }

  Result<void> put(Table table, ByteView key, ByteView value) override {
    assert(key.size() < kKeySizeMax);
    FullKey full(table, key);
    MDB_val k = full.val();
    MDB_val v = to_val(value);
    ++writes_;
    written_ += value.size() + key.size();
    if (value.size() > growth_->page_size() / 4) runs_ += value.size() / growth_->page_size() + 2;
    return kept(mdb_put(txn_.get(), dbi_, &k, &v, 0));
  }

  Result<void> erase(Table table, ByteView key) override {
    FullKey full(table, key);
    MDB_val k = full.val();
    ++writes_;
    const int code = mdb_del(txn_.get(), dbi_, &k, nullptr);
    return kept(code == MDB_NOTFOUND ? MDB_SUCCESS : code);
  }

  Result<void> scan(Table table, ByteView from, ReadTxn::Order order, const Visit& visit) override {
    MDB_cursor* opened = nullptr;
    if (const auto open = checked(mdb_cursor_open(txn_.get(), dbi_, &opened)); !open) return open;
    const Cursor cursor(opened);
    const bool ascending = order == ReadTxn::Order::ascending;
    FullKey full(table, from);
    MDB_val k = full.val();
    MDB_val v{};
    int code = mdb_cursor_get(opened, &k, &v, MDB_SET_RANGE);
    if (!ascending) {
      // LMDB stands at the first key not below; one that is above is one too far.
      if (code == MDB_NOTFOUND) {
        code = mdb_cursor_get(opened, &k, &v, MDB_LAST);
      } else if (code == MDB_SUCCESS && !std::ranges::equal(to_view(k), full.view())) {
        code = mdb_cursor_get(opened, &k, &v, MDB_PREV);
      }
    }
    while (code == MDB_SUCCESS) {
      const ByteView key = to_view(k);
      if (key[0] != static_cast<std::uint8_t>(table)) return {};
      if (!visit(key.subspan(1), to_view(v))) return {};
      code = mdb_cursor_get(opened, &k, &v, ascending ? MDB_NEXT : MDB_PREV);
    }
    return checked(code == MDB_NOTFOUND ? MDB_SUCCESS : code);
  }

  Result<void> commit() override {
    if (failed_) return unexpected(*failed_);
    if (const auto room = growth_->make_room(pages_needed()); !room) return room;
    const int code = mdb_txn_commit(txn_.release());
    if (code == MDB_SUCCESS) return {};
    return unexpected(code == MDB_MAP_FULL ? StoreError::map_full : StoreError::io);
  }

 private:
  // LMDB takes no commit of a transaction in which a write failed.
  [[nodiscard]] Result<void> kept(int code) {
    if (code != MDB_SUCCESS) failed_ = error_of(code);
    return checked(code);
  }

  // Never fewer than LMDB will take: a page is copied once in a transaction, however many of its
  // records are written, and what is added fills pages at least by half.
  [[nodiscard]] std::uint64_t pages_needed() const {
    MDB_stat stat{};
    mdb_stat(txn_.get(), dbi_, &stat);
    const std::uint64_t whole_tree = stat.ms_branch_pages + stat.ms_leaf_pages;
    const std::uint64_t added = 2 * written_ / growth_->page_size();
    const std::uint64_t touched = std::min(kWritePages * writes_, whole_tree + 2 * added) + runs_;
    const std::uint64_t list_of_freed = 2 * touched * sizeof(std::uint64_t) / growth_->page_size();
    return touched + list_of_freed + kCommitPages;
  }

  Txn txn_;
  MDB_dbi dbi_;
  Growth* growth_;
  std::uint64_t writes_ = 0;
  std::uint64_t written_ = 0;  // bytes
  std::uint64_t runs_ = 0;     // pages of long values
  std::optional<StoreError> failed_;
};

class LmdbEnvironment : public Backend {
 public:
  LmdbEnvironment(Env env, MDB_dbi dbi) : env_(std::move(env)), dbi_(dbi), growth_(env_.get()) {}

  Result<std::unique_ptr<BackendTxn>> begin_read() override { return begin(MDB_RDONLY); }
  Result<std::unique_ptr<BackendTxn>> begin_write() override { return begin(0); }

 private:
  [[nodiscard]] Result<std::unique_ptr<BackendTxn>> begin(unsigned flags) {
    MDB_txn* txn = nullptr;
    if (const int code = mdb_txn_begin(env_.get(), nullptr, flags, &txn); code != MDB_SUCCESS) {
      return unexpected(error_of(code));
    }
    return std::make_unique<LmdbTxn>(Txn(txn), dbi_, &growth_);
  }

  Env env_;
  MDB_dbi dbi_;
  Growth growth_;  // of the writer, of whom there is one
};

// LMDB makes its lock file as long as it has to be, without the bytes, and writes to it through a
// map: a page that the disk has no room for would end the process. One that is there already has
// its first page, which is enough for a full disk to be read.
[[nodiscard]] Result<void> make_room_for_readers(const std::filesystem::path& directory) {
  constexpr off_t kSize = off_t{kReadersMax + 64} * 64;  // a reader takes 64 bytes
  const net::Descriptor file(
      ::open((directory / "lock.mdb").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file.is_open()) return unexpected(error_of_system(errno));
  int failed = EINTR;
  while (failed == EINTR) failed = ::posix_fallocate(file.get(), 0, kSize);
  struct stat status {};
  if (failed == 0 || (::fstat(file.get(), &status) == 0 && status.st_size > 0)) return {};
  return unexpected(error_of_system(failed));
}

// What it gives is LMDB's code; `env` is open when that is MDB_SUCCESS.
[[nodiscard]] int open_mapped(Env& env, const std::filesystem::path& directory,
                              std::size_t map_size) {
  MDB_env* opened = nullptr;
  if (const int code = mdb_env_create(&opened); code != MDB_SUCCESS) return code;
  env.reset(opened);
  int code = mdb_env_set_mapsize(opened, map_size);
  if (code == MDB_SUCCESS) code = mdb_env_set_maxreaders(opened, kReadersMax);
  // NOTLS: a read belongs to its object, not to its thread. NORDAHEAD: a page of a list is some
  // hundred records all over the file, and reading ahead of each costs fifty times the page itself.
  // No flag that weakens a commit.
  constexpr unsigned kFlags = MDB_NOTLS | MDB_NORDAHEAD;
  if (code == MDB_SUCCESS) code = mdb_env_open(opened, directory.c_str(), kFlags, 0600);
  if (code == MDB_SUCCESS) code = mdb_env_sync(opened, 1);  // the meta pages of a new file
  return code;
}

[[nodiscard]] Result<std::unique_ptr<Backend>> open_environment(
    const std::filesystem::path& directory) {
  if (const auto room = make_room_for_readers(directory); !room) return unexpected(room.error());
  Env env;
  int code = ENOMEM;
  for (std::size_t size = kMapSize; code == ENOMEM && size >= kMapSizeMin; size /= 8) {
    code = open_mapped(env, directory, size);
  }
  if (code != MDB_SUCCESS) return unexpected(error_of(code));
  int file = -1;
  mdb_env_get_fd(env.get(), &file);
  ::fcntl(file, F_SETFD, FD_CLOEXEC);  // LMDB leaves it open to programs that the app starts

  MDB_txn* begun = nullptr;
  code = mdb_txn_begin(env.get(), nullptr, MDB_RDONLY, &begun);
  if (code != MDB_SUCCESS) return unexpected(error_of(code));
  const Txn txn(begun);
  MDB_dbi dbi = 0;
  code = mdb_dbi_open(begun, nullptr, 0, &dbi);
  if (code != MDB_SUCCESS) return unexpected(error_of(code));
  return std::make_unique<LmdbEnvironment>(std::move(env), dbi);
}

}  // namespace

Result<std::unique_ptr<Backend>> LmdbBackend::create(const std::filesystem::path& directory) {
  return open_environment(directory);
}

Result<std::unique_ptr<Backend>> LmdbBackend::open(const std::filesystem::path& directory,
                                                   bool closed_in_order) {
  const net::Descriptor file(::open((directory / "data.mdb").c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!file.is_open() || ::fstat(file.get(), &status) != 0) {
    const StoreError error = error_of_system(errno);
    return unexpected(error == StoreError::not_found ? StoreError::truncated : error);
  }
  const bool whole = !closed_in_order || status.st_size <= kAlwaysCheckedSize;
  if (const auto sound = check_lmdb_file(file.get(), whole); !sound) {
    return unexpected(sound.error());
  }
  return open_environment(directory);
}

}  // namespace godwit::store
