// Recipients that are away: what it costs to take envelopes in, keep them, start over with them
// and hand them out. Each recipient has one sender, so its envelopes have one order, and it checks
// that they come in it.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "schema/wire/bytes.hpp"
#include "tests/bench/cases.hpp"
#include "tests/bench/stage.hpp"

namespace godwit::bench {
namespace {

constexpr std::size_t kSendersWindow = 64;

double mebibytes(std::uint64_t bytes) {
  return static_cast<double>(bytes) / (1024 * 1024);
}

double growth(std::uint64_t from, std::uint64_t to) {
  return static_cast<double>(to) - static_cast<double>(from);
}

// A mailbox and its place in the order: what was put in and what came out.
struct Mailbox {
  Device* device = nullptr;
  std::uint64_t fed = 0;
  std::uint64_t drained = 0;
};

std::vector<Mailbox> mailboxes_of(const std::vector<Device*>& devices) {
  std::vector<Mailbox> mailboxes;
  for (Device* const device : devices) mailboxes.push_back({device, 0, 0});
  return mailboxes;
}

// Puts `count` envelopes into the mailboxes, as many into each. Of S senders the i-th serves
// mailboxes i, i + S, i + 2S ... in turn.
class Feed {
 public:
  Feed(Stage& stage, const std::vector<Device*>& senders, std::vector<Mailbox>& mailboxes)
      : stage_(stage), senders_(senders), mailboxes_(mailboxes), next_(senders.size()),
        left_(senders.size()) {
    REQUIRE(mailboxes.size() % senders.size() == 0);
    for (std::size_t i = 0; i < next_.size(); ++i) next_[i] = i;
  }

  Meter::Reading run(std::size_t count, std::size_t window = kSendersWindow) {
    REQUIRE(count % mailboxes_.size() == 0);
    std::ranges::fill(left_, count / senders_.size());
    accepted_ = 0;
    const Meter meter(stage_);
    for (std::size_t i = 0; i < window; ++i) {
      for (std::size_t sender = 0; sender < senders_.size(); ++sender) submit(sender);
    }
    stage_.await("every envelope is accepted", [&] { return accepted_ == count; });
    return meter.read();
  }

 private:
  void submit(std::size_t sender) {
    if (left_[sender] == 0) return;
    --left_[sender];
    const std::size_t at = next_[sender];
    next_[sender] = at + senders_.size() < mailboxes_.size() ? at + senders_.size() : sender;
    wire::store_le(envelope_.data(), mailboxes_[at].fed);
    senders_[sender]->raw.submit(mailboxes_[at].device->raw.account(),
                                 request_id(at, mailboxes_[at].fed++), envelope_,
                                 [this, sender](const wire::RelayFrame& reply) {
                                   if (!all_accepted(reply)) {
                                     return stage_.fail("a submit was refused");
                                   }
                                   ++accepted_;
                                   submit(sender);
                                 });
  }

  Stage& stage_;
  const std::vector<Device*>& senders_;
  std::vector<Mailbox>& mailboxes_;
  std::vector<std::size_t> next_;  // by sender: the mailbox whose turn it is
  std::array<std::uint8_t, kEnvelopeSize> envelope_{};
  std::vector<std::size_t> left_;  // by sender: what it has yet to submit
  std::size_t accepted_ = 0;
};

// Logs the owners in and takes out all that is there; over when the relay has deleted it.
Meter::Reading drain(Stage& stage, std::vector<Mailbox>& mailboxes) {
  Acks acks(stage.fleet.loop());
  std::size_t left = 0;
  std::vector<Device*> devices;
  for (Mailbox& mailbox : mailboxes) {
    left += mailbox.fed - mailbox.drained;
    devices.push_back(mailbox.device);
    mailbox.device->on_deliver = [&](const wire::Deliver& deliver) {
      if (wire::load_le<std::uint64_t>(deliver.envelope) != mailbox.drained++) {
        return stage.fail("a queued envelope came out of order, twice, or not at all");
      }
      --left;
      acks.take(*mailbox.device, deliver.number);
    };
  }
  const Meter meter(stage);
  stage.log_in(devices, Stage::As::known_user);
  stage.await("every queued envelope is delivered", [&] { return left == 0; });
  stage.await_status("nothing is queued any more", [](const relay::ops::Figures& figures) {
    return figures.queued_envelopes == 0;
  });
  const auto reading = meter.read();
  for (Device* const device : devices) device->on_deliver = {};
  return reading;
}

void print_cost(const std::string& what, std::size_t count, const Meter::Reading& reading,
                std::string_view bar) {
  print_row(what + ": rate", static_cast<double>(count) / reading.seconds, "envelopes/s", bar);
  print_row(what + ": relay", per_million(reading.relay_cpu_s, count), "CPU-s per million");
  print_row(what + ": client", per_million(reading.client_cpu_s, count), "CPU-s per million");
}

// One body of `size` bytes for all mailboxes, the next in the order of each. Returns by how much
// the store grew. Precondition: as many envelopes were fed to each.
double feed_group(Stage& stage, Device& sender, std::vector<Mailbox>& mailboxes,
                  std::size_t size) {
  wire::Bytes body(size, 0x5a);
  wire::store_le(body.data(), mailboxes.front().fed);
  wire::Submit content;
  content.request_id = request_id(mailboxes.size(), 0);
  for (Mailbox& mailbox : mailboxes) {
    const auto& account = mailbox.device->raw.account();
    content.recipients.push_back({account.user, account.device, account.version, 0});
    REQUIRE(mailbox.fed++ == wire::load_le<std::uint64_t>(body));
  }
  std::ranges::sort(content.recipients, {}, &wire::Recipient::device);
  content.bodies.push_back(body);
  const auto before = stage.relay.status().store_used_bytes;
  bool accepted = false;
  sender.raw.send(std::move(content), [&](const wire::RelayFrame& reply) {
    if (!all_accepted(reply)) return stage.fail("a submit to a group was refused");
    accepted = true;
  });
  stage.await("the group's envelopes are accepted", [&] { return accepted; });
  const double grown = growth(before, stage.relay.status().store_used_bytes);
  REQUIRE_MESSAGE(grown < 3.0 * static_cast<double>(size), "a shared body is stored once");
  return grown;
}

// The mailbox is full: the next envelope must be refused, with a time to come back.
void check_full(Stage& stage, Device& sender, const Mailbox& mailbox) {
  const wire::Bytes envelope(kEnvelopeSize, 0);
  bool refused = false;
  sender.raw.submit(
      mailbox.device->raw.account(), request_id(~std::uint64_t{0}, 1), envelope,
      [&](const wire::RelayFrame& reply) {
        const auto* const submitted = std::get_if<wire::Submitted>(&reply.body);
        refused = submitted != nullptr && submitted->outcomes.size() == 1 &&
                  submitted->outcomes[0].code == wire::ErrorCode::mailbox_full &&
                  submitted->outcomes[0].retry_after_ms > 0;
        if (!refused) stage.fail("one envelope more than the quota was not refused");
      });
  stage.await("a full mailbox refuses", [&] { return refused; });
}

}  // namespace

void bench_enqueue(const Plan& plan) {
  constexpr std::size_t kMailboxes = 200;
  constexpr std::size_t kGroupBody = 60 * 1024;
  const std::size_t count = plan.pick<std::size_t>(400'000, 20'000);
  Stage stage;
  const auto senders = stage.make(20);
  const auto recipients = stage.make(kMailboxes);
  stage.log_in(senders, Stage::As::new_user);
  stage.log_in(recipients, Stage::As::new_user);
  stage.leave(recipients);
  auto mailboxes = mailboxes_of(recipients);
  Feed feed(stage, senders, mailboxes);

  const auto fed = feed.run(count);
  const auto figures = stage.relay.status();
  REQUIRE(figures.stored_total == figures.accepted_total);
  REQUIRE(figures.queued_envelopes == count);
  print_heading("Recipients away: 20 senders, 200 mailboxes");
  print_cost("enqueue", count, fed, "150,000");
  print_row("commits", static_cast<double>(figures.commits_total), "transactions");
  print_row("on disk per accepted envelope",
            static_cast<double>(figures.store_used_bytes) / static_cast<double>(count), "bytes");
  print_row("60 KiB to 200 mailboxes in one submit: growth of the store",
            feed_group(stage, *senders.front(), mailboxes, kGroupBody) / 1024, "KiB");
  print_cost("drain, 200 devices at once", count + kMailboxes, drain(stage, mailboxes), "80,000");
}

void bench_backlog(const Plan& plan) {
  const std::size_t count = plan.pick<std::size_t>(100'000, 10'000);
  const std::size_t rounds = plan.pick<std::size_t>(10, 3);
  Stage stage(Settings{{"limits.mailbox_envelopes_max", std::to_string(count)}});
  const auto senders = stage.make(1);
  const auto recipients = stage.make(1);
  stage.log_in(senders, Stage::As::new_user);
  stage.log_in(recipients, Stage::As::new_user);
  stage.leave(recipients);
  auto mailboxes = mailboxes_of(recipients);
  Feed feed(stage, senders, mailboxes);

  print_heading("One mailbox, filled to its quota of " + std::to_string(count) + " and drained");
  const auto empty = stage.relay.private_bytes();
  std::uint64_t full = empty;
  std::vector<double> feed_rates;
  std::vector<double> drain_rates;
  std::string sizes;
  for (std::size_t round = 0; round < rounds; ++round) {
    feed_rates.push_back(static_cast<double>(count) / feed.run(count, 512).seconds);
    if (round == 0) full = stage.relay.private_bytes();
    check_full(stage, *senders.front(), mailboxes.front());
    drain_rates.push_back(static_cast<double>(count) / drain(stage, mailboxes).seconds);
    stage.leave(recipients);
    const double size = mebibytes(stage.relay.status().store_bytes);
    sizes += (sizes.empty() ? "" : ", ") + std::to_string(static_cast<int>(size + 0.5));
  }
  print_row("enqueue, p50 of the rounds", quantile(feed_rates, 0.5), "envelopes/s");
  print_row("drain in order, p50 of the rounds", quantile(drain_rates, 0.5), "envelopes/s",
            "130,000");
  print_row("relay memory per queued envelope, first round",
            growth(empty, full) / static_cast<double>(count), "bytes", "64");
  print_row("relay memory kept when all is drained",
            mebibytes(stage.relay.private_bytes()) - mebibytes(empty), "MiB");
  std::printf("| data.mdb after each round | %s | MiB | does not grow |\n", sizes.c_str());
  std::fflush(stdout);
}

void bench_million(const Plan& plan) {
  constexpr std::size_t kMailboxes = 20;
  const std::size_t count = plan.pick<std::size_t>(1'000'000, 60'000);
  Stage stage;
  const auto senders = stage.make(kMailboxes);
  const auto recipients = stage.make(kMailboxes);
  stage.log_in(senders, Stage::As::new_user);
  stage.log_in(recipients, Stage::As::new_user);
  stage.leave(recipients);
  stage.leave(senders);
  const double empty_start_s = stage.restart();
  const auto empty = stage.relay.private_bytes();

  stage.log_in(senders, Stage::As::known_user);
  auto mailboxes = mailboxes_of(recipients);
  Feed feed(stage, senders, mailboxes);
  const auto fed = feed.run(count);
  const auto fed_bytes = stage.relay.private_bytes();
  stage.leave(senders);
  const double start_s = stage.restart();
  const auto started_bytes = stage.relay.private_bytes();
  REQUIRE(stage.relay.status().queued_envelopes == count);

  // The first logins after the start: nothing of the mailboxes is in memory but their order.
  std::vector<double> first_delivery_ms;
  for (Device* const device : recipients) {
    bool came = false;
    device->on_deliver = [&](const wire::Deliver&) { came = true; };
    const auto begun = Clock::now();
    stage.log_in({device}, Stage::As::known_user);
    stage.await("the first queued envelope comes", [&] { return came; });
    first_delivery_ms.push_back(1e3 * seconds_since(begun));
    stage.leave({device});
  }
  const auto drained = drain(stage, mailboxes);

  const auto n = static_cast<double>(count);
  print_heading("A restart with " + std::to_string(count) + " queued envelopes of 20 devices");
  print_row("enqueue", n / fed.seconds, "envelopes/s");
  print_row("start until `ready`, nothing queued", 1e3 * empty_start_s, "ms");
  print_row("start until `ready`", 1e3 * start_s, "ms");
  print_row("relay memory per queued envelope, as enqueued", growth(empty, fed_bytes) / n, "bytes",
            "64");
  print_row("relay memory per queued envelope, after the start",
            growth(empty, started_bytes) / n, "bytes", "64");
  print_row("from connect to the first delivery, p50", quantile(first_delivery_ms, 0.5), "ms");
  print_row("from connect to the first delivery, slowest", quantile(first_delivery_ms, 1), "ms");
  print_row("drain, 20 devices at once", n / drained.seconds, "envelopes/s");
}

}  // namespace godwit::bench
