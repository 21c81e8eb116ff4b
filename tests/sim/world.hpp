// sim/world: a relay, devices with real clients, and what lies between them, under one virtual
// clock. One seed and one sequence of calls is one run.
// Owns:    everything.
// Thread:  one.
#pragma once

#include "godwit/client.hpp"
#include "tests/sim/home.hpp"

namespace godwit::sim {

class World {
 public:
  struct Settings {
    Relay::Options relay;
    Agenda::Time latency_min = std::chrono::milliseconds{20};  // one way
    Agenda::Time latency_max = std::chrono::milliseconds{20};
  };
  World(std::uint64_t seed, const Settings& settings);
  ~World();

  // ---- A world at rest, to begin others from: making accounts is what costs most.
  struct Snapshot {
    Relay::Saved relay;
    std::vector<Home::State> homes;
    std::chrono::milliseconds epoch{};
  };
  [[nodiscard]] Snapshot snapshot() const;  // of clients that have no work under way
  World(const Snapshot& from, std::uint64_t seed, const Settings& settings);

  // ---- Clients
  [[nodiscard]] Home& home(const std::string& name);  // made when there is none
  [[nodiscard]] Options options(const std::string& name);
  // Makes the account and has it registered.
  Client& add(const std::string& name);
  // The client of a home that the world keeps; opened when it is not, and not connected then.
  [[nodiscard]] Client& client(const std::string& name);
  // The same of a device whose disk may be full or die: false when it does not let a program start.
  [[nodiscard]] bool starts(const std::string& name);
  void take(const std::string& name, Client client);
  [[nodiscard]] bool keeps(const std::string& name) const { return clients_.contains(name); }
  void drop(const std::string& name) { clients_.erase(name); }
  // Everything not committed is gone; a client that the world keeps is back `down` later, connected
  // if it was.
  void crash(Home& home, bool relay_notices, std::chrono::milliseconds down);
  void bring_back(Home& home);  // now

  // ---- Time
  void run(std::chrono::milliseconds time) { agenda.run_until(agenda.now() + time); }
  // Nothing is under way, and every client of the world's that has a network, and wants it, is
  // settled.
  [[nodiscard]] bool quiet();
  [[nodiscard]] bool settle(std::chrono::milliseconds most);
  [[nodiscard]] std::chrono::milliseconds wall() const;

  Agenda agenda;
  Draws draws;
  Settings settings;
  const std::chrono::milliseconds epoch;  // the wall clock at the beginning
  Relay relay;
  Wiretap* wiretap = nullptr;
  std::uint64_t frames_under_way = 0;
  // Told after a client of the world's has been opened again.
  std::function<void(Home&)> on_back;
  [[nodiscard]] const std::string& address() const { return address_; }

 private:
  [[nodiscard]] std::optional<Client> start(Home& home);
  World(std::uint64_t seed, const Settings& settings, std::chrono::milliseconds epoch);

  std::string address_;
  std::map<std::string, std::unique_ptr<Home>> homes_;
  std::map<std::string, Client> clients_;  // before the homes that they live in
};

}  // namespace godwit::sim
