// load/judge: what was sent in one flow, and what came of it. The oracle of the load generator.
//
// The rules, for each recipient of a flow:
//   lost        the relay said accepted, and it can no longer come in its order: a later one of
//               the flow came, or the recipient logged in afterwards and was caught up without it
//   undelivered the relay said accepted, and it had not come by the end; nothing says it is lost
//   unconfirmed it came and was acknowledged, and the ack was not confirmed by the end
//   duplicated  it came again although its ack was confirmed, or twice on one connection
//   reordered   it came after a later one of the same flow; or again, after a later one on the same
//               connection
//   redelivered it came again where the protocol allows it: the ack was not confirmed before the
//               connection went, or the sender had to submit it again without knowing its fate
//   unanswered  it was submitted, and no answer had come by the end
//   unsent      it was due, and had not been submitted by the end
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
#include <utility>
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
  // It is submitted now, and so were all before it.
  void sent(std::uint64_t number);
  // What was never submitted will not be: it is counted and forgotten. `due`: so many were, at
  // least. Returns how many are forgotten. Once, before close().
  std::uint64_t withdraw_unsent(std::uint64_t due = 0);
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
  // The recipient asks to be logged in, and later the relay says that all which was queued for it
  // at that login has been delivered.
  void logging_in(std::uint32_t recipient);
  void caught_up(std::uint32_t recipient);

  // When it was due; nothing when it is answered and nobody is owed it any more.
  [[nodiscard]] std::optional<Clock::time_point> due(std::uint64_t number) const;

  [[nodiscard]] std::uint64_t made() const { return first_ + open_.size(); }
  [[nodiscard]] bool was_sent(std::uint64_t number) const { return number < sent_; }
  // Not answered, the oldest first: what a new connection submits, some of it again.
  [[nodiscard]] std::vector<std::uint64_t> unanswered() const;
  // Envelopes that are not answered yet, or that a recipient is still owed: all, and those of them
  // that were submitted.
  [[nodiscard]] std::uint64_t under_way() const { return made() - complete_; }
  [[nodiscard]] std::uint64_t sent_under_way() const { return sent_ - complete_; }

  // At the end: counts what is lost, undelivered and unanswered.
  void close();

 private:
  struct Open {
    Clock::time_point due;
    std::uint32_t answers_left = 0;
    std::uint32_t owed = 0;  // recipients that have it still to come
  };
  struct Recipient {
    std::uint64_t next = 0;               // all before it came, were refused, or are missing
    std::uint64_t confirmed = 0;          // all before it were acknowledged for good
    std::uint64_t connected = 0;          // `next` when its connection began
    std::uint64_t answered_at_login = 0;  // all before it were answered when it asked to log in
    std::uint64_t caught_up = 0;          // what was accepted of all before it has come, or is lost
    std::uint64_t here = 0;               // 1 + the greatest that came on its connection
    std::set<std::uint64_t> again_here;   // what came on it again, and had come on one before
    std::set<std::uint64_t> missing;
    std::set<std::uint64_t> refused;
  };
  void note_if_complete(const Open& open);
  [[nodiscard]] bool came(const Recipient& recipient, std::uint64_t number) const;
  [[nodiscard]] bool is_lost(const Recipient& recipient, std::uint64_t number) const;

  Counts& counts_;
  std::uint64_t first_ = 0;  // the number of open_.front()
  std::deque<Open> open_;    // from the oldest that is not complete
  std::uint64_t sent_ = 0;   // all before it were submitted
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

// How long the end of a run waits for what is under way: while something still comes or is
// confirmed, up to a bound. A relay that is slow is not taken for one that stands still.
class Settling {
 public:
  static constexpr int kTimesMax = 4;  // `settle`, at the most
  Settling(double settle, Clock::time_point now)
      : settle_(span(settle)), moved_(now), end_(now + kTimesMax * settle_) {}
  // `unconfirmed`: envelopes that came and whose ack is not confirmed yet.
  void look(const Counts& counts, std::uint64_t unconfirmed, Clock::time_point now);
  // Nothing was answered, delivered or confirmed for as long as `settle`.
  [[nodiscard]] bool still(Clock::time_point now) const { return now - moved_ >= settle_; }
  [[nodiscard]] bool over(Clock::time_point now) const { return still(now) || now >= end_; }

 private:
  Clock::duration settle_;
  Clock::time_point moved_;
  Clock::time_point end_;
  std::pair<std::uint64_t, std::uint64_t> seen_{};
};

// What breaks a promise, or is more than the scenario lets pass: a sentence each.
[[nodiscard]] std::vector<std::string> faults_of(const Report& report, const Scenario& scenario);
// The same of a relay that does nothing any more, although something is owed; nothing when not.
[[nodiscard]] std::optional<std::string> stall_of(const Counts& counts, const Scenario& scenario);
// What the run could not find out, since it was over first: a sentence each. Of one that was
// interrupted only that it measured nothing: who ended it knows that something was under way.
[[nodiscard]] std::vector<std::string> unchecked_of(const Report& report, const Scenario& scenario);

}  // namespace godwit::load
