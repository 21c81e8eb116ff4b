// Recipients that are away: 20 senders fill their mailboxes, then all come and take out what is
// there. A mailbox has one sender, so its messages have one order.
#include <algorithm>
#include <random>

#include "tests/bench/peers/stage.hpp"

namespace godwit::bench::peers {
namespace {

constexpr std::size_t kSenders = 20;

class Offline {
 public:
  explicit Offline(Stage& stage)
      : stage_(stage),
        senders_(stage.make(std::min(kSenders, stage.options.pairs))),
        recipients_(stage.make(stage.options.pairs)),
        mailboxes_(recipients_.size()),
        count_(recipients_.size() * stage.options.messages) {
    for (std::size_t i = 0; i < senders_.size(); ++i) turns_.push_back(i);
  }

  void run() {
    stage_.log_in(senders_, Role::sender);
    stage_.log_in(recipients_, Role::owner);
    for (Device* const device : recipients_) device->leave();
    if (stage_.failed()) return;
    Result& result = stage_.result;
    const double empty = stage_.broker_private_bytes();
    fill();
    if (stage_.failed()) return;
    result.relay_bytes_per_queued_envelope =
        std::max(0.0, stage_.broker_private_bytes() - empty) / static_cast<double>(count_);
    drain();
    result.lost = count_ - std::min(count_, delivered_);
  }

 private:
  struct Mailbox {
    std::uint64_t sent = 0;
    Sequence received;
  };

  void fill() {
    std::uint64_t accepted = 0;
    std::vector<Clock::time_point> sent_at(senders_.size() * stage_.options.window);
    const auto submit = [&](std::size_t sender, std::size_t place) {
      const std::size_t at = turns_[sender];
      if (mailboxes_[at].sent == stage_.options.messages) return;  // it has come round: all is sent
      turns_[sender] = at + senders_.size() < mailboxes_.size() ? at + senders_.size() : sender;
      sent_at[sender * stage_.options.window + place] = Clock::now();
      senders_[sender]->publish(recipients_[at]->number(),
                                make_body(stage_.options.payload, mailboxes_[at].sent++, place),
                                static_cast<std::uint16_t>(place));
    };
    stage_.on_message_accepted = [&](Device& sender, std::uint32_t place) {
      ++accepted;
      const auto sent = sent_at[sender.number() * stage_.options.window + place];
      stage_.result.accepted.record(Clock::now() - sent);
      submit(sender.number(), place);
    };
    const Meter meter(stage_);
    for (std::size_t place = 0; place < stage_.options.window; ++place) {
      for (std::size_t sender = 0; sender < senders_.size(); ++sender) submit(sender, place);
    }
    stage_.await("every message is accepted", [&] { return accepted == count_; });
    stage_.result.accepted_per_s = per_second(accepted, meter.seconds());
    meter.note_cost(stage_.result, accepted);
  }

  // Over when the broker has read the last acknowledgement.
  void drain() {
    auto arriving = recipients_;
    if (stage_.options.order == "random") {
      std::ranges::shuffle(arriving, std::mt19937(1));  // the same in every run
    }
    stage_.on_delivered = [this](Device& recipient, wire::ByteView body) {
      ++delivered_;
      mailboxes_[recipient.number() - senders_.size()].received.take(stage_.result,
                                                                     mark_of(body).number);
    };
    const Meter meter(stage_);
    stage_.begin_logins(arriving, Role::recipient);
    stage_.await_logins();
    stage_.await("every message is delivered", [this] { return delivered_ >= count_; });
    stage_.settle(recipients_);
    stage_.result.delivered_per_s = per_second(delivered_, meter.seconds());
  }

  Stage& stage_;
  std::vector<Device*> senders_;
  std::vector<Device*> recipients_;
  std::vector<Mailbox> mailboxes_;
  std::vector<std::size_t> turns_;  // by sender: the mailbox whose turn it is
  std::uint64_t count_;
  std::uint64_t delivered_ = 0;
};

}  // namespace

void run_offline(Stage& stage) {
  Offline(stage).run();
}

}  // namespace godwit::bench::peers
