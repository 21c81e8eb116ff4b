// engine: what stands behind a Client: the home, the core over it, the connection's thread, and
// those who wait.
//
// A change from any thread is one round of the core: input, commit, and a wake-up for the
// connection, which fetches the frames. The connection's thread does the same with what it has
// read. A commit that fails ends the core: events and frames of the round are gone, the connection
// is closed, and a new core is opened over the home, at first a second later.
// Owns:    the database, the core, the event queue, the thread.
// Thread:  any. Three locks, taken in this order: network_lifetime_, mutex_, reopening_.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <thread>

#include "client-sdk/src/connection.hpp"
#include "client-sdk/src/core/core.hpp"
#include "client-sdk/src/event_queue.hpp"
#include "client-sdk/src/store/database.hpp"

namespace godwit {

class Engine final : private Speaker {
 public:
  using MakeAccount = std::function<Result<void>(store::Database&, core::Now)>;
  // Makes a home; one that a crash left without an account is used.
  [[nodiscard]] static Result<std::unique_ptr<Engine>> create(const Options& options,
                                                              const MakeAccount& make_account);
  [[nodiscard]] static Result<std::unique_ptr<Engine>> open(const Options& options);
  ~Engine() override;

  [[nodiscard]] Result<void> connect();
  void disconnect();

  // One round: `input(core, now)` and its commit. The commit's error comes before the input's.
  template <class T, class Input>
  [[nodiscard]] Result<T> change(const Input& input) {
    const std::lock_guard lock(mutex_);
    const core::Now now = current_time();
    if (auto opened = ensure_core(now); !opened) return opened.error();
    Result<T> result = input(*core_, now);
    if (auto ended = end_round(now); !ended) return ended.error();
    if (connection_ != nullptr) connection_->wake();
    return result;
  }

  // `look(core)` sees the last committed state, and does not wait for a round.
  template <class T, class Look>
  [[nodiscard]] Result<T> read(const Look& look) const {
    const std::shared_lock lock(reopening_);
    if (!core_) return failure_;
    return look(static_cast<const core::Core&>(*core_));
  }

  // The same for what only the core itself knows; waits for a round that is under way.
  template <class T, class Look>
  [[nodiscard]] Result<T> read_core(const Look& look) const {
    const std::lock_guard lock(mutex_);
    if (!core_) return failure_;
    return look(static_cast<const core::Core&>(*core_));
  }

  [[nodiscard]] Account account() const;
  [[nodiscard]] Result<void> set_name(std::string_view name);
  [[nodiscard]] EventQueue& events() const { return *events_; }

  [[nodiscard]] Result<void> wait_registered(std::chrono::milliseconds timeout);
  [[nodiscard]] Result<Status> wait_accepted(const MessageId& id,
                                             std::chrono::milliseconds timeout);
  [[nodiscard]] Result<void> wait_settled(std::chrono::milliseconds timeout);

 private:
  // The connection, its loop and its thread.
  struct Network {
    Network(const wire::RelayAddress& relay, Speaker& speaker);
    ~Network();
    net::Loop loop;
    Connection connection;
    std::thread thread;
  };

  Engine(Options options, std::unique_ptr<EventQueue> events);
  [[nodiscard]] store::OpenOptions open_options() const;
  [[nodiscard]] static core::Now current_time();

  // Of a Speaker.
  [[nodiscard]] std::optional<wire::KeyPair> transport_keys() override;
  [[nodiscard]] ToSend exchange(const Received& received) override;

  void end_network();  // with network_lifetime_ held

  // With mutex_ held.
  [[nodiscard]] Result<void> ensure_core(core::Now now);
  [[nodiscard]] Result<void> reopen(core::Now now);
  [[nodiscard]] Result<void> end_round(core::Now now);
  void fail(const Error& error, core::Now now);
  void feed(const Received& received, core::Now now);
  void replace_session_key(core::Now now);
  void publish(std::vector<Event> events);
  [[nodiscard]] Error why_not_done(bool in_time) const;
  template <class T, class Check>
  [[nodiscard]] Result<T> wait_until(std::chrono::milliseconds timeout, const Check& check);

  const Options options_;
  const std::unique_ptr<EventQueue> events_;

  std::mutex network_lifetime_;  // of network_
  std::unique_ptr<Network> network_;

  mutable std::mutex mutex_;  // of all below
  std::condition_variable changed_;
  mutable std::shared_mutex reopening_;  // besides, of core_ and failure_
  std::optional<store::Database> database_;
  std::unique_ptr<core::Core> core_;  // nothing after a failure, until it is opened again
  Error failure_{};                   // what it was
  Account last_account_;              // for as long as there is no core
  std::chrono::milliseconds reopen_at_{};
  std::chrono::milliseconds reopen_delay_{};

  Connection* connection_ = nullptr;  // while the app wants one
  bool up_ = false;                   // there is a channel
  bool core_knows_ = false;           // and this core was told of it
  bool logged_in_ = false;
  std::string taken_name_;            // the last name that the relay gave to somebody else
  std::optional<ErrorCode> gave_up_;  // why there is no further attempt
  ErrorCode give_up_code_ = ErrorCode::refused;  // why there would be none
  std::string last_problem_;                     // of the connection: a sentence
};

}  // namespace godwit
