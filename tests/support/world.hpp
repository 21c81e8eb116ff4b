// support/world: the real core of the client and the real shard of the relay in one thread: virtual
// clock, disks in memory, seeded randomness, and a network that a test may bend.
//
// A device that crashes loses what it had not committed; a relay that is wiped comes back with
// another store. A test that wants a lying relay gives a Tamper.
// Owns:    everything.
// Thread:  one.
#pragma once

#include <deque>
#include <random>

#include "client-sdk/src/core/core.hpp"
#include "tests/support/fake_host.hpp"
#include "tests/support/memory_backend.hpp"
#include "tests/support/memory_records.hpp"

namespace godwit::test {

class World;

// One home and who uses it. Methods run one round each and move no frames.
class SimDevice {
 public:
  SimDevice(World& world, std::string name, std::uint64_t seed);

  void create(const std::string& name);
  void recover(const std::string& code);
  void connect();
  void disconnect();
  // What was not committed is gone, the connection too; the home is opened again.
  void crash();
  // The same, and the home comes back without its sessions: what peers send cannot be read.
  void lose_sessions();

  Sent send(const std::string& to, const std::string& text, std::optional<std::string> key = {});
  [[nodiscard]] Error send_fails(const std::string& to, const std::string& text,
                                 std::optional<std::string> key = {});
  void read(const std::string& name);

  // All messages of the conversation with `name`, oldest first.
  [[nodiscard]] std::vector<Message> messages(const std::string& name) const;
  [[nodiscard]] std::vector<std::string> texts(const std::string& name) const;
  [[nodiscard]] Status status(const MessageId& id) const;
  [[nodiscard]] std::size_t count(EventKind kind) const;

  // One round: `input` and what follows from it.
  template <class Input>
  void round(const Input& input) {
    input(*core);
    end_round();
  }
  void end_round();
  void reopen();

  World& world;
  std::string label;
  std::mt19937_64 draws;
  std::unique_ptr<MemoryBackend::Disk> disk;
  MemoryBackend::CommitHook commit_hook;
  // The round of this commit is the last thing before a crash; happens once.
  struct Crash {
    enum class When : std::uint8_t { before_commit, before_frames_leave, after_frames_left };
    std::uint64_t commit = 0;  // as Disk::commits counts
    When when = When::before_commit;
  };
  std::optional<Crash> crash_at;
  std::size_t crashes = 0;
  std::unique_ptr<store::Database> database;
  std::unique_ptr<core::Core> core;
  std::vector<Event> events;
  std::deque<wire::Bytes> to_relay, to_device;
  std::optional<relay::session::SessionId> session;
  bool wants_connection = false;
  wire::SecretKey store_key;
  crypto::Random random;
};

class World {
 public:
  explicit World(std::uint64_t seed = 1);
  ~World();

  // A world at rest, to begin others from: making accounts is what costs most.
  struct Snapshot;
  [[nodiscard]] std::shared_ptr<const Snapshot> snapshot() const;
  // With other draws from here on. The devices' homes are open; none is connected.
  World(const Snapshot& from, std::uint64_t seed);

  SimDevice& add(const std::string& name);         // created, connected, registered, settled
  SimDevice& add_blank(const std::string& label);  // no account yet

  // Frames move until nothing does; timers of the next `ms` milliseconds too.
  void settle();
  void pass(std::chrono::milliseconds time);
  void run(std::chrono::milliseconds time) {  // settles, in steps of a second
    for (; time.count() > 0; time -= std::chrono::seconds{1}) {
      settle();
      pass(std::min<std::chrono::milliseconds>(time, std::chrono::seconds{1}));
    }
    settle();
  }

  // Each has a text of the other, so that both ends of their session have spoken: "one", "two".
  void exchange_texts(SimDevice& first, SimDevice& second);

  void restart_relay();  // what was not committed is lost
  // The same, and of this table nothing reads well any more.
  void restart_relay_without(relay::store::Table table);
  void wipe_relay();  // another store, empty

  // What the relay sends to a device goes through here: nothing, the frame, others in its place.
  using Tamper = std::function<std::vector<wire::Bytes>(SimDevice&, wire::ByteView frame)>;
  Tamper tamper;
  // What a device sends, before the relay has it. False: the relay never sees it.
  using Upstream = std::function<bool(SimDevice&, wire::ByteView frame)>;
  Upstream upstream;
  // Sees each frame that leaves a device, whether it arrives or not.
  std::function<void(SimDevice&, wire::ByteView frame)> watch;

  [[nodiscard]] core::Now now() const { return now_; }
  [[nodiscard]] std::size_t queued() const { return disk_->log().size(); }
  void set_wall(std::chrono::milliseconds wall) { now_.wall = wall; }
  [[nodiscard]] const std::string& address() const { return address_; }

  void open_session(SimDevice& device);
  void close_session(SimDevice& device);
  std::deque<SimDevice> devices;

 private:
  friend class SimDevice;
  void make_shard();
  void relay_round();
  void take_from_relay();
  [[nodiscard]] relay::Now relay_now() const;
  bool deliver_to_relay(SimDevice& device);
  bool deliver_to_device(SimDevice& device);

  class Ends;
  relay::Config config_;
  relay::ops::Counters counters_;
  std::unique_ptr<MemoryRecords> disk_;
  std::unique_ptr<FakeHost> host_;
  std::unique_ptr<relay::policy::AddressAdmission> admission_;
  std::unique_ptr<relay::Shard> shard_;
  core::Now now_{std::chrono::milliseconds{1'700'000'000'000}, std::chrono::hours{1}};
  std::uint8_t store_number_ = 1;
  std::mt19937_64 seeds_;
  std::string address_;
};

}  // namespace godwit::test
