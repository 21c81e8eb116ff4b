#include "tests/enemies/newcomer.hpp"

namespace godwit::enemies {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

namespace {

constexpr auto kInterval = 100ms;  // a fifth of what its address may do
constexpr auto kPatience = 30s;    // for one that is on its way when it is to end

}  // namespace

// One after another; each begins on a tick when none is on its way.
class Newcomer::Visit {
 public:
  Visit(Report& report, support::Fleet& fleet, const support::Account& account)
      : report_(report), device_(fleet, account) {
    support::RawDevice::Callbacks calls;
    calls.on_closed = [this](support::RawDevice&, const std::string& reason) { ended(reason); };
    device_.set_callbacks(std::move(calls));
  }

  void begin() {
    if (on_its_way_) return;
    on_its_way_ = true;
    began_ = steady_clock::now();
    device_.connect();
    device_.login([this](const wire::RelayFrame& frame) {
      if (!std::holds_alternative<wire::Welcome>(frame.body)) return;
      report_.times.push_back(
          std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - began_));
      welcome_ = true;
      device_.reset();
    });
  }
  [[nodiscard]] bool on_its_way() const { return on_its_way_; }

 private:
  void ended(const std::string& reason) {
    on_its_way_ = false;
    if (std::exchange(welcome_, false)) return;
    if (report_.failed++ == 0) report_.why = reason;
  }

  Report& report_;
  support::RawDevice device_;
  steady_clock::time_point began_;
  bool on_its_way_ = false;
  bool welcome_ = false;
};

Newcomer::Newcomer(wire::RelayAddress relay, support::Account account, std::string from)
    : thread_([this, relay = std::move(relay), account = std::move(account),
               from = std::move(from)] { run(relay, account, from); }) {}

Newcomer::~Newcomer() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

Newcomer::Report Newcomer::finish() {
  stopping_ = true;
  thread_.join();
  return std::move(report_);
}

void Newcomer::run(const wire::RelayAddress& relay, const support::Account& account,
                   const std::string& from) {
  support::Fleet fleet(relay);
  fleet.set_from(from);
  Visit visit(report_, fleet, account);
  net::Timer tick(fleet.loop(), [&] {
    if (!stopping_) visit.begin();
  });
  tick.start(0ms, kInterval);
  constexpr auto kForEver = std::chrono::seconds(24h);
  (void)fleet.run_until([&] { return stopping_.load(); }, kForEver);
  if (fleet.run_until([&] { return !visit.on_its_way(); }, kPatience)) return;
  if (report_.failed++ == 0) report_.why = "no welcome, and no end";
}

}  // namespace godwit::enemies
