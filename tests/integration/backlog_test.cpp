// A device that stays away: its mailbox fills up to the quota and no further, comes back in order
// and whole, leaves no growth behind, and outlives the relay's process.
#include "schema/wire/bytes.hpp"
#include "tests/integration/story.hpp"

namespace godwit::integration {
namespace {

constexpr std::uint64_t kQuota = 20'000;
constexpr std::uint64_t kRounds = 3;
constexpr std::size_t kWindow = 512;  // submits under way
constexpr std::size_t kEnvelopeSize = 256;
constexpr std::uint64_t kGrowStep = 4ull << 20;

const Settings kSettings{{"limits.mailbox_envelopes_max", std::to_string(kQuota)},
                         {"store.grow_step", std::to_string(kGrowStep)}};

wire::Bytes envelope(std::uint64_t number) {
  wire::Bytes bytes(kEnvelopeSize, 0x5a);
  wire::store_le(bytes.data(), number);
  return bytes;
}

// Devices of many envelopes: what Story's own would keep of each, these only count.
class Backlog {
 public:
  explicit Backlog(Story& story)
      : story_(story), sender_(story.fleet, Account::from_seed(1)),
        owner_(story.fleet, Account::from_seed(2)) {
    support::RawDevice::Callbacks calls;
    calls.on_deliver = [this](support::RawDevice& raw, const wire::Deliver& deliver) {
      in_order_ = in_order_ && deliver.envelope.size() == kEnvelopeSize &&
                  wire::load_le<std::uint64_t>(deliver.envelope) == delivered_;
      ++delivered_;
      raw.ack(deliver.number);
    };
    calls.on_caught_up = [this](support::RawDevice&) { caught_up_at_ = delivered_; };
    owner_.set_callbacks(std::move(calls));
    enter(owner_, true);
    leave(owner_);
    enter(sender_, true);
  }

  // Connects `device`, and registers it or logs it in.
  void enter(support::RawDevice& device, bool is_new) {
    bool welcomed = false;
    const auto on_reply = [&](const wire::RelayFrame& reply) {
      welcomed = std::holds_alternative<wire::Welcome>(reply.body);
    };
    device.connect();
    if (is_new) {
      device.register_user({}, on_reply);
    } else {
      device.login(on_reply);
    }
    story_.run_until([&] { return welcomed; });
  }

  void leave(support::RawDevice& device) {
    const auto sessions = story_.relay.status().sessions;
    device.reset();
    story_.await_status([&](const auto& figures) { return figures.sessions < sessions; });
  }

  // Takes the mailbox from what it holds to its quota.
  void fill() {
    left_ = kQuota;
    for (std::size_t i = 0; i < kWindow; ++i) submit_next();
    story_.run_until([&] { return left_ == 0 && under_way_ == 0; });
  }

  // What one more envelope gets for an answer.
  wire::Outcome one_more() {
    std::optional<Answer> answer;
    sender_.submit(owner_.account(), request_id(submitted_), envelope(submitted_),
                   [&](const wire::RelayFrame& reply) { answer = Answer::copy_of(reply); });
    story_.run_until([&] { return answer.has_value(); });
    REQUIRE(answer->outcomes.size() == 1);
    return answer->outcomes.front();
  }

  // Logs the owner in and takes everything out.
  void drain() {
    caught_up_at_.reset();
    enter(owner_, false);
    story_.run_until([this] { return delivered_ >= submitted_ && caught_up_at_; });
    story_.await_status([](const auto& figures) { return figures.queued_envelopes == 0; });
  }

  [[nodiscard]] support::RawDevice& sender() { return sender_; }
  [[nodiscard]] support::RawDevice& owner() { return owner_; }
  [[nodiscard]] std::uint64_t submitted() const { return submitted_; }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }
  [[nodiscard]] std::uint64_t delivered() const { return delivered_; }
  [[nodiscard]] bool in_order() const { return in_order_; }
  [[nodiscard]] std::optional<std::uint64_t> caught_up_at() const { return caught_up_at_; }

 private:
  void submit_next() {
    if (left_ == 0) return;
    --left_;
    ++under_way_;
    sender_.submit(owner_.account(), request_id(submitted_), envelope(submitted_),
                   [this](const wire::RelayFrame& reply) {
                     refused_ += Answer::copy_of(reply).accepted() ? 0 : 1;
                     --under_way_;
                     submit_next();
                   });
    ++submitted_;
  }

  Story& story_;
  support::RawDevice sender_;
  support::RawDevice owner_;
  std::uint64_t submitted_ = 0;
  std::uint64_t refused_ = 0;
  std::uint64_t delivered_ = 0;
  std::uint64_t left_ = 0;
  std::uint64_t under_way_ = 0;
  bool in_order_ = true;
  std::optional<std::uint64_t> caught_up_at_;  // envelopes delivered before CaughtUp
};

TEST_SUITE("tests/integration/backlog") {
  TEST_CASE("a mailbox takes its quota and no more, and says when to come back") {
    Story story(kSettings);
    Backlog backlog(story);
    backlog.fill();
    CHECK(backlog.refused() == 0);
    CHECK(story.relay.status().queued_envelopes == kQuota);
    CHECK(story.relay.status().queued_bytes == kQuota * kEnvelopeSize);

    const auto outcome = backlog.one_more();
    CHECK(outcome.code == ErrorCode::mailbox_full);
    CHECK(outcome.retry_after_ms > 0);
    CHECK(story.relay.status().queued_envelopes == kQuota);
    CHECK(story.relay.status().refused_total == 1);
  }

  TEST_CASE("a mailbox that is filled and drained again and again leaves no growth of the file") {
    Story story(kSettings);
    Backlog backlog(story);
    std::uint64_t size = 0;
    for (std::uint64_t round = 1; round <= kRounds; ++round) {
      CAPTURE(round);
      backlog.fill();
      backlog.drain();
      REQUIRE(backlog.refused() == 0);
      CHECK(backlog.in_order());
      CHECK(backlog.delivered() == round * kQuota);
      CHECK(backlog.caught_up_at() == round * kQuota);
      backlog.leave(backlog.owner());
      const auto figures = story.relay.status();
      CHECK(figures.acked_total == round * kQuota);
      if (round == 1) size = figures.store_bytes;
      CHECK(figures.store_bytes <= size + kGrowStep);
    }
    CHECK(story.relay.status().stored_total == kRounds * kQuota);
  }

  TEST_CASE("after a kill the whole backlog comes in order, and CaughtUp after all of it") {
    Story story(kSettings);
    Backlog backlog(story);
    backlog.fill();
    REQUIRE(backlog.refused() == 0);
    backlog.sender().reset();
    story.restart();
    CHECK(story.relay.status().queued_envelopes == kQuota);
    CHECK(story.relay.status().queued_bytes == kQuota * kEnvelopeSize);

    backlog.enter(backlog.sender(), false);
    CHECK(backlog.one_more().code == ErrorCode::mailbox_full);  // the quota is known again too
    backlog.drain();
    CHECK(backlog.in_order());
    CHECK(backlog.delivered() == kQuota);
    CHECK(backlog.caught_up_at() == kQuota);
  }
}

}  // namespace
}  // namespace godwit::integration
