// engine: what stands behind a Client: the home, the core over it, the link to the relay, and those
// who wait.
//
// A change from any thread is one round of the core: input, commit, and a wake-up for the link,
// which fetches the frames. The link's thread does the same with what it has read. A commit that
// fails ends the core: events and frames of the round are gone, the connection is closed, and a new
// core is opened over the home, at first a second later.
// Owns:    the database, the core, the event queue, the link.
// Refuses: to know the machine: clock, randomness, disk, network and waiting are the platform's.
// Thread:  any. Three locks, taken in this order: link_lifetime_, mutex_, reopening_. The link may
//          be of the very thread that calls: it ends with no lock held but link_lifetime_, which no
//          exchange takes.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>

#include "client-sdk/src/event_queue.hpp"
#include "client-sdk/src/platform.hpp"

namespace godwit {

class Engine final : private Speaker {
 public:
  // Makes a home; one that a crash left without an account is used.
  [[nodiscard]] static Result<std::unique_ptr<Engine>> create(const Options& options,
                                                              const core::NewAccount& account);
  [[nodiscard]] static Result<std::unique_ptr<Engine>> open(const Options& options);
  // Of a home that is closed; neither passphrase is copied.
  [[nodiscard]] static Result<void> change_passphrase(const Options& options,
                                                      const std::optional<std::string_view>& next);
  ~Engine() override;

  [[nodiscard]] Result<void> connect();
  void disconnect();

  // One round: `input(core, now)` and its commit. The commit's error comes before the input's.
  template <class T, class Input>
  [[nodiscard]] Result<T> change(const Input& input) {
    const std::lock_guard lock(mutex_);
    const core::Now now = platform_->now();
    if (auto opened = ensure_core(now); !opened) return opened.error();
    Result<T> result = input(*core_, now);
    if (auto ended = end_round(now); !ended) return ended.error();
    if (link_) link_->wake();
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
  [[nodiscard]] std::optional<Event> next_event();
  [[nodiscard]] int descriptor() const { return events_->descriptor(); }
  [[nodiscard]] bool wait_event(std::chrono::milliseconds timeout) {
    return events_->wait(*platform_, timeout);
  }

  [[nodiscard]] Result<void> wait_registered(std::chrono::milliseconds timeout);
  [[nodiscard]] Result<Status> wait_accepted(const MessageId& id,
                                             std::chrono::milliseconds timeout);
  [[nodiscard]] Result<void> wait_settled(std::chrono::milliseconds timeout);

 private:
  Engine(const Options& options, std::unique_ptr<EventQueue> events);

  // Of a Speaker.
  [[nodiscard]] Result<wire::KeyPair> transport_keys() override;
  [[nodiscard]] ToSend exchange(const Received& received) override;

  void end_link(bool another_follows);  // with link_lifetime_ held

  // With mutex_ held.
  [[nodiscard]] Result<void> ensure_core(core::Now now);
  [[nodiscard]] Result<void> reopen(core::Now now);
  [[nodiscard]] Result<void> end_round(core::Now now);
  void fail(const Error& error, core::Now now);
  void feed(const Received& received, core::Now now);
  void tell_failed_attempt(const std::string& reason, core::Now now);
  void replace_session_key(core::Now now);
  void publish(std::vector<Event> events);
  [[nodiscard]] Error why_not_done(bool in_time) const;
  template <class T, class Check>
  [[nodiscard]] Result<T> wait_until(std::chrono::milliseconds timeout, const Check& check);

  Options options_;  // never changes; the passphrase in it is overwritten at the end
  const std::shared_ptr<Platform> platform_;
  const crypto::Random random_;
  const std::unique_ptr<EventQueue> events_;
  std::mutex taking_;           // of `taken_`; before mutex_
  std::optional<Event> taken_;  // the last one that was pulled, if it is kept

  std::mutex link_lifetime_;  // one link begins or ends at a time
  mutable std::mutex mutex_;  // of all below
  std::condition_variable changed_;
  mutable std::shared_mutex reopening_;  // besides, of core_ and failure_
  std::optional<store::Database> database_;
  std::unique_ptr<core::Core> core_;  // after a failure of the disk nothing, until opened again
  Error failure_{};                   // what it was
  Account last_account_;              // for as long as there is no core
  std::chrono::milliseconds reopen_at_{};  // no change before this time
  std::chrono::milliseconds reopen_delay_{};

  bool wanted_ = false;              // the app wants a link; it may be between two of them
  std::unique_ptr<RelayLink> link_;
  bool up_ = false;                  // there is a channel
  bool resting_ = false;             // an attempt has failed, and the next has not come up
  bool core_knows_ = false;          // and this core was told of it
  bool logged_in_ = false;
  bool was_in_ = false;               // since connect()
  bool told_online_ = false;          // the app was, and of no end since
  std::optional<ErrorCode> gave_up_;  // why there is no further attempt
  ErrorCode give_up_code_ = ErrorCode::refused;  // why there would be none
  std::string last_problem_;                     // of the connection: a sentence
};

}  // namespace godwit
