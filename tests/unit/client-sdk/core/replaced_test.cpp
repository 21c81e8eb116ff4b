// A device that another one has taken the place of: what the relay had accepted from it arrives,
// and nothing else.
#include <doctest/doctest.h>

#include <algorithm>

#include "client-sdk/src/core/limits.hpp"
#include "tests/support/forge.hpp"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;

constexpr int kTexts = 150;  // more than a window

struct Fixture {
  Fixture() {
    world.exchange_texts(alice, bob);
    known = alice.texts("bob").size();
    alice.disconnect();
  }
  void write(int texts) {
    for (int i = 0; i < texts; ++i) bob.send("alice", std::to_string(i));
    world.settle();
    bob.disconnect();
  }
  void replace() {
    const auto code = bob.core->recovery_code();
    SimDevice& fresh = world.add_blank("bob again");
    fresh.recover(*code);
    fresh.connect();
    world.run(10s);
    fresh.disconnect();
  }
  [[nodiscard]] std::size_t came() { return alice.texts("bob").size() - known; }

  World world;
  SimDevice& alice = world.add("alice");
  SimDevice& bob = world.add("bob");
  std::size_t known = 0;
};

}  // namespace

TEST_SUITE("client-sdk/src/core") {
  TEST_CASE("what was accepted from a device before it was replaced arrives") {
    Fixture f;
    f.write(kTexts);
    f.replace();
    SUBCASE("in one go") {}
    SUBCASE("and the list is known before anything is read") {
      f.alice.send("bob", "are you there?");
    }
    SUBCASE("over several connections") {
      for (int i = 0; i < 3; ++i) {
        f.alice.connect();
        f.world.run(30ms);
        f.alice.disconnect();
      }
    }
    f.alice.connect();
    f.world.run(1min);
    CHECK(f.came() >= kTexts);
    const auto texts = f.alice.texts("bob");
    CHECK(std::ranges::count(texts, std::to_string(kTexts - 1)) == 1);
  }

  // One that conspires with a thief has what he sent kept from us until then.
  TEST_CASE("it is heard no more once its mail is through") {
    Fixture f;
    bool held = true;
    f.world.tamper = [&](SimDevice& to, wire::ByteView bytes) -> Frames {
      const ParsedFrame frame(bytes);
      const bool mail = std::holds_alternative<wire::Deliver>(frame.value.body);
      return &to == &f.alice && mail && held ? Frames{} : as_is(bytes);
    };
    f.write(3);
    f.replace();
    f.alice.connect();
    f.alice.send("bob", "who is it?");
    f.world.run(10s);
    REQUIRE(f.alice.count(EventKind::devices_changed) >= 2);
    for (std::uint32_t i = 0; i < core::kCatchUpsHeard; ++i) {
      f.alice.disconnect();
      f.alice.connect();
      f.world.run(10s);
    }
    f.alice.disconnect();
    held = false;
    f.alice.connect();
    f.world.run(1min);
    CHECK(f.came() == 1);  // her own
    CHECK(f.world.queued() == 1);  // hers
  }
}

}  // namespace godwit::test
