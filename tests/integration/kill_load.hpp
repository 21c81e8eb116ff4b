// The load of the crash test: pairs of devices that keep coming back. Senders break their
// connection now and then; receivers are away half of the time and acknowledge late, in pieces or,
// on some connections, not at all.
//
// Owns:   the devices.
// Thread: the fleet's loop.
#pragma once

#include <memory>
#include <random>

#include "tests/support/load_device.hpp"

namespace godwit::integration {

using support::LoadEnvelope;

using Random = std::mt19937_64;

// Uniform in [low, high].
[[nodiscard]] inline std::uint32_t pick(Random& random, std::uint32_t low, std::uint32_t high) {
  return std::uniform_int_distribution<std::uint32_t>(low, high)(random);
}

// What is random in the coming and going of a device.
class Habits {
 public:
  explicit Habits(std::uint64_t seed) : random_(seed) {}
  [[nodiscard]] std::uint32_t pick(std::uint32_t low, std::uint32_t high) {
    return integration::pick(random_, low, high);
  }
  void leave(support::RawDevice& device);  // by FIN or RST
  // With jitter: they would all come in one moment.
  [[nodiscard]] std::chrono::milliseconds pause_before(std::uint32_t attempt);

 private:
  Random random_;
};

class Sender final : public support::LoadSender {
 public:
  Sender(support::LoadState& load, std::uint32_t pair, const support::Account& to,
         std::uint32_t envelopes, std::uint64_t seed);

  void begin();  // with the envelopes, and with breaking the connection

 private:
  void leave() override { habits_.leave(device_); }
  [[nodiscard]] std::chrono::milliseconds pause_before(std::uint32_t attempt) override {
    return habits_.pause_before(attempt);
  }
  void break_later();

  Habits habits_;
  net::Timer break_;
};

class Receiver final : public support::LoadDevice {
 public:
  Receiver(support::LoadState& load, std::uint32_t pair, std::uint64_t seed);

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
  void leave() override { habits_.leave(device_); }
  [[nodiscard]] std::chrono::milliseconds pause_before(std::uint32_t attempt) override {
    return habits_.pause_before(attempt);
  }
  void change_later();
  void acknowledge();
  [[nodiscard]] std::vector<Pending> take_some(wire::Ack& ack);

  const std::uint32_t pair_;
  Habits habits_;
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
  [[nodiscard]] const support::LoadState& state() const { return state_; }

 private:
  support::LoadState state_;
  std::vector<std::unique_ptr<Receiver>> receivers_;
  std::vector<std::unique_ptr<Sender>> senders_;
};

}  // namespace godwit::integration
