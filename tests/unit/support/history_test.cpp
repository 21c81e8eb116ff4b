// The judge, on histories made by hand: a sound one is kept, and each fault is seen as what it is.
#include "tests/support/history.hpp"

#include <doctest/doctest.h>

namespace godwit::support {
namespace {

// Envelopes of one sender and its receiver, and the common turns of their stories.
struct Scene {
  History history{2};

  Scene() { history.connected(0); }

  static LoadEnvelope one(std::uint32_t number) { return {0, number}; }
  void submit(std::uint32_t number) { history.submitted(one(number)); }
  void accept(std::uint32_t number) { history.accepted(one(number)); }
  void deliver(std::uint32_t number) {
    REQUIRE(history.delivered(0, one(number).bytes()) == one(number));
  }
  void confirm(std::uint32_t number) {
    history.acked(one(number));
    history.confirmed(one(number));
  }
  void settle(std::uint32_t number) {
    submit(number);
    accept(number);
    deliver(number);
    confirm(number);
  }
  void restart() {
    history.restarted();
    history.connected(0);
  }
  // The faults, in the order of Verdict.
  [[nodiscard]] std::vector<std::uint64_t> faults() const {
    const Verdict v = history.judge();
    std::vector<std::uint64_t> all{v.lost,       v.again,   v.twice,   v.out_of_order,
                                   v.never_sent, v.damaged, v.refused, v.unfinished};
    std::uint64_t sum = 0;
    for (const std::uint64_t count : all) sum += count;
    CHECK(v.kept() == (sum == 0));
    return all;
  }
};

using Faults = std::vector<std::uint64_t>;
const Faults kNone{0, 0, 0, 0, 0, 0, 0, 0};

TEST_SUITE("tests/support/history") {
  TEST_CASE("the bytes of an envelope are its own, and a flipped bit is seen") {
    wire::Bytes bytes = LoadEnvelope{3, 77}.bytes();
    CHECK(bytes.size() >= 40);
    CHECK(bytes.size() <= 400);
    CHECK(bytes == LoadEnvelope{3, 77}.bytes());
    CHECK(bytes != LoadEnvelope{3, 78}.bytes());
    CHECK(LoadEnvelope{3, 77}.request_id() != LoadEnvelope{3, 78}.request_id());
    CHECK(LoadEnvelope{3, 77}.request_id() != LoadEnvelope{4, 77}.request_id());
    CHECK(LoadEnvelope::parse(bytes) == LoadEnvelope{3, 77});
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      bytes[at] ^= 0x10;
      CHECK_FALSE(LoadEnvelope::parse(bytes));
      bytes[at] ^= 0x10;
    }
    bytes.push_back(0);
    CHECK_FALSE(LoadEnvelope::parse(bytes));
    CHECK_FALSE(LoadEnvelope::parse({}));
  }

  TEST_CASE("a load without incident is kept") {
    Scene scene;
    for (std::uint32_t number = 0; number < 3; ++number) scene.settle(number);
    CHECK(scene.faults() == kNone);
    const Verdict verdict = scene.history.judge();
    CHECK(verdict.submitted == 3);
    CHECK(verdict.accepted == 3);
    CHECK(verdict.delivered == 3);
    CHECK(verdict.retried == 0);
    CHECK(verdict.redelivered == 0);
    CHECK(verdict.stories.empty());
    CHECK(scene.history.accepted_total() == 3);
  }

  TEST_CASE("what was accepted and never delivered is lost") {
    Scene scene;
    scene.settle(0);
    scene.submit(1);
    scene.accept(1);
    CHECK(scene.faults() == Faults{1, 0, 0, 0, 0, 0, 0, 0});
    const Verdict verdict = scene.history.judge();
    REQUIRE(verdict.stories.size() == 1);
    CHECK(verdict.stories[0] ==
          "pair 0 number 1: lost: 6 submitted (life 1, connection 1); "
          "7 accepted (life 1, connection 1);");
  }

  TEST_CASE("a delivery whose ack was not confirmed may come again on the next connection") {
    Scene scene;
    scene.submit(0);
    scene.accept(0);
    scene.deliver(0);
    scene.history.acked(Scene::one(0));
    scene.restart();
    scene.deliver(0);
    scene.confirm(0);
    CHECK(scene.faults() == kNone);
    CHECK(scene.history.judge().redelivered == 1);
    CHECK(scene.history.judge().redelivered_by_retry == 0);
  }

  TEST_CASE("a delivery after the confirmed ack is a fault, in the same life and in the next") {
    for (const bool killed : {false, true}) {
      Scene scene;
      scene.settle(0);
      if (killed) scene.history.restarted();
      scene.history.connected(0);
      scene.deliver(0);
      scene.confirm(0);
      CHECK(scene.faults() == Faults{0, 1, 0, 0, 0, 0, 0, 0});
    }
  }

  TEST_CASE("a retry to a later life, with no outcome seen, may bring an envelope back: counted") {
    Scene scene;
    scene.submit(0);
    scene.deliver(0);
    scene.confirm(0);
    scene.restart();
    scene.submit(0);
    scene.accept(0);
    scene.deliver(0);
    scene.history.connected(0);
    scene.deliver(0);  // the ack of the one before was not confirmed
    scene.confirm(0);
    CHECK(scene.faults() == kNone);
    CHECK(scene.history.judge().redelivered_by_retry == 1);
    CHECK(scene.history.judge().retried == 1);

    scene.history.connected(0);
    scene.deliver(0);  // but now it was
    scene.confirm(0);
    CHECK(scene.faults() == Faults{0, 1, 0, 0, 0, 0, 0, 0});
  }

  TEST_CASE("a retry in the life that confirmed the ack, or before it, excuses nothing") {
    Scene same;
    same.submit(0);
    same.deliver(0);
    same.confirm(0);
    same.submit(0);
    same.accept(0);
    same.history.connected(0);
    same.deliver(0);
    same.confirm(0);
    CHECK(same.faults() == Faults{0, 1, 0, 0, 0, 0, 0, 0});

    Scene before;
    before.submit(0);
    before.submit(0);
    before.deliver(0);
    before.confirm(0);
    before.restart();
    before.deliver(0);
    before.confirm(0);
    before.accept(0);
    CHECK(before.faults() == Faults{0, 1, 0, 0, 0, 0, 0, 0});
  }

  TEST_CASE("a retry after accepted excuses nothing") {
    Scene scene;
    scene.settle(0);
    scene.restart();
    scene.submit(0);
    scene.deliver(0);
    scene.confirm(0);
    CHECK(scene.faults() == Faults{0, 1, 0, 0, 0, 0, 0, 0});
  }

  TEST_CASE("two deliveries on one connection are a fault, acknowledged or not") {
    Scene scene;
    scene.submit(0);
    scene.submit(0);
    scene.accept(0);
    scene.deliver(0);
    scene.deliver(0);
    scene.confirm(0);
    CHECK(scene.faults() == Faults{0, 0, 1, 0, 0, 0, 0, 0});
  }

  TEST_CASE("the order is that of the first deliveries") {
    Scene scene;
    for (std::uint32_t number = 0; number < 4; ++number) {
      scene.submit(number);
      scene.accept(number);
    }
    for (const std::uint32_t number : {0U, 2U, 3U, 1U}) {
      scene.deliver(number);
      if (number != 2) scene.confirm(number);
    }
    scene.restart();
    scene.deliver(2);  // again, and it was on time
    scene.confirm(2);
    CHECK(scene.faults() == Faults{0, 0, 0, 1, 0, 0, 0, 0});
    REQUIRE(scene.history.judge().stories.size() == 1);
    CHECK(scene.history.judge().stories[0].starts_with("pair 0 number 1: out of order:"));
  }

  TEST_CASE("what was not submitted to this pair was never sent") {
    Scene scene;
    scene.settle(0);
    CHECK_FALSE(scene.history.delivered(0, LoadEnvelope{0, 1}.bytes()));
    CHECK_FALSE(scene.history.delivered(0, LoadEnvelope{1, 0}.bytes()));
    CHECK_FALSE(scene.history.delivered(0, LoadEnvelope{9, 0}.bytes()));
    CHECK(scene.faults() == Faults{0, 0, 0, 0, 3, 0, 0, 0});
  }

  TEST_CASE("bytes that are not an envelope's are damaged") {
    Scene scene;
    scene.settle(0);
    wire::Bytes bytes = LoadEnvelope{0, 0}.bytes();
    bytes.back() ^= 1;
    CHECK_FALSE(scene.history.delivered(0, bytes));
    CHECK(scene.faults() == Faults{0, 0, 0, 0, 0, 1, 0, 0});
  }

  TEST_CASE("a refusal is counted, and what was refused is not finished") {
    Scene scene;
    scene.submit(0);
    scene.history.refused(Scene::one(0));
    CHECK(scene.history.refused_total() == 1);
    CHECK(scene.faults() == Faults{0, 0, 0, 0, 0, 0, 1, 1});
  }

  TEST_CASE("an envelope that is not accepted at the end is unfinished, delivered or not") {
    Scene scene;
    scene.submit(0);
    scene.deliver(0);
    scene.confirm(0);
    scene.submit(1);
    CHECK(scene.faults() == Faults{0, 0, 0, 0, 0, 0, 0, 2});
    scene.accept(0);
    CHECK(scene.faults() == Faults{0, 0, 0, 0, 0, 0, 0, 1});
  }

  TEST_CASE("an ack whose confirmation was never seen may have been taken") {
    Scene scene;
    scene.submit(0);
    scene.accept(0);
    scene.deliver(0);
    scene.history.acked(Scene::one(0));
    CHECK(scene.faults() == kNone);
  }

  TEST_CASE("stories are told of the first few faults only") {
    Scene scene;
    for (std::uint32_t number = 0; number < 2 * Verdict::kStoriesMax; ++number) {
      scene.submit(number);
      scene.accept(number);
    }
    CHECK(scene.history.judge().lost == 2 * Verdict::kStoriesMax);
    CHECK(scene.history.judge().stories.size() == Verdict::kStoriesMax);
  }
}

}  // namespace
}  // namespace godwit::support
