// shard: one loop's worth of relay, sans-I/O: its sessions and its slots. Frames, messages from
// other shards, commits and time come in; frames, messages and batches go out through a Host. The
// server gives it a libuv loop; the simulator a virtual one.
//
// A request that concerns a slot of another shard goes there as a message, and its answer comes
// back as one: one machine and many are the same design.
//
// Thread: the loop's.
#pragma once

#include <deque>

#include "relay/handlers/context.hpp"
#include "relay/policy/address_admission.hpp"
#include "relay/policy/expiry.hpp"
#include "relay/slot/engine.hpp"
#include "schema/wire/codec.hpp"

namespace godwit::relay {

// An operation for a slot of the receiving shard.
struct Ask {
  slot::Origin origin;
  slot::Operation operation;
};

using Message = std::variant<slot::AnswerTo, slot::Push, slot::Notice, Ask>;

// What a shard needs of the world.
class Host {
 public:
  virtual ~Host() = default;

  // When a frame leaves: at the end of this round, or with whatever is sent to the session next,
  // kFrameWaitMax later at the latest.
  enum class Leaves : std::uint8_t { soon, with_the_next };
  // To the connection of a session on this loop, in the order of the calls. The body is copied.
  virtual void send(session::SessionId session, wire::ByteView frame_body, Leaves leaves) = 0;
  // Frames may be as large as the protocol allows from now on.
  virtual void lift_frame_limit(session::SessionId session) = 0;
  // What was sent leaves first; then the connection ends. on_closed() is not called for it.
  virtual void close(session::SessionId session, wire::ErrorCode why) = 0;
  virtual void pause(session::SessionId session, bool paused) = 0;

  // False: that shard's inbox is full, `message` is as it was.
  [[nodiscard]] virtual bool post(std::uint32_t loop, Message& message) = 0;
  // For answers and pushes: bounded by the questions and windows that caused them.
  virtual void post_always(std::uint32_t loop, Message message) = 0;

  // Comes back through Shard::on_committed.
  virtual void commit(std::unique_ptr<store::Batch> batch) = 0;
  // Calls Shard::on_round_end at `when` at the latest; when that is past, after a look at what has
  // come meanwhile.
  virtual void wake_at(Steady when) = 0;

  struct StoreIdentity {
    wire::StoreId id;
    std::uint64_t generation = 0;
    std::uint32_t boot = 0;
  };
  [[nodiscard]] virtual StoreIdentity store_identity() const = 0;
};

struct ShardOptions {
  std::uint32_t loop = 0;
  std::uint32_t loops = 1;
  const Config* config = nullptr;  // outlives the shard
  wire::SipKey hash_key{};          // random, the same for all shards of a process
};

class Shard final : private handlers::Context {
 public:
  Shard(const ShardOptions& options, Host& host, slot::Records& records,
        policy::AddressAdmission& admission, ops::Counters& counters);

  [[nodiscard]] slot::Engine& engine() { return engine_; }  // for recovery

  // A handshake is complete. `unlimited`: the address is in unlimited_from.
  [[nodiscard]] session::SessionId on_established(const wire::Key& transport, std::string address,
                                                  bool unlimited, Now now);
  void on_frame(session::SessionId session, wire::ByteView body, Now now);
  void on_closed(session::SessionId session, Now now);
  void on_message(Message& message, Now now);
  void on_committed(std::unique_ptr<store::Batch> batch, Now now);
  // Once at the end of each round of events, and when wake_at() is due: hands out the batch.
  void on_round_end(Now now);
  // About once a second: deadlines, expiry.
  void on_tick(Now now);
  // Tells every session that the relay goes, and ends it; what is staged goes to the disk.
  void on_shutdown(Now now);
  // Nothing is staged, gathering or under way.
  [[nodiscard]] bool idle() const { return engine_.idle(); }

 private:
  // ---- handlers::Context
  [[nodiscard]] const Config& config() const override { return *options_.config; }
  [[nodiscard]] Now now() const override { return now_; }
  void call(session::Session& session, std::uint16_t slot, slot::Operation operation,
            session::Continuation then) override;
  void start(std::uint16_t slot, slot::Operation operation,
             std::function<void(slot::Answer&)> then) override;
  [[nodiscard]] session::Session* find(session::SessionId session) override;
  void enqueue(session::Session& session, std::uint32_t submit, slot::Enqueue operation) override;
  void ack(session::Session& session, std::uint32_t request, slot::Ack operation) override;
  void reply(session::Session& session, std::uint32_t request, ReplyBody body) override;
  void acknowledged(const session::Session& session, std::uint32_t request);
  void refuse(session::Session& session, std::uint32_t request, wire::ErrorCode code,
              std::chrono::milliseconds retry_after) override;
  void end(session::Session& session, wire::ErrorCode code) override;
  void welcome(session::Session& session, std::uint32_t request, const slot::AttachedAs& attached,
               wire::ErrorCode name) override;
  [[nodiscard]] std::uint64_t next_body_id() override;
  [[nodiscard]] std::chrono::milliseconds take_registration(
      const session::Session& session) override;
  [[nodiscard]] std::chrono::milliseconds take_submit(const session::Session& session,
                                                      std::size_t recipients) override;
  [[nodiscard]] std::chrono::milliseconds take_lookups(const session::Session& session,
                                                       std::uint32_t tokens) override;
  [[nodiscard]] std::chrono::milliseconds take_prekeys(const session::Session& session) override;

  // To the engine here, or to the shard that owns the slot.
  void route(session::Session* session, std::uint16_t slot, Ask ask);
  void retry_parked();
  // Reasons not to read a connection add up.
  void pause(session::Session& session);
  void resume(session::Session& session);
  void rest(session::Session& session);
  void resume_rested();
  // Everything the engine said so far: to sessions here, or to other shards.
  void drain();
  void take(slot::AnswerTo& answer);
  void take(slot::Push& push);
  void take(slot::Notice& notice);
  void take_outcome(session::Session& session, std::uint32_t submit, slot::Enqueued& outcome);
  void bury_ended();
  void detach(const session::Session& session);

  using DeviceRates = policy::RateTable<wire::DeviceId, wire::IdHash>;

  ShardOptions options_;
  Host& host_;
  policy::AddressAdmission& admission_;
  ops::Counters& counters_;
  slot::Engine engine_;
  Now now_;
  policy::Expiry expiry_;
  wire::Encoder encoder_;
  slot::Effects effects_;
  HandleMap<session::Session> sessions_;
  std::vector<session::SessionId> ended_;  // closing; forgotten when the entry point returns

  std::unordered_map<std::uint32_t, std::function<void(slot::Answer&)>> tasks_;
  std::uint32_t next_task_ = 0;

  struct Parked {
    session::SessionId session = 0;
    Message message;
  };
  std::vector<std::deque<Parked>> parked_;  // per loop: its inbox was full
  struct Resting {
    Steady until;
    session::SessionId session = 0;
  };
  std::deque<Resting> resting_;  // the first is over first
  std::uint64_t bodies_made_ = 0;
  DeviceRates submit_rates_;
  DeviceRates lookup_rates_;
  DeviceRates prekey_rates_;
};

}  // namespace godwit::relay
