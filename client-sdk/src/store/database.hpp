// store/database: the device's LMDB. Every value in it is sealed, every name in its keys hashed.
//
// A database is a directory of the app: `data.mdb` (the records) and `lock.mdb`, LMDB's; `keyring`
// (the wrapped keys, in slots of fixed place); `key` (the key that wraps them, where no passphrase
// is given); `lock`. A key is `table u8 || PRF(table, name) 16 || suffix`: the name tells nothing,
// the suffix (integers, big-endian) keeps its order. A value is `01 | kid u32 | nonce 24 |
// ciphertext + 16`, bound to table and key. Tables of ratchets and prekeys are sealed with a
// session key that is replaced every day, since LMDB leaves old pages behind.
//
// Owns:    the environment, the keys (locked in memory), the lock of the directory.
// Refuses: to know what a record means; a second process on one directory.
// Thread:  reads from any thread; one write transaction at a time, on the thread that began it (a
//          second one waits for it; begun on the same thread it would wait for ever).
//          Transactions end before the database does. Never across fork.
// Trust:   the directory may have been damaged or altered. A record that does not authenticate is
//          reported as damaged; the others stay readable.
// Spec:    schema/ENVELOPE.md, "At rest"; decisions in client-sdk/README.md.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "client-sdk/src/crypto/keys.hpp"
#include "schema/wire/types.hpp"

namespace godwit::store {

enum class StoreError : std::uint8_t {
  in_use,     // another process has this directory open
  not_found,  // there is no database here
  exists,     // create(): there is one already
  wrong_key,  // key file or passphrase does not fit
  damaged,    // this record, or the keyring, does not authenticate
  truncated,  // data.mdb is shorter than it says
  no_keyring,  // data.mdb or a key is there, and what belongs to it is not
  newer,      // written by a later version
  disk_full,  // nothing was written; make room and try again
  map_full,   // nothing was written; the process may have no more address space
  forbidden,  // the files are another user's, or may not be written
  io,         // the disk failed: the database takes no write until it is opened again
};
[[nodiscard]] std::string describe(StoreError error);

// In the order of the path of a message. Suffixes are big-endian integers.
enum class Table : std::uint8_t {
  account,          // name of the record
  secrets,          // name of the record                        session key
  prekeys,          // kind; suffix id                            session key
  sessions,         // peer device                                session key
  contacts,         // user
  names,            // name -> user
  devices,          // peer device
  conversations,    // conversation
  conversation_of,  // user, or name not yet resolved -> conversation
  recent,           // nothing; suffix activity counter -> conversation
  messages,         // conversation; suffix sort key
  message_ids,      // message id; suffix -> where the message is
  outbox,           // nothing; suffix number
  sent,             // peer device; suffix seq -> what was sent under it
  early,            // peer device; suffix seq -> payload that waits for its predecessor
  seen,             // nothing; suffix period u16 || envelope hash 16
  attention,        // peer device: something is to be done about it
  blocked,          // user: that it is there says it
  notices,          // nothing; suffix number: an event that the app has not seen for sure
};
inline constexpr std::size_t kTables = 19;
inline constexpr std::size_t kSuffixSizeMax = 256;  // bytes

template <class T>
using Result = tl::expected<T, StoreError>;

class Backend;  // where the sealed bytes lie: LMDB, or memory in simulations

// A consistent view. Bounded in age by its user: an old one makes the file grow.
class ReadTxn {
 public:
  // Nothing when there is no such record.
  [[nodiscard]] Result<std::optional<wire::Bytes>> get(Table table, wire::ByteView name,
                                                       wire::ByteView suffix = {}) const;
  [[nodiscard]] Result<bool> contains(Table table, wire::ByteView name,
                                      wire::ByteView suffix = {}) const;

  enum class Order : std::uint8_t { ascending, descending };
  // Returns false to stop. `suffix` and `value` die with the call. A damaged record comes with no
  // value.
  using Visit = std::function<bool(wire::ByteView suffix, std::optional<wire::ByteView> value)>;
  // All records of one name, from `from` (inclusive; empty: from the end where the order begins).
  // The first `skip` of them are passed over without being opened.
  [[nodiscard]] Result<void> scan(Table table, wire::ByteView name, wire::ByteView from,
                                  Order order, const Visit& visit, std::size_t skip = 0) const;
  // Every record of a table, in no meaningful order; the names cannot be had back.
  using VisitValue = std::function<bool(std::optional<wire::ByteView> value)>;
  [[nodiscard]] Result<void> scan_all(Table table, const VisitValue& visit) const;

  ReadTxn(ReadTxn&&) noexcept;
  ReadTxn& operator=(ReadTxn&&) noexcept;
  ~ReadTxn();

 protected:
  friend class Database;
  struct State;
  explicit ReadTxn(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Dropped without commit(): nothing happened. Reads see its own writes.
class WriteTxn : public ReadTxn {
 public:
  // `suffix`: at most kSuffixSizeMax bytes.
  [[nodiscard]] Result<void> put(Table table, wire::ByteView name, wire::ByteView suffix,
                                 wire::ByteView value);
  [[nodiscard]] Result<void> erase(Table table, wire::ByteView name, wire::ByteView suffix = {});
  // Durable when it returns. After `io` the database refuses every write.
  [[nodiscard]] Result<void> commit() &&;

 private:
  friend class Database;
  using ReadTxn::ReadTxn;
};

struct OpenOptions {
  std::filesystem::path directory;
  // A view, so that there is no copy to overwrite. None: a key file in the directory.
  std::optional<std::string_view> passphrase;
  crypto::Random random;                  // nonces and keys
};

class Database {
 public:
  // Makes the directory (mode 700) and an empty database. A crash in the middle leaves what the
  // next create() replaces.
  [[nodiscard]] static Result<Database> create(const OpenOptions& options);
  [[nodiscard]] static Result<Database> open(const OpenOptions& options);
  // For simulations and tests: any backend, keys in memory only. They follow from `key`, so there
  // is no session key to rotate and no passphrase to change: both calls then do nothing.
  [[nodiscard]] static Result<Database> over(std::unique_ptr<Backend> backend,
                                             const crypto::Random& random,
                                             const wire::SecretKey& key);

  // The same over another backend, with the keys of this one, which over() has made: deriving them
  // is most of what opening costs.
  [[nodiscard]] Database beside(std::unique_ptr<Backend> backend,
                                const crypto::Random& random) const;

  [[nodiscard]] Result<ReadTxn> read() const;
  [[nodiscard]] Result<WriteTxn> write();

  // Replaces the session key: new wrap in slot B, synced; all records of its tables sealed anew in
  // one transaction; slot A zeroed, synced. Call it daily. A crash anywhere in between is finished
  // by the next open(). No write transaction of the caller's is open.
  [[nodiscard]] Result<void> rotate_session_key();
  // Only rewraps. None: back to a key file.
  [[nodiscard]] Result<void> change_passphrase(
      const std::optional<std::string_view>& passphrase);

  // Reads every record of every table: how many are fine, how many are damaged.
  struct Check {
    std::uint64_t records = 0;
    std::uint64_t damaged = 0;
  };
  [[nodiscard]] Result<Check> check() const;

  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

 private:
  struct State;
  explicit Database(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace godwit::store
