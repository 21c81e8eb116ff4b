// What the store's tests share: a writer driven from the test's thread, envelopes that follow from
// a number, and a look at the raw records of a closed store.
#pragma once

#include <doctest/doctest.h>

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>

#include "relay/store/env.hpp"
#include "relay/store/records.hpp"
#include "relay/store/store.hpp"
#include "tests/support/temporary_directory.hpp"

namespace godwit::relay::store::testing {

inline Options small_options(const std::filesystem::path& directory) {
  Options options;
  options.directory = directory;
  options.size_max = 256 << 20;
  options.grow_step = 4 << 20;
  options.reserve = 4 << 20;
  options.loops = 2;
  return options;
}

template <class T>
T required(tl::expected<T, Failure> result) {
  if (!result) FAIL(result.error().detail);
  return std::move(*result);
}

inline std::unique_ptr<Store> open_store(const Options& options) {
  return required(Store::open(options));
}

// Collects what the writer hands back.
class WriterUnderTest {
 public:
  explicit WriterUnderTest(Store& store)
      : writer_(required(Writer::start(
            store,
            [this](std::uint32_t loop, std::unique_ptr<Batch> batch) {
              const std::scoped_lock lock(mutex_);
              done_.emplace_back(loop, std::move(batch));
              changed_.notify_all();
            },
            [this](const Failure& failure) {
              const std::scoped_lock lock(mutex_);
              failures_.push_back(failure);
              changed_.notify_all();
            }))) {}

  void submit(std::uint32_t loop, Batch batch) {
    writer_->submit(loop, std::make_unique<Batch>(std::move(batch)));
  }
  // The next batch handed back; null when the writer failed or is silent for so long.
  std::unique_ptr<Batch> next(std::chrono::seconds patience = std::chrono::seconds(20)) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, patience, [&] { return !done_.empty() || !failures_.empty(); });
    if (done_.empty()) return nullptr;
    auto batch = std::move(done_.front().second);
    done_.pop_front();
    return batch;
  }
  Batch commit(Batch batch) {
    submit(0, std::move(batch));
    auto done = next();
    REQUIRE(done != nullptr);
    return std::move(*done);
  }
  std::vector<Failure> failures() {
    const std::scoped_lock lock(mutex_);
    return failures_;
  }
  void stop() { writer_.reset(); }
  std::size_t handed_back() {
    const std::scoped_lock lock(mutex_);
    return done_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::pair<std::uint32_t, std::unique_ptr<Batch>>> done_;
  std::vector<Failure> failures_;
  std::unique_ptr<Writer> writer_;  // last: its thread uses what stands above
};

template <class Id>
Id id_of(std::uint64_t number) {
  Id id;
  wire::store_le(id.bytes.data(), number);
  return id;
}

inline wire::Bytes bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}

// An envelope whose bytes follow from its number.
inline wire::Bytes envelope_bytes(std::uint64_t number, std::size_t size) {
  wire::Bytes bytes(size, static_cast<std::uint8_t>(number * 7 + 1));
  if (size >= 8) wire::store_le(bytes.data(), number);
  return bytes;
}

inline Append append_of(std::uint64_t number, std::size_t size = 300) {
  Append append;
  append.slot = static_cast<std::uint16_t>(number % 4096);
  append.device = id_of<wire::DeviceId>(number % 50);
  append.request = id_of<RequestTag>(number);
  append.expires = static_cast<std::uint32_t>(1000 + number);
  append.body = std::make_shared<const Body>(Body{0, envelope_bytes(number, size)});
  return append;
}

inline Batch appends_of(std::uint64_t first, std::size_t count, std::size_t size = 300) {
  Batch batch;
  for (std::uint64_t n = first; n < first + count; ++n) batch.appends.push_back(append_of(n, size));
  return batch;
}

// `count` appends of one shared body.
inline Batch fan_out(std::uint64_t body_id, std::size_t count, std::size_t size) {
  const auto body = std::make_shared<const Body>(Body{body_id, envelope_bytes(body_id, size)});
  Batch batch = appends_of(body_id * 1000, count, 0);
  for (Append& append : batch.appends) append.body = body;
  return batch;
}

inline std::vector<std::uint64_t> positions_of(const Batch& batch) {
  std::vector<std::uint64_t> positions;
  for (const Append& append : batch.appends) positions.push_back(append.position);
  return positions;
}

inline std::vector<Recovered> recover(Store& store) {
  std::vector<Recovered> found;
  const auto done = store.recover([&](const Recovered& one) { found.push_back(one); });
  if (!done) FAIL(done.error().detail);
  return found;
}

inline std::string text_of(wire::ByteView bytes) {
  return {bytes.begin(), bytes.end()};
}

// Table name -> key -> raw record.
using Dump = std::map<std::string, std::map<std::string, wire::Bytes>>;

// The tables of a store that nobody has open, record by record.
class ClosedStore {
 public:
  explicit ClosedStore(const Options& options) : env_(required(Env::open(options))) {
    auto txn = WriteTxn::begin(env_->raw());
    REQUIRE(txn.has_value());
    if (auto opened = env_->open_tables(*txn); !opened) FAIL(opened.error().detail);
    REQUIRE(std::move(*txn).commit().has_value());
  }

  // Every table but `meta`, whose boot counter differs after each open.
  [[nodiscard]] Dump dump() const {
    Dump out;
    auto txn = ReadTxn::begin(env_->raw());
    REQUIRE(txn.has_value());
    for (const TableSpec& spec : kTables) {
      if (spec.id == TableId::meta) continue;
      auto& table = out[spec.name];
      const auto done =
          env_->table(spec.id).scan(*txn, {}, [&](wire::ByteView key, wire::ByteView value) {
            table[text_of(key)] = {value.begin(), value.end()};
            return true;
          });
      REQUIRE(done.has_value());
    }
    return out;
  }

  [[nodiscard]] std::size_t records(TableId table) const {
    return dump()[kTables[static_cast<std::size_t>(table)].name].size();
  }

  // Flips one bit of the record at `key`: byte `at`, counted from the checksum's first.
  void flip(TableId table, wire::ByteView key, std::size_t at) {
    auto txn = WriteTxn::begin(env_->raw());
    REQUIRE(txn.has_value());
    const auto raw = env_->table(table).get(*txn, key);
    REQUIRE(raw.has_value());
    REQUIRE(raw->has_value());
    wire::Bytes bytes((*raw)->begin(), (*raw)->end());
    REQUIRE(at < bytes.size());
    bytes[at] ^= 0x10;
    REQUIRE(env_->table(table).put(*txn, key, bytes).has_value());
    REQUIRE(std::move(*txn).commit().has_value());
  }

  void put_raw(TableId table, wire::ByteView key, wire::ByteView raw) {
    auto txn = WriteTxn::begin(env_->raw());
    REQUIRE(txn.has_value());
    REQUIRE(env_->table(table).put(*txn, key, raw).has_value());
    REQUIRE(std::move(*txn).commit().has_value());
  }

  // Log records 1 to `count` become something that nobody wrote.
  void spoil_log(std::uint64_t count) {
    auto txn = WriteTxn::begin(env_->raw());
    REQUIRE(txn.has_value());
    for (std::uint64_t position = 1; position <= count; ++position) {
      const U64Key key(position);
      REQUIRE(env_->table(TableId::log).put(*txn, key.view(), bytes_of("junk")).has_value());
    }
    REQUIRE(std::move(*txn).commit().has_value());
  }

 private:
  std::unique_ptr<Env> env_;
};

}  // namespace godwit::relay::store::testing
