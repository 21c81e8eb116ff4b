// sim/relay: one relay without sockets, threads and files: the real shards, one for each loop, with
// their inboxes; a writer that commits what waits in one go; a disk in memory.
//
// Messages between loops and commits take a little time each, as drawn, so that loops run into each
// other as threads do. A crash loses what was not committed, and whatever was under way; a commit
// that has happened but was told to nobody is among the things that a crash may meet.
// Owns:    the loops, the disk, the store's identity. Connections are known by a number.
// Refuses: to know devices; a Peer stands for the other end of a connection.
// Thread:  one.
#pragma once

#include <memory>
#include <optional>
#include <unordered_map>

#include "relay/shard.hpp"
#include "tests/sim/agenda.hpp"
#include "tests/sim/draws.hpp"
#include "tests/support/memory_records.hpp"

namespace godwit::sim {

// The other end of a connection.
class Peer {
 public:
  virtual ~Peer() = default;
  virtual void on_relay_frame(wire::Bytes frame) = 0;
  virtual void on_relay_closed() = 0;  // what was sent before arrives first
};

class Relay {
 public:
  struct Options {
    std::uint32_t loops = 2;
    bool limits_rates = false;  // as for connections from afar
    Agenda::Time commit_min = std::chrono::microseconds{300};
    Agenda::Time commit_max = std::chrono::milliseconds{8};
    relay::Config config = {};  // the operator's limits
  };
  using ConnectionId = std::uint64_t;

  // It is down until start().
  Relay(Agenda& agenda, std::chrono::milliseconds epoch, Options options, Draws draws);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  // ---- Connections. `transport`: whom the handshake proved. Nothing while the relay is down.
  [[nodiscard]] std::optional<ConnectionId> connect(const wire::Key& transport,
                                                    std::shared_ptr<Peer> peer);
  void receive(ConnectionId connection, wire::Bytes frame);
  // The peer is gone and hears nothing more. Of one that has ended: nothing.
  void close(ConnectionId connection);

  // ---- Life and death
  [[nodiscard]] bool up() const { return !loops_.empty(); }
  void crash();      // connections end; what was not committed is lost
  void shut_down();  // as the daemon on SIGTERM: what is staged goes to the disk first
  void start();
  // Of the next start.
  void set_config(const relay::Config& config) { options_.config = config; }
  void set_loops(std::uint32_t loops) { options_.loops = loops; }
  // The next commit is the last thing that happens, or the last that does not.
  enum class Moment : std::uint8_t { before_commit, after_commit };
  void crash_at_next_commit(std::optional<Moment> moment) { crash_at_ = moment; }
  [[nodiscard]] std::uint64_t crashes() const { return crashes_; }

  // ---- The disk
  [[nodiscard]] test::MemoryRecords& disk() { return disk_; }
  [[nodiscard]] const test::MemoryRecords& disk() const { return disk_; }
  struct Saved {
    test::MemoryRecords records;
    relay::Host::StoreIdentity identity;
  };
  [[nodiscard]] Saved save() const { return {disk_, identity_}; }
  void put_back(const Saved& saved);  // while it is down
  void wipe();                        // while it is down: another, empty store
  void set_full(bool full);

  void set_clock(std::chrono::milliseconds ahead) { ahead_ = ahead; }
  [[nodiscard]] relay::Now now() const;
  // The sum over all mailboxes and what the counters say of it: (envelopes, bytes).
  struct Count {
    std::uint64_t envelopes = 0, bytes = 0;
    bool operator==(const Count&) const = default;
  };
  [[nodiscard]] Count counted() const;
  [[nodiscard]] Count recounted() const;
  [[nodiscard]] std::uint64_t expired() const;
  [[nodiscard]] bool idle() const;  // nothing is staged, gathering or under way

 private:
  class Loop;
  struct Connection;

  void in(Agenda::Time delay, Agenda::Action action);  // unless the relay has crashed by then
  void commit_soon();
  void commit();
  void end_life();
  void forget_connections();
  void tick();

  Agenda& agenda_;
  const std::chrono::milliseconds epoch_;  // the wall clock at the beginning of the world
  Options options_;
  Draws draws_;
  test::MemoryRecords disk_;
  relay::Host::StoreIdentity identity_;
  std::uint64_t quarantined_ = 0;
  std::chrono::milliseconds ahead_{};

  std::uint64_t life_ = 0;  // a crash or a stop begins the next
  std::uint64_t crashes_ = 0;
  std::uint64_t expired_ = 0;  // in earlier lives
  std::optional<Moment> crash_at_;
  std::unique_ptr<relay::policy::AddressAdmission> admission_;
  std::vector<std::unique_ptr<Loop>> loops_;
  std::vector<std::pair<std::uint32_t, std::unique_ptr<relay::store::Batch>>> waiting_;
  bool committing_ = false;
  std::chrono::seconds tick_interval_{1};
  std::uint64_t frames_ = 0, ticked_at_ = 0;  // frames and connections, now and at the last tick
  Agenda::Time quiet_since_{};

  std::unordered_map<ConnectionId, std::unique_ptr<Connection>> connections_;
  ConnectionId next_connection_ = 1;
};

}  // namespace godwit::sim
