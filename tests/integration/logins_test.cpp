// Many who come at once, beside one who is there.
#include <signal.h>

#include "schema/wire/channel.hpp"
#include "schema/wire/x25519.hpp"
#include "tests/integration/story.hpp"
#include "tests/support/hostile_client.hpp"
#include "tests/support/process.hpp"

namespace godwit::integration {
namespace {

using namespace std::chrono_literals;

// Connections that say hello when they are told to, and count who is answered.
class Newcomers {
 public:
  Newcomers(Story& story, std::size_t count) {
    const wire::RelayAddress relay = story.relay.address();
    for (std::size_t i = 0; i < count; ++i) {
      auto stream = net::Stream::connect(story.fleet.loop(), relay.host_port, [this](auto result) {
        REQUIRE(result);
        ++connected_;
      });
      REQUIRE(stream);
      One& one = ones_.emplace_back(
          *std::move(stream), wire::Channel::initiator(wire::random_key_pair(), relay.key));
      one.stream.start({
          .on_read = [this, &one](wire::ByteView bytes) { on_read(one, bytes); },
          .on_closed = {},
          .on_drained = {},
      });
    }
  }

  void say_hello() {
    for (One& one : ones_) {
      wire::Bytes hello;
      one.channel.flush(hello);
      one.stream.write(std::move(hello));
    }
  }
  [[nodiscard]] bool connected() const { return connected_ == ones_.size(); }
  [[nodiscard]] std::size_t answered() const { return answered_; }

 private:
  struct One {
    One(net::Stream its_stream, wire::Channel its_channel)
        : stream(std::move(its_stream)), channel(std::move(its_channel)) {}
    net::Stream stream;
    wire::Channel channel;
  };
  void on_read(One& one, wire::ByteView bytes) {
    REQUIRE(one.channel.receive(bytes, [](wire::ByteView) { return false; }));
    answered_ += one.channel.established() ? 1 : 0;
  }

  std::list<One> ones_;
  std::size_t connected_ = 0;
  std::size_t answered_ = 0;
};

TEST_SUITE("tests/integration/logins") {
  TEST_CASE("who is there does not wait for those who come, however many, and none is forgotten") {
    constexpr std::size_t kMany = 200;
    Story story(Settings{{"network.loops", "1"}});
    auto& anna = story.member(1);
    Newcomers newcomers(story, kMany);
    story.run_until([&] { return newcomers.connected(); });
    story.await_status([](const auto& figures) { return figures.connections == kMany + 1; });

    // All hellos are there before the relay reads the first, and Anna's question after them.
    REQUIRE(::kill(story.relay.pid(), SIGSTOP) == 0);
    newcomers.say_hello();
    std::optional<std::size_t> answered_before;  // she was
    anna.raw().send(wire::Ping{},
                    [&](const wire::RelayFrame&) { answered_before = newcomers.answered(); });
    net::Timer go_on(story.fleet.loop(), [&] { ::kill(story.relay.pid(), SIGCONT); });
    go_on.start(20ms);
    story.run_until([&] { return answered_before.has_value(); });
    CHECK(*answered_before < kMany / 4);
    story.run_until([&] { return newcomers.answered() == kMany; });
    CHECK(story.relay.status().hellos_waiting == 0);
  }

  TEST_CASE("before the first comes there is room for the descriptors of all") {
    constexpr std::uint64_t kConnections = 2'000;
    const Story story(Settings{{"network.connections_max", std::to_string(kConnections)}});
    CHECK(support::descriptor_room(story.relay.pid()).value_or(0) >= kConnections);
  }

  TEST_CASE("a hello that is played again is not answered") {
    Story story(Settings{{"network.loops", "1"}});
    const wire::RelayAddress relay = story.relay.address();
    support::Plan plan;
    plan.raw = support::first_message(wire::random_key_pair(), relay.key);
    support::HostileClient device(story.fleet.loop(), relay, {}, plan);
    story.run_until([&] { return device.seen().bytes > 0; });
    for (int i = 0; i < 3; ++i) {
      support::HostileClient replayer(story.fleet.loop(), relay, {}, plan);
      story.run_until([&] { return replayer.ended(); });
      CHECK(replayer.seen().end == support::Seen::End::by_relay);
      CHECK(replayer.seen().bytes == 0);
    }
    CHECK_FALSE(device.ended());
    // With other keys it is another hello.
    plan.raw = support::first_message(wire::random_key_pair(), relay.key);
    support::HostileClient other(story.fleet.loop(), relay, {}, plan);
    story.run_until([&] { return other.seen().bytes > 0; });
  }
}

}  // namespace
}  // namespace godwit::integration
