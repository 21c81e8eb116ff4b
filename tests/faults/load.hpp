// faults/load: the small run that is played again for each fault: a few pairs of devices. Each
// sender has so many envelopes for its receiver; some receivers are away until all are sent.
// Whoever loses the connection comes back, sends again what has no outcome, and acknowledges what
// comes again.
//
// Owns:   the devices; the judge (support/history) is told of everything they see.
// Thread: the fleet's loop.
#pragma once

#include <deque>
#include <memory>
#include <set>

#include "tests/support/history.hpp"
#include "tests/support/raw_device.hpp"

namespace godwit::faults {

struct LoadState {
  support::Fleet& fleet;
  support::History& history;
  bool paused = false;                // nobody connects: no relay is there
  std::uint64_t refusals = 0;         // for lack of room: sent again later
  std::vector<std::string> breaches;  // answers that should not be

  void breach(std::string what) { breaches.push_back(std::move(what)); }
};

class Peer {
 public:
  Peer(LoadState& load, support::Account account, bool registered);
  virtual ~Peer() = default;
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  void come();
  void go();
  void resume() { connect(); }  // after the load was paused
  [[nodiscard]] bool registered() const { return registered_; }
  [[nodiscard]] bool up() const { return up_; }  // a connection is there or being made
  [[nodiscard]] const support::Account& account() const { return device_.account(); }

 protected:
  virtual void on_connecting() {}
  virtual void on_live() = 0;
  virtual void on_deliver(const wire::Deliver&) { load_.breach("a sender was given an envelope"); }
  virtual void on_caught_up() {}
  virtual void on_gone() {}
  void try_later();  // the relay has no room: over a new connection

  LoadState& load_;
  support::RawDevice device_;
  bool live_ = false;

 private:
  void connect();
  void on_welcome(const wire::RelayFrame& frame);
  void on_event(const wire::RelayFrame& frame);
  void on_closed();

  net::Timer again_;
  bool registered_;
  bool wanted_ = false;
  bool up_ = false;
};

class Receiver final : public Peer {
 public:
  Receiver(LoadState& load, std::uint32_t pair, bool registered);
  // All of these many have come, and every ack is confirmed.
  [[nodiscard]] bool has_all(std::uint32_t envelopes) const {
    return arrived_.size() == envelopes && caught_up_ && open_acks_ == 0;
  }

 private:
  void on_connecting() override;
  void on_live() override {}
  void on_deliver(const wire::Deliver& deliver) override;
  void on_caught_up() override { caught_up_ = true; }
  void on_gone() override;

  const std::uint32_t pair_;
  std::set<std::uint32_t> arrived_;
  // Of this connection. What had no confirmed ack on the one before comes again, or its ack was
  // taken; so nothing is open when the relay has said that all has come.
  std::size_t open_acks_ = 0;
  bool caught_up_ = false;
};

class Sender final : public Peer {
 public:
  Sender(LoadState& load, std::uint32_t pair, const support::Account& to, std::uint32_t envelopes,
         bool registered);
  void begin();  // its receiver is registered
  [[nodiscard]] bool done() const { return waiting_.empty() && next_ == envelopes_; }

 private:
  void on_live() override;
  void fill();
  void submit(std::uint32_t number);
  void on_outcome(std::uint32_t number, const wire::RelayFrame& frame);

  const std::uint32_t pair_;
  const support::Account& to_;
  const std::uint32_t envelopes_;
  bool begun_ = false;
  std::uint32_t next_ = 0;
  std::deque<std::uint32_t> waiting_;  // submitted without an outcome, the oldest first
};

class Load {
 public:
  struct Size {
    std::uint32_t pairs = 4;
    std::uint32_t away = 2;  // pairs whose receiver comes when all is sent
    std::uint32_t envelopes = 50;  // of each pair
  };
  // `queued`: the devices are registered, and everything was accepted by an earlier relay.
  Load(support::Fleet& fleet, support::History& history, Size size, bool queued);

  void begin();  // everybody comes; the rest follows by itself, with step()
  void step();   // to be called again and again
  void pause();  // before the relay goes
  void resume();
  void go();

  [[nodiscard]] bool all_down() const;
  [[nodiscard]] bool all_sent() const;
  [[nodiscard]] bool settled() const;  // everything has arrived, every ack is confirmed
  [[nodiscard]] const LoadState& state() const { return state_; }

 private:
  LoadState state_;
  const Size size_;
  std::vector<std::unique_ptr<Receiver>> receivers_;
  std::vector<std::unique_ptr<Sender>> senders_;
  std::vector<bool> left_;  // receivers that registered and went away
};

}  // namespace godwit::faults
