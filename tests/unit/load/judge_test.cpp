#include "tools/load/judge.hpp"

#include <doctest/doctest.h>

namespace godwit::load {
namespace {

using namespace std::chrono_literals;
using Came = Flow::Came;

// One flow to some recipients, in which numbers are submitted and answered with *accepted*.
struct Fixture {
  explicit Fixture(std::uint32_t recipients = 1) : flow(recipients, counts) {}

  std::uint64_t submit() { return flow.next(Clock::time_point(5ms)); }
  void accept(std::uint64_t number) { flow.answered(number, 0, true); }
  void submit_accepted(int count) {
    for (int i = 0; i < count; ++i) accept(submit());
  }

  Counts counts;
  Flow flow;
};

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

  TEST_CASE("what was accepted and never came is lost, wherever it stood") {
    Fixture f;
    f.submit_accepted(4);
    CHECK(f.flow.delivered(1, 0) == Came::first);
    CHECK(f.flow.delivered(2, 0) == Came::first);
    CHECK(f.flow.under_way() == 2);
    f.flow.close();
    CHECK(f.counts.lost == 2);
    CHECK(f.counts.reordered == 0);
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
    CHECK(f.counts.lost == 1);  // by the third
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
    CHECK(f.flow.due(number) == Clock::time_point{});
    CHECK(f.flow.due(99) == Clock::time_point{});
  }
}

}  // namespace godwit::load
