// The world of godwit/testing.hpp: the simulator's, with devices known by their names. What an
// app's test wants lost gets lost where it passes over the wires.
#include "godwit/testing.hpp"

#include <cstdio>
#include <cstdlib>
#include <set>

#include "schema/wire/codec.hpp"
#include "tests/sim/world.hpp"

namespace godwit::testing {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

namespace {

constexpr auto kLost = "the connection was lost";

[[noreturn]] void misuse(const std::string& sentence) {
  std::fprintf(stderr, "godwit::testing: %s\n", sentence.c_str());
  std::abort();
}

}  // namespace

struct World::State final : sim::Wiretap {
  explicit State(std::uint64_t seed) : world(seed, {}) { world.wiretap = this; }

  sim::Home& known(const std::string& name) {
    if (!names.contains(name))
      misuse("there is no home \"" + name + "\"; add() or home() make one");
    return world.home(name);
  }

  bool on_up(sim::Home& home, wire::ByteView bytes) override;
  std::vector<wire::Bytes> on_down(sim::Home& home, wire::Bytes bytes) override;
  // True once for each time that it was asked for.
  [[nodiscard]] bool loses(const sim::Home& home, Frame frame) {
    return !to_lose.extract({home.name(), frame}).empty();
  }
  [[nodiscard]] bool betrays(const wire::Submit& submit);

  std::set<std::string> names;  // of homes that were asked for
  std::map<std::string, wire::DeviceId> devices;
  std::multiset<std::pair<std::string, Frame>> to_lose;
  std::multiset<std::string> to_betray;
  sim::World world;
};

World::World(std::uint64_t seed) : state_(std::make_unique<State>(seed)) {}
World::~World() = default;

// ---- Clients ------------------------------------------------------------------------------------

Client& World::add(const std::string& name) {
  if (!state_->names.insert(name).second) misuse("there is a home \"" + name + "\" already");
  return state_->world.add(name);
}

Client& World::client(const std::string& name) {
  (void)state_->known(name);
  if (!state_->world.keeps(name)) misuse("the client of \"" + name + "\" is not the world's");
  return state_->world.client(name);
}

Options World::home(const std::string& home) {
  if (state_->world.keeps(home)) misuse("the client of \"" + home + "\" is the world's");
  state_->names.insert(home);
  return state_->world.options(home);
}

std::string World::relay() const {
  return state_->world.address();
}

// ---- Time ---------------------------------------------------------------------------------------

void World::run(milliseconds time) {
  state_->world.run(time);
}

bool World::settle(milliseconds most) {
  return state_->world.settle(most);
}

Time World::now() const {
  return Time{state_->world.wall()};
}

void World::set_clock(const std::string& home, milliseconds ahead) {
  state_->known(home).set_clock(ahead);
}

// ---- Network ------------------------------------------------------------------------------------

void World::cut(const std::string& home, bool at_once) {
  state_->known(home).cut(at_once);
}

void World::restore(const std::string& home) {
  state_->known(home).restore();
}

void World::set_latency(milliseconds latency) {
  auto& settings = state_->world.settings;
  settings.latency_min = settings.latency_max = latency;
}

void World::lose_next(const std::string& home, Frame frame) {
  state_->to_lose.emplace(state_->known(home).name(), frame);
}

bool World::State::on_up(sim::Home& home, wire::ByteView bytes) {
  const auto request = wire::parse_request(bytes);
  if (!request) return true;  // the relay's to refuse
  if (const auto* login = std::get_if<wire::Login>(&request->body)) {
    devices[home.name()] = login->device;
  }
  if (const auto* enlist = std::get_if<wire::Register>(&request->body)) {
    devices[home.name()] = enlist->device;
  }
  const auto* const submit = std::get_if<wire::Submit>(&request->body);
  const bool acks = std::holds_alternative<wire::Ack>(request->body);
  if ((submit != nullptr && loses(home, Frame::submit)) || (acks && loses(home, Frame::ack))) {
    home.reset(kLost);
    return false;
  }
  if (submit == nullptr || !betrays(*submit)) return true;
  wire::Submitted reply;
  reply.outcomes.resize(submit->recipients.size());
  wire::Encoder encoder;
  const wire::ByteView answer = encoder.encode(wire::RelayFrame{request->id, std::move(reply)});
  home.inject({answer.begin(), answer.end()});
  return false;
}

// A client submits to the devices of one user at a time: whoever else is among them loses it too.
bool World::State::betrays(const wire::Submit& submit) {
  for (const auto& recipient : submit.recipients) {
    for (const auto& [name, device] : devices) {
      if (device == recipient.device && !to_betray.extract(name).empty()) return true;
    }
  }
  return false;
}

std::vector<wire::Bytes> World::State::on_down(sim::Home& home, wire::Bytes bytes) {
  const auto frame = wire::parse_relay_frame(bytes);
  const bool lost =
      frame &&
      ((std::holds_alternative<wire::Submitted>(frame->body) && loses(home, Frame::accepted)) ||
       (std::holds_alternative<wire::Deliver>(frame->body) && loses(home, Frame::delivery)));
  if (!lost) return Wiretap::on_down(home, std::move(bytes));
  // Not within the relay's own call; what it sends after this one is lost all the same.
  ++world.frames_under_way;
  world.agenda.in(0us, [this, &home] {
    --world.frames_under_way;
    home.reset(kLost);
  });
  return {};
}

// ---- Disks --------------------------------------------------------------------------------------

void World::crash(const std::string& name) {
  sim::Home& home = state_->known(name);
  home.lose_power(true);
  state_->world.bring_back(home);
}

void World::crash_at_next_commit(const std::string& name, Moment moment) {
  sim::Home& home = state_->known(name);
  home.die_at_commit(home.disk().commits + 1, moment == Moment::before_commit
                                                  ? sim::Home::Moment::before_commit
                                                  : sim::Home::Moment::after_commit);
}

void World::set_disk_full(const std::string& home, bool full) {
  state_->known(home).set_disk_full(full);
}

// ---- The relay ----------------------------------------------------------------------------------

void World::restart_relay() {
  stop_relay();
  start_relay();
}

void World::stop_relay() {
  state_->world.relay.crash();
}

void World::start_relay() {
  if (!state_->world.relay.up()) state_->world.relay.start();
}

void World::wipe_relay() {
  stop_relay();
  state_->world.relay.wipe();
  start_relay();
}

void World::set_relay_full(bool full) {
  state_->world.relay.set_full(full);
}

void World::lose_next_message_for(const std::string& home) {
  state_->to_betray.insert(state_->known(home).name());
}

std::size_t World::queued() const {
  return state_->world.relay.disk().log().size();
}

}  // namespace godwit::testing
