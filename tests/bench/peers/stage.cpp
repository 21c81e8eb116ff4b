#include "tests/bench/peers/stage.hpp"

#include <cstdio>
#include <utility>

#include "schema/wire/bytes.hpp"
#include "tests/support/process.hpp"

namespace godwit::bench::peers {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 60s;
constexpr auto kWakeInterval = 10ms;
constexpr std::size_t kLoginsUnderWay = 100;

// 0 when it has gone, which its connections report.
double broker_cpu_seconds(int pid) {
  return support::cpu_seconds(pid).value_or(0);
}

std::unique_ptr<Device> make_device(const std::string& peer, Host& host, std::uint32_t number) {
  if (peer == "mosquitto") return make_mqtt_device(host, number);
  if (peer == "nats") return make_nats_device(host, number);
  return make_redis_device(host, number);
}

}  // namespace

// ---- Stage ------------------------------------------------------------------------------------

Stage::Stage(const Options& asked) : options(asked), wake_(loop_, [] {}) {
  wake_.start(kWakeInterval, kWakeInterval);
  loop_.on_round_end([this] {
    for (Device* const device : std::exchange(flushes_due_, {})) device->flush();
  });
}

Stage::~Stage() {
  for (const auto& device : devices_) device->leave();
}

std::vector<Device*> Stage::make(std::size_t count) {
  std::vector<Device*> made;
  for (std::size_t i = 0; i < count; ++i) {
    const auto number = static_cast<std::uint32_t>(devices_.size());
    made.push_back(devices_.emplace_back(make_device(options.peer, *this, number)).get());
  }
  return made;
}

void Stage::begin_logins(const std::vector<Device*>& devices, Role role) {
  logging_in_ = devices;
  role_ = role;
  begun_ = 0;
  ready_ = 0;
  for (std::size_t i = 0; i < kLoginsUnderWay; ++i) begin_login();
}

void Stage::begin_login() {
  if (begun_ == logging_in_.size() || failed()) return;
  logging_in_[begun_++]->connect(loop_, options.address, role_);
}

void Stage::await_logins() {
  await("every device is logged in", [this] { return ready_ == logging_in_.size(); });
}

void Stage::log_in(const std::vector<Device*>& devices, Role role) {
  begin_logins(devices, role);
  await_logins();
}

void Stage::settle(const std::vector<Device*>& devices) {
  settled_ = 0;
  for (Device* const device : devices) device->settle();
  await("every acknowledgement has been read", [&] { return settled_ == devices.size(); });
}

bool Stage::await(std::string_view what, const std::function<bool()>& done) {
  for (last_news_ = loop_.now(); !failed() && !done(); loop_.run_once()) {
    if (loop_.now() - last_news_ > kPatience) fail("waited in vain: " + std::string(what));
  }
  return !failed();
}

void Stage::run_for(double seconds) {
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  await("time passes", [end] { return Clock::now() >= end; });
}

double Stage::broker_private_bytes() const {
  return static_cast<double>(support::private_bytes(options.pid).value_or(0));
}
double Stage::broker_peak_bytes() const {
  return static_cast<double>(support::peak_bytes(options.pid).value_or(0));
}

void Stage::on_ready(Device&) {
  last_news_ = loop_.now();
  ++ready_;
  begin_login();
}

void Stage::on_accepted(Device& device, std::uint32_t token) {
  last_news_ = loop_.now();
  on_message_accepted(device, token);
}

void Stage::on_message(Device& device, wire::ByteView body) {
  last_news_ = loop_.now();
  if (body.size() != options.payload) return fail("a message has another size than was sent");
  on_delivered(device, body);
}

void Stage::on_settled(Device&) {
  last_news_ = loop_.now();
  ++settled_;
}

// The first failure says why; those that follow from it are counted.
void Stage::fail(std::string why) {
  if (result.errors++ == 0) std::fprintf(stderr, "bench_peers: %s\n", why.c_str());
}

void Stage::flush_later(Device& device) {
  flushes_due_.push_back(&device);
}

// ---- Meter ------------------------------------------------------------------------------------

Meter::Meter(const Stage& stage)
    : pid_(stage.options.pid),
      start_(Clock::now()),
      broker_cpu_s_(broker_cpu_seconds(pid_)),
      client_cpu_s_(support::own_cpu_seconds()) {}

double Meter::seconds() const {
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

void Meter::note_cost(Result& result, std::uint64_t messages) const {
  if (messages == 0) return;
  const auto per_million = [&](double cost) { return cost * 1e6 / static_cast<double>(messages); };
  result.relay_cpu_s_per_million = per_million(broker_cpu_seconds(pid_) - broker_cpu_s_);
  result.client_cpu_s_per_million = per_million(support::own_cpu_seconds() - client_cpu_s_);
}

// ---- Bodies -----------------------------------------------------------------------------------

wire::Bytes make_body(std::size_t size, std::uint64_t number, std::uint64_t token) {
  wire::Bytes body(size, 'x');
  wire::store_le(body.data(), number);
  wire::store_le(body.data() + 8, token);
  return body;
}

Mark mark_of(wire::ByteView body) {
  return {wire::load_le<std::uint64_t>(body), wire::load_le<std::uint64_t>(body.subspan(8))};
}

void Sequence::take(Result& result, std::uint64_t number) {
  if (number != next) ++result.reordered;
  next = number + 1;
}

}  // namespace godwit::bench::peers
