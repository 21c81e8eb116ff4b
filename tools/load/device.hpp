// load/device: one device of the load: it registers once, logs in, stays connected, acknowledges
// what it gets and says what the relay has confirmed.
//
// Owns:    the connection (support/raw_device) and what was acknowledged on it and not confirmed.
// Refuses: to know flows; it reports to its owner.
// Thread:  the fleet's loop.
#pragma once

#include <deque>
#include <optional>
#include <string_view>

#include "tests/support/raw_device.hpp"
#include "tools/load/judge.hpp"

namespace godwit::load {

class Device;

class DeviceOwner {
 public:
  virtual ~DeviceOwner() = default;
  virtual void on_login(Device& device) = 0;  // it asks for one
  virtual void on_live(Device& device) = 0;   // the login succeeded
  virtual void on_caught_up(Device& device) = 0;  // what was queued at that login has come
  virtual void on_deliver(Device& device, const wire::Deliver& deliver) = 0;
  // The relay has confirmed an ack of all deliveries of this connection up to this number.
  virtual void on_confirmed(Device& device, std::uint32_t upto) = 0;
  // The connection is gone, and what was not confirmed on it will not be. `reason`: in words that
  // a person can act on.
  virtual void on_gone(Device& device, bool was_live, const std::string& reason) = 0;
};

// One cumulative ack for each device and round of the loop, as an SDK does that commits what it has
// read before it acknowledges.
class Acks {
 public:
  explicit Acks(net::Loop& loop);
  void due(Device& device);

 private:
  void send();
  std::vector<Device*> due_;
  net::Timer timer_;
};

class Device {
 public:
  Device(support::Fleet& fleet, Acks& acks, support::Account account, DeviceOwner& owner);
  Device(const Device&) = delete;  // the callbacks point here
  Device& operator=(const Device&) = delete;

  void connect();  // does nothing while connected, or about to be
  void leave();
  [[nodiscard]] bool live() const { return state_ == State::live; }
  [[nodiscard]] bool wanted() const { return wanted_; }  // connect() was called, leave() was not
  // Why the relay would not have it, when that ended its newest connection.
  [[nodiscard]] std::optional<wire::Refused> login_refused() const { return login_refused_; }
  [[nodiscard]] support::RawDevice& raw() { return raw_; }
  [[nodiscard]] std::uint32_t submits_max() const { return submits_max_; }

  // The owner's: as a recipient it belongs to one flow at most.
  std::uint32_t flow = kNone;
  std::uint32_t place = 0;  // among the recipients of that flow
  Unconfirmed unconfirmed;
  std::vector<std::uint32_t> flows;                             // as a sender
  std::deque<std::pair<std::uint32_t, std::uint64_t>> waiting;  // flow and number, to submit
  std::uint32_t in_flight = 0;
  Clock::time_point paused_until{};  // the relay asked for a pause
  std::uint32_t failures = 0;        // connections that ended since the last login
  bool awaited = false;              // its login is
  bool passing = false;              // it leaves when it has registered

  static constexpr std::uint32_t kNone = 0xffff'ffff;

 private:
  friend class Acks;
  enum class State : std::uint8_t { gone, entering, live };
  void enter();
  void on_reply(const wire::RelayFrame& reply);
  [[nodiscard]] std::string why_it_ended(const std::string& reason) const;
  void take(const wire::Deliver& deliver);
  void acknowledge();

  Acks& acks_;
  DeviceOwner& owner_;
  support::RawDevice raw_;
  State state_ = State::gone;
  bool handshaken_ = false;  // on the newest connection
  std::optional<wire::Refused> login_refused_;
  bool registered_ = false;
  bool wanted_ = false;
  bool ack_due_ = false;
  std::uint32_t came_ = 0;  // number of the newest envelope of this connection
  std::uint32_t submits_max_ = 1;
};

}  // namespace godwit::load
