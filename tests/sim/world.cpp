#include "tests/sim/world.hpp"

#include <cstdio>
#include <cstdlib>

#include "schema/wire/hash.hpp"
#include "schema/wire/x25519.hpp"

namespace godwit::sim {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kEpoch{1'700'000'000'000};

// In a simulation only a mistake of the world's user makes these fail.
template <class T>
T must(Result<T> result, const std::string& what) {
  if (!result) {
    std::fprintf(stderr, "%s: %s\n", what.c_str(), result.error().message.c_str());
    std::abort();
  }
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

}  // namespace

World::World(std::uint64_t seed, const Settings& chosen) : World(seed, chosen, kEpoch) {
  relay.start();
}

World::World(std::uint64_t seed, const Settings& chosen, milliseconds began)
    : draws(seed),
      settings(chosen),
      epoch(began),
      relay(agenda, began, chosen.relay, draws.split()) {
  wire::init_crypto();
  const auto key = wire::key_pair_of(wire::SecretKey{{7}}).public_key;
  address_ = wire::format_address({key, "127.0.0.1:7700"});
}

World::~World() {
  clients_.clear();
}

World::Snapshot World::snapshot() const {
  Snapshot taken{relay.save(), {}, wall()};
  for (const auto& [name, home] : homes_) taken.homes.push_back(home->save());
  return taken;
}

World::World(const Snapshot& from, std::uint64_t seed, const Settings& chosen)
    : World(seed, chosen, from.epoch) {
  relay.put_back(from.relay);
  relay.start();
  for (const auto& state : from.homes) home(state.name).put_back(state);
}

// ---- Clients ------------------------------------------------------------------------------------

Home& World::home(const std::string& name) {
  auto& home = homes_[name];
  if (!home) home = std::make_unique<Home>(*this, name, draws.split());
  return *home;
}

Options World::options(const std::string& name) {
  Options options;
  options.home = name;
  options.platform = home(name).start_process();
  return options;
}

Client& World::add(const std::string& name) {
  take(name, must(Client::create(options(name), address_, name), "create " + name));
  Client& made = clients_.at(name);
  must(made.connect(), "connect " + name);
  must(made.wait_registered(1h), "register " + name);
  must(made.wait_settled(1h), "settle " + name);
  return made;
}

void World::take(const std::string& name, Client client) {
  clients_.erase(name);
  clients_.emplace(name, std::move(client));
}

Client& World::client(const std::string& name) {
  const auto found = clients_.find(name);
  if (found != clients_.end()) return found->second;
  take(name, must(Client::open(options(name)), "open " + name));
  return clients_.at(name);
}

bool World::starts(const std::string& name) {
  if (keeps(name)) return true;
  auto started = start(home(name));
  if (started) take(name, *std::move(started));
  return started.has_value();
}

// A client that is opened writes when the key of its session is due to be replaced: once a day, and
// when its clock was turned.
std::optional<Client> World::start(Home& home) {
  auto opened = Client::open(options(home.name()));
  if (!opened && (opened.error().code == ErrorCode::disk_full || home.dying())) return std::nullopt;
  return must(std::move(opened), "open " + home.name());
}

void World::crash(Home& home, bool relay_notices, milliseconds down) {
  const auto strike = [this, &home, relay_notices, down, alive = home.life()] {
    if (alive != home.life()) return;  // it has crashed meanwhile
    home.lose_power(relay_notices);
    agenda.in(down, [this, &home, life = home.life()] {
      if (life == home.life() && home.down()) bring_back(home);
    });
  };
  // A client in the middle of a commit is let out of it first.
  home.dying() ? agenda.in(0us, strike) : strike();
}

void World::bring_back(Home& home) {
  const auto found = clients_.find(home.name());
  if (found == clients_.end()) return;
  const auto try_again = [this, &home](milliseconds delay) {
    agenda.in(delay, [this, &home] {
      if (home.down()) bring_back(home);
    });
  };
  if (home.waiting()) return try_again(1s);  // its own call is further up the stack
  auto started = start(home);
  if (!started && home.dying()) return;  // the crash that it met brings it back
  if (!started) {
    home.lose_power(true);  // a program that ends where it began
    return try_again(10s);
  }
  // The reference that the world's user holds stays good.
  found->second = *std::move(started);
  if (home.was_linked()) must(found->second.connect(), "connect " + home.name() + " again");
  if (on_back) on_back(home);
}

// ---- Time ---------------------------------------------------------------------------------------

milliseconds World::wall() const {
  return epoch + std::chrono::floor<milliseconds>(agenda.now());
}

bool World::quiet() {
  if (frames_under_way > 0 || (relay.up() && !relay.idle())) return false;
  for (auto& [name, client] : clients_) {
    const Home& device = home(name);
    if (device.is_cut()) continue;
    if (device.down() || device.dying() || device.busy()) return false;
    if (!device.linked()) continue;
    const auto settled = client.wait_settled(0ms);
    if (!settled && settled.error().code != ErrorCode::removed) return false;
  }
  return frames_under_way == 0;
}

bool World::settle(milliseconds most) {
  const Agenda::Time until = agenda.now() + most;
  while (!quiet()) {
    if (!agenda.step(until)) return quiet();
  }
  return true;
}

}  // namespace godwit::sim
