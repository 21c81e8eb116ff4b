// load/meter: the figures of a run as it goes: intervals, phases, the relay's process, and the line
// that says where it stands.
//
// Owns:    counts, histograms and samples.
// Thread:  one owner.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <optional>

#include "schema/net/timer.hpp"
#include "tools/load/judge.hpp"

namespace godwit::load {

// Where a person watches; nothing when nobody does.
class Progress {
 public:
  enum class Mode : std::uint8_t { none, lines, one_line };
  explicit Progress(Mode mode) : mode_(mode) {}
  ~Progress();
  void show(const std::string& line);

 private:
  Mode mode_;
  std::size_t width_ = 0;  // of the line that stands there
  Clock::time_point shown_{};
};

// SIGINT and SIGTERM ask a run to come to its end; the second one ends the process.
void watch_interrupts();
[[nodiscard]] bool interrupted();

class Meter {
 public:
  Meter(net::Loop& loop, std::optional<pid_t> relay, double seconds, Progress& progress);

  // What happens, as it happens.
  Counts counts;
  void delivered(Clock::time_point due, Clock::time_point now);
  void accepted(Clock::time_point due, Clock::time_point now);
  void event(std::string what);
  std::uint64_t in_flight = 0;
  std::uint64_t connections = 0;

  void relay_is(std::optional<pid_t> relay);  // after a restart
  // Ends the running interval. `seconds`: how long the phase will take, for the line; 0: unknown.
  void begin(std::string_view phase, double seconds);

  // What passed since begin() of the newest phase.
  struct Passed {
    double seconds = 0;
    Counts counts;
    double relay_cpu_s = 0;
    double client_cpu_s = 0;
  };
  [[nodiscard]] Passed passed() const;
  [[nodiscard]] std::optional<std::uint64_t> relay_private_bytes() const;

  // CPU seconds per million of what was accepted in a phase, when it was enough to say so.
  void fill_cpu(Report& report, const Passed& passed) const;
  // The histograms of the phases "measure" and "drain"; the samples of all.
  void fill(Report& report);

 private:
  void sample();
  [[nodiscard]] double relay_cpu_s() const;

  Progress& progress_;
  std::optional<pid_t> relay_;
  double cpu_of_the_dead_ = 0;  // of relays that were killed
  double relay_cpu_seen_ = 0;
  Clock::time_point began_;
  std::string phase_ = "log in";
  double phase_seconds_ = 0;
  Clock::time_point phase_began_;
  Counts at_phase_;
  double relay_cpu_at_phase_ = 0;
  double client_cpu_at_phase_ = 0;

  Clock::time_point sampled_;
  Counts at_sample_;
  double relay_cpu_at_sample_ = 0;
  Histogram delivery_now_, accepted_now_;  // of this interval
  Histogram delivery_, accepted_;          // of what is measured
  std::vector<Sample> samples_;
  std::vector<Event> events_;
  std::uint64_t connections_max_ = 0;
  std::optional<std::uint64_t> relay_rss_max_;
  net::Timer timer_;
};

}  // namespace godwit::load
