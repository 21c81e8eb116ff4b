// Happy path: create the directory, open the environment, check that the file is whole, free dead
// readers; the caller then opens the tables in its first transaction.
// Failure: each step says what was tried and what the system answered.
#include "relay/store/env.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <limits>
#include <string_view>

namespace godwit::relay::store {
namespace {

// LMDB's number for the table of free pages: key = the transaction that freed them, value = a
// count and so many page numbers.
constexpr MDB_dbi kFreeTable = 0;
constexpr std::uint64_t kMetaPages = 2;
// For neighbours LMDB looks at 60 lists of free pages for each page that it wants in a row, and it
// wants two at least.
constexpr std::size_t kListsOfRows = 120;

StoreError error_of(int code) {
  switch (code) {
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
    case MDB_NOTFOUND:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_BAD_TXN:  // it met such a page before, as it opened a table, and did not say so
      return StoreError::not_a_store;
    case MDB_MAP_FULL:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return StoreError::no_space;
    case EACCES:
    case EPERM:
    case EROFS:
      return StoreError::permission;
    case EBUSY:
    case EAGAIN:
      return StoreError::in_use;
    default:
      return StoreError::io;
  }
}

Failure failure(int code, const std::string& tried) {
  return Failure{error_of(code), tried + ": " + mdb_strerror(code)};
}

// A new file's name is durable only when its directory is.
int sync_directory(const std::filesystem::path& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno;
  const int rc = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  return rc;
}

// LMDB makes a file by one write of both meta pages. A shorter one was cut off in that: by a full
// disk, or a loss of power at the very first start. Nothing is in it, and it would never open. It
// begins as LMDB's do, or the bytes never came; what begins otherwise is somebody's, and stays.
void discard_torn_beginning(const std::filesystem::path& file) {
  std::error_code code;
  const std::uintmax_t size = std::filesystem::file_size(file, code);
  if (code || size == 0) return;
  if (size >= kMetaPages * static_cast<std::uintmax_t>(::sysconf(_SC_PAGESIZE))) return;
  // The header of page 0, marked as a meta page, and LMDB's magic number.
  constexpr std::string_view kBegin("\0\0\0\0\0\0\0\0\0\0\x08\0\0\0\0\0\xDE\xC0\xEF\xBE", 20);
  std::string begin(std::min<std::uintmax_t>(size, kBegin.size()), '\0');
  std::ifstream(file, std::ios::binary).read(begin.data(), std::ssize(begin));
  const bool is_ours = kBegin.starts_with(begin);
  const bool is_empty = begin.find_first_not_of('\0') == std::string::npos;
  // What fails here, opening will say.
  if (is_ours || is_empty) std::filesystem::resize_file(file, 0, code);
}

std::uint64_t pages_of(const MDB_stat& stat) {
  return stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
}

// The oldest commit that anybody reads, in this process or another: what later ones have freed is
// still looked at. LMDB tells it as lines of text alone, `process thread commit`; who reads nothing
// has a `-` there.
std::uint64_t oldest_read(MDB_env* env, std::uint64_t newest) {
  const auto take_line = [](const char* line, void* context) {
    const std::string_view text(line);
    const char* const word = line + text.find_last_of(' ') + 1;
    std::uint64_t commit = 0;
    const auto parsed = std::from_chars(word, text.data() + text.size(), commit);
    auto& oldest = *static_cast<std::uint64_t*>(context);
    if (parsed.ec == std::errc()) oldest = std::min(oldest, commit);
    return 0;
  };
  std::uint64_t oldest = newest;
  mdb_reader_list(env, take_line, &oldest);
  return oldest;
}

// A large one takes long enough for a signal to come.
int allocate(int descriptor, off_t from, off_t size) {
  int rc = EINTR;
  while (rc == EINTR) rc = ::posix_fallocate(descriptor, from, size);
  return rc;
}

// LMDB makes its lock file as long as it has to be, without the bytes, and writes to it through a
// map: a page that the disk has no room for would end the process. One that is there already has
// its first page, which is enough to empty a full store.
int make_room_for_readers(const std::filesystem::path& directory, std::uint32_t readers) {
  const int fd = ::open((directory / "lock.mdb").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return errno;
  struct stat file {};
  int rc = allocate(fd, 0, off_t{readers + 64} * 64);  // a reader takes 64 bytes
  if (rc != 0 && ::fstat(fd, &file) == 0 && file.st_size > 0) rc = 0;
  ::close(fd);
  return rc;
}

}  // namespace

Failure to_failure(const LmdbError& error) {
  return failure(error.code, error.operation);
}

tl::expected<std::unique_ptr<Env>, Failure> Env::open(const Options& options) {
  const std::string where = options.directory.string();
  std::error_code code;
  std::filesystem::create_directories(options.directory, code);
  if (code) return tl::unexpected(failure(code.value(), "create " + where));

  std::unique_ptr<Env> env(new Env());
  discard_torn_beginning(options.directory / "data.mdb");
  if (int rc = make_room_for_readers(options.directory, options.loops + kSpareReaders); rc != 0) {
    return tl::unexpected(failure(rc, "make room for lock.mdb in " + where));
  }
  MDB_env* raw = nullptr;
  if (int rc = mdb_env_create(&raw); rc != 0) return tl::unexpected(failure(rc, "create"));
  env->env_.reset(raw);
  // None of these can fail before the environment is open, but for a size of zero.
  int rc = mdb_env_set_mapsize(raw, options.size_max);
  if (rc == 0) rc = mdb_env_set_maxdbs(raw, static_cast<MDB_dbi>(kTableIdCount));
  if (rc == 0) rc = mdb_env_set_maxreaders(raw, options.loops + kSpareReaders);
  // NOTLS: a reader belongs to its object, not to its thread. No flag that weakens a commit.
  if (rc == 0) rc = mdb_env_open(raw, options.directory.c_str(), MDB_NOTLS, 0600);
  if (rc != 0) return tl::unexpected(failure(rc, "open the store in " + where));
  if (rc = sync_directory(options.directory); rc != 0) {
    return tl::unexpected(failure(rc, "sync " + where));
  }

  MDB_stat stat{};
  MDB_envinfo info{};
  struct stat file {};
  mdb_env_stat(raw, &stat);
  mdb_env_info(raw, &info);
  mdb_env_get_fd(raw, &env->descriptor_);
  if (::fstat(env->descriptor_, &file) != 0) return tl::unexpected(failure(errno, "stat data.mdb"));
  env->page_size_ = stat.ms_psize;
  env->map_pages_ = info.me_mapsize / stat.ms_psize;
  env->file_pages_ = static_cast<std::uint64_t>(file.st_size) / stat.ms_psize;
  if (env->file_pages_ < env->end_page()) {
    // Reading past the end of a mapped file would kill the process.
    return tl::unexpected(Failure{StoreError::not_a_store, where + "/data.mdb is cut short"});
  }
  // A copied file may have holes; writing into one takes room as growing does.
  rc = allocate(env->descriptor_, 0, file.st_size);
  if (rc != 0) return tl::unexpected(failure(rc, "allocate the holes of " + where + "/data.mdb"));
  env->check_readers();
  return env;
}

Env::~Env() = default;

tl::expected<void, Failure> Env::open_tables(WriteTxn& txn) {
  if (int rc = mdb_dbi_open(txn.raw(), nullptr, 0, &main_); rc != 0) {
    return tl::unexpected(failure(rc, "open the main table"));
  }
  MDB_stat stat{};
  mdb_stat(txn.raw(), main_, &stat);
  const unsigned create = stat.ms_entries == 0 ? MDB_CREATE : 0;
  tables_.clear();
  for (const TableSpec& spec : kTables) {
    MDB_dbi dbi = 0;
    const unsigned flags = create | (spec.integer_key ? MDB_INTEGERKEY : 0u);
    if (int rc = mdb_dbi_open(txn.raw(), spec.name, flags, &dbi); rc != 0) {
      return tl::unexpected(failure(rc, std::string("open the table ") + spec.name));
    }
    tables_.emplace_back(spec.id, dbi);
  }
  return {};
}

std::uint64_t Env::end_page() const {
  MDB_envinfo info{};
  mdb_env_info(env_.get(), &info);
  return info.me_last_pgno + 1;
}

std::uint64_t Env::newest_commit() const {
  MDB_envinfo info{};
  mdb_env_info(env_.get(), &info);
  return info.me_last_txnid;
}

int Env::reserve_file(std::uint64_t pages) {
  pages = std::min(pages, map_pages_);
  if (pages <= file_pages_) return 0;
  const int rc = allocate(descriptor_, static_cast<off_t>(file_pages_ * page_size_),
                          static_cast<off_t>((pages - file_pages_) * page_size_));
  if (rc == 0) file_pages_ = pages;
  return rc;
}

Result<Survey> Env::survey(const ReadTxn& txn) const {
  Survey out;
  out.end = end_page();
  out.used = kMetaPages;
  for (const MDB_dbi dbi : {kFreeTable, main_}) {
    MDB_stat stat{};
    if (int rc = mdb_stat(txn.raw(), dbi, &stat); rc != 0) {
      return tl::unexpected(LmdbError{rc, "measure the free pages"});
    }
    out.used += pages_of(stat);
  }
  for (const RawTable& table : tables_) {
    const auto stat = table.stat(txn);
    if (!stat) return tl::unexpected(stat.error());
    out.used += pages_of(*stat);
    if (table.id() == TableId::log) out.log = *stat;
    if (table.id() == TableId::bodies) out.bodies = *stat;
    if (table.id() == TableId::body_refs) out.body_refs = *stat;
  }
  return out;
}

Result<Env::Reusable> Env::reusable_pages(const ReadTxn& txn, std::uint64_t enough,
                                          std::uint64_t row) const {
  const std::uint64_t oldest = oldest_read(env_.get(), mdb_txn_id(txn.raw()));
  std::vector<std::uint64_t> free;
  std::size_t lists = 0;
  std::size_t before_rows_end = 0;
  // Not in `tables_`: it is LMDB's, and only read. A list is as long as a commit has freed pages.
  const RawTable free_table(TableId::meta, kFreeTable, std::numeric_limits<std::size_t>::max());
  const auto scanned = free_table.scan(txn, {}, [&](wire::ByteView key, wire::ByteView value) {
    if (u64_of(key) >= oldest) return false;
    const std::uint64_t count = std::min<std::uint64_t>(u64_of(value), value.size() / 8 - 1);
    for (std::uint64_t i = 1; i <= count; ++i) free.push_back(u64_of(value.subspan(8 * i)));
    if (++lists == kListsOfRows) before_rows_end = free.size();
    return free.size() < enough;
  });
  if (!scanned) return tl::unexpected(scanned.error());
  Reusable found{free.size(), 0};
  if (lists > kListsOfRows) free.resize(before_rows_end);
  std::ranges::sort(free);
  std::uint64_t neighbours = 0;
  for (std::size_t i = 0; i < free.size(); ++i) {
    neighbours = i > 0 && free[i] == free[i - 1] + 1 ? neighbours + 1 : 1;
    if (neighbours % row == 0) ++found.rows;
  }
  return found;
}

void Env::check_readers() const {
  int dead = 0;
  mdb_reader_check(env_.get(), &dead);
}

}  // namespace godwit::relay::store
