// Many devices at once: one message to all members of a group, and a crowd that only sits there.
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "tests/bench/peers/stage.hpp"

namespace godwit::bench::peers {
namespace {

constexpr std::size_t kPublishesUnderWay = 8;

class FanOut {
 public:
  explicit FanOut(Stage& stage)
      : stage_(stage),
        sender_(stage.make(1)),
        members_(stage.make(stage.options.group)),
        received_(members_.size()) {
    stage_.on_message_accepted = [this](Device&, std::uint32_t place) {
      places_[place].accepted = true;
      note(stage_.result.accepted, place);
      complete(place);
    };
    stage_.on_delivered = [this](Device& member, wire::ByteView body) {
      ++delivered_;
      const Mark mark = mark_of(body);
      received_[member.number() - 1].take(stage_.result, mark.number);
      ++places_[mark.token].deliveries;
      note(stage_.result.delivery, mark.token);
      complete(mark.token);
    };
  }

  void run() {
    stage_.log_in(sender_, Role::sender);
    stage_.log_in(members_, Role::member);
    if (stage_.failed()) return;
    for (std::size_t place = 0; place < places_.size(); ++place) submit(place);
    stage_.run_for(stage_.options.warm_up);
    const auto before = delivered_;
    const Meter meter(stage_);
    measuring_ = true;
    stage_.run_for(stage_.options.seconds);
    measuring_ = false;
    running_ = false;
    stage_.result.delivered_per_s = per_second(delivered_ - before, meter.seconds());
    meter.note_cost(stage_.result, delivered_ - before);
    stage_.await("every member has every message", [this] { return under_way_ == 0; });
    const std::uint64_t due = sent_ * members_.size();
    stage_.result.lost = due - std::min(due, delivered_);
  }

 private:
  struct Place {
    Clock::time_point sent;
    std::size_t deliveries = 0;
    bool accepted = false;
  };

  void submit(std::size_t place) {
    places_[place] = {Clock::now(), 0, false};
    ++under_way_;
    sender_.front()->publish_to_group(static_cast<std::uint32_t>(members_.size()),
                                      make_body(stage_.options.payload, sent_++, place),
                                      static_cast<std::uint16_t>(place));
  }

  void note(load::Histogram& histogram, std::uint64_t place) const {
    if (measuring_) histogram.record(Clock::now() - places_[place].sent);
  }

  void complete(std::uint64_t place) {
    if (!places_[place].accepted || places_[place].deliveries < members_.size()) return;
    --under_way_;
    if (running_) submit(place);
  }

  Stage& stage_;
  std::vector<Device*> sender_;
  std::vector<Device*> members_;
  std::vector<Sequence> received_;  // by member
  std::array<Place, kPublishesUnderWay> places_;
  std::uint64_t sent_ = 0;
  std::uint64_t delivered_ = 0;
  std::size_t under_way_ = 0;
  bool running_ = true;
  bool measuring_ = false;
};

}  // namespace

void run_fan_out(Stage& stage) {
  FanOut(stage).run();
}

namespace {

// Brokers take back the buffers of sessions that have been quiet for a moment, and their allocators
// give memory back over seconds: the broker's private memory once it has come to rest.
double memory_at_rest(Stage& stage) {
  constexpr double kLookSeconds = 3;
  constexpr int kLooksMax = 10;
  constexpr double kStill = 0.002;  // of all of it
  double bytes = stage.broker_private_bytes();
  for (int look = 0; look < kLooksMax; ++look) {
    stage.run_for(kLookSeconds);
    const double before = std::exchange(bytes, stage.broker_private_bytes());
    if (std::abs(bytes - before) < kStill * bytes) break;
  }
  return bytes;
}

}  // namespace

// The second half tells what a session costs; the first one pays for what the process takes once.
void run_idle(Stage& stage) {
  const std::size_t half = stage.options.sessions / 2;
  stage.log_in(stage.make(1), Role::sender);
  const auto first = stage.make(half);
  const auto second = stage.make(half);
  stage.log_in(first, Role::idle);
  const double before = memory_at_rest(stage);
  const Meter meter(stage);
  stage.log_in(second, Role::idle);
  stage.result.logins_per_s = per_second(half, meter.seconds());
  stage.result.relay_bytes_per_session =
      std::max(0.0, memory_at_rest(stage) - before) / static_cast<double>(half);
}

}  // namespace godwit::bench::peers
