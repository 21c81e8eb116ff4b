#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

#include "tests/unit/sim/people.hpp"

namespace godwit::testing {
namespace {

using namespace std::chrono_literals;

// What a program says before it aborts; empty when it does not.
std::string last_words(const std::function<void()>& act) {
  std::array<int, 2> ends{};
  REQUIRE(pipe(ends.data()) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);  // not doctest's: it would report the test again
    if (dup2(ends[1], STDERR_FILENO) < 0) _exit(1);
    act();
    _exit(0);
  }
  close(ends[1]);
  std::string words;
  std::array<char, 256> buffer{};
  for (ssize_t size = 0; (size = read(ends[0], buffer.data(), buffer.size())) > 0;) {
    words.append(buffer.data(), static_cast<std::size_t>(size));
  }
  close(ends[0]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? words : "";
}

// Whatever befalls two people, as text: ids, events and times.
std::string story(std::uint64_t seed) {
  World world(seed);
  Client& alice = world.add("alice");
  Client& bob = world.add("bob");
  (void)say(alice, "bob", "one");
  world.run(30ms);
  world.crash_at_next_commit("bob", World::Moment::after_commit);
  (void)say(alice, "bob", "two");
  world.run(1min);
  world.lose_next("alice", World::Frame::accepted);
  (void)say(alice, "bob", "three");
  world.cut("bob", false);
  world.run(10min);
  world.restart_relay();
  world.restore("bob");
  CHECK(world.settle());
  CHECK(texts(bob, "alice") == "one, two, three");
  std::string told;
  for (Client* client : {&alice, &bob}) {
    for (const Event& event : events_of(*client)) {
      told += std::string(to_string(event.kind)) + ' ' + event.message.hex() + ' ' +
              event.conversation.hex() + ' ' + event.user.hex() + ' ' + event.detail + ' ' +
              std::to_string(event.time.time_since_epoch().count()) + '\n';
    }
  }
  return told + std::to_string(world.now().time_since_epoch().count());
}

}  // namespace

TEST_SUITE("godwit/testing") {
  TEST_CASE("two people talk, and see what the other has had and read") {
    World world;
    Client& alice = world.add("alice");
    Client& bob = world.add("bob");
    CHECK(alice.account().registered);
    CHECK(bob.account().name == "bob");
    const MessageId question = say(alice, "bob", "tea?");
    CHECK(status_of(alice, question) == Status::queued);
    REQUIRE(world.settle());
    CHECK(status_of(alice, question) == Status::delivered);
    CHECK(count(events_of(bob), EventKind::message_received) == 1);
    REQUIRE(bob.mark_read("alice"));
    const MessageId answer = say(bob, "alice", "tea.");
    REQUIRE(world.settle());
    CHECK(status_of(alice, question) == Status::read);
    CHECK(status_of(bob, answer) == Status::delivered);
    CHECK(texts(alice, "bob") == "tea?, tea.");
    CHECK(texts(bob, "alice") == "tea?, tea.");
    CHECK(&world.client("alice") == &alice);
  }

  TEST_CASE("time stands still, but for run, settle and what waits") {
    World world;
    Client& alice = world.add("alice");
    (void)world.add("bob");
    world.set_latency(1s);
    const Time began = world.now();
    const MessageId id = say(alice, "bob", "slow");
    CHECK(world.now() == began);
    REQUIRE(alice.wait_accepted(id, 1min));
    // To the relay and back: for bob, for a key of his, and with the message.
    CHECK(world.now() - began >= 6s);
    CHECK(world.now() - began < 7s);
    const Time then = world.now();
    world.run(24h * 30);
    CHECK(world.now() - then == 24h * 30);
  }

  TEST_CASE("what is sent in an offline week arrives after it") {
    World world;
    Client& alice = world.add("alice");
    Client& bob = world.add("bob");
    world.cut("bob");
    std::string all;
    std::vector<MessageId> ids;
    for (int day = 1; day <= 7; ++day) {
      const std::string text = "day " + std::to_string(day);
      ids.push_back(say(alice, "bob", text));
      all += (all.empty() ? "" : ", ") + text;
      world.run(24h);
    }
    CHECK(world.queued() == 7);
    CHECK(status_of(alice, ids.back()) == Status::sent);
    CHECK(texts(bob, "alice").empty());
    world.restore("bob");
    REQUIRE(world.settle());
    CHECK(world.queued() == 0);
    CHECK(texts(bob, "alice") == all);
    for (const MessageId& id : ids) CHECK(status_of(alice, id) == Status::delivered);
  }

  TEST_CASE("a network that ends is noticed at once, or after a while") {
    World world;
    Client& bob = world.add("bob");
    (void)events_of(bob);
    const auto offline_after = [&](std::chrono::milliseconds time) {
      world.run(time);
      return count(events_of(bob), EventKind::offline);
    };
    SUBCASE("at once") {
      world.cut("bob");
      CHECK(offline_after(0ms) == 1);
    }
    SUBCASE("after a while") {
      world.cut("bob", false);
      CHECK(offline_after(1s) == 0);
      CHECK(offline_after(10min) == 1);
    }
    world.restore("bob");
    REQUIRE(world.settle());
    CHECK(count(events_of(bob), EventKind::online) == 1);
  }

  TEST_CASE("settle waits for those who have a network, and says so when it takes too long") {
    World world;
    Client& alice = world.add("alice");
    (void)world.add("bob");
    world.cut("bob");
    const MessageId id = say(alice, "bob", "hello");
    CHECK(world.settle(1min));
    CHECK(status_of(alice, id) == Status::sent);
    world.stop_relay();
    CHECK_FALSE(world.settle(1min));
    world.start_relay();
    CHECK(world.settle());
  }

  TEST_CASE("a clock that jumps reorders nothing, and one that is far ahead is told of") {
    World world;
    Client& alice = world.add("alice");
    Client& bob = world.add("bob");
    const auto time_of = [&](const MessageId& id) {
      const auto message = bob.message(id);
      REQUIRE(message);
      return message->time;
    };
    world.set_clock("alice", 1min);
    const Time sent = world.now();
    const MessageId ahead = say(alice, "bob", "from the future");
    REQUIRE(world.settle());
    CHECK(time_of(ahead) == sent + 1min);
    world.set_clock("alice", -24h * 30);
    const MessageId behind = say(alice, "bob", "from last month");
    REQUIRE(world.settle());
    (void)say(bob, "alice", "from now");
    REQUIRE(world.settle());
    CHECK(status_of(alice, behind) == Status::delivered);
    CHECK(texts(bob, "alice") == "from the future, from last month, from now");
    CHECK(texts(alice, "bob") == texts(bob, "alice"));
    CHECK(count(events_of(bob), EventKind::late_clock) == 0);
    world.set_clock("alice", 2h);
    const MessageId far = say(alice, "bob", "from far ahead");
    REQUIRE(world.settle());
    CHECK(status_of(alice, far) == Status::delivered);
    CHECK(count(events_of(bob), EventKind::late_clock) == 1);
  }

  TEST_CASE("the same seed and the same calls give the same run, another seed another") {
    const std::string first = story(7);
    CHECK(first.size() > 500);
    CHECK(first == story(7));
    CHECK(first != story(8));
  }

  TEST_CASE("an app makes its clients itself, and opens another after a crash") {
    World world;
    Client& bob = world.add("bob");
    auto carol = Client::create(world.home("carol's phone"), world.relay(), "carol");
    REQUIRE(carol);
    REQUIRE(carol->connect());
    REQUIRE(carol->wait_registered(1min));
    (void)say(*carol, "bob", "mine");
    REQUIRE(carol->wait_settled(1min));
    REQUIRE(world.settle());
    CHECK(texts(bob, "carol") == "mine");
    CHECK(Client::open(world.home("carol's phone")).error().code == ErrorCode::home_in_use);

    world.crash("carol's phone");
    const auto refused = carol->send({.to = "bob", .text = "from the grave"});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::storage);
    CHECK_FALSE(carol->messages("bob", {}));
    CHECK_FALSE(carol->wait_settled(1min));
    auto again = Client::open(world.home("carol's phone"));
    REQUIRE(again);
    CHECK(texts(*again, "bob") == "mine");
    REQUIRE(again->connect());
    (void)say(bob, "carol", "welcome back");
    REQUIRE(world.settle());
    REQUIRE(again->wait_settled(1min));
    CHECK(texts(*again, "bob") == "mine, welcome back");
    CHECK_FALSE(carol->send({.to = "bob", .text = "still dead"}));
  }

  TEST_CASE("an account is recovered in a home of this world") {
    World world;
    Client& alice = world.add("alice");
    Client& bob = world.add("bob");
    (void)say(alice, "bob", "before");
    REQUIRE(world.settle());
    const auto code = alice.recovery_code();
    REQUIRE(code);
    world.cut("alice");
    auto phone = Client::recover(world.home("alice's new phone"), world.relay(), *code);
    REQUIRE(phone);
    REQUIRE(phone->connect());
    REQUIRE(phone->wait_registered(1min));
    REQUIRE(phone->wait_settled(1min));
    CHECK(phone->account().user == alice.account().user);
    CHECK(phone->account().device != alice.account().device);
    (void)say(bob, "alice", "after");
    REQUIRE(world.settle());
    REQUIRE(phone->wait_settled(1min));
    CHECK(texts(*phone, "bob") == "after");
    world.restore("alice");
    world.run(10min);
    CHECK(count(events_of(alice), EventKind::removed) == 1);
  }

  TEST_CASE("misuse ends the program with a sentence") {
    World world;
    (void)world.add("alice");
    (void)world.home("a phone");
    const auto ends_with = [](const std::string& sentence, const std::function<void()>& act) {
      CHECK(last_words(act) == "godwit::testing: " + sentence + "\n");
    };
    ends_with("there is no home \"bob\"; add() or home() make one", [&] { world.cut("bob"); });
    ends_with("there is a home \"alice\" already", [&] { (void)world.add("alice"); });
    ends_with("the client of \"alice\" is the world's", [&] { (void)world.home("alice"); });
    ends_with("the client of \"a phone\" is not the world's",
              [&] { (void)world.client("a phone"); });
    CHECK(last_words([&] { (void)world.add("No Name"); }).find("No Name") != std::string::npos);
    CHECK(last_words([&] { world.cut("alice"); }).empty());
  }
}

}  // namespace godwit::testing
