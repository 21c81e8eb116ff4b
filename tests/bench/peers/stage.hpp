// peers/stage: what the cases share: the devices and their loop, waiting that ends, meters of the
// broker's process, and the figures that a run has found.
//
// Thread: one; the broker is another process on the same machine.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "schema/net/timer.hpp"
#include "tests/bench/peers/device.hpp"
#include "tools/load/histogram.hpp"

namespace godwit::bench::peers {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string peer;
  std::string address;
  int pid = 0;
  std::string load_case;
  std::size_t pairs = 100;
  std::size_t window = 32;
  std::size_t payload = 256;
  double seconds = 5;
  double warm_up = 1;
  double rate = 0;  // messages per second of all pairs together; 0: as fast as the window allows
  std::size_t messages = 100;
  std::size_t group = 200;
  std::size_t sessions = 1000;
  std::string order = "in";
};

// Absent: not a figure of this case.
struct Result {
  std::optional<double> accepted_per_s;
  std::optional<double> delivered_per_s;
  std::optional<double> logins_per_s;
  std::optional<double> relay_cpu_s_per_million;
  std::optional<double> client_cpu_s_per_million;
  std::optional<double> relay_bytes_per_session;
  std::optional<double> relay_bytes_per_queued_envelope;
  load::Histogram delivery;
  load::Histogram accepted;
  std::uint64_t lost = 0;
  std::uint64_t reordered = 0;
  std::uint64_t errors = 0;
};

class Stage final : public Host {
 public:
  explicit Stage(const Options& options);
  ~Stage();

  const Options options;
  Result result;
  std::function<void(Device&, std::uint32_t token)> on_message_accepted;
  std::function<void(Device&, wire::ByteView body)> on_delivered;

  // Numbers count from 0 over all that are made.
  [[nodiscard]] std::vector<Device*> make(std::size_t count);
  // Begins to connect them, a bounded number at once; await_logins() is when the last is ready.
  void begin_logins(const std::vector<Device*>& devices, Role role);
  void await_logins();
  void log_in(const std::vector<Device*>& devices, Role role);
  void settle(const std::vector<Device*>& devices);

  // False when something has failed, or when nothing has come for as long as a run is patient.
  bool await(std::string_view what, const std::function<bool()>& done);
  void run_for(double seconds);
  [[nodiscard]] bool failed() const { return result.errors > 0; }
  [[nodiscard]] net::Loop& loop() { return loop_; }

  [[nodiscard]] double broker_private_bytes() const;
  [[nodiscard]] double broker_peak_bytes() const;

  void on_ready(Device& device) override;
  void on_accepted(Device& device, std::uint32_t token) override;
  void on_message(Device& device, wire::ByteView body) override;
  void on_settled(Device& device) override;
  void fail(std::string why) override;
  void flush_later(Device& device) override;

 private:
  void begin_login();

  net::Loop loop_;
  net::Timer wake_;  // so that a wait without traffic sees its end
  std::vector<std::unique_ptr<Device>> devices_;
  std::vector<Device*> flushes_due_;
  std::vector<Device*> logging_in_;
  Role role_ = Role::sender;
  std::size_t begun_ = 0;
  std::size_t ready_ = 0;
  std::size_t settled_ = 0;
  Clock::time_point last_news_;
};

// What passed since it was made.
class Meter {
 public:
  explicit Meter(const Stage& stage);
  [[nodiscard]] double seconds() const;
  // Sets both figures of the cost of a message.
  void note_cost(Result& result, std::uint64_t messages) const;

 private:
  int pid_;
  Clock::time_point start_;
  double broker_cpu_s_;
  double client_cpu_s_;
};

[[nodiscard]] inline double per_second(std::uint64_t count, double seconds) {
  return static_cast<double>(count) / seconds;
}

// A body says which message of its mailbox it is, and what the sender knows it by.
[[nodiscard]] wire::Bytes make_body(std::size_t size, std::uint64_t number, std::uint64_t token);
struct Mark {
  std::uint64_t number = 0;
  std::uint64_t token = 0;
};
[[nodiscard]] Mark mark_of(wire::ByteView body);
inline constexpr std::size_t kBodySizeMin = 16;

// The messages of one mailbox, as they come.
struct Sequence {
  std::uint64_t next = 0;
  // Counts one that is not the next: it is late, doubled, or those before it are missing.
  void take(Result& result, std::uint64_t number);
};

// pairs.cpp, offline.cpp, crowd.cpp.
void run_pairs(Stage& stage);
void run_offline(Stage& stage);
void run_fan_out(Stage& stage);
void run_idle(Stage& stage);

}  // namespace godwit::bench::peers
