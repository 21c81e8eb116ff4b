// Stands in the place of the library's functions that a disk can make fail, and passes on what is
// not to fail.
#include "tests/unit/relay/store/failing_lmdb.hpp"

#include <dlfcn.h>
#include <errno.h>
#include <lmdb.h>

#include <atomic>

namespace {

constexpr int kNever = -1;
std::atomic<int> g_calls_left = kNever;
std::atomic<bool> g_failed = false;

bool is_due() {
  int left = g_calls_left.load();
  while (left != kNever && !g_calls_left.compare_exchange_weak(left, left - 1)) continue;
  if (left != 0) return false;
  g_failed = true;  // zero has become kNever
  return true;
}

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

namespace godwit::relay::store::testing {

void fail_lmdb_after(int calls) {
  g_failed = false;
  g_calls_left = calls;
}

bool stop_failing_lmdb() {
  g_calls_left = kNever;
  return g_failed;
}

}  // namespace godwit::relay::store::testing

extern "C" {

int mdb_txn_begin(MDB_env* env, MDB_txn* parent, unsigned flags, MDB_txn** txn) {
  static const auto real = next<decltype(&mdb_txn_begin)>("mdb_txn_begin");
  return is_due() ? EIO : real(env, parent, flags, txn);
}
int mdb_txn_renew(MDB_txn* txn) {
  static const auto real = next<decltype(&mdb_txn_renew)>("mdb_txn_renew");
  return is_due() ? EIO : real(txn);
}
int mdb_txn_commit(MDB_txn* txn) {
  static const auto real = next<decltype(&mdb_txn_commit)>("mdb_txn_commit");
  if (!is_due()) return real(txn);
  mdb_txn_abort(txn);  // a commit frees the transaction even when it fails
  return EIO;
}
int mdb_get(MDB_txn* txn, MDB_dbi table, MDB_val* key, MDB_val* value) {
  static const auto real = next<decltype(&mdb_get)>("mdb_get");
  return is_due() ? EIO : real(txn, table, key, value);
}
int mdb_put(MDB_txn* txn, MDB_dbi table, MDB_val* key, MDB_val* value, unsigned flags) {
  static const auto real = next<decltype(&mdb_put)>("mdb_put");
  return is_due() ? EIO : real(txn, table, key, value, flags);
}
int mdb_del(MDB_txn* txn, MDB_dbi table, MDB_val* key, MDB_val* value) {
  static const auto real = next<decltype(&mdb_del)>("mdb_del");
  return is_due() ? EIO : real(txn, table, key, value);
}
int mdb_cursor_open(MDB_txn* txn, MDB_dbi table, MDB_cursor** cursor) {
  static const auto real = next<decltype(&mdb_cursor_open)>("mdb_cursor_open");
  return is_due() ? EIO : real(txn, table, cursor);
}
int mdb_cursor_get(MDB_cursor* cursor, MDB_val* key, MDB_val* value, MDB_cursor_op operation) {
  static const auto real = next<decltype(&mdb_cursor_get)>("mdb_cursor_get");
  return is_due() ? EIO : real(cursor, key, value, operation);
}
int mdb_cursor_put(MDB_cursor* cursor, MDB_val* key, MDB_val* value, unsigned flags) {
  static const auto real = next<decltype(&mdb_cursor_put)>("mdb_cursor_put");
  return is_due() ? EIO : real(cursor, key, value, flags);
}
// Of a named table it reads a page; of the two that are always there it cannot fail.
int mdb_stat(MDB_txn* txn, MDB_dbi table, MDB_stat* stat) {
  static const auto real = next<decltype(&mdb_stat)>("mdb_stat");
  return table > 1 && is_due() ? EIO : real(txn, table, stat);
}
int mdb_env_create(MDB_env** env) {
  static const auto real = next<decltype(&mdb_env_create)>("mdb_env_create");
  return is_due() ? EIO : real(env);
}
int mdb_env_set_mapsize(MDB_env* env, size_t size) {
  static const auto real = next<decltype(&mdb_env_set_mapsize)>("mdb_env_set_mapsize");
  return is_due() ? EIO : real(env, size);
}
int mdb_env_open(MDB_env* env, const char* path, unsigned flags, mdb_mode_t mode) {
  static const auto real = next<decltype(&mdb_env_open)>("mdb_env_open");
  return is_due() ? EIO : real(env, path, flags, mode);
}
int mdb_dbi_open(MDB_txn* txn, const char* name, unsigned flags, MDB_dbi* table) {
  static const auto real = next<decltype(&mdb_dbi_open)>("mdb_dbi_open");
  return is_due() ? EIO : real(txn, name, flags, table);
}

}  // extern "C"
