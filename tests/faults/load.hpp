// faults/load: the small run that is played again for each fault: a few pairs of devices. Each
// sender has so many envelopes for its receiver; some receivers are away until all are sent.
// Whoever loses the connection comes back at once, and acknowledges what comes again.
//
// Owns:   the devices.
// Thread: the fleet's loop.
#pragma once

#include <memory>
#include <set>

#include "tests/support/load_device.hpp"

namespace godwit::faults {

using support::LoadState;

// Soon, and always as soon: the calls of a run are counted.
inline constexpr std::chrono::milliseconds kComeBack{5};

class Receiver final : public support::LoadDevice {
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
  [[nodiscard]] std::chrono::milliseconds pause_before(std::uint32_t) override {
    return kComeBack;
  }

  const std::uint32_t pair_;
  std::set<std::uint32_t> arrived_;
  // Of this connection. What had no confirmed ack on the one before comes again, or its ack was
  // taken; so nothing is open when the relay has said that all has come.
  std::size_t open_acks_ = 0;
  bool caught_up_ = false;
};

class Sender final : public support::LoadSender {
 public:
  using LoadSender::LoadSender;

 private:
  [[nodiscard]] std::chrono::milliseconds pause_before(std::uint32_t) override {
    return kComeBack;
  }
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
