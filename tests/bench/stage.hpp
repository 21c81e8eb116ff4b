// bench/stage: what the relay's benchmarks share: a relay of their own, devices that end the run
// when something is not as it should be, meters, and the tables that they print.
//
// Figures, never a verdict on time. What is wrong (a refusal, a lost or reordered envelope, a
// connection that ends) is one: it fails through doctest's REQUIRE, as the support code does.
// Thread: one; the relay is another process on the same machine.
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/raw_device.hpp"
#include "tests/support/relay_process.hpp"

namespace godwit::bench {

using Clock = std::chrono::steady_clock;
using Settings = std::map<std::string, std::string>;  // "section.key" -> TOML value

inline constexpr std::size_t kEnvelopeSize = 256;
// What is asked of the machine at once while many log in: enough to keep both sides busy.
inline constexpr std::size_t kLoginsUnderWay = 200;
inline constexpr std::chrono::seconds kPatience{120};

[[nodiscard]] double seconds_since(Clock::time_point start);

// ---- Tables -----------------------------------------------------------------------------------

void print_machine();  // processors, kernel, compiler, load
void print_heading(std::string_view title);
// `bar` is what the project wants to reach; empty where none is set.
void print_row(std::string_view figure, double value, std::string_view unit,
               std::string_view bar = {});

// The value that `share` (0 to 1) of `values` do not exceed. Sorts them. 0 when there are none.
[[nodiscard]] double quantile(std::vector<double>& values, double share);

// ---- Devices ----------------------------------------------------------------------------------

class Stage;

class Device {
 public:
  Device(Stage& stage, support::Account account);
  Device(const Device&) = delete;  // the callbacks point here
  Device& operator=(const Device&) = delete;

  support::RawDevice raw;
  // Called for each envelope; the device that is acknowledged is the callee's to choose.
  std::function<void(const wire::Deliver&)> on_deliver;
  std::uint32_t ack_upto = 0;  // of Acks: 0 when nothing is due
  bool live = false;           // Welcome has come
  bool leaving = false;        // the end of its connection is wanted
};

// Acknowledges what came in one round of the loop with one cumulative ack per device, as an SDK
// does that commits what it has read.
class Acks {
 public:
  explicit Acks(net::Loop& loop);
  void take(Device& device, std::uint32_t number);

 private:
  void send_due();

  std::vector<Device*> due_;
  net::Timer timer_;
};

class Stage {
 public:
  explicit Stage(Settings settings = {});

  support::TemporaryDirectory directory{support::Medium::disk};
  support::RelayProcess relay;
  support::Fleet fleet;

  // Seeds count from 1; a device lives as long as the stage and is not connected.
  [[nodiscard]] std::vector<Device*> make(std::size_t count);

  enum class As : std::uint8_t { new_user, known_user };
  // Connects them all and waits for their Welcomes; returns how long it took, in seconds.
  double log_in(const std::vector<Device*>& devices, As as);
  // Ends their connections without a trace in the system's port table, and waits until the relay
  // has seen it.
  void leave(const std::vector<Device*>& devices);
  // Stops the relay and starts it again; returns the time until `ready`, in seconds.
  double restart();

  void await(std::string_view what, const std::function<bool()>& done,
             std::chrono::seconds limit = kPatience);
  // Asks for the relay's figures until they are as they should be.
  void await_status(std::string_view what,
                    const std::function<bool(const relay::ops::Figures&)>& holds);
  // From a callback, where nothing may be thrown: the next await() fails with it.
  void fail(std::string why);

 private:
  std::list<Device> devices_;
  std::string failure_;
};

// ---- Meters -----------------------------------------------------------------------------------

// What passed since it was made.
class Meter {
 public:
  explicit Meter(const Stage& stage);

  struct Reading {
    double seconds = 0;
    double relay_cpu_s = 0;
    double client_cpu_s = 0;
  };
  [[nodiscard]] Reading read() const;

 private:
  const support::RelayProcess& relay_;
  Clock::time_point start_;
  double relay_cpu_s_;
  double client_cpu_s_;
};

[[nodiscard]] inline double per_million(double cost, std::size_t count) {
  return cost * 1e6 / static_cast<double>(count);
}

// No two are the same while a stage lives. They are alike on purpose: request ids are the clients'
// choice, and a relay whose tables depend on them shows it here.
[[nodiscard]] wire::RequestId request_id(std::uint64_t source, std::uint64_t number);

// Whether a reply says that every recipient's envelope was taken in.
[[nodiscard]] bool all_accepted(const wire::RelayFrame& reply);

}  // namespace godwit::bench
