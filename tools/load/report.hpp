// load/report: what a run has found: figures over time, figures of all of it, the verdict.
//
// The verdict is about what was promised, not about speed. FAIL: an envelope was lost, duplicated,
// reordered or corrupted, the run could not be done, or more were late or refused than the scenario
// allows. INCOMPLETE: nothing of that was seen, but the time was over before all was checked: that
// is no loss, and no PASS. PASS: all was checked, and was as promised.
//
// Owns:    plain values.
// Thread:  one owner.
#pragma once

#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/load/histogram.hpp"

namespace godwit::load {

// One interval of the run, about a second long or shorter; consecutive, so a chart can join them.
struct Sample {
  double at_s = 0;    // the end of the interval, since the first login began
  std::string phase;  // "register", "log in", "warm up", "measure", "drain", "settle"
  double accepted_per_s = 0;
  double delivered_per_s = 0;
  double logins_per_s = 0;
  double p50_us = 0;  // delivery latency of what was delivered in it; 0: nothing was
  double p99_us = 0;
  double accepted_p50_us = 0;
  double accepted_p99_us = 0;
  std::uint64_t in_flight = 0;  // submitted and not answered
  std::uint64_t queued = 0;     // accepted by the relay and not yet delivered
  std::uint64_t connections = 0;
  std::uint64_t errors = 0;  // so far: refusals, connections that ended unasked
  double relay_cpu = 0;      // cores in use; 0 without --relay-pid or --own-relay
  double relay_rss_bytes = 0;
};

// Something that happened at a point in time and explains a bend in the curves.
struct Event {
  double at_s = 0;
  std::string what;  // kKilled, "the relay is back", "drain begins"
};
inline constexpr auto kKilled = "the relay is killed";

struct Counts {
  std::uint64_t submitted = 0;
  std::uint64_t accepted = 0;         // envelopes: one for each recipient
  std::uint64_t delivered = 0;        // each envelope once
  std::uint64_t delivered_bytes = 0;  // of those
  std::uint64_t redelivered =
      0;                   // again, where the protocol allows it: an ack or an answer was lost
  std::uint64_t lost = 0;  // accepted, and left out of what was delivered
  std::uint64_t duplicated = 0;   // again, after its ack was confirmed
  std::uint64_t reordered = 0;    // after a later one of the same sender
  std::uint64_t corrupted = 0;    // not the bytes that were sent, or to another device
  std::uint64_t late = 0;         // delivered later than the scenario's `late_ms`
  std::uint64_t refused = 0;      // outcomes other than accepted
  std::uint64_t unanswered = 0;   // submits without an answer at the end
  std::uint64_t undelivered = 0;  // accepted and not delivered at the end; not known to be lost
  std::uint64_t unconfirmed = 0;  // delivered, and its ack not confirmed at the end
  std::uint64_t unsent = 0;       // due, and never submitted
  std::uint64_t disconnects = 0;  // connections that ended unasked
  std::uint64_t logins = 0;
};
// All of them: what adds, subtracts or writes counts forgets none.
inline constexpr std::uint64_t Counts::*kCounts[] = {
    &Counts::submitted,   &Counts::accepted,    &Counts::delivered,  &Counts::delivered_bytes,
    &Counts::redelivered, &Counts::lost,        &Counts::duplicated, &Counts::reordered,
    &Counts::corrupted,   &Counts::late,        &Counts::refused,    &Counts::unanswered,
    &Counts::undelivered, &Counts::unconfirmed, &Counts::unsent,     &Counts::disconnects,
    &Counts::logins};
static_assert(sizeof(Counts) == sizeof(std::uint64_t) * std::size(kCounts));

// How often, by the relay's error code: "mailbox_full".
using ByCode = std::map<std::string, std::uint64_t>;

enum class Verdict : std::uint8_t { pass, fail, incomplete };
[[nodiscard]] std::string_view name_of(Verdict verdict);  // "PASS", "FAIL", "INCOMPLETE"

struct Report {
  // What was asked for.
  std::string scenario;  // its name: "online", or the file's
  std::vector<std::pair<std::string, std::string>>
      settings;               // as in a scenario file, for the reader
  std::string command;        // the command line; a seed that was drawn stands in the settings
  std::string relay;          // HOST:PORT
  std::string relay_version;  // empty when it is not known
  std::string relay_log;      // the file that it is kept in; empty when it is not
  std::string load_version;
  std::string machine;  // "2 x Intel Xeon, Linux 6.18, 23 GiB"
  std::string started;  // ISO 8601, UTC

  Counts counts;
  ByCode refused;         // of counts.refused; --e2ee knows no codes
  ByCode logins_refused;  // of logins and registrations
  bool interrupted = false;          // somebody ended the run before its time
  double seconds = 0;                // of the measured time
  double accepted_per_s = 0;         // in the measured time; of the filling in `offline`
  double delivered_per_s = 0;        // in the measured time; of the drain in `offline`
  double delivered_bytes_per_s = 0;  // likewise
  double logins_per_s = 0;
  std::uint64_t connections = 0;  // at the most
  Histogram delivery;  // open loop: from when it should have been sent, however late it was
  Histogram accepted;

  // Of the relay's process; absent when its process id was not given.
  std::optional<double> relay_cpu_s_per_million;
  std::optional<std::uint64_t> relay_rss_bytes;           // at the most
  std::optional<double> relay_bytes_per_session;          // private memory; `idle`
  std::optional<double> relay_bytes_per_queued_envelope;  // private memory; `offline`
  std::optional<std::uint64_t> relay_store_bytes;         // data.mdb at the most; an own relay
  std::optional<double> client_cpu_s_per_million;         // absent when too few were accepted
  // Of the drain, when all recipients were away.
  std::optional<double> drain_seconds;
  std::optional<double> drain_relay_cpu_s_per_million;

  std::vector<Sample> samples;
  std::vector<Event> events;

  // A sentence each.
  std::vector<std::string> faults;     // any of them is a FAIL
  std::vector<std::string> unchecked;  // what the run could not find out
  [[nodiscard]] Verdict verdict() const;
};

// One JSON object on one line, without a newline.
[[nodiscard]] std::string to_json(const Report& report);

// One self-contained page: no other file, no network.
[[nodiscard]] std::string to_page(const Report& report);

}  // namespace godwit::load
