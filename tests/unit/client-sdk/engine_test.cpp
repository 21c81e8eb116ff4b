// A whole Client over a platform of this file, in one thread: the clock moves only while somebody
// waits, the disk is memory, and the relay is whatever the test says it is.
#include <doctest/doctest.h>

#include <functional>
#include <thread>

#include "client-sdk/src/platform.hpp"
#include "schema/wire/x25519.hpp"
#include "tests/support/fixed_random.hpp"
#include "tests/support/memory_backend.hpp"

namespace godwit {
namespace {

using namespace std::chrono_literals;
using test::MemoryBackend;

using Log = std::vector<std::string>;

class LoggedBackend : public MemoryBackend {
 public:
  LoggedBackend(Disk& disk, CommitHook hook, Log& log)
      : MemoryBackend(disk, std::move(hook)), log_(log) {}
  ~LoggedBackend() override { log_.emplace_back("database closed"); }

 private:
  Log& log_;
};

struct TestPlatform : Platform {
  explicit TestPlatform(std::string_view seed = "one") : draws(seed) {}

  [[nodiscard]] core::Now now() const override { return time; }
  [[nodiscard]] crypto::Random random(const Options& /*options*/) override {
    return std::ref(draws);
  }

  [[nodiscard]] store::Result<store::Database> create_database(const Options& /*options*/,
                                                               crypto::Random random) override {
    return database(random);
  }
  [[nodiscard]] store::Result<store::Database> open_database(const Options& /*options*/,
                                                             crypto::Random random) override {
    return database(random);
  }
  store::Result<store::Database> database(const crypto::Random& random) {
    const auto hook = [this](std::uint64_t) { return !disk_fails; };
    return store::Database::over(std::make_unique<LoggedBackend>(disk, hook, log), random,
                                 wire::SecretKey{{5}});
  }

  [[nodiscard]] Result<std::unique_ptr<RelayLink>> link(const Options& /*options*/,
                                                        const wire::RelayAddress& /*relay*/,
                                                        Speaker& speaking) override {
    if (no_link) return *no_link;
    speaker = &speaking;
    return std::unique_ptr<RelayLink>(std::make_unique<Link>(*this));
  }

  // As the relay would: the handshake, and Welcome to the first request.
  void log_in() {
    Received connected;
    connected.connected = connected.has_room = true;
    REQUIRE(speaker->exchange(connected).frames.size() == 1);
    const std::vector<wire::RelayFrame> frames{{1, wire::Welcome{}}};
    Received welcomed;
    welcomed.frames = frames;
    REQUIRE(speaker->exchange(welcomed).link.logged_in);
  }

  // A minute at a time.
  [[nodiscard]] bool wait(std::unique_lock<std::mutex>& lock, std::condition_variable& /*changed*/,
                          std::chrono::milliseconds until) override {
    if (time.steady >= until) return false;
    lock.unlock();
    time.steady += std::min<std::chrono::milliseconds>(until - time.steady, 1min);
    if (step) step();
    lock.lock();
    return true;
  }

  // Its last exchange is made by the thread that destroys it.
  struct Link : RelayLink {
    explicit Link(TestPlatform& of) : platform(of) {}
    ~Link() override {
      Received received;
      received.ended = "disconnected";
      (void)platform.speaker->exchange(received);
      platform.log.emplace_back("link ended");
      if (platform.link_ends) platform.link_ends();
    }
    void wake() override { ++platform.wakes; }
    TestPlatform& platform;
  };

  core::Now time{1'700'000'000s, 1h};
  test::FixedRandom draws;
  MemoryBackend::Disk disk;
  bool disk_fails = false;
  std::optional<Error> no_link;
  std::function<void()> step;
  std::function<void()> link_ends;  // after the last exchange
  Speaker* speaker = nullptr;
  int wakes = 0;
  Log log;
};

Client make_client(const std::shared_ptr<TestPlatform>& platform) {
  wire::init_crypto();
  const auto relay =
      wire::format_address({wire::key_pair_of(wire::SecretKey{{7}}).public_key, "127.0.0.1:1"});
  auto client = Client::create({.home = "no such directory", .platform = platform}, relay, "alice");
  REQUIRE(client.ok());
  return *std::move(client);
}

}  // namespace

TEST_SUITE("client-sdk/engine") {
  TEST_CASE("an hour of waiting for a relay takes an hour of the platform's clock, and no other") {
    const auto platform = std::make_shared<TestPlatform>();
    Client client = make_client(platform);
    REQUIRE(client.connect().ok());
    const auto sent = client.send({.to = "bob", .text = "hello"});
    REQUIRE(sent.ok());
    const auto begin = platform->time.steady;

    auto accepted = client.wait_accepted(sent->id, 1h);
    REQUIRE_FALSE(accepted.ok());
    CHECK(accepted.error().code == ErrorCode::offline);
    CHECK(platform->time.steady - begin == 1h);

    platform->log_in();
    CHECK(client.wait_registered(1h).ok());
    CHECK(platform->time.steady - begin == 1h);
    accepted = client.wait_accepted(sent->id, 1h);
    REQUIRE_FALSE(accepted.ok());
    CHECK(accepted.error().code == ErrorCode::timed_out);
    CHECK(platform->time.steady - begin == 2h);
  }

  TEST_CASE("the world goes on while somebody waits for an event, until there is one") {
    const auto platform = std::make_shared<TestPlatform>();
    Client client = make_client(platform);
    REQUIRE(client.connect().ok());
    const auto begin = platform->time.steady;
    CHECK_FALSE(client.wait_event(1h));
    CHECK(platform->time.steady - begin == 1h);

    platform->step = [&] {
      if (platform->time.steady - begin == 1h + 3min) platform->log_in();
    };
    CHECK(client.wait_event(1h));
    CHECK(platform->time.steady - begin == 1h + 3min);
    CHECK(client.next_event()->kind == EventKind::registered);
  }

  TEST_CASE("what happens in one wait is seen by it") {
    const auto platform = std::make_shared<TestPlatform>();
    Client client = make_client(platform);
    REQUIRE(client.connect().ok());
    const auto begin = platform->time.steady;
    platform->step = [&] { platform->log_in(); };
    CHECK(client.wait_registered(1h).ok());
    CHECK(platform->time.steady - begin == 1min);
  }

  TEST_CASE("a link ends with a last exchange, and before the database is closed") {
    const auto platform = std::make_shared<TestPlatform>();
    {
      Client client = make_client(platform);
      REQUIRE(client.connect().ok());
      platform->log_in();
    }
    CHECK(platform->log == Log{"link ended", "database closed"});
  }

  TEST_CASE("who has disconnected waits for nothing") {
    const auto platform = std::make_shared<TestPlatform>();
    Client client = make_client(platform);
    REQUIRE(client.connect().ok());
    platform->log_in();
    client.disconnect();
    const auto begin = platform->time.steady;
    CHECK(client.wait_settled(1h).error().code == ErrorCode::offline);
    CHECK(platform->time.steady == begin);
    REQUIRE(client.connect().ok());
    CHECK(client.wait_settled(1h).error().code == ErrorCode::offline);
    CHECK(platform->time.steady - begin == 1h);
  }

  TEST_CASE("after `replaced`, connect() tries once more") {
    const auto platform = std::make_shared<TestPlatform>();
    Client client = make_client(platform);
    REQUIRE(client.connect().ok());
    platform->log_in();
    const std::vector<wire::RelayFrame> frames{{0, wire::Closing{wire::ErrorCode::replaced, 0}}};
    Received closing;
    closing.frames = frames;
    CHECK(platform->speaker->exchange(closing).link.give_up);
    Received ended;
    ended.ended = "closed";
    CHECK(platform->speaker->exchange(ended).link.give_up);
    CHECK(client.wait_settled(1h).error().code == ErrorCode::replaced);

    REQUIRE(client.connect().ok());
    CHECK_FALSE(platform->speaker->exchange({}).link.give_up);  // the first round of an attempt
    Received failed;
    failed.ended = "the relay cannot be reached";
    CHECK_FALSE(platform->speaker->exchange(failed).link.give_up);  // it is to try again
    platform->log_in();
    const auto settled = client.wait_settled(1h);
    REQUIRE_FALSE(settled.ok());
    CHECK(settled.error().code == ErrorCode::timed_out);  // logged in, and the relay says no more
  }

  TEST_CASE("what a link has no room for waits until it has") {
    const auto platform = std::make_shared<TestPlatform>();
    Client client = make_client(platform);
    REQUIRE(client.connect().ok());
    platform->log_in();  // what follows the Welcome did not leave with it
    CHECK(platform->speaker->exchange({}).frames.empty());
    Received room;
    room.has_room = true;
    CHECK_FALSE(platform->speaker->exchange(room).frames.empty());
    CHECK(platform->speaker->exchange(room).frames.empty());
  }

  TEST_CASE("an attempt that comes to nothing is told, each reason once") {
    const auto platform = std::make_shared<TestPlatform>();
    Client client = make_client(platform);
    while (client.next_event()) {
    }
    REQUIRE(client.connect().ok());
    const auto fail = [&](const char* why) {
      Received failed;
      failed.ended = why;
      (void)platform->speaker->exchange(failed);
      const auto event = client.next_event();
      return event && event->kind == EventKind::offline ? event->detail : std::string();
    };
    CHECK(fail("nobody listens there") == "nobody listens there");
    CHECK(fail("nobody listens there").empty());
    CHECK(fail("it cannot be found") == "it cannot be found");
    client.disconnect();
    CHECK_FALSE(client.next_event());  // it was the app's own
  }

  TEST_CASE("an app that was told `online` is told of the end, also of one that the disk brought") {
    const auto platform = std::make_shared<TestPlatform>();
    Client client = make_client(platform);
    REQUIRE(client.connect().ok());
    platform->log_in();
    platform->disk_fails = true;
    CHECK_FALSE(client.send({.to = "bob", .text = "hello"}).ok());
    CHECK(platform->speaker->exchange({}).link.close);
    while (client.next_event()) {
    }
    Received ended;
    SUBCASE("the relay's") {
      ended.ended = "the disk failed";
      for (int exchanges = 0; exchanges < 2; ++exchanges) {
        (void)platform->speaker->exchange(ended);
      }
    }
    SUBCASE("the app's own") { client.disconnect(); }
    const auto event = client.next_event();
    REQUIRE(event);
    CHECK(event->kind == EventKind::offline);
    CHECK(event->detail == (ended.ended ? "the disk failed" : "disconnected"));
    CHECK_FALSE(client.next_event());
  }

  TEST_CASE("a name that cannot be asked for leaves the one that was taken taken") {
    const auto platform = std::make_shared<TestPlatform>();
    Client client = make_client(platform);
    REQUIRE(client.connect().ok());
    Received connected;
    connected.connected = connected.has_room = true;
    (void)platform->speaker->exchange(connected);
    wire::Welcome body;
    body.name = wire::ErrorCode::name_taken;
    const std::vector<wire::RelayFrame> frames{{1, body}};
    Received welcomed;
    welcomed.frames = frames;
    (void)platform->speaker->exchange(welcomed);
    CHECK(client.wait_registered(0ms).error().code == ErrorCode::name_taken);
    SUBCASE("no name") { CHECK_FALSE(client.set_name("?").ok()); }
    SUBCASE("without a connection") {
      client.disconnect();
      CHECK(client.set_name("alicia").error().code == ErrorCode::offline);
    }
    const auto registered = client.wait_registered(0ms);
    REQUIRE_FALSE(registered.ok());
    CHECK(registered.error().code == ErrorCode::name_taken);
  }

  TEST_CASE("a name whose claim is undecided at registration is waited for, and nobody's yet") {
    const auto platform = std::make_shared<TestPlatform>();
    Client client = make_client(platform);
    REQUIRE(client.connect().ok());
    Received connected;
    connected.connected = connected.has_room = true;
    (void)platform->speaker->exchange(connected);
    wire::Welcome body;
    body.name = wire::ErrorCode::busy;
    const std::vector<wire::RelayFrame> frames{{1, body}};
    Received welcomed;
    welcomed.frames = frames;
    (void)platform->speaker->exchange(welcomed);
    CHECK(client.account().registered);
    CHECK(client.account().name.empty());
    CHECK(client.wait_registered(0ms).error().code == ErrorCode::timed_out);
  }

  TEST_CASE("connect() while the next attempt is waited for tries at once") {
    const auto platform = std::make_shared<TestPlatform>();
    Client client = make_client(platform);
    REQUIRE(client.connect().ok());
    REQUIRE(client.connect().ok());
    CHECK(platform->log.empty());  // the first attempt is under way
    Received failed;
    failed.ended = "nobody listens there";
    (void)platform->speaker->exchange(failed);
    REQUIRE(client.connect().ok());
    CHECK(platform->log == Log{"link ended"});  // and there is another
    platform->log_in();
    REQUIRE(client.connect().ok());
    CHECK(platform->log == Log{"link ended"});
  }

  TEST_CASE("who waits while another thread calls connect() is not told to connect first") {
    const auto platform = std::make_shared<TestPlatform>();
    Client client = make_client(platform);
    REQUIRE(client.connect().ok());
    Received failed;
    failed.ended = "nobody listens there";
    (void)platform->speaker->exchange(failed);
    std::string meanwhile;
    platform->link_ends = [&] { meanwhile = client.wait_registered(0ms).error().message; };
    REQUIRE(client.connect().ok());
    CHECK(meanwhile == "disconnected");  // the last that was heard of the connection
    client.disconnect();
    CHECK(meanwhile == "not connected; connect first");
  }

  TEST_CASE("a delay that one connection was told is not that of the attempts after it") {
    const auto platform = std::make_shared<TestPlatform>();
    Client client = make_client(platform);
    REQUIRE(client.connect().ok());
    platform->log_in();
    const std::vector<wire::RelayFrame> frames{{0, wire::Closing{wire::ErrorCode::busy, 600'000}}};
    Received closing;
    closing.frames = frames;
    (void)platform->speaker->exchange(closing);
    Received ended;
    ended.ended = "closed";
    CHECK(platform->speaker->exchange(ended).link.retry_after == 10min);
    platform->time.steady += 10min;
    ended.ended = "cannot be reached";
    CHECK(platform->speaker->exchange(ended).link.retry_after == 0min);
  }

  TEST_CASE("a home that is opened a day later is any thread's to use") {
    const auto platform = std::make_shared<TestPlatform>();
    { const Client client = make_client(platform); }
    platform->time.wall += 25h;  // the session key is due
    auto client = Client::open({.home = "no such directory", .platform = platform});
    REQUIRE(client.ok());
    std::thread([&] { CHECK(client->send({.to = "bob", .text = "one"}).ok()); }).join();
    platform->time.wall += 25h;
    REQUIRE(client->connect().ok());
    platform->log_in();
    (void)platform->speaker->exchange({});  // the link's thread replaces it again
    std::thread([&] { CHECK(client->send({.to = "bob", .text = "two"}).ok()); }).join();
  }

  TEST_CASE("a change wakes the link, and none is needed for it") {
    const auto platform = std::make_shared<TestPlatform>();
    Client client = make_client(platform);
    REQUIRE(client.send({.to = "bob", .text = "one"}).ok());
    CHECK(platform->wakes == 0);
    REQUIRE(client.connect().ok());
    REQUIRE(client.send({.to = "bob", .text = "two"}).ok());
    CHECK(platform->wakes == 1);
  }

  TEST_CASE("without a link the app hears why, and may try again") {
    const auto platform = std::make_shared<TestPlatform>();
    Client client = make_client(platform);
    platform->no_link = Error{ErrorCode::offline, "the cable is out"};
    CHECK(client.connect().error().message == "the cable is out");
    CHECK(client.wait_registered(1h).error().code == ErrorCode::offline);
    CHECK(platform->time.steady == 1h);
    platform->no_link.reset();
    CHECK(client.connect().ok());
    CHECK(platform->speaker != nullptr);
  }

  TEST_CASE("a home that failed is opened again a second later, by the platform's clock") {
    const auto platform = std::make_shared<TestPlatform>();
    Client client = make_client(platform);
    REQUIRE(client.connect().ok());
    platform->disk_fails = true;
    const Outgoing message{.to = "bob", .text = "hello"};
    CHECK_FALSE(client.send(message).ok());
    CHECK(platform->log == Log{"database closed"});
    platform->disk_fails = false;
    const auto again_at = platform->time.steady + 1s;
    CHECK(platform->speaker->exchange({}).deadline == again_at);
    platform->time.steady = again_at - 1ms;
    CHECK_FALSE(platform->speaker->transport_keys());
    CHECK_FALSE(client.send(message).ok());
    platform->time.steady = again_at;
    CHECK(platform->speaker->transport_keys());
    CHECK(client.send(message).ok());
  }

  TEST_CASE("the keys of a home follow from the platform's randomness alone") {
    const auto code = [](std::string_view seed) {
      return *make_client(std::make_shared<TestPlatform>(seed)).recovery_code();
    };
    CHECK(code("one") == code("one"));
    CHECK(code("one") != code("two"));
  }
}

}  // namespace godwit
