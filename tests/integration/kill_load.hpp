// The load of the crash test: pairs of devices that keep coming back. Senders retry what has no
// outcome, in its order and with the identical bytes and request id; receivers are away half of
// the time and acknowledge late, in pieces or, on some connections, not at all.
//
// Owns:   the devices and what they still have to do; the judge is told of everything they see.
// Thread: the fleet's loop.
#pragma once

#include <deque>
#include <memory>
#include <random>

#include "tests/support/history.hpp"
#include "tests/support/raw_device.hpp"

namespace godwit::integration {

using support::LoadEnvelope;
using Random = std::mt19937_64;

// Uniform in [low, high].
[[nodiscard]] inline std::uint32_t pick(Random& random, std::uint32_t low, std::uint32_t high) {
  return std::uniform_int_distribution<std::uint32_t>(low, high)(random);
}

// What all devices of a load share.
struct LoadState {
  support::Fleet& fleet;
  support::History& history;
  bool paused = false;                // nobody connects: no relay is there
  std::vector<std::string> breaches;  // of the protocol: answers that should not be

  void breach(std::string what) { breaches.push_back(std::move(what)); }
};

// A device that comes, logs in, and comes again whenever its connection ends, until it is told to
// go.
class Peer {
 public:
  Peer(LoadState& load, support::Account account, std::uint64_t seed);
  virtual ~Peer() = default;
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  void come();
  void go();  // by FIN or RST
  void resume() {  // after the load was paused
    if (wanted_ && !up_) come_later();
  }
  [[nodiscard]] bool live() const { return live_; }
  // A connection is there or being made.
  [[nodiscard]] bool up() const { return up_; }
  [[nodiscard]] const support::Account& account() const { return device_.account(); }

 protected:
  virtual void on_connecting() {}
  virtual void on_live() = 0;
  virtual void on_deliver(const wire::Deliver&);
  virtual void on_caught_up() {}
  virtual void on_gone() {}

  LoadState& load_;
  Random random_;
  support::RawDevice device_;

 private:
  void connect();
  void come_later();
  void on_welcome(const wire::RelayFrame& frame);
  void on_event(const wire::RelayFrame& frame);
  void on_closed();

  net::Timer again_;
  bool wanted_ = false;
  bool registered_ = false;
  bool up_ = false;
  bool live_ = false;
  std::uint32_t backoff_ms_ = 0;
};

class Sender final : public Peer {
 public:
  Sender(LoadState& load, std::uint32_t pair, const support::Account& to, std::uint32_t envelopes,
         std::uint64_t seed);

  void begin();  // with the envelopes, and with breaking the connection now and then
  [[nodiscard]] bool done() const { return waiting_.empty() && next_ == envelopes_; }

 private:
  void on_live() override;
  void fill();
  void submit(std::uint32_t number);
  void on_outcome(std::uint32_t number, const wire::RelayFrame& frame);
  void break_later();

  const std::uint32_t pair_;
  const support::Account& to_;
  const std::uint32_t envelopes_;
  net::Timer break_;
  bool begun_ = false;
  std::uint32_t next_ = 0;
  std::deque<std::uint32_t> waiting_;  // submitted without an outcome, the oldest first
};

class Receiver final : public Peer {
 public:
  Receiver(LoadState& load, std::uint32_t pair, support::Account account, std::uint64_t seed);

  void begin();   // with being away now and then
  void finish();  // comes for good and acknowledges everything
  // Everything that was queued has come, and its ack is confirmed.
  [[nodiscard]] bool settled() const {
    return finishing_ && live() && caught_up_ && pending_.empty() && unconfirmed_ == 0;
  }

 private:
  struct Pending {
    std::uint32_t number = 0;  // of this connection
    std::optional<LoadEnvelope> envelope;
  };
  void on_connecting() override;
  void on_live() override;
  void on_deliver(const wire::Deliver& deliver) override;
  void on_caught_up() override { caught_up_ = true; }
  void on_gone() override;
  void change_later();
  void acknowledge();
  [[nodiscard]] std::vector<Pending> take_some(wire::Ack& ack);

  const std::uint32_t pair_;
  net::Timer change_;
  bool finishing_ = false;
  // Of this connection:
  bool caught_up_ = false;
  bool withholds_ = false;
  std::uint32_t last_number_ = 0;
  std::size_t batch_ = 1;
  std::vector<Pending> pending_;  // delivered and not acknowledged
  std::size_t unconfirmed_ = 0;   // acks without an answer
};

class Load {
 public:
  Load(support::Fleet& fleet, support::History& history, std::uint32_t pairs,
       std::uint32_t envelopes, std::uint64_t seed);

  void come();    // all of them; the first time, to register
  void begin();   // precondition: all are live
  void finish();  // receivers stay
  void pause();   // before the relay goes
  void resume();  // when there is one again
  void go();

  [[nodiscard]] bool all_live() const;
  [[nodiscard]] bool all_down() const;
  [[nodiscard]] bool all_sent() const;
  [[nodiscard]] bool all_settled() const;
  [[nodiscard]] const std::vector<std::string>& breaches() const { return state_.breaches; }

 private:
  LoadState state_;
  std::vector<std::unique_ptr<Receiver>> receivers_;
  std::vector<std::unique_ptr<Sender>> senders_;
};

}  // namespace godwit::integration
