// load/meter: the figures of a run as it goes: intervals, phases, the relay's process, and the line
// that says where it stands. What the parts of the run have counted it adds up.
//
// Owns:    samples, and where things stood when each phase began.
// Thread:  one owner.
#pragma once

#include <sys/types.h>

#include <optional>

#include "tests/support/relay_process.hpp"
#include "tools/load/tally.hpp"

namespace godwit::load {

// Where a person watches; nothing when nobody does.
class Progress {
 public:
  enum class Mode : std::uint8_t { none, lines, one_line };
  explicit Progress(Mode mode) : mode_(mode) {}
  ~Progress() { end(); }
  void show(const std::string& line);
  void end();  // the line stays, and what is printed next begins below it

 private:
  Mode mode_;
  std::size_t width_ = 0;  // of the line that stands there
  Clock::time_point shown_{};
};

// SIGHUP, SIGINT and SIGTERM ask a run to come to its end, but for those that the process was
// started to ignore; another one, more than half a second later, ends the process.
void watch_interrupts();
void ignore_interrupts();  // of a part, which the whole tells when to end
[[nodiscard]] bool interrupted();
[[nodiscard]] bool interrupted_by_signal();  // and not because there is nothing left to do
void end_early();                            // as a signal does

class Meter {
 public:
  // `tallies`: one of each part; whoever plays it, or hears of it, keeps it up to date. `own`: the
  // relay of the run, if it has one; `relay`: its process, if that is known.
  Meter(const Scenario& scenario, std::vector<Tally>& tallies, support::RelayProcess* own,
        std::optional<pid_t> relay, Progress& progress);

  void event(std::string what);
  void relay_is(std::optional<pid_t> relay);  // after a restart
  // Ends the running phase. `seconds`: how long this one will take, for the line; 0: unknown.
  void begin(Phase phase, double seconds);
  // The running interval is over when it is due.
  [[nodiscard]] bool due(Clock::time_point now) const { return now - sampled_ >= interval_; }
  void sample();

  // At the end: all figures; the histograms are those of the phases "measure" and "drain".
  void fill(Report& report);

 private:
  // Where things stood when a phase began.
  struct Mark {
    Phase phase{};
    Clock::time_point at;
    Counts counts;
    double relay_cpu_s = 0;
    double client_cpu_s = 0;
    std::optional<std::uint64_t> relay_private_bytes;
  };
  // What came of a phase.
  struct Passed {
    double seconds = 0;
    Counts counts;
    double relay_cpu_s = 0;
    double client_cpu_s = 0;
    std::optional<double> relay_bytes;  // of private memory, more than before
  };
  [[nodiscard]] Mark mark(Phase phase) const;
  [[nodiscard]] static Passed between(const Mark& from, const Mark& to);
  void fill_logins(Report& report) const;
  void fill_measured(Report& report, const Passed& passed) const;
  void fill_drained(Report& report, const Passed& passed) const;
  [[nodiscard]] Tally sum() const;  // without what is not for all: histograms, events
  [[nodiscard]] double relay_cpu_s() const;
  [[nodiscard]] std::string line_of(const Sample& sample, Clock::time_point now) const;
  void note_store();

  const Scenario& scenario_;
  std::vector<Tally>& tallies_;
  support::RelayProcess* own_;
  std::optional<pid_t> relay_;
  Progress& progress_;
  Clock::duration interval_;
  Clock::time_point began_;
  std::vector<Mark> marks_;
  double phase_seconds_ = 0;
  double cpu_of_the_dead_ = 0;  // of relays that were killed
  double relay_cpu_seen_ = 0;

  Clock::time_point sampled_;
  Counts at_sample_;
  double relay_cpu_at_sample_ = 0;
  Histogram delivery_, accepted_;  // of what is measured
  std::vector<Sample> samples_;
  std::vector<Event> events_;
  std::uint64_t connections_max_ = 0;
  std::optional<std::uint64_t> relay_rss_max_;
  std::optional<std::uint64_t> store_bytes_max_;
};

}  // namespace godwit::load
