// A load of pairs: each sender keeps `window` envelopes under way to its recipient. A place in the
// window is free again when the sender has *accepted* and the recipient has the envelope, so both
// promises bound the rate. Each recipient sees that its envelopes come one after the other.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include "schema/wire/bytes.hpp"
#include "tests/bench/cases.hpp"
#include "tests/bench/stage.hpp"

namespace godwit::bench {
namespace {

using namespace std::chrono_literals;

// What all pairs count together.
struct Tally {
  std::size_t messages = 0;  // accepted and delivered
  bool running = true;
  bool measuring = false;
  std::vector<double> delivery_us;
  std::vector<double> accepted_us;
};

class Pair {
 public:
  Pair(Stage& stage, Tally& tally, Acks& acks, Device& sender, Device& recipient,
       std::uint64_t index, std::size_t window)
      : stage_(stage), tally_(tally), acks_(acks), sender_(sender), recipient_(recipient),
        index_(index), places_(window) {
    recipient_.on_deliver = [this](const wire::Deliver& deliver) { delivered(deliver); };
  }
  Pair(const Pair&) = delete;  // the callbacks point here
  Pair& operator=(const Pair&) = delete;

  void begin() {
    for (std::size_t place = 0; place < places_.size(); ++place) submit(place);
  }
  [[nodiscard]] bool idle() const { return under_way_ == 0; }

 private:
  struct Place {
    Clock::time_point sent;
    bool accepted = false;
    bool delivered = false;
  };

  void submit(std::size_t place) {
    wire::store_le(envelope_.data(), submitted_);
    wire::store_le(envelope_.data() + 8, std::uint64_t{place});
    places_[place] = {Clock::now(), false, false};
    ++under_way_;
    sender_.raw.submit(recipient_.raw.account(), request_id(index_, submitted_++), envelope_,
                       [this, place](const wire::RelayFrame& reply) { accepted(place, reply); });
  }

  void accepted(std::size_t place, const wire::RelayFrame& reply) {
    if (!all_accepted(reply)) return stage_.fail("a submit was refused");
    places_[place].accepted = true;
    note(tally_.accepted_us, place);
    complete(place);
  }

  void delivered(const wire::Deliver& deliver) {
    const auto& envelope = deliver.envelope;
    if (envelope.size() != kEnvelopeSize ||
        wire::load_le<std::uint64_t>(envelope) != received_++) {
      return stage_.fail("an envelope came out of order, twice, or not at all");
    }
    acks_.take(recipient_, deliver.number);
    const auto place = wire::load_le<std::uint64_t>(envelope.subspan(8));
    places_[place].delivered = true;
    note(tally_.delivery_us, place);
    complete(place);
  }

  void note(std::vector<double>& latencies, std::size_t place) {
    if (tally_.measuring) latencies.push_back(1e6 * seconds_since(places_[place].sent));
  }

  void complete(std::size_t place) {
    if (!places_[place].accepted || !places_[place].delivered) return;
    --under_way_;
    ++tally_.messages;
    if (tally_.running) submit(place);
  }

  Stage& stage_;
  Tally& tally_;
  Acks& acks_;
  Device& sender_;
  Device& recipient_;
  std::uint64_t index_;
  std::vector<Place> places_;
  std::array<std::uint8_t, kEnvelopeSize> envelope_{};
  std::uint64_t submitted_ = 0;
  std::uint64_t received_ = 0;
  std::size_t under_way_ = 0;
};

struct Load {
  std::size_t pairs;
  std::size_t window;
  Acks::Mode acks;
  std::chrono::milliseconds warm_up;
  std::chrono::milliseconds duration;
};

struct Measured {
  Tally tally;  // `messages` of the measured time only
  Meter::Reading reading;
  double elided_share = 0;
};

void run_for(Stage& stage, std::chrono::milliseconds duration) {
  bool over = false;
  net::Timer timer(stage.fleet.loop(), [&] { over = true; });
  timer.start(duration);
  stage.await("the measured time passes", [&] { return over; });
}

Measured run_load(const Load& load) {
  Stage stage;
  const auto devices = stage.make(2 * load.pairs);
  stage.log_in(devices, Stage::As::new_user);

  Measured measured;
  Tally& tally = measured.tally;
  Acks acks(stage.fleet.loop(), load.acks);
  std::list<Pair> pairs;
  for (std::size_t i = 0; i < load.pairs; ++i) {
    pairs.emplace_back(stage, tally, acks, *devices[2 * i], *devices[2 * i + 1], i, load.window)
        .begin();
  }
  run_for(stage, load.warm_up);
  const auto before = stage.relay.status();
  const std::size_t warmed_up = tally.messages;
  const Meter meter(stage);
  tally.measuring = true;
  run_for(stage, load.duration);
  measured.reading = meter.read();
  tally.measuring = false;
  const auto after = stage.relay.status();
  tally.running = false;
  const std::size_t messages = tally.messages - warmed_up;
  stage.await("what is under way arrives",
              [&] { return std::ranges::all_of(pairs, [](auto& pair) { return pair.idle(); }); });
  tally.messages = messages;
  measured.elided_share = static_cast<double>(after.elided_total - before.elided_total) /
                          static_cast<double>(after.accepted_total - before.accepted_total);
  return measured;
}

void print_load(const std::string& name, const Measured& measured, std::string_view rate_bar,
                std::string_view cpu_bar) {
  const auto messages = measured.tally.messages;
  const auto& reading = measured.reading;
  print_row(name + ": rate", static_cast<double>(messages) / reading.seconds, "messages/s",
            rate_bar);
  print_row(name + ": relay", per_million(reading.relay_cpu_s, messages), "CPU-s per million",
            cpu_bar);
  print_row(name + ": client", per_million(reading.client_cpu_s, messages), "CPU-s per million");
  print_row(name + ": never on disk", 100 * measured.elided_share, "% of envelopes");
}

}  // namespace

void bench_pair(const Plan& plan) {
  Measured measured = run_load({.pairs = 1,
                                .window = 1,
                                .acks = Acks::Mode::each,
                                .warm_up = plan.pick(500ms, 200ms),
                                .duration = plan.pick(5'000ms, 1'000ms)});
  auto& [tally, reading, elided_share] = measured;
  print_heading("One pair, one envelope under way");
  print_row("delivery, p50", quantile(tally.delivery_us, 0.5), "us", "100");
  print_row("delivery, p99", quantile(tally.delivery_us, 0.99), "us");
  print_row("delivery, p99.9", quantile(tally.delivery_us, 0.999), "us");
  print_row("accepted, p50", quantile(tally.accepted_us, 0.5), "us", "250");
  print_row("accepted, p99", quantile(tally.accepted_us, 0.99), "us");
  print_row("messages measured", static_cast<double>(tally.messages), "messages");
  print_row("never on disk", 100 * elided_share, "% of envelopes");
}

void bench_pairs(const Plan& plan) {
  const auto run = [&](std::size_t window, Acks::Mode acks) {
    return run_load({.pairs = 100,
                     .window = window,
                     .acks = acks,
                     .warm_up = plan.pick(1'000ms, 300ms),
                     .duration = plan.pick(5'000ms, 1'000ms)});
  };
  print_heading("100 pairs");
  print_load("window 1", run(1, Acks::Mode::each), "64,000", "18");
  print_load("window 32", run(32, Acks::Mode::once_a_round), "163,000", "6");
  print_load("window 32, each acknowledged by itself", run(32, Acks::Mode::each), {}, {});
}

}  // namespace godwit::bench
