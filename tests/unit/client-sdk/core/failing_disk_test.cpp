// One call on the disk fails, each in turn, while a device receives, reads and writes: the round
// says so and has changed nothing, and the next core over the same disk makes up for it.
#include <doctest/doctest.h>

#include "schema/wire/codec.hpp"
#include "tests/support/forge.hpp"
#include "tests/unit/client-sdk/store/failing_backend.hpp"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;

// A device without a relay: what the relay says was recorded.
class Replay {
 public:
  Replay(MemoryBackend::Disk& disk, const SimDevice& device, core::Now now, int fails_at)
      : now_(now), random_([draws = std::mt19937_64(7)](std::span<std::uint8_t> out) mutable {
          for (auto& byte : out) byte = static_cast<std::uint8_t>(draws());
        }) {
    fault.calls_left = fails_at;
    auto backend =
        std::make_unique<store::FailingBackend>(std::make_unique<MemoryBackend>(disk), fault);
    auto over = store::Database::over(std::move(backend), random_, device.store_key);
    REQUIRE(over);
    database_ = std::make_unique<store::Database>(std::move(*over));
    auto opened = core::Core::open(*database_, random_, now_);
    if (opened) core = std::move(*opened);
  }

  // One round. False: the core is of no more use.
  template <class Input>
  bool round(const Input& input) {
    input(*core);
    now_.steady += 10ms;
    const bool done = core->end_round(now_).ok();
    (void)core->take_frames();
    (void)core->take_events();
    return done;
  }
  [[nodiscard]] core::Now now() const { return now_; }

  store::Fault fault;
  std::unique_ptr<core::Core> core;

 private:
  core::Now now_;
  crypto::Random random_;
  std::unique_ptr<store::Database> database_;
};

// Bob has two messages waiting at the relay, one message of his own in the outbox, and a peer whose
// name has to be looked up.
struct Story {
  Story() {
    SimDevice& alice = world.add("alice");
    SimDevice& bob = world.add("bob");
    alice.send("bob", "first");
    world.settle();
    bob.send("alice", "answer");
    world.settle();
    bob.disconnect();
    alice.send("bob", "second");
    alice.send("bob", "third");
    world.settle();
    bob.send("alice", "unsent");
    bob.send("nobody", "to whom?");
    disk = *bob.disk;
    now = world.now();
    world.tamper = [&](SimDevice& to, wire::ByteView frame) {
      if (&to == &bob) frames.emplace_back(frame.begin(), frame.end());
      return as_is(frame);
    };
    bob.connect();
    world.settle();
    REQUIRE(bob.texts("alice").size() == 5);
    REQUIRE(frames.size() > 4);
  }
  [[nodiscard]] const SimDevice& bob() const { return world.devices[1]; }

  World world;
  MemoryBackend::Disk disk;  // before the frames came
  core::Now now;
  Frames frames;
};

using Tables = std::vector<MemoryBackend::Records>;
Tables tables_of(const MemoryBackend::Disk& disk) {
  Tables all;
  for (const auto& table : disk.tables) all.push_back(*table);
  return all;
}

std::vector<std::string> texts_of(const core::Core& core) {
  std::vector<std::string> all;
  const auto conversation = core.conversation_of("alice");
  REQUIRE(conversation.ok());
  const auto page = core.messages(*conversation, {});
  REQUIRE(page.ok());
  for (const Message& message : page->items) all.push_back(message.text);
  return all;
}

// What an app and its relay do, round by round; each may refuse, and then the round fails too.
std::vector<std::function<bool(Replay&)>> rounds_of(const Story& story) {
  std::vector<std::function<bool(Replay&)>> rounds;
  rounds.emplace_back([](Replay& device) {
    return device.round([&](core::Core& core) { core.on_connected(device.now()); });
  });
  for (const wire::Bytes& frame : story.frames) {
    rounds.emplace_back([&frame](Replay& device) {
      const ParsedFrame parsed(frame);
      return device.round([&](core::Core& core) { core.on_frame(parsed.value, device.now()); });
    });
  }
  const auto command = [&](auto say) {
    rounds.emplace_back([say](Replay& device) {
      bool taken = false;
      const bool done = device.round([&](core::Core& core) { taken = say(core, device.now()); });
      return taken && done;
    });
  };
  command([](core::Core& core, core::Now now) {
    const auto conversation = core.conversation_of("alice");
    return conversation && core.mark_read(*conversation, Client::kLatest, now).ok();
  });
  command([](core::Core& core, core::Now now) { return core.set_typing("alice", true, now).ok(); });
  command([](core::Core& core, core::Now now) { return core.accept("alice", now).ok(); });
  command([](core::Core& core, core::Now now) { return core.block("alice", false, now).ok(); });
  command([](core::Core& core, core::Now now) {
    return core.set_contact_policy(Client::ContactPolicy::requests, now).ok();
  });
  command([](core::Core& core, core::Now now) {
    const Outgoing message{"alice", "last", "key"};
    return core.send(std::span(&message, 1), now).ok();
  });
  rounds.emplace_back([](Replay& device) {
    return device.round([&](core::Core& core) { core.on_time(device.now()); });
  });
  rounds.emplace_back([](Replay& device) {
    return device.round([&](core::Core& core) { core.on_disconnected(device.now()); });
  });
  return rounds;
}

}  // namespace

TEST_SUITE("client-sdk/src/core") {
  TEST_CASE(
      "a disk that fails at any call fails its round, which has then changed nothing, and "
      "nothing is lost or doubled") {
    const Story story;
    const auto rounds = rounds_of(story);
    const std::vector<std::string> whole{"first", "answer", "second", "third", "unsent", "last"};
    int at = 0;
    for (bool failed = true; failed; ++at) {
      CAPTURE(at);
      REQUIRE(at < 20'000);
      MemoryBackend::Disk disk = story.disk;
      Tables before = tables_of(disk);
      {
        Replay device(disk, story.bob(), story.now, at);
        CHECK((device.core != nullptr) == !device.fault.happened);
        bool alive = device.core != nullptr;
        for (std::size_t i = 0; alive && i < rounds.size(); ++i) {
          CAPTURE(i);
          alive = rounds[i](device);
          CHECK(alive == !device.fault.happened);
          if (alive) before = tables_of(disk);
        }
        failed = device.fault.happened;
      }
      CHECK((tables_of(disk) == before));
      Replay again(disk, story.bob(), story.now, -1);
      REQUIRE(again.core);
      for (const auto& round : rounds) REQUIRE(round(again));
      CHECK(texts_of(*again.core) == whole);
    }
    CHECK(at > 100);
  }

  TEST_CASE("a read that the disk fails says so, and never gives half an answer") {
    Story story;
    SimDevice& alice = story.world.devices[0];
    SimDevice& bob = story.world.devices[1];
    const Sent sent = alice.send("bob", "seen");
    story.world.settle();
    bob.read("alice");
    story.world.settle();
    const auto conversation = alice.core->conversation_of("bob");
    REQUIRE(conversation.ok());
    using Read = std::function<std::optional<ErrorCode>(const core::Core&)>;
    const auto reading = [](auto read) -> Read {
      return [read](const core::Core& core) -> std::optional<ErrorCode> {
        const auto got = read(core);
        return got ? std::nullopt : std::optional(got.error().code);
      };
    };
    const std::vector<std::pair<const char*, Read>> reads{
        {"conversation_of", reading([](const auto& core) { return core.conversation_of("bob"); })},
        {"conversations", reading([](const auto& core) { return core.conversations({}); })},
        {"messages", reading([&](const auto& core) { return core.messages(*conversation, {}); })},
        {"message", reading([&](const auto& core) { return core.message(sent.id); })},
        {"status", reading([&](const auto& core) { return core.status(sent.id); })},
        {"explain", reading([&](const auto& core) { return core.explain(sent.id); })},
        {"contacts", reading([](const auto& core) { return core.contacts(); })},
        {"safety_number", reading([](const auto& core) { return core.safety_number("bob"); })},
    };
    MemoryBackend::Disk disk = *alice.disk;
    for (const auto& one : reads) {
      INFO(std::string(one.first));
      bool failed = true;
      int at = 0;
      for (; failed; ++at) {
        CAPTURE(at);
        REQUIRE(at < 1'000);
        Replay device(disk, alice, story.world.now(), -1);
        REQUIRE(device.core);
        device.fault.calls_left = at;
        const auto error = one.second(*device.core);
        failed = device.fault.happened;
        if (failed) {
          CHECK(error == ErrorCode::storage);
        } else {
          CHECK(!error);
        }
      }
      CHECK(at > 1);
    }
  }
}

}  // namespace godwit::test
