// worker: one loop: its connections, its shard, its inboxes. The world that a shard lives in when
// it is not simulated.
// Thread: the one that calls run(); the post_* functions from any thread.
#pragma once

#include <deque>
#include <optional>

#include "relay/net/connection.hpp"
#include "relay/ops/log.hpp"
#include "relay/shard.hpp"
#include "relay/store/store.hpp"
#include "schema/net/inbox.hpp"
#include "schema/net/timer.hpp"

namespace godwit::relay {

// What the workers of one process share. Everything in it outlives them.
struct Shared {
  const Config& config;
  const wire::KeyPair& key;
  store::Store& store;
  policy::AddressAdmission& admission;
  ops::Log& log;
  wire::SipKey hash_key{};
  std::function<void(std::uint32_t loop, std::unique_ptr<store::Batch>)> commit;
  std::function<class Worker&(std::uint32_t loop)> worker;
  std::atomic<std::uint32_t> connections{0};  // of all loops, for the cap
};

class Worker final : public Host, public net::ConnectionOwner {
 public:
  // What fails is said in words.
  [[nodiscard]] static tl::expected<std::unique_ptr<Worker>, std::string> create(
      std::uint32_t index, std::uint32_t loops, Shared& shared);
  ~Worker() override;
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void run();  // until stop() has done its work

  // Any thread.
  void adopt(int descriptor);  // an accepted connection
  void committed(std::unique_ptr<store::Batch> batch);
  void stop();  // ends the sessions, writes what is staged, then run() returns
  [[nodiscard]] const ops::Counters& counters() const { return counters_; }

  // This thread, or before run().
  [[nodiscard]] godwit::net::Loop& loop() { return loop_; }
  [[nodiscard]] slot::Engine& engine() { return shard_->engine(); }
  [[nodiscard]] ops::Counters& own_counters() { return counters_; }

 private:
  class StoreRecords;

  Worker(std::uint32_t index, std::uint32_t loops, Shared& shared, godwit::net::Loop loop,
         std::unique_ptr<store::Reader> reader);

  // ---- Host
  void send(session::SessionId session, wire::ByteView frame_body, Leaves leaves) override;
  void lift_frame_limit(session::SessionId session) override;
  void close(session::SessionId session, wire::ErrorCode why) override;
  void pause(session::SessionId session, bool paused) override;
  [[nodiscard]] bool post(std::uint32_t loop, Message& message) override;
  void post_always(std::uint32_t loop, Message message) override;
  void commit(std::unique_ptr<store::Batch> batch) override;
  void wake_at(Steady when) override;
  [[nodiscard]] StoreIdentity store_identity() const override;

  // ---- ConnectionOwner
  [[nodiscard]] Now now() const override;
  [[nodiscard]] bool on_hello(net::Connection& connection, const net::HelloMark& mark) override;
  void on_established(net::Connection& connection, const wire::Key& peer, Now now) override;
  void on_frame(net::Connection& connection, wire::ByteView body, Now now) override;
  void on_ended(net::Connection& connection, std::string_view reason) override;
  void on_output(net::Connection& connection) override;
  void on_waiting_output(net::Connection& connection) override;
  [[nodiscard]] wire::Bytes lend_buffer() override;
  void take_back(wire::Bytes buffer) override;

  void on_accepted(int descriptor);
  void tell_ended(std::string_view reason);
  void on_round_end();
  void do_what_can_wait();
  void close_first();
  void answer_first();
  void flush_waiting(Steady now);
  void on_tick();
  void tell_state();
  void begin_stop();
  [[nodiscard]] bool idle() const;
  [[nodiscard]] net::Connection* find(session::SessionId session);

  const std::uint32_t index_;
  Shared& shared_;
  ops::Counters counters_;
  godwit::net::Loop loop_;
  std::unique_ptr<StoreRecords> records_;
  std::unique_ptr<Shard> shard_;
  net::StaticSecrets secrets_;
  net::RecentHellos recent_hellos_;

  HandleMap<net::Connection> connections_;
  std::vector<net::Connection*> by_session_;  // by the index of the session
  std::deque<Handle> hellos_;                // to be answered, the first to come first
  std::deque<Handle> ended_;                 // to be destroyed; nothing comes from them any more
  std::optional<Steady> waited_since_;       // when the last round ended, if it left some of these
  std::vector<net::Connection*> output_due_;  // to flush at the end of the round, before any goes
  struct Waiting {
    Steady leaves_by;
    Handle connection;
  };
  std::deque<Waiting> output_waiting_;     // the first to leave first; flushed before: stale
  std::vector<wire::Bytes> spare_;         // buffers of frames that have left

  godwit::net::Inbox<Message> messages_;
  godwit::net::Inbox<std::unique_ptr<store::Batch>> commits_;
  godwit::net::Inbox<int> accepted_;
  godwit::net::Waker stop_requested_;
  godwit::net::Timer tick_;
  std::size_t ticks_ = 0;
  bool expiry_paused_ = false;  // it was told
  bool store_full_ = false;     // it was told
  godwit::net::Timer go_on_;
  godwit::net::Timer wake_;
  std::optional<Steady> waking_at_;
  std::optional<Steady> stopping_since_;
};

}  // namespace godwit::relay
