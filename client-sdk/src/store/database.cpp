// Opening: lock the directory, unlock the keyring, look the file over and map it, finish a
// rotation that was cut off.
// Creating: the same things made anew, the keyring named last: without it there is no database.
// Rotating: new key in the keyring, every record of the session tables sealed with it in one
// transaction, old key out of the keyring. Cut off anywhere, both keys or the right one are there.

#include "client-sdk/src/store/database.hpp"

#include <atomic>
#include <mutex>

#include "client-sdk/src/store/backend.hpp"
#include "client-sdk/src/store/directory.hpp"
#include "client-sdk/src/store/keyring.hpp"
#include "client-sdk/src/store/lmdb_backend.hpp"
#include "client-sdk/src/store/seal.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::store {
namespace {

using crypto::RecordKeys;
using tl::unexpected;
using wire::Bytes;
using wire::ByteView;

constexpr std::size_t kResealBatch = 256;  // records held in memory at once

[[nodiscard]] Unlock unlock_of(const std::optional<std::string_view>& passphrase,
                               const std::optional<crypto::Secret>& key) {
  if (passphrase) return *passphrase;
  return &key->value();
}

// What transactions use of their database.
struct Shared {
  Shared(std::shared_ptr<const crypto::NameKeys> keys, crypto::Random source)
      : names(std::move(keys)), random(std::move(source)) {}

  // Keeps in mind that the disk failed.
  [[nodiscard]] Result<void> noted(const Result<void>& result) {
    const bool by_disk = !result && (result.error() == StoreError::io ||
                                     result.error() == StoreError::forbidden);
    if (by_disk) failed = true;
    return result;
  }

  std::shared_ptr<const crypto::NameKeys> names;
  crypto::Random random;
  std::atomic<bool> failed{false};
};

// `out`: resized by `room` to the plaintext.
template <class Room>
[[nodiscard]] bool open_record(const KeySet& keys, Table table, ByteView key, ByteView record,
                               const Room& room) {
  const RecordKeys* const sealed_by = keys.opening(table, record);
  return sealed_by != nullptr && sealed_by->open(room(record.size() - crypto::kRecordOverhead),
                                                 index_of(table), key, record);
}

void seal_record(const KeySet& keys, const crypto::Random& random, Table table, ByteView key,
                 ByteView value, Bytes& out) {
  crypto::Nonce nonce;
  random(nonce);
  out.resize(value.size() + crypto::kRecordOverhead);
  keys.sealing(table).seal(out, index_of(table), key, nonce, value);
}

}  // namespace

std::string describe(StoreError error) {
  switch (error) {
    case StoreError::in_use:
      return "another process has the database open";
    case StoreError::not_found:
      return "there is no database";
    case StoreError::exists:
      return "there is a database already";
    case StoreError::wrong_key:
      return "the key file or passphrase does not fit";
    case StoreError::damaged:
      return "damaged";
    case StoreError::truncated:
      return "the file of the database is cut short";
    case StoreError::no_keyring:
      return "the file keyring is missing";
    case StoreError::newer:
      return "written by a later version";
    case StoreError::disk_full:
      return "the disk is full";
    case StoreError::map_full:
      return "the database has outgrown the address space of this program";
    case StoreError::forbidden:
      return "no permission, or mounted read-only";
    case StoreError::io:
      break;
  }
  return "the disk failed";
}

// ---- Transactions -------------------------------------------------------------------------------

struct ReadTxn::State {
  [[nodiscard]] RecordKey key_of(Table table, ByteView name, ByteView suffix) const {
    return {shared->names->hash(index_of(table), name), suffix};
  }

  Shared* shared;
  std::unique_ptr<BackendTxn> txn;
  std::shared_ptr<const KeySet> keys;
  Bytes sealed = {};  // the record that is being written
};

ReadTxn::ReadTxn(std::unique_ptr<State> state) : state_(std::move(state)) {}
ReadTxn::ReadTxn(ReadTxn&&) noexcept = default;
ReadTxn& ReadTxn::operator=(ReadTxn&&) noexcept = default;
ReadTxn::~ReadTxn() = default;

Result<std::optional<Bytes>> ReadTxn::get(Table table, ByteView name, ByteView suffix) const {
  const RecordKey key = state_->key_of(table, name, suffix);
  const auto found = state_->txn->get(table, key.view());
  if (!found) return unexpected(found.error());
  if (!*found) return std::nullopt;
  Bytes value;
  const auto room = [&](std::size_t size) -> std::span<std::uint8_t> {
    value.resize(size);
    return value;
  };
  if (!open_record(*state_->keys, table, key.view(), **found, room)) {
    return unexpected(StoreError::damaged);
  }
  return value;
}

Result<bool> ReadTxn::contains(Table table, ByteView name, ByteView suffix) const {
  const auto found = state_->txn->get(table, state_->key_of(table, name, suffix).view());
  if (!found) return unexpected(found.error());
  return found->has_value();
}

Result<void> ReadTxn::scan(Table table, ByteView name, ByteView from, Order order,
                           const Visit& visit, std::size_t skip) const {
  const auto hash = state_->shared->names->hash(index_of(table), name);
  const bool from_the_end = order == Order::descending && from.empty();
  const RecordKey first = from_the_end ? RecordKey::last_of(hash) : RecordKey(hash, from);
  Opened opened;
  return state_->txn->scan(table, first.view(), order, [&](ByteView key, ByteView record) {
    if (!std::ranges::equal(key.first(hash.kSize), hash.view())) return false;
    if (skip > 0) {
      --skip;
      return true;
    }
    std::optional<ByteView> value;
    const auto room = [&](std::size_t size) {
      const auto out = opened.room(size);
      value = out;
      return out;
    };
    if (!open_record(*state_->keys, table, key, record, room)) value.reset();
    return visit(key.subspan(hash.kSize), value);
  });
}

Result<void> ReadTxn::scan_all(Table table, const VisitValue& visit) const {
  Opened opened;
  const auto on_record = [&](ByteView key, ByteView record) {
    std::optional<ByteView> value;
    const auto room = [&](std::size_t size) {
      const auto out = opened.room(size);
      value = out;
      return out;
    };
    if (!open_record(*state_->keys, table, key, record, room)) value.reset();
    return visit(value);
  };
  return state_->txn->scan(table, {}, Order::ascending, on_record);
}

Result<void> WriteTxn::put(Table table, ByteView name, ByteView suffix, ByteView value) {
  const RecordKey key = state_->key_of(table, name, suffix);
  seal_record(*state_->keys, state_->shared->random, table, key.view(), value, state_->sealed);
  return state_->txn->put(table, key.view(), state_->sealed);
}

Result<void> WriteTxn::erase(Table table, ByteView name, ByteView suffix) {
  return state_->txn->erase(table, state_->key_of(table, name, suffix).view());
}

Result<void> WriteTxn::commit() && {
  const auto state = std::move(state_);
  return state->shared->noted(state->txn->commit());
}

// ---- The database -------------------------------------------------------------------------------

struct Database::State {
  State(Directory locked, Keyring ring, std::unique_ptr<Backend> opened,
        const crypto::Random& random)
      : State(std::move(opened), random, ring.lasting()) {
    directory = std::move(locked);
    keyring = std::move(ring);
    publish_keyring();
  }
  State(std::unique_ptr<Backend> opened, const crypto::Random& random, const wire::SecretKey& dek)
      : shared(std::make_shared<const crypto::NameKeys>(dek, kTableNames), random),
        lasting(std::make_shared<const RecordKeys>(dek, kLastingKid, kTableNames)),
        backend(std::move(opened)),
        keys(std::make_shared<const KeySet>(lasting, RecordKeys(dek, kFirstSessionKid, kTableNames),
                                            std::nullopt)) {}
  State(std::unique_ptr<Backend> opened, const crypto::Random& random, const State& like)
      : shared(like.shared.names, random),
        lasting(like.lasting),
        backend(std::move(opened)),
        keys(like.keys) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    backend.reset();
    if (directory && !shared.failed) directory->mark_closed();
  }

  [[nodiscard]] std::shared_ptr<const KeySet> keys_now() const {
    const std::lock_guard lock(mutex);
    return keys;
  }
  void publish_keyring();
  [[nodiscard]] Result<void> reseal();
  [[nodiscard]] Result<void> reseal(BackendTxn& txn, const KeySet& set, Table table) const;
  // Precondition: a key is retiring.
  [[nodiscard]] Result<void> finish_rotation();
  [[nodiscard]] Result<void> rewrap(const std::optional<std::string_view>& passphrase);

  Shared shared;
  std::shared_ptr<const RecordKeys> lasting;
  std::optional<Directory> directory;  // none, and no keyring: keys in memory only
  std::optional<Keyring> keyring;
  std::unique_ptr<Backend> backend;
  mutable std::mutex mutex;  // a read takes its view and its keys as one, so that the two fit
  std::shared_ptr<const KeySet> keys;
};

void Database::State::publish_keyring() {
  const auto made = [](const Keyring::SessionKey& key) {
    return RecordKeys(*key.dek, key.kid, kTableNames);
  };
  std::optional<RecordKeys> retiring;
  if (const auto old = keyring->retiring()) retiring = made(*old);
  auto set = std::make_shared<const KeySet>(lasting, made(keyring->session()), std::move(retiring));
  const std::lock_guard lock(mutex);
  keys = std::move(set);
}

Result<void> Database::State::finish_rotation() {
  auto done = reseal();
  if (done) done = keyring->finish_rotation();
  if (done) publish_keyring();
  return shared.noted(done);
}

Result<void> Database::State::reseal() {
  auto txn = backend->begin_write();
  if (!txn) return unexpected(txn.error());
  const auto set = keys_now();
  for (const Table table : kSessionTables) {
    if (const auto done = reseal(**txn, *set, table); !done) return done;
  }
  return (*txn)->commit();
}

// Batch by batch, since a scan does not write.
Result<void> Database::State::reseal(BackendTxn& txn, const KeySet& set, Table table) const {
  const std::uint32_t kid = set.sealing(table).kid();
  Opened opened;
  for (Bytes from;;) {
    std::vector<std::pair<Bytes, Bytes>> batch;
    const auto on_record = [&](ByteView key, ByteView record) {
      ByteView value;
      const auto room = [&](std::size_t size) {
        const auto out = opened.room(size);
        value = out;
        return out;
      };
      // One that is damaged stays: nobody can read it, under either key.
      if (crypto::kid_of(record) != kid && open_record(set, table, key, record, room)) {
        auto& [to, sealed] = batch.emplace_back();
        to.assign(key.begin(), key.end());
        seal_record(set, shared.random, table, key, value, sealed);
      }
      return batch.size() < kResealBatch;
    };
    const auto scanned = txn.scan(table, from, ReadTxn::Order::ascending, on_record);
    if (!scanned || batch.empty()) return scanned;
    for (const auto& [key, sealed] : batch) {
      if (const auto put = txn.put(table, key, sealed); !put) return put;
    }
    from = batch.back().first;
  }
}

Result<void> Database::State::rewrap(const std::optional<std::string_view>& passphrase) {
  std::optional<crypto::Secret> key;
  if (!passphrase) {
    auto found = directory->read_key();
    if (!found && found.error() == StoreError::wrong_key) {  // there is none yet
      found = directory->make_key(shared.random);
    }
    if (!found) return unexpected(found.error());
    key = std::move(*found);
  }
  const auto wrapped = keyring->rewrap(unlock_of(passphrase, key), shared.random);
  return wrapped && passphrase ? directory->remove_key() : wrapped;
}

Database::Database(std::unique_ptr<State> state) : state_(std::move(state)) {}
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;
Database::~Database() = default;

Result<Database> Database::create(const OpenOptions& options) {
  wire::init_crypto();
  auto directory = Directory::create(options.directory);
  if (!directory) return unexpected(directory.error());
  auto file = directory->make_keyring();
  if (!file) return unexpected(file.error());
  std::optional<crypto::Secret> key;
  if (!options.passphrase) {
    auto made = directory->make_key(options.random);
    if (!made) return unexpected(made.error());
    key = std::move(*made);
  }
  auto backend = LmdbBackend::create(options.directory);
  if (!backend) return unexpected(backend.error());
  auto keyring =
      Keyring::create(std::move(*file), unlock_of(options.passphrase, key), options.random);
  if (!keyring) return unexpected(keyring.error());
  if (const auto named = directory->name_keyring(); !named) return unexpected(named.error());
  return Database(std::make_unique<State>(std::move(*directory), std::move(*keyring),
                                          std::move(*backend), options.random));
}

Result<Database> Database::open(const OpenOptions& options) {
  wire::init_crypto();
  auto directory = Directory::open(options.directory);
  if (!directory) return unexpected(directory.error());
  std::optional<crypto::Secret> key;
  if (!options.passphrase) {
    auto read = directory->read_key();
    if (!read) return unexpected(read.error());
    key = std::move(*read);
  }
  auto file = directory->open_keyring();
  if (!file) return unexpected(file.error());
  auto keyring = Keyring::open(std::move(*file), unlock_of(options.passphrase, key));
  if (!keyring) return unexpected(keyring.error());
  if (options.passphrase) {  // it took the place of a key file, which a crash may have left
    if (const auto removed = directory->remove_key(); !removed) return unexpected(removed.error());
  }
  auto backend = LmdbBackend::open(options.directory, directory->closed_in_order());
  if (!backend) return unexpected(backend.error());
  auto state = std::make_unique<State>(std::move(*directory), std::move(*keyring),
                                       std::move(*backend), options.random);
  if (state->keyring->retiring()) {
    const auto done = state->finish_rotation();
    // Where there is no room both keys go on, until a later rotation finds some.
    const bool no_room = !done && (done.error() == StoreError::disk_full ||
                                   done.error() == StoreError::map_full);
    if (!done && !no_room) return unexpected(done.error());
  }
  return Database(std::move(state));
}

Result<Database> Database::over(std::unique_ptr<Backend> backend, const crypto::Random& random,
                                const wire::SecretKey& key) {
  wire::init_crypto();
  return Database(std::make_unique<State>(std::move(backend), random, key));
}

Database Database::beside(std::unique_ptr<Backend> backend, const crypto::Random& random) const {
  assert(!state_->directory);
  return Database(std::make_unique<State>(std::move(backend), random, *state_));
}

Result<ReadTxn> Database::read() const {
  const std::lock_guard lock(state_->mutex);
  auto txn = state_->backend->begin_read();
  if (!txn) return unexpected(txn.error());
  return ReadTxn(std::make_unique<ReadTxn::State>(
      ReadTxn::State{&state_->shared, std::move(*txn), state_->keys}));
}

Result<WriteTxn> Database::write() {
  if (state_->shared.failed) return unexpected(StoreError::io);
  auto txn = state_->backend->begin_write();
  if (!txn) return unexpected(txn.error());
  // Once this is the writer: the keys are then those that a rotation, which writes too, left.
  return WriteTxn(std::make_unique<ReadTxn::State>(
      ReadTxn::State{&state_->shared, std::move(*txn), state_->keys_now()}));
}

Result<void> Database::rotate_session_key() {
  if (state_->shared.failed) return unexpected(StoreError::io);
  if (!state_->keyring) return {};
  if (!state_->keyring->retiring()) {
    const auto begun = state_->shared.noted(state_->keyring->begin_rotation(state_->shared.random));
    if (!begun) return begun;
    state_->publish_keyring();
  }
  return state_->finish_rotation();
}

Result<void> Database::change_passphrase(const std::optional<std::string_view>& passphrase) {
  if (state_->shared.failed) return unexpected(StoreError::io);
  if (!state_->keyring) return {};
  return state_->shared.noted(state_->rewrap(passphrase));
}

Result<Database::Check> Database::check() const {
  const auto txn = read();
  if (!txn) return unexpected(txn.error());
  Check check;
  for (std::size_t table = 0; table < kTables; ++table) {
    const auto scanned =
        txn->scan_all(static_cast<Table>(table), [&](const std::optional<ByteView>& value) {
          ++(value ? check.records : check.damaged);
          return true;
        });
    if (!scanned) return unexpected(scanned.error());
  }
  return check;
}

}  // namespace godwit::store
