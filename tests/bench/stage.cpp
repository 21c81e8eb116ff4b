#include "tests/bench/stage.hpp"

#include <doctest/doctest.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <thread>
#include <utility>

#include "tests/support/process.hpp"

namespace godwit::bench {
namespace {

using namespace std::chrono_literals;

constexpr auto kStatusInterval = 5ms;

#if defined(__clang__)
constexpr std::string_view kCompiler = "clang " __clang_version__;
#else
constexpr std::string_view kCompiler = "g++ " __VERSION__;
#endif

std::string cpu_model() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown processor";
}

// Three digits that say something, and thousands set apart.
std::string format(double value) {
  const int decimals = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  char digits[64];
  std::snprintf(digits, sizeof digits, "%.*f", decimals, value);
  std::string text = digits;
  if (decimals > 0) return text;
  for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, ",");
  return text;
}

}  // namespace

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// ---- Tables -----------------------------------------------------------------------------------

void print_machine() {
  utsname system{};
  uname(&system);
  double load = 0;
  getloadavg(&load, 1);
  std::printf("%u x %s, %s %s, %s, load %.1f at the start; envelopes of %zu bytes\n",
              std::thread::hardware_concurrency(), cpu_model().c_str(), system.sysname,
              system.release, std::string(kCompiler).c_str(), load, kEnvelopeSize);
}

void print_heading(std::string_view title) {
  std::printf("\n### %s\n\n| figure | value | unit | bar |\n|---|---:|---|---:|\n",
              std::string(title).c_str());
  std::fflush(stdout);
}

void print_row(std::string_view figure, double value, std::string_view unit,
               std::string_view bar) {
  std::printf("| %s | %s | %s | %s |\n", std::string(figure).c_str(), format(value).c_str(),
              std::string(unit).c_str(), std::string(bar).c_str());
  std::fflush(stdout);
}

double quantile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const auto last = static_cast<double>(values.size() - 1);
  return values[static_cast<std::size_t>(share * last + 0.5)];
}

// ---- Device, Acks -----------------------------------------------------------------------------

Device::Device(Stage& stage, support::Account account) : raw(stage.fleet, std::move(account)) {
  support::RawDevice::Callbacks calls;
  calls.on_deliver = [this, &stage](support::RawDevice&, const wire::Deliver& deliver) {
    if (!on_deliver) return stage.fail("an envelope came to a device that expects none");
    on_deliver(deliver);
  };
  calls.on_closed = [this, &stage](support::RawDevice&, const std::string& reason) {
    live = false;
    if (!leaving) stage.fail("a connection ended: " + reason);
  };
  raw.set_callbacks(std::move(calls));
}

// A timer of no delay fires at the end of the round that started it, so the acks still leave with
// that round's writes.
Acks::Acks(net::Loop& loop) : timer_(loop, [this] { send_due(); }) {}

void Acks::take(Device& device, std::uint32_t number) {
  if (std::exchange(device.ack_upto, number) != 0) return;
  if (due_.empty()) timer_.start({});
  due_.push_back(&device);
}

void Acks::send_due() {
  for (Device* const device : due_) device->raw.ack(std::exchange(device->ack_upto, 0));
  due_.clear();
}

// ---- Stage ------------------------------------------------------------------------------------

Stage::Stage(Settings settings)
    : relay({.directory = directory.path() / "relay",
             .settings = std::move(settings),
             .binary = {},
             .environment = {}}),
      fleet(relay.address()) {}

std::vector<Device*> Stage::make(std::size_t count) {
  std::vector<Device*> made;
  for (std::size_t i = 0; i < count; ++i) {
    made.push_back(&devices_.emplace_back(*this, support::Account::from_seed(devices_.size() + 1)));
  }
  return made;
}

double Stage::log_in(const std::vector<Device*>& devices, As as) {
  const auto start = Clock::now();
  std::size_t begun = 0;
  std::size_t welcomed = 0;
  const std::function<void()> begin_next = [&] {
    if (begun == devices.size()) return;
    Device& device = *devices[begun++];
    const auto on_reply = [&, this](const wire::RelayFrame& reply) {
      if (!std::holds_alternative<wire::Welcome>(reply.body)) {
        const auto* const refused = std::get_if<wire::Refused>(&reply.body);
        const auto code = refused ? refused->code : wire::ErrorCode::internal;
        return fail("a login was refused: " + std::string(wire::name_of(code)));
      }
      device.live = true;
      ++welcomed;
      begin_next();
    };
    device.leaving = false;
    device.raw.connect();
    if (as == As::known_user) return device.raw.login(on_reply);
    device.raw.register_user({}, on_reply);
  };
  for (std::size_t i = 0; i < kLoginsUnderWay; ++i) begin_next();
  await("every device is logged in", [&] { return welcomed == devices.size(); });
  return seconds_since(start);
}

void Stage::leave(const std::vector<Device*>& devices) {
  const auto sessions = relay.status().sessions;
  for (Device* const device : devices) {
    device->leaving = true;
    device->raw.reset();
  }
  await_status("the relay has let go of its sessions", [&](const relay::ops::Figures& figures) {
    return figures.sessions + devices.size() <= sessions;
  });
}

double Stage::restart() {
  REQUIRE(relay.stop() == 0);
  const auto start = Clock::now();
  relay.start();
  return seconds_since(start);
}

void Stage::await(std::string_view what, const std::function<bool()>& done,
                  std::chrono::seconds limit) {
  const bool came = fleet.run_until([&] { return !failure_.empty() || done(); }, limit);
  REQUIRE_MESSAGE(failure_.empty(), failure_);
  REQUIRE_MESSAGE(came, "within " << limit.count() << " s this did not come true: " << what);
}

void Stage::await_status(std::string_view what,
                         const std::function<bool(const relay::ops::Figures&)>& holds) {
  bool held = holds(relay.status());
  net::Timer again(fleet.loop(), [&] { held = holds(relay.status()); });
  again.start(kStatusInterval, kStatusInterval);
  await(what, [&] { return held; });
}

void Stage::fail(std::string why) {
  if (failure_.empty()) failure_ = std::move(why);
}

// ---- Meters -----------------------------------------------------------------------------------

Meter::Meter(const Stage& stage)
    : relay_(stage.relay),
      start_(Clock::now()),
      relay_cpu_s_(relay_.cpu_seconds()),
      client_cpu_s_(support::own_cpu_seconds()) {}

Meter::Reading Meter::read() const {
  return {seconds_since(start_), relay_.cpu_seconds() - relay_cpu_s_,
          support::own_cpu_seconds() - client_cpu_s_};
}

wire::RequestId request_id(std::uint64_t source, std::uint64_t number) {
  wire::RequestId id;
  static_assert(sizeof id.bytes == sizeof source + sizeof number);
  std::memcpy(id.bytes.data(), &source, sizeof source);
  std::memcpy(id.bytes.data() + sizeof source, &number, sizeof number);
  return id;
}

bool all_accepted(const wire::RelayFrame& reply) {
  const auto* const submitted = std::get_if<wire::Submitted>(&reply.body);
  return submitted != nullptr && !submitted->outcomes.empty() &&
         std::ranges::all_of(submitted->outcomes, [](const wire::Outcome& outcome) {
           return outcome.code == wire::ErrorCode::ok;
         });
}

}  // namespace godwit::bench
