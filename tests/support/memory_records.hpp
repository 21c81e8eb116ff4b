// support/memory_records: the relay's disk without a disk: it answers what a slot engine reads, and
// takes batches as the store's writer does.
//
// A copy of it is the disk at that moment. What was not applied is lost with the engine: so a crash
// is "drop the engine, keep this".
//
// Owns:    log, shared bodies with their counts, small records, quarantine.
// Refuses: to check anything that the store does not promise to check.
// Thread:  one owner.
#pragma once

#include <functional>
#include <map>
#include <set>

#include "relay/slot/engine.hpp"

namespace godwit::test {

class MemoryRecords final : public relay::slot::Records {
 public:
  struct Entry {
    std::uint16_t slot = 0;
    wire::DeviceId device;
    relay::store::RequestTag request;
    std::uint32_t expires = 0;
    std::uint64_t shared_id = 0;
    wire::Bytes bytes;  // empty when shared
    bool damaged = false;
  };

  // ---- slot::Records
  Found get(relay::store::Table table, wire::ByteView key, wire::Bytes& value) override;
  void envelopes(std::span<const std::uint64_t> positions,
                 const std::function<void(std::size_t, Found, const relay::store::RequestTag&,
                                          wire::ByteView)>& on_one) override;
  std::optional<relay::store::RequestTag> request_at(std::uint64_t position) override;
  [[nodiscard]] bool full() const override { return full_; }

  // ---- the writer's side
  // Puts, appends, removes, quarantines, in this order. Without room every append is refused
  // (position 0) and the store is full until there is room again.
  void apply(relay::store::Batch& batch);
  // What recovery does at start. Each slot has its engine.
  using EngineOf = std::function<relay::slot::Engine&(std::uint16_t slot)>;
  void restore_into(const EngineOf& engine_of) const;
  void restore_into(relay::slot::Engine& engine) const {
    restore_into([&](std::uint16_t) -> relay::slot::Engine& { return engine; });
  }

  // ---- faults
  void set_room(bool room) {
    room_ = room;
    if (room) full_ = false;
  }
  void set_full(bool full) { full_ = full; }
  void damage(std::uint64_t position) {
    log_.at(position).damaged = true;
    rotted_ = true;
  }
  void damage(relay::store::Table table, wire::ByteView key) {
    damaged_.insert(record_key(table, key));
  }
  void lose(std::uint64_t position) { log_.erase(position); }
  void lose(relay::store::Table table) {
    std::erase_if(records_, [table](const auto& one) { return one.first.first == table; });
  }

  // ---- what a test looks at
  [[nodiscard]] const std::map<std::uint64_t, Entry>& log() const { return log_; }
  [[nodiscard]] std::size_t bodies() const { return bodies_.size(); }
  [[nodiscard]] const std::set<std::uint64_t>& quarantined() const { return quarantined_; }
  [[nodiscard]] bool holds(const wire::DeviceId& device, const wire::RequestId& request) const;
  [[nodiscard]] bool rotted() const { return rotted_; }  // damage() has hit an envelope
  [[nodiscard]] std::uint64_t appended() const { return next_position_ - 1; }

 private:
  struct Shared {
    wire::Bytes bytes;
    std::uint64_t count = 0;
  };
  using RecordKey = std::pair<relay::store::Table, wire::Bytes>;

  static RecordKey record_key(relay::store::Table table, wire::ByteView key) {
    return {table, wire::Bytes(key.begin(), key.end())};
  }
  [[nodiscard]] const wire::Bytes& bytes_of(const Entry& entry) const;
  void append(relay::store::Append& append);
  void release(std::uint64_t position);

  std::map<std::uint64_t, Entry> log_;
  std::map<std::uint64_t, Shared> bodies_;
  std::map<RecordKey, wire::Bytes> records_;
  std::set<RecordKey> damaged_;
  std::set<std::uint64_t> quarantined_;
  std::uint64_t next_position_ = 1;
  bool room_ = true;
  bool full_ = false;
  bool rotted_ = false;
};

}  // namespace godwit::test
