// load/judge: what was sent in one flow, and what came of it. The oracle of the load generator.
//
// The rules, for each recipient of a flow:
//   lost        the relay said accepted, and it never came
//   duplicated  it came again although its ack was confirmed, or twice on one connection
//   reordered   it came after a later one of the same flow
//   redelivered it came again where the protocol allows it: the ack was not confirmed before the
//               connection went, or the sender had to submit it again without knowing its fate
// What was refused is owed to nobody; if it comes nevertheless, it counts as delivered.
//
// Owns:    16 to 24 bytes for each envelope that is not settled, a few for each recipient.
// Refuses: to know a socket, a clock or a relay.
// Thread:  one owner.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <vector>

#include "tools/load/report.hpp"
#include "tools/load/scenario.hpp"

namespace godwit::load {

using Clock = std::chrono::steady_clock;

[[nodiscard]] inline Clock::duration span(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

class Flow {
 public:
  // `counts` outlives the flow.
  Flow(std::uint32_t recipients, Counts& counts);

  // The next envelope, numbered from 0. `due`: when it should be sent; its latencies begin there.
  [[nodiscard]] std::uint64_t next(Clock::time_point due);
  // It was submitted once more, since its answer was lost with the connection.
  void submitted_again(std::uint64_t number);

  // The relay's answer for one recipient; a second answer to the same changes nothing.
  void answered(std::uint64_t number, std::uint32_t recipient, bool accepted);

  enum class Came : std::uint8_t { first, again, never_sent };
  [[nodiscard]] Came delivered(std::uint64_t number, std::uint32_t recipient);
  // The relay has confirmed the recipient's ack of this one and of all before it.
  void confirmed(std::uint64_t number, std::uint32_t recipient);
  // The recipient's next connection begins: what is not confirmed may come again.
  void reconnected(std::uint32_t recipient);

  // When it was due; the epoch when it is answered and nobody is owed it any more.
  [[nodiscard]] Clock::time_point due(std::uint64_t number) const;

  [[nodiscard]] std::uint64_t submitted() const { return first_ + open_.size(); }
  // Not answered, the oldest first: what a new connection submits again.
  [[nodiscard]] std::vector<std::uint64_t> unanswered() const;
  // Envelopes that are not answered yet, or that a recipient is still owed.
  [[nodiscard]] std::uint64_t under_way() const { return submitted() - complete_; }

  // At the end: counts what is lost and what was never answered.
  void close();

 private:
  struct Open {
    Clock::time_point due;
    std::uint32_t answers_left = 0;
    std::uint32_t owed = 0;  // recipients that have it still to come
  };
  struct Recipient {
    std::uint64_t next = 0;       // all before it came, were refused, or are missing
    std::uint64_t confirmed = 0;  // all before it were acknowledged for good
    std::uint64_t connected = 0;  // `next` when its connection began
    std::set<std::uint64_t> missing;
    std::set<std::uint64_t> refused;
  };
  void note_if_complete(const Open& open);
  [[nodiscard]] bool came(const Recipient& recipient, std::uint64_t number) const;

  Counts& counts_;
  std::uint64_t first_ = 0;  // the number of open_.front()
  std::deque<Open> open_;    // from the oldest that is not complete
  std::uint64_t complete_ = 0;
  std::vector<Recipient> recipients_;
  std::set<std::uint64_t> again_;  // submitted more than once
};

// What came on one connection and whose ack is not confirmed: the relay numbers its deliveries,
// from 1 and upwards. A relay that leaves one out, or repeats one, is no reason to miscount.
class Unconfirmed {
 public:
  // `number`: of the flow; nothing when what came was no envelope of one.
  void came(std::uint32_t delivery, std::optional<std::uint64_t> number);
  // An ack of all deliveries up to this one is confirmed. Returns the highest number among them.
  [[nodiscard]] std::optional<std::uint64_t> confirm(std::uint32_t upto);
  void clear() { waiting_.clear(); }
  [[nodiscard]] std::size_t count() const { return waiting_.size(); }

 private:
  struct Waiting {
    std::uint32_t delivery;
    std::optional<std::uint64_t> number;
  };
  std::deque<Waiting> waiting_;
};

// What breaks a promise, or is more than the scenario lets pass: a sentence each.
[[nodiscard]] std::vector<std::string> faults_of(const Counts& counts, const Scenario& scenario);

}  // namespace godwit::load
