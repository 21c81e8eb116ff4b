// Many devices at once: one envelope to all members of a group, and a crowd that only sits there.
#include <doctest/doctest.h>

#include <algorithm>

#include "schema/wire/bytes.hpp"
#include "tests/bench/cases.hpp"
#include "tests/bench/stage.hpp"

namespace godwit::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMembers = 200;

// A sender whose submits go to all members at once, each with one body. The envelopes of a submit
// are done when every member has its own and the sender has *accepted*.
class FanOut {
 public:
  FanOut(Stage& stage, Device& sender, std::vector<Device*> members)
      : stage_(stage), sender_(sender), members_(std::move(members)),
        acks_(stage.fleet.loop(), Acks::Mode::once_a_round), received_(members_.size(), 0) {
    std::ranges::sort(members_, {}, [](const Device* member) {
      return member->raw.account().device;  // the order that a submit must have
    });
    for (std::size_t i = 0; i < members_.size(); ++i) {
      members_[i]->on_deliver = [this, i](const wire::Deliver& deliver) { delivered(i, deliver); };
    }
  }

  struct Result {
    std::size_t deliveries = 0;
    Meter::Reading reading;
    std::vector<double> last_delivery_ms;  // of each submit
  };
  // Begins submits for as long as `duration`; over when all that were begun are done.
  Result run(std::chrono::milliseconds duration, std::size_t window) {
    Result result;
    last_delivery_ms_ = &result.last_delivery_ms;
    const auto before = delivered_;
    running_ = true;
    net::Timer end(stage_.fleet.loop(), [this] { running_ = false; });
    end.start(duration);
    const Meter meter(stage_);
    for (std::size_t i = 0; i < window; ++i) submit();
    stage_.await("every member has every envelope",
                 [this] { return !running_ && done_ == submitted_; });
    result.reading = meter.read();
    result.deliveries = delivered_ - before;
    return result;
  }

 private:
  struct Group {
    Clock::time_point sent;
    std::size_t delivered = 0;
    bool accepted = false;
  };

  void submit() {
    if (!running_) return;
    wire::Bytes body(kEnvelopeSize, 0);
    wire::store_le(body.data(), submitted_);
    wire::Submit content;
    content.request_id = request_id(0, submitted_);
    for (const Device* member : members_) {
      const auto& account = member->raw.account();
      content.recipients.push_back({account.user, account.device, account.version, 0});
    }
    content.bodies.push_back(body);
    groups_.push_back({Clock::now(), 0, false});
    sender_.raw.send(std::move(content),
                     [this, number = submitted_](const wire::RelayFrame& reply) {
                       if (!all_accepted(reply)) return stage_.fail("a submit was refused");
                       groups_[number].accepted = true;
                       settle(number);
                     });
    ++submitted_;
  }

  void delivered(std::size_t member, const wire::Deliver& deliver) {
    const auto number = wire::load_le<std::uint64_t>(deliver.envelope);
    if (number != received_[member]++) return stage_.fail("an envelope came out of order");
    acks_.take(*members_[member], deliver.number);
    ++delivered_;
    if (++groups_[number].delivered == members_.size()) {
      last_delivery_ms_->push_back(1e3 * seconds_since(groups_[number].sent));
    }
    settle(number);
  }

  void settle(std::uint64_t number) {
    const Group& group = groups_[number];
    if (!group.accepted || group.delivered < members_.size()) return;
    ++done_;
    submit();
  }

  Stage& stage_;
  Device& sender_;
  std::vector<Device*> members_;
  Acks acks_;
  std::vector<std::uint64_t> received_;  // by each member
  std::vector<Group> groups_;            // by number
  std::vector<double>* last_delivery_ms_ = nullptr;
  std::uint64_t submitted_ = 0;
  std::uint64_t delivered_ = 0;
  std::uint64_t done_ = 0;
  bool running_ = false;
};

void print_logins(std::string_view what, std::size_t count, double seconds) {
  print_row(what, static_cast<double>(count) / seconds, "per second");
}

}  // namespace

void bench_fan_out(const Plan& plan) {
  Stage stage;
  const auto sender = stage.make(1);
  const auto members = stage.make(kMembers);
  stage.log_in(sender, Stage::As::new_user);
  stage.log_in(members, Stage::As::new_user);

  FanOut fan_out(stage, *sender.front(), members);
  const auto duration = plan.pick(5'000ms, 1'000ms);
  fan_out.run(duration / 5, 1);  // warm
  auto one = fan_out.run(duration, 1);
  const auto eight = fan_out.run(duration, 8);
  const auto rate = [](const FanOut::Result& result) {
    return static_cast<double>(result.deliveries) / result.reading.seconds;
  };
  print_heading("Fan-out: one submit to 200 members who are online");
  print_row("one submit under way: rate", rate(one), "deliveries/s");
  print_row("one submit under way: last delivery, p50", quantile(one.last_delivery_ms, 0.5), "ms");
  print_row("one submit under way: last delivery, p99", quantile(one.last_delivery_ms, 0.99), "ms");
  print_row("eight under way: rate", rate(eight), "deliveries/s", "150,000");
  print_row("eight under way: relay", per_million(eight.reading.relay_cpu_s, eight.deliveries),
            "CPU-s per million");
}

// The second half of the crowd tells what a session costs; the first one pays for what the process
// takes once. A restart lies before them, so that registering is not counted.
void bench_sessions(const Plan& plan) {
  const std::size_t half = plan.pick<std::size_t>(5'000, 1'000);
  Stage stage(Settings{{"network.connections_max", "20000"}});
  const auto first = stage.make(half);
  const auto second = stage.make(half);
  print_heading("Sessions that are idle: " + std::to_string(2 * half));
  std::vector<Device*> all = first;
  all.insert(all.end(), second.begin(), second.end());
  print_logins("registrations", all.size(), stage.log_in(all, Stage::As::new_user));
  stage.leave(all);
  stage.restart();
  // Another source address: the ports of the first round may not be free again yet.
  stage.fleet.set_from("127.0.0.2");

  const auto empty = stage.relay.private_bytes();
  const Meter meter(stage);
  const double first_s = stage.log_in(first, Stage::As::known_user);
  const auto half_full = stage.relay.private_bytes();
  const double second_s = stage.log_in(second, Stage::As::known_user);
  const auto full = stage.relay.private_bytes();
  const auto reading = meter.read();
  REQUIRE(stage.relay.status().sessions == all.size());
  const auto each = [&](std::uint64_t from, std::uint64_t to) {
    return (static_cast<double>(to) - static_cast<double>(from)) / static_cast<double>(half);
  };
  print_logins("logins, first half", half, first_s);
  print_logins("logins, second half", half, second_s);
  print_row("logins: relay", per_million(reading.relay_cpu_s, all.size()), "CPU-us each");
  print_row("private memory of a session, first half", each(empty, half_full), "bytes");
  print_row("private memory of a session, second half", each(half_full, full), "bytes", "1,500");
}

}  // namespace godwit::bench
