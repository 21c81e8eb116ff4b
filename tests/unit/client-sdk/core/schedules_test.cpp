// Two people under random schedules. A failing seed prints its story. GODWIT_SCHEDULE_SEED=n plays
// that one alone; GODWIT_SCHEDULES=n plays n of them instead of the usual number.
#include <doctest/doctest.h>

#include <cstdlib>

#include "schema/wire/codec.hpp"
#include "tests/unit/client-sdk/core/schedule.hpp"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;
using When = SimDevice::Crash::When;

constexpr std::uint64_t kSeeds = 10'000;

std::uint64_t number_of(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace

TEST_SUITE("client-sdk/src/core") {
  TEST_CASE("whatever was lost, raced or reset, two people agree within ten round trips") {
    // They begin as strangers, or in the middle of a conversation.
    std::array<std::shared_ptr<const World::Snapshot>, 2> starts;
    std::array<std::string, 2> codes;
    {
      World world;
      SimDevice& alice = world.add("alice");
      SimDevice& bob = world.add("bob");
      codes = {*alice.core->recovery_code(), *bob.core->recovery_code()};
      starts[0] = world.snapshot();
      alice.send("bob", "hello");
      bob.send("alice", "hello");
      world.settle();
      starts[1] = world.snapshot();
    }
    const std::uint64_t only = number_of("GODWIT_SCHEDULE_SEED", 0);
    const std::uint64_t last = only != 0 ? only : number_of("GODWIT_SCHEDULES", kSeeds);
    for (std::uint64_t seed = only != 0 ? only : 1; seed <= last; ++seed) {
      INFO("GODWIT_SCHEDULE_SEED=" << seed);
      Schedule schedule(*starts[seed % 2], seed, codes);
      schedule.play();
      const std::string problem = schedule.finish();
      if (!problem.empty()) schedule.tell_state();
      INFO(schedule.story());
      CHECK(problem == "");
    }
  }

  TEST_CASE("what was received once does not become unreadable when it comes again") {
    World world;
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    alice.send("bob", "hello");
    world.settle();
    world.tamper = [&](SimDevice& device, wire::ByteView frame) {
      const auto parsed = wire::parse_relay_frame(frame);
      const bool first = &device == &bob && bob.crashes == 0 && parsed &&
                         std::holds_alternative<wire::Deliver>(parsed->body);
      // The ack is lost with everything else that would have left.
      if (first) bob.crash_at = {bob.disk->commits + 1, When::before_frames_leave};
      return std::vector<wire::Bytes>{wire::Bytes(frame.begin(), frame.end())};
    };
    alice.send("bob", "again");
    world.settle();
    REQUIRE(bob.crashes == 1);
    REQUIRE(bob.texts("alice").size() == 2);
    REQUIRE(world.queued() == 1);
    bob.lose_sessions();
    world.pass(1s);
    world.settle();
    CHECK(world.queued() == 0);
    CHECK(bob.count(EventKind::undecryptable) == 0);
    CHECK(bob.texts("alice") == std::vector<std::string>{"hello", "again"});
  }
}

}  // namespace godwit::test
