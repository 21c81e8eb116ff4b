// sim/home: a device: a disk, a clock, a source of randomness and a network, and the platform that
// its client finds there.
// Owns:    what outlives a client: all of these.
// Thread:  one. Lives as long as its world.
#pragma once

#include "tests/sim/link.hpp"
#include "tests/support/memory_backend.hpp"

namespace godwit::sim {

class World;

class Home {
 public:
  Home(World& world, std::string name, Draws draws);

  // What a program that starts now on this device runs on; after the next loss of power it finds
  // nothing but failing disks.
  [[nodiscard]] std::shared_ptr<Platform> start_process();

  // ---- What befalls it
  // What was not committed is gone. Clients of before find a dead disk.
  void lose_power(bool relay_notices);
  enum class Moment : std::uint8_t { before_commit, after_commit };
  void die_at_commit(std::uint64_t commit, Moment moment) { dies_at_ = {commit, moment}; }
  void forget_to_die() { dies_at_.reset(); }
  [[nodiscard]] bool dying() const { return dying_; }
  void set_disk_full(bool full) {
    disk_full_ = full;
    was_disk_full_ = was_disk_full_ || full;
  }
  [[nodiscard]] bool was_disk_full() const { return was_disk_full_; }  // at any time
  void set_clock(std::chrono::milliseconds ahead) { ahead_ = ahead; }
  void cut(bool at_once);
  void restore() { cut_ = false; }
  void set_slow(std::chrono::milliseconds more) { slow_ = more; }  // in each direction
  void reset(const std::string& reason);
  // A lying relay sends this; or takes this for what the device has sent.
  void inject(wire::Bytes frame);
  void forge(wire::Bytes frame);

  // ---- What is there
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] World& world() const { return world_; }
  [[nodiscard]] Draws& draws() { return draws_; }
  [[nodiscard]] bool is_cut() const { return cut_; }
  [[nodiscard]] bool linked() const { return link_ != nullptr; }
  [[nodiscard]] bool busy() const { return link_ != nullptr && link_->busy(); }
  [[nodiscard]] bool was_linked() const { return was_linked_; }  // when it lost its power
  [[nodiscard]] bool down() const { return down_; }              // no program runs since
  [[nodiscard]] std::uint64_t life() const { return disk_.life; }
  [[nodiscard]] bool waiting() const { return waits_ > 0; }
  [[nodiscard]] Agenda::Time latency();
  [[nodiscard]] core::Now now() const;
  // What is committed, for those who judge; whether or not a program runs. Until it is next asked
  // for.
  [[nodiscard]] const store::Database& look();
  void forget(const Link& link) {
    if (link_ == &link) link_ = nullptr;
  }

  struct State {
    std::string name;
    test::MemoryBackend::Disk disk;  // tables are shared until one of the worlds writes to them
    std::shared_ptr<const store::Database> keys;
  };
  [[nodiscard]] State save() const { return {name_, disk_, keys_}; }
  void put_back(const State& state);
  [[nodiscard]] test::MemoryBackend::Disk& disk() { return disk_; }

 private:
  class Process;
  [[nodiscard]] const store::Database& keys();
  [[nodiscard]] store::Result<store::Database> database(const crypto::Random& random);
  [[nodiscard]] bool may_commit(std::uint64_t commit);

  World& world_;
  const std::string name_;
  Draws draws_;
  test::MemoryBackend::Disk disk_;
  std::shared_ptr<const store::Database> keys_;  // a database for its keys' sake, over no disk
  std::optional<std::pair<std::uint64_t, store::Database>> look_;  // of which life
  std::weak_ptr<int> open_;  // alive while a client has the disk open
  std::chrono::milliseconds ahead_{};
  std::chrono::milliseconds slow_{};
  std::optional<std::pair<std::uint64_t, Moment>> dies_at_;
  bool dying_ = false;
  bool disk_full_ = false, was_disk_full_ = false;
  bool cut_ = false;
  bool was_linked_ = false;
  bool down_ = false;
  int waits_ = 0;
  Link* link_ = nullptr;
};

}  // namespace godwit::sim
