// Happy path: both register -> each tick both say their next number to the other -> a number comes
// at its place -> it is acknowledged. Whatever else happens is noted as `broken`, the first only.
#include "tests/support/honest_pair.hpp"

#include <algorithm>
#include <deque>

#include "schema/wire/bytes.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::support {
namespace {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kInterval = 10ms;           // of one device: the relay has room for the others
constexpr std::size_t kUndeliveredMax = 500;  // five seconds of it; then it only waits

}  // namespace

// One direction: numbers from `from` to `to`.
class HonestPair::Talk {
 public:
  using Note = std::function<void(const std::function<void(Report&)>&)>;

  Talk(RawDevice& from, const Account& to, std::uint64_t name, Note note)
      : from_(from), to_(to), name_(name), note_(std::move(note)) {}

  void say_next() {
    if (!on_its_way_.empty()) {
      const auto waits = steady_clock::now() - on_its_way_.front();
      note_([&](Report& report) { took(report, waits); });
    }
    if (on_its_way_.size() >= kUndeliveredMax) return;
    wire::Bytes id;
    wire::append_le(id, name_);
    wire::append_le(id, ++said_);
    on_its_way_.push_back(steady_clock::now());
    from_.submit(to_, wire::RequestId::copy_of(id), id, [this](const wire::RelayFrame& frame) {
      const auto* reply = std::get_if<wire::Submitted>(&frame.body);
      if (reply != nullptr && reply->outcomes.front().code == wire::ErrorCode::ok) return;
      note_([](Report& report) { broken(report, "an honest submit was refused"); });
    });
    note_([](Report& report) { ++report.sent; });
  }

  void heard(wire::ByteView envelope) {
    wire::Bytes expected;
    wire::append_le(expected, name_);
    wire::append_le(expected, ++heard_);
    const bool right = std::ranges::equal(envelope, expected) && !on_its_way_.empty();
    note_([&](Report& report) {
      if (!right) return broken(report, "an honest message was lost or is another");
      ++report.delivered;
      took(report, steady_clock::now() - on_its_way_.front());
    });
    if (right) on_its_way_.pop_front();
  }

  static void broken(Report& report, const std::string& what) {
    if (report.broken.empty()) report.broken = what;
  }

 private:
  static void took(Report& report, steady_clock::duration time) {
    report.slowest = std::max(report.slowest,
                              std::chrono::duration_cast<std::chrono::milliseconds>(time));
  }

  RawDevice& from_;
  const Account& to_;
  std::uint64_t name_;
  Note note_;
  std::uint64_t said_ = 0;
  std::uint64_t heard_ = 0;
  std::deque<steady_clock::time_point> on_its_way_;  // when each was said
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

void HonestPair::run(const wire::RelayAddress& relay, std::uint64_t seed,
                     const std::string& from) {
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
  net::Timer tick(fleet.loop(), [&] {
    there.say_next();
    back.say_next();
  });
  tick.start(kInterval, kInterval);
  constexpr auto kForEver = std::chrono::seconds(24h);
  if (!fleet.run_until([&] { return stopping_.load(); }, kForEver)) {
    note([](Report& report) { Talk::broken(report, "the pair talked for a day"); });
  }
}

}  // namespace godwit::support
