// A load of pairs: each sender keeps `window` messages under way to its recipient. A place in the
// window is free again when the sender is told *accepted* and the recipient has the message.
//
// With a rate (open loop), messages are due at fixed times, and latency counts from then: a broker
// that falls behind is not spared. A pair still has at most `window` of them under way.
#include <algorithm>
#include <memory>

#include "tests/bench/peers/stage.hpp"

namespace godwit::bench::peers {
namespace {

using namespace std::chrono_literals;

class Load {
 public:
  explicit Load(Stage& stage)
      : stage_(stage),
        size_(stage.options.payload),
        senders_(stage.make(stage.options.pairs)),
        recipients_(stage.make(stage.options.pairs)),
        pairs_(senders_.size()),
        tick_(stage.loop(), [this] { submit_due(); }) {
    for (Pair& pair : pairs_) {
      pair.places.resize(stage.options.window);
      for (std::size_t place = pair.places.size(); place > 0;) {
        pair.free.push_back(static_cast<std::uint16_t>(--place));
      }
    }
    stage_.on_message_accepted = [this](Device& sender, std::uint32_t place) {
      accepted(sender.number(), place);
    };
    stage_.on_delivered = [this](Device& recipient, wire::ByteView body) {
      delivered(recipient.number() - pairs_.size(), body);
    };
  }

  void run() {
    stage_.log_in(senders_, Role::sender);
    stage_.log_in(recipients_, Role::recipient);
    if (stage_.failed()) return;
    begin();
    stage_.run_for(stage_.options.warm_up);
    const auto accepted_before = accepted_;
    const auto delivered_before = delivered_;
    const Meter meter(stage_);
    measuring_ = true;
    stage_.run_for(stage_.options.seconds);
    measuring_ = false;
    running_ = false;
    tick_.stop();
    Result& result = stage_.result;
    const double seconds = meter.seconds();
    result.accepted_per_s = per_second(accepted_ - accepted_before, seconds);
    result.delivered_per_s = per_second(delivered_ - delivered_before, seconds);
    meter.note_cost(result, delivered_ - delivered_before);
    stage_.await("what is under way arrives", [this] { return under_way_ == 0; });
    result.lost = accepted_ - std::min(accepted_, delivered_);
  }

 private:
  struct Place {
    Clock::time_point due;
    bool accepted = false;
    bool delivered = false;
  };
  struct Pair {
    std::vector<Place> places;
    std::vector<std::uint16_t> free;
    std::uint64_t sent = 0;
    Sequence received;
  };

  void begin() {
    begin_ = Clock::now();
    if (stage_.options.rate > 0) return tick_.start(1ms, 1ms);
    for (std::size_t pair = 0; pair < pairs_.size(); ++pair) {
      while (!pairs_[pair].free.empty()) submit(pair, Clock::now());
    }
  }

  // In turn; when the pair whose turn it is has no place, all wait for it.
  void submit_due() {
    const std::chrono::duration<double> interval(1 / stage_.options.rate);
    for (const auto now = Clock::now();; ++turns_) {
      const auto due = begin_ + std::chrono::duration_cast<Clock::duration>(
                                    interval * static_cast<double>(turns_));
      const std::size_t pair = turns_ % pairs_.size();
      if (due > now || pairs_[pair].free.empty()) return;
      submit(pair, due);
    }
  }

  void submit(std::size_t at, Clock::time_point due) {
    Pair& pair = pairs_[at];
    const std::uint16_t place = pair.free.back();
    pair.free.pop_back();
    pair.places[place] = {due, false, false};
    ++under_way_;
    senders_[at]->publish(recipients_[at]->number(), make_body(size_, pair.sent++, place), place);
  }

  void accepted(std::size_t pair, std::uint32_t place) {
    ++accepted_;
    Place& it = pairs_[pair].places[place];
    it.accepted = true;
    if (measuring_) stage_.result.accepted.record(Clock::now() - it.due);
    complete(pair, place);
  }

  void delivered(std::size_t pair, wire::ByteView body) {
    ++delivered_;
    const Mark mark = mark_of(body);
    pairs_[pair].received.take(stage_.result, mark.number);
    Place& it = pairs_[pair].places[mark.token];
    it.delivered = true;
    if (measuring_) stage_.result.delivery.record(Clock::now() - it.due);
    complete(pair, mark.token);
  }

  void complete(std::size_t at, std::uint64_t place) {
    Pair& pair = pairs_[at];
    if (!pair.places[place].accepted || !pair.places[place].delivered) return;
    --under_way_;
    pair.free.push_back(static_cast<std::uint16_t>(place));
    if (running_ && stage_.options.rate == 0) submit(at, Clock::now());
  }

  Stage& stage_;
  std::size_t size_;
  std::vector<Device*> senders_;
  std::vector<Device*> recipients_;
  std::vector<Pair> pairs_;
  net::Timer tick_;
  Clock::time_point begin_;
  std::uint64_t turns_ = 0;
  std::uint64_t accepted_ = 0;
  std::uint64_t delivered_ = 0;
  std::uint64_t under_way_ = 0;
  bool running_ = true;
  bool measuring_ = false;
};

}  // namespace

void run_pairs(Stage& stage) {
  Load(stage).run();
}

}  // namespace godwit::bench::peers
