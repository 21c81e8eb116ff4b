// Happy path: both register -> each tick both say their next number to the other -> a number comes
// at its place -> it is acknowledged. Whatever else happens is noted as `broken`, the first only.
#include "tests/support/honest_pair.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "schema/wire/bytes.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::support {
namespace {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kInterval = 10ms;              // of one device: the relay has room for the others
constexpr std::size_t kUndeliveredMax = 500;  // five seconds of it; then it only waits
constexpr auto kTimerError = 2ms;             // what the timers of a loop cannot tell apart

}  // namespace

// One direction: numbers from `from` to `to`.
class HonestPair::Talk {
 public:
  using Note = std::function<void(const std::function<void(Report&)>&)>;

  Talk(RawDevice& from, const Account& to, std::uint64_t name, Note note)
      : from_(from), to_(to), name_(name), note_(std::move(note)) {}

  // All that are due by now. One that is late because this thread was kept from running was due
  // all the same, and its time counts from there.
  void say_due(steady_clock::time_point now) {
    if (next_due_ == steady_clock::time_point{}) next_due_ = now;
    for (; next_due_ <= now; next_due_ += kInterval) {
      if (under_way_.size() >= kUndeliveredMax) continue;
      under_way_.emplace(++said_, now - next_due_ <= kTimerError ? now : next_due_);
      submit(said_);
      note_([](Report& report) { ++report.sent; });
    }
  }
  void rest() { next_due_ = {}; }
  // When there is the next to say; in the past while it rests.
  [[nodiscard]] steady_clock::time_point next_due() const { return next_due_; }

  void say_again_due(steady_clock::time_point now) {
    while (!refused_.empty() && refused_.begin()->first <= now) {
      const std::uint64_t number = refused_.begin()->second;
      refused_.erase(refused_.begin());
      submit(number);
    }
    if (under_way_.empty()) return;
    const auto waits = now - under_way_.begin()->second;
    note_([&](Report& report) { waited(report, waits); });
  }

  void heard(wire::ByteView envelope) {
    const auto number = number_in(envelope);
    if (!number) return note_([](Report& report) { ++report.strange; });
    const auto found = under_way_.find(*number);
    const bool again = said_again_.contains(*number);
    const bool in_order = *number > newest_heard_;
    const bool right = found != under_way_.end() ? in_order || again : again;
    note_([&](Report& report) {
      if (!right) return broken(report, "an honest message came twice or out of order");
      if (found == under_way_.end()) {
        ++report.repeated;
        return;
      }
      ++report.delivered;
      const auto took = steady_clock::now() - found->second;
      report.times.push_back(std::chrono::duration_cast<std::chrono::microseconds>(took));
      waited(report, took);
    });
    newest_heard_ = std::max(newest_heard_, *number);
    if (found != under_way_.end()) under_way_.erase(found);
  }

  [[nodiscard]] bool settled() const { return under_way_.empty() && unanswered_.empty(); }

  static void broken(Report& report, const std::string& what) {
    if (report.broken.empty()) report.broken = what;
  }

 private:
  [[nodiscard]] wire::Bytes envelope_of(std::uint64_t number) const {
    wire::Bytes envelope;
    wire::append_le(envelope, name_);
    wire::append_le(envelope, number);
    return envelope;
  }

  // Nothing: it is not of this talk.
  [[nodiscard]] std::optional<std::uint64_t> number_in(wire::ByteView envelope) const {
    if (envelope.size() != 2 * sizeof(std::uint64_t)) return std::nullopt;
    const auto number = wire::load_le<std::uint64_t>(envelope.subspan(sizeof(std::uint64_t)));
    if (!std::ranges::equal(envelope, envelope_of(number))) return std::nullopt;
    return number;
  }

  void submit(std::uint64_t number) {
    const wire::Bytes envelope = envelope_of(number);
    unanswered_.insert(number);
    from_.submit(to_, wire::RequestId::copy_of(envelope), envelope,
                 [this, number](const wire::RelayFrame& frame) { answered(number, frame); });
  }

  void answered(std::uint64_t number, const wire::RelayFrame& frame) {
    const auto* reply = std::get_if<wire::Submitted>(&frame.body);
    const auto outcome = reply != nullptr ? reply->outcomes.front() : wire::Outcome{};
    if (reply != nullptr && outcome.code == wire::ErrorCode::ok) {
      unanswered_.erase(number);
      return note_([](Report& report) { ++report.accepted; });
    }
    if (reply == nullptr || outcome.code != wire::ErrorCode::busy) {
      return note_([](Report& report) { broken(report, "an honest submit was refused"); });
    }
    said_again_.insert(number);
    const auto pause = std::chrono::milliseconds(outcome.retry_after_ms);
    refused_.emplace(steady_clock::now() + pause, number);
    note_([](Report& report) { ++report.refused; });
  }

  static void waited(Report& report, steady_clock::duration time) {
    report.slowest =
        std::max(report.slowest, std::chrono::duration_cast<std::chrono::milliseconds>(time));
  }

  RawDevice& from_;
  const Account& to_;
  std::uint64_t name_;
  Note note_;
  steady_clock::time_point next_due_{};
  std::uint64_t said_ = 0;
  std::uint64_t newest_heard_ = 0;
  std::map<std::uint64_t, steady_clock::time_point> under_way_;  // when each was due
  std::set<std::uint64_t> unanswered_;
  std::multimap<steady_clock::time_point, std::uint64_t> refused_;  // when to say each again
  std::set<std::uint64_t> said_again_;
};

HonestPair::HonestPair(wire::RelayAddress relay, std::uint64_t seed, std::string from)
    : thread_([this, relay, seed, from] { run(relay, seed, from); }) {}

HonestPair::~HonestPair() {
  stopping_ = true;
  thread_.join();
}

HonestPair::Report HonestPair::report() {
  const std::scoped_lock lock(mutex_);
  return std::exchange(report_, {});
}

bool HonestPair::await(std::uint64_t count, std::chrono::seconds limit) {
  std::unique_lock lock(mutex_);
  const std::uint64_t wanted = delivered_in_all_ + count;
  return changed_.wait_for(lock, limit, [&] { return delivered_in_all_ >= wanted; });
}

bool HonestPair::settle(std::chrono::seconds limit) {
  std::unique_lock lock(mutex_);
  settling_ = true;
  return changed_.wait_for(lock, limit, [&] { return !settling_; });
}

void HonestPair::run(const wire::RelayAddress& relay, std::uint64_t seed, const std::string& from) {
  Fleet fleet(relay);
  fleet.set_from(from);
  RawDevice one(fleet, Account::from_seed(seed));
  RawDevice other(fleet, Account::from_seed(seed + 1));
  const Talk::Note note = [this](const std::function<void(Report&)>& change) {
    const std::scoped_lock lock(mutex_);
    const std::uint64_t before = report_.delivered;
    change(report_);
    delivered_in_all_ += report_.delivered - before;
    changed_.notify_all();
  };
  Talk there(one, other.account(), seed, note);
  Talk back(other, one.account(), seed + 1, note);
  int registered = 0;
  const auto join = [&](RawDevice& device, Talk& listens_to) {
    RawDevice::Callbacks calls;
    calls.on_deliver = [&listens_to](RawDevice& self, const wire::Deliver& deliver) {
      listens_to.heard(deliver.envelope);
      self.ack(deliver.number);
    };
    calls.on_closed = [&note](RawDevice&, const std::string& reason) {
      note([&](Report& report) { Talk::broken(report, "an honest line was closed: " + reason); });
    };
    device.set_callbacks(std::move(calls));
    device.connect();
    device.register_user({}, [&](const wire::RelayFrame& frame) {
      registered += std::holds_alternative<wire::Welcome>(frame.body);
    });
  };
  join(one, back);
  join(other, there);
  if (!fleet.run_until([&] { return registered == 2; }, 30s)) {
    note([](Report& report) { Talk::broken(report, "the honest pair was not served"); });
    return;
  }
  talk(fleet, there, back);
}

void HonestPair::talk(Fleet& fleet, Talk& there, Talk& back) {
  std::optional<net::Timer> tick;
  tick.emplace(fleet.loop(), [&] {
    const auto now = steady_clock::now();
    bool settling = false;
    {
      const std::scoped_lock lock(mutex_);
      if (settling_ && there.settled() && back.settled()) settling_ = false;
      settling = settling_;
      if (!settling) changed_.notify_all();
    }
    for (Talk* const one : {&there, &back}) {
      one->say_again_due(now);
      if (settling) {
        one->rest();
      } else {
        one->say_due(now);
      }
    }
    // For the moment that is due, since a timer that repeats drifts.
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(there.next_due() - now);
    tick->start(left > 0ms ? left : kInterval);
  });
  tick->start(kInterval);
  constexpr auto kForEver = std::chrono::seconds(24h);
  if (!fleet.run_until([&] { return stopping_.load(); }, kForEver)) {
    const std::scoped_lock lock(mutex_);
    Talk::broken(report_, "the pair talked for a day");
  }
}

}  // namespace godwit::support
