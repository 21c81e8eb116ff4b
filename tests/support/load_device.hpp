// support/load_device: the devices of a load that has to survive: each logs in, or registers when
// it is new, and comes again whenever its connection ends, until it is told to go. A sender sends
// what has no outcome again, in its order and with the identical bytes and request id.
//
// Owns:   the device and what it still has to do; the judge (support/history) is told of everything
//         it sees.
// Thread: the fleet's loop.
#pragma once

#include <deque>
#include <optional>

#include "tests/support/history.hpp"
#include "tests/support/raw_device.hpp"

namespace godwit::support {

// What all devices of a load share.
struct LoadState {
  LoadState(Fleet& its_fleet, History& its_history) : fleet(its_fleet), history(its_history) {}

  Fleet& fleet;
  History& history;
  bool paused = false;                // nobody connects: no relay is there
  std::uint64_t refusals = 0;         // for now, by a relay without room: asked again later
  std::vector<std::string> breaches;  // of the protocol: answers that should not be

  void breach(std::string what) { breaches.push_back(std::move(what)); }
};

class LoadDevice {
 public:
  // `registered`: an earlier relay has it.
  LoadDevice(LoadState& load, Account account, bool registered);
  virtual ~LoadDevice() = default;
  LoadDevice(const LoadDevice&) = delete;
  LoadDevice& operator=(const LoadDevice&) = delete;

  void come();
  void go();
  void resume() {  // after the load was paused
    if (wanted_ && !up_) come_later();
  }
  [[nodiscard]] bool registered() const { return registered_; }
  [[nodiscard]] bool live() const { return live_; }
  [[nodiscard]] bool up() const { return up_; }  // a connection is there or being made
  [[nodiscard]] const Account& account() const { return device_.account(); }

 protected:
  virtual void on_connecting() {}
  virtual void on_live() = 0;
  virtual void on_deliver(const wire::Deliver&) { load_.breach("a sender was given an envelope"); }
  virtual void on_caught_up() {}
  virtual void on_gone() {}
  virtual void leave() { device_.disconnect(); }
  // Before it comes again, the `attempt`th time since it was live: 0, 1, ...
  [[nodiscard]] virtual std::chrono::milliseconds pause_before(std::uint32_t attempt) = 0;
  // True when the relay refused for now: it is asked again over a new connection.
  [[nodiscard]] bool is_for_now(wire::ErrorCode code);

  LoadState& load_;
  RawDevice device_;

 private:
  void connect();
  void come_later();
  void on_welcome(const wire::RelayFrame& frame);
  void on_event(const wire::RelayFrame& frame);
  void on_closed();

  net::Timer again_;
  bool registered_;
  bool wanted_ = false;
  bool up_ = false;
  bool live_ = false;
  std::uint32_t attempts_ = 0;
};

class LoadSender : public LoadDevice {
 public:
  // So many envelopes in all, `window` of them without an outcome.
  LoadSender(LoadState& load, std::uint32_t pair, const Account& to, std::uint32_t envelopes,
             std::size_t window, bool registered);
  void begin();  // its receiver is registered
  [[nodiscard]] bool done() const { return waiting_.empty() && next_ == envelopes_; }

 protected:
  void on_live() override;

 private:
  void fill();
  void submit(std::uint32_t number);
  void on_outcome(std::uint32_t number, const wire::RelayFrame& frame);

  const std::uint32_t pair_;
  const Account& to_;
  const std::uint32_t envelopes_;
  const std::size_t window_;
  bool begun_ = false;
  std::uint32_t next_ = 0;
  std::deque<std::uint32_t> waiting_;  // submitted without an outcome, the oldest first
};

// The accounts of a pair.
[[nodiscard]] Account sender_of(std::uint32_t pair);
[[nodiscard]] Account receiver_of(std::uint32_t pair);

}  // namespace godwit::support
