// store: one LMDB environment. Opened once per process; many readers, one writer thread.
//
// On disk (schema version 1, in table `meta`):
//   log        commit position u64 -> checksum | slot | device | request | expires | body or its id
//   bodies     shared body id u64  -> checksum | bytes
//   body_refs  shared body id u64  -> checksum | count
//   users, device_keys, one_time_keys, names (batch.hpp)  key -> checksum | value
//   quarantine table u8 | key      -> the damaged record as found (at most kQuarantineMax)
//   meta       "store"             -> checksum | version, store id, generation, boot counter, next
//                                     log position
// The log is append-only in key order, because key order decides the cost of a commit; which
// device owns which position lives in memory and is rebuilt by recover().
//
// Thread: Store's const functions from any thread; a Reader belongs to one thread.
#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <tl/expected.hpp>

#include "relay/store/batch.hpp"

namespace godwit::relay::store {

enum class StoreError : std::uint8_t {
  in_use,         // another process has the directory
  newer_version,  // written by a newer godwit
  not_a_store,    // the files are there and are not ours, or LMDB cannot read them
  no_space,       // not even the reserve fits on the disk
  permission,
  io,             // a read, write or sync failed: the process must end
};

// `detail` says what was tried and what the system answered.
struct Failure {
  StoreError error{};
  std::string detail;
};

struct Options {
  std::filesystem::path directory;         // holds data.mdb and lock.mdb
  std::uint64_t size_max = 64ull << 30;    // bytes of the map: the store never grows past it
  std::uint64_t grow_step = 64ull << 20;   // bytes the file is grown ahead by
  std::uint64_t reserve = 16ull << 20;     // bytes kept for acks and deletes when all is full
  std::uint32_t loops = 1;                 // readers
};

struct Identity {
  wire::StoreId id;
  std::uint64_t generation = 0;  // rises when mail may have been lost
  std::uint32_t boot = 0;        // rises at every open
};

struct Figures {
  std::uint64_t file_bytes = 0;         // length of data.mdb
  std::uint64_t used_bytes = 0;         // pages in use, free ones not counted
  std::uint64_t reclaimable_bytes = 0;  // free pages inside the file
  std::uint64_t commits = 0;
  std::uint64_t stored = 0;             // log records ever written by this process
  std::uint64_t quarantined = 0;        // records found damaged by this process
  bool full = false;                    // appends are refused,
  bool at_size_max = false;             // by the map's length; else by the disk
};

// One queued envelope as recovery finds it.
struct Recovered {
  std::uint64_t position = 0;
  std::uint16_t slot = 0;
  wire::DeviceId device;
  RequestTag request;
  std::uint32_t size = 0;     // bytes of the envelope
  std::uint32_t expires = 0;  // seconds since 1970
};

class Reader;
class Writer;

class Store {
 public:
  // Creates the environment when there is none. The caller holds the directory's lock.
  [[nodiscard]] static tl::expected<std::unique_ptr<Store>, Failure> open(const Options& options);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // One sequential pass over the log, before the writer starts: calls `on_envelope` for each good
  // record in delivery order, quarantines damaged ones of every table (the generation rises once),
  // recounts body references and drops bodies without any. Run a second time it changes nothing.
  [[nodiscard]] tl::expected<void, Failure> recover(
      const std::function<void(const Recovered&)>& on_envelope);

  [[nodiscard]] Identity identity() const;  // generation as of now
  [[nodiscard]] Figures figures() const;
  [[nodiscard]] bool full() const;          // an atomic: cheap enough for each submit

  // For start-up: how many records there are, and each value that reads well.
  [[nodiscard]] std::uint64_t count(Table table) const;
  void each(Table table, const std::function<void(wire::ByteView value)>& visit) const;

  struct State;

 private:
  friend class Reader;
  friend class Writer;
  explicit Store(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Reads in short transactions of its own: each call begins and ends one, so no reader ever holds
// old pages.
class Reader {
 public:
  [[nodiscard]] static tl::expected<std::unique_ptr<Reader>, Failure> open(const Store& store);
  ~Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  enum class Found : std::uint8_t { yes, no, damaged };

  // The value without its checksum. `damaged` is counted and reported once per record.
  [[nodiscard]] Found get(Table table, wire::ByteView key, wire::Bytes& value);

  // Envelopes at `positions` (ascending), shared bodies resolved. Views live during the call.
  // `damaged` or `no`: the caller quarantines the position (Batch::quarantines) and goes on.
  struct Envelope {
    RequestTag request;
    wire::ByteView bytes;
  };
  void envelopes(
      std::span<const std::uint64_t> positions,
      const std::function<void(std::size_t index, Found, const Envelope&)>& on_one);

  // The request tag of the record at `position`; nothing when it is gone or damaged.
  [[nodiscard]] std::optional<RequestTag> request_at(std::uint64_t position);

 private:
  struct State;
  explicit Reader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// The one writer: its own thread, one fsynced transaction for all that waits.
//
// Happy path: take every batch that waits, grow the file ahead, apply them in order, commit, hand
// each back through its loop's `on_committed`. While one commit runs the next batches gather.
// Failure: a disk or map that cannot take the appends refuses them (position 0) and still applies
// removes, from the reserve; it tries again when space is back. Any other failure is fatal:
// `on_fatal` is called once, nothing is acknowledged any more, and the process must end (after a
// failed fdatasync nobody knows what is on the disk).
class Writer {
 public:
  // Called on the writer's thread.
  using OnCommitted = std::function<void(std::uint32_t loop, std::unique_ptr<Batch> batch)>;
  using OnFatal = std::function<void(const Failure&)>;

  [[nodiscard]] static tl::expected<std::unique_ptr<Writer>, Failure> start(
      Store& store, OnCommitted on_committed, OnFatal on_fatal);
  // Commits what was handed in, then joins.
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Begins what the destructor does; false: it is not done in time. The destructor waits for ever.
  [[nodiscard]] bool stop(std::chrono::milliseconds patience);

  // Any thread. At most one batch per loop is under way, by the loop's own rule.
  void submit(std::uint32_t loop, std::unique_ptr<Batch> batch);

 private:
  struct State;
  explicit Writer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace godwit::relay::store
