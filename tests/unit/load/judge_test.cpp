#include "tools/load/judge.hpp"

#include <doctest/doctest.h>

namespace godwit::load {
namespace {

using namespace std::chrono_literals;
using Came = Flow::Came;

// One flow to some recipients, in which numbers are submitted and answered with *accepted*.
struct Fixture {
  explicit Fixture(std::uint32_t recipients = 1) : flow(recipients, counts) {}

  std::uint64_t due() { return flow.next(Clock::time_point(5ms)); }
  std::uint64_t submit() {
    const auto number = due();
    flow.sent(number);
    return number;
  }
  void accept(std::uint64_t number) { flow.answered(number, 0, true); }
  void submit_accepted(int count) {
    for (int i = 0; i < count; ++i) accept(submit());
  }

  Counts counts;
  Flow flow;
};

// The report of a run that went through its measured time.
Report measured(const Counts& counts) {
  Report report;
  report.counts = counts;
  report.seconds = 10;
  report.accepted_per_s = 1;
  return report;
}

}  // namespace

TEST_SUITE("tools/load/judge") {
  TEST_CASE("what is accepted and delivered in order is no fault, and nothing is under way then") {
    Fixture f;
    for (std::uint64_t number = 0; number < 10; ++number) {
      CHECK(f.submit() == number);
      CHECK(f.flow.delivered(number, 0) == Came::first);
      CHECK(f.flow.under_way() == 1);
      f.accept(number);
      CHECK(f.flow.under_way() == 0);
      f.flow.confirmed(number, 0);
    }
    f.flow.close();
    CHECK(f.counts.submitted == 10);
    CHECK(f.counts.accepted == 10);
    CHECK(f.counts.delivered == 10);
    CHECK(f.counts.lost + f.counts.duplicated + f.counts.reordered + f.counts.unanswered == 0);
  }

  TEST_CASE("what was left out of what came is lost; what may still come is not") {
    Fixture f;
    f.submit_accepted(4);
    CHECK(f.flow.delivered(1, 0) == Came::first);
    CHECK(f.flow.delivered(2, 0) == Came::first);
    CHECK(f.flow.under_way() == 2);
    f.flow.close();
    CHECK(f.counts.lost == 1);
    CHECK(f.counts.undelivered == 1);
    CHECK(f.counts.reordered == 0);
  }

  TEST_CASE("a queue that was not delivered in time is not lost, and no fault of its own") {
    Fixture f;
    f.submit_accepted(1'000);
    for (std::uint64_t number = 0; number < 400; ++number) (void)f.flow.delivered(number, 0);
    f.flow.close();
    CHECK(f.counts.lost == 0);
    CHECK(f.counts.undelivered == 600);
    CHECK(faults_of(measured(f.counts), Scenario()).empty());
    CHECK(unchecked_of(measured(f.counts), Scenario()).size() == 1);
  }

  TEST_CASE("who was caught up without an envelope that was accepted before has lost it") {
    Fixture f;
    f.submit_accepted(2);
    const auto unanswered = f.submit();
    f.submit_accepted(1);
    f.flow.logging_in(0);
    f.accept(unanswered);  // after the login was asked for: it may have come after it
    CHECK(f.flow.delivered(0, 0) == Came::first);
    f.flow.caught_up(0);
    f.flow.close();
    CHECK(f.counts.lost == 1);
    CHECK(f.counts.undelivered == 2);
  }

  TEST_CASE("a login that was not caught up proves nothing") {
    Fixture f;
    f.submit_accepted(2);
    f.flow.logging_in(0);
    f.flow.close();
    CHECK(f.counts.lost == 0);
    CHECK(f.counts.undelivered == 2);
  }

  TEST_CASE("what was due and never submitted is unsent: not submitted, unanswered or lost") {
    Fixture f(2);
    (void)f.submit();
    (void)f.due();
    (void)f.due();
    CHECK(f.flow.under_way() == 3);
    CHECK(f.flow.sent_under_way() == 1);
    CHECK(f.flow.delivered(1, 0) == Came::never_sent);
    CHECK(f.flow.withdraw_unsent() == 2);
    CHECK(f.flow.under_way() == 1);
    f.flow.close();
    CHECK(f.counts.submitted == 2);
    CHECK(f.counts.unsent == 4);
    CHECK(f.counts.unanswered == 2);
    CHECK(f.counts.lost == 0);
    CHECK(unchecked_of(measured(f.counts), Scenario()).size() == 2);
  }

  TEST_CASE("what has no answer is not lost, but unanswered") {
    Fixture f;
    (void)f.submit();
    f.flow.close();
    CHECK(f.counts.lost == 0);
    CHECK(f.counts.unanswered == 1);
  }

  TEST_CASE("what was refused is owed to nobody, and leaves no gap") {
    Fixture f;
    (void)f.submit();
    (void)f.submit();
    CHECK(f.flow.delivered(1, 0) == Came::first);  // before the answers came
    f.flow.answered(0, 0, false);
    f.accept(1);
    CHECK(f.flow.under_way() == 0);
    f.flow.close();
    CHECK(f.counts.refused == 1);
    CHECK(f.counts.lost == 0);
    CHECK(f.counts.reordered == 0);
  }

  TEST_CASE("what was pushed and then refused counts as delivered, in either order") {
    Fixture f;
    (void)f.submit();
    (void)f.submit();
    CHECK(f.flow.delivered(0, 0) == Came::first);
    f.flow.answered(0, 0, false);
    f.flow.answered(1, 0, false);
    CHECK(f.flow.delivered(1, 0) == Came::first);
    f.flow.close();
    CHECK(f.counts.delivered == 2);
    CHECK(f.counts.lost + f.counts.reordered + f.counts.duplicated == 0);
  }

  TEST_CASE("what comes after a later one is reordered, and not lost") {
    Fixture f;
    f.submit_accepted(3);
    CHECK(f.flow.delivered(0, 0) == Came::first);
    CHECK(f.flow.delivered(2, 0) == Came::first);
    CHECK(f.flow.delivered(1, 0) == Came::first);
    f.flow.close();
    CHECK(f.counts.reordered == 1);
    CHECK(f.counts.lost == 0);
    CHECK(f.counts.delivered == 3);
  }

  TEST_CASE("a second delivery on one connection is a duplicate, confirmed or not") {
    Fixture f;
    f.submit_accepted(1);
    CHECK(f.flow.delivered(0, 0) == Came::first);
    CHECK(f.flow.delivered(0, 0) == Came::again);
    CHECK(f.counts.duplicated == 1);
    CHECK(f.counts.redelivered == 0);
  }

  TEST_CASE("on the next connection only what was confirmed may not come again") {
    Fixture f;
    f.submit_accepted(2);
    CHECK(f.flow.delivered(0, 0) == Came::first);
    CHECK(f.flow.delivered(1, 0) == Came::first);
    f.flow.confirmed(0, 0);
    f.flow.reconnected(0);
    CHECK(f.flow.delivered(1, 0) == Came::again);
    CHECK(f.counts.duplicated == 0);
    CHECK(f.counts.redelivered == 1);
    CHECK(f.flow.delivered(0, 0) == Came::again);
    CHECK(f.counts.duplicated == 1);
  }

  TEST_CASE("what comes again comes once on each connection, and in its order") {
    Fixture f;
    f.submit_accepted(4);
    for (std::uint64_t number = 0; number < 3; ++number) (void)f.flow.delivered(number, 0);
    f.flow.reconnected(0);
    CHECK(f.flow.delivered(0, 0) == Came::again);
    CHECK(f.flow.delivered(1, 0) == Came::again);
    CHECK(f.counts.redelivered == 2);
    CHECK(f.flow.delivered(1, 0) == Came::again);
    CHECK(f.counts.duplicated == 1);
    f.flow.reconnected(0);
    CHECK(f.flow.delivered(1, 0) == Came::again);
    CHECK(f.counts.reordered == 0);
    CHECK(f.flow.delivered(0, 0) == Came::again);
    CHECK(f.counts.reordered == 1);
    CHECK(f.flow.delivered(3, 0) == Came::first);
    CHECK(f.flow.delivered(2, 0) == Came::again);
    CHECK(f.counts.reordered == 2);
    CHECK(f.counts.redelivered == 5);
    CHECK(f.counts.duplicated == 1);
  }

  TEST_CASE("what had to be submitted again may come again") {
    Fixture f;
    (void)f.submit();
    CHECK(f.flow.delivered(0, 0) == Came::first);
    f.flow.confirmed(0, 0);
    CHECK(f.flow.unanswered() == std::vector<std::uint64_t>{0});
    f.flow.submitted_again(0);
    CHECK(f.flow.delivered(0, 0) == Came::again);
    f.accept(0);
    CHECK(f.counts.duplicated == 0);
    CHECK(f.counts.redelivered == 1);
    CHECK(f.flow.unanswered().empty());
  }

  TEST_CASE("each member of a group is owed each envelope") {
    Fixture f(3);
    (void)f.submit();
    for (std::uint32_t member = 0; member < 3; ++member) f.flow.answered(0, member, member != 1);
    CHECK(f.flow.delivered(0, 0) == Came::first);
    CHECK(f.flow.under_way() == 1);
    f.flow.close();
    CHECK(f.counts.submitted == 3);
    CHECK(f.counts.accepted == 2);
    CHECK(f.counts.refused == 1);
    CHECK(f.counts.undelivered == 1);  // to the third
    CHECK(f.flow.delivered(0, 2) == Came::first);
    CHECK(f.flow.under_way() == 0);
  }

  TEST_CASE("a number that was never sent is corruption") {
    Fixture f;
    f.submit_accepted(1);
    CHECK(f.flow.delivered(1, 0) == Came::never_sent);
    CHECK(f.flow.delivered(0, 1) == Came::never_sent);
    CHECK(f.counts.corrupted == 2);
    CHECK(f.counts.delivered == 0);
  }

  TEST_CASE("the end waits while something comes, up to a bound, and not for what stands still") {
    const Clock::time_point begin(1h);
    Counts counts;
    Settling settling(10, begin);
    settling.look(counts, 0, begin + 9s);
    CHECK(!settling.over(begin + 9s));
    CHECK(settling.still(begin + 10s));
    counts.delivered = 1;
    settling.look(counts, 4, begin + 9s);
    CHECK(!settling.over(begin + 18s));
    CHECK(settling.over(begin + 19s));
    settling.look(counts, 3, begin + 18s);  // an ack was confirmed
    CHECK(!settling.over(begin + 27s));
    CHECK(settling.over(begin + 28s));
    for (auto now = begin + 9s; now < begin + 40s; now += 1s) {
      ++counts.accepted;
      settling.look(counts, 4, now);
      CHECK(!settling.over(now));
    }
    CHECK(settling.over(begin + 40s));
    CHECK(!settling.still(begin + 40s));
  }

  TEST_CASE("what was refused is named by the relay's codes") {
    Report report = measured({.accepted = 1, .refused = 5});
    report.refused = {{"mailbox_full", 4}, {"busy", 1}};
    report.logins_refused = {{"rate_limited", 2}};
    CHECK(faults_of(report, Scenario()) ==
          std::vector<std::string>{"5 refused by the relay (busy 1, mailbox_full 4)",
                                   "2 logins refused by the relay (rate_limited 2)"});
    Scenario lenient;
    lenient.refused_max = 5;
    report.logins_refused.clear();
    CHECK(faults_of(report, lenient).empty());
  }

  TEST_CASE("a run that measured nothing is no PASS, interrupted or not") {
    for (const bool interrupted : {false, true}) {
      Report report = measured({});
      report.interrupted = interrupted;
      CHECK(unchecked_of(report, Scenario()).empty());
      report.accepted_per_s = 0;
      CHECK(unchecked_of(report, Scenario()).size() == 1);
      Scenario crowd;
      crowd.pairs = 0;
      CHECK(unchecked_of(report, crowd).empty());  // sessions are all that it has
      report.seconds = 0;
      CHECK(unchecked_of(report, crowd).size() == 1);
    }
  }

  TEST_CASE("a chaos that killed nothing shows nothing") {
    Scenario scenario;
    scenario.kill_every = 5;
    Report report = measured({});
    CHECK(unchecked_of(report, scenario).size() == 1);
    report.events.push_back({1, kKilled});
    CHECK(unchecked_of(report, scenario).empty());
  }

  TEST_CASE("what was under way when somebody ended the run is not held against it") {
    Report report = measured({.unanswered = 3, .undelivered = 2, .unconfirmed = 4, .unsent = 1});
    CHECK(unchecked_of(report, Scenario()).size() == 4);
    report.interrupted = true;
    CHECK(unchecked_of(report, Scenario()).empty());
  }

  TEST_CASE("a relay that stands still is a fault when something is owed, and only then") {
    CHECK(!stall_of(Counts(), Scenario()).has_value());
    for (const auto owed : {&Counts::unanswered, &Counts::undelivered, &Counts::unconfirmed}) {
      Counts counts;
      counts.*owed = 3;
      CHECK(stall_of(counts, Scenario()).value_or("").find("for 30 s") != std::string::npos);
    }
  }

  TEST_CASE("deliveries that a relay left out or repeated do not disturb what is confirmed") {
    Unconfirmed unconfirmed;
    CHECK(!unconfirmed.confirm(5).has_value());
    unconfirmed.came(1, 10);
    unconfirmed.came(2, 11);
    unconfirmed.came(2, 11);
    unconfirmed.came(5, 14);  // 3 and 4 never came
    unconfirmed.came(6, std::nullopt);
    unconfirmed.came(7, 15);
    CHECK(unconfirmed.confirm(4) == 11);
    CHECK(unconfirmed.count() == 3);
    CHECK(!unconfirmed.confirm(4).has_value());
    CHECK(unconfirmed.confirm(5) == 14);
    CHECK(!unconfirmed.confirm(6).has_value());
    CHECK(unconfirmed.confirm(99) == 15);
    CHECK(unconfirmed.count() == 0);
    unconfirmed.came(1, 16);
    unconfirmed.clear();
    CHECK(!unconfirmed.confirm(1).has_value());
  }

  TEST_CASE("when it was due is known until it is settled") {
    Fixture f;
    const auto number = f.submit();
    CHECK(f.flow.due(number) == Clock::time_point(5ms));
    CHECK(f.flow.delivered(number, 0) == Came::first);
    CHECK(f.flow.due(number) == Clock::time_point(5ms));
    f.accept(number);
    CHECK(f.flow.due(number) == std::nullopt);
    CHECK(f.flow.due(99) == std::nullopt);
  }
}

}  // namespace godwit::load
