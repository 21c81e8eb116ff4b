// The public API against the real daemon, where things go wrong: disks that are wiped, full or
// copied, programs that crash, many threads at once.
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <godwit/client.hpp>
#include <map>
#include <thread>

#include "schema/wire/address.hpp"
#include "tests/support/relay_process.hpp"
#include "tests/support/small_disk.hpp"

namespace godwit::integration {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using support::SmallDisk;
namespace fs = std::filesystem;

// How long anything may take on a machine that is busy; nothing waits so long when it is not.
constexpr auto kPatience = 60s;

// Looks again after each event of `client`, and now and then without one.
bool await(Client& client, const std::function<bool()>& is_so) {
  const auto until = steady_clock::now() + kPatience;
  while (!is_so()) {
    if (steady_clock::now() >= until) return false;
    (void)client.wait_event(20ms);
    while (client.next_event()) {
    }
  }
  return true;
}

// The first event of this kind; those before it are dropped.
std::optional<Event> await_event(Client& client, EventKind kind,
                                 std::chrono::milliseconds patience = kPatience) {
  const auto until = steady_clock::now() + patience;
  while (steady_clock::now() < until) {
    if (!client.wait_event(20ms)) continue;
    while (auto event = client.next_event()) {
      if (event->kind == kind) return event;
    }
  }
  return std::nullopt;
}

// wait_accepted and wait_settled end early while there is no connection.
bool await_accepted(Client& client, const MessageId& id) {
  return await(client, [&] {
    const auto status = client.status(id);
    return status && status->status != Status::queued;
  });
}

bool await_settled(Client& client) {
  return await(client, [&] { return client.wait_settled(20ms).ok(); });
}

std::vector<Message> history(const Client& client, const std::string& name) {
  std::vector<Message> all;
  PageRequest request{.limit = 1'000};
  for (bool end = false; !end;) {
    const auto page = client.messages(name, request);
    if (!page) return all;
    all.insert(all.end(), page->items.begin(), page->items.end());
    request.cursor = page->cursor;
    end = page->end;
  }
  return all;
}

std::vector<std::string> texts(const Client& client, const std::string& name) {
  std::vector<std::string> all;
  for (const Message& message : history(client, name)) all.push_back(message.text);
  return all;
}

struct Town {
  explicit Town(const fs::path& alice_home = {})
      : relay({.directory = directory.path() / "relay",
               .settings = {},
               .binary = {},
               .environment = {}}),
        home(alice_home.empty() ? directory.path() / "alice" : alice_home),
        alice(join(home, "alice")),
        bob(join(directory.path() / "bob", "bob")) {}

  [[nodiscard]] std::string address() const { return wire::format_address(relay.address()); }

  Client join(const fs::path& where, const std::string& name) const {
    auto client = Client::create({.home = where}, address(), name);
    REQUIRE_MESSAGE(client.ok(), client.error().message);
    REQUIRE(client->connect().ok());
    REQUIRE(await(*client, [&] { return client->account().registered; }));
    REQUIRE(await_settled(*client));
    return std::move(*client);
  }
  MessageId say(Client& from, const std::string& to, const std::string& text) const {
    const auto sent = from.send({.to = to, .text = text, .key = {}});
    REQUIRE_MESSAGE(sent.ok(), sent.error().message);
    return sent->id;
  }
  void get_acquainted() {
    const auto id = say(alice, "bob", "hello");
    REQUIRE(await(bob, [&] { return bob.message(id).ok(); }));
    REQUIRE(await_settled(bob));
    REQUIRE(await_settled(alice));
  }
  // As after a lost disk: the key and the settings come back, the store does not.
  void wipe_relay() {
    relay.kill();
    for (const auto& entry : fs::directory_iterator(directory.path() / "relay")) {
      const auto name = entry.path().filename();
      if (name != "key" && name != "relay.toml" && name != "log") fs::remove_all(entry.path());
    }
    relay.start();
  }

  support::TemporaryDirectory directory{support::Medium::disk};
  support::RelayProcess relay;
  fs::path home;
  Client alice, bob;
};

}  // namespace

TEST_SUITE("client-sdk/client") {
  TEST_CASE("500 messages that wait at a relay whose disk is wiped arrive once and in order") {
    Town town;
    town.get_acquainted();
    town.bob.disconnect();
    std::vector<Outgoing> batch;
    std::vector<std::string> expected{"hello"};
    for (int i = 0; i < 500; ++i) {
      expected.push_back("message " + std::to_string(i));
      batch.push_back({.to = "bob", .text = expected.back(), .key = {}});
    }
    const auto sent = town.alice.send(std::span<const Outgoing>(batch));
    REQUIRE(sent.ok());
    REQUIRE(await_accepted(town.alice, sent->back().id));
    REQUIRE(town.relay.status().queued_envelopes > 0);

    town.alice.disconnect();
    town.wipe_relay();
    REQUIRE(town.relay.status().queued_envelopes == 0);
    REQUIRE(town.alice.connect().ok());
    REQUIRE(town.bob.connect().ok());
    CHECK(await(town.bob, [&] { return texts(town.bob, "alice").size() >= expected.size(); }));
    CHECK(await(town.alice, [&] {
      const auto all = history(town.alice, "bob");
      return std::ranges::all_of(all, [](const auto& m) { return m.status == Status::delivered; });
    }));
    CHECK(await_settled(town.alice));
    CHECK(await_settled(town.bob));
    CHECK(texts(town.bob, "alice") == expected);
    CHECK(town.relay.status().queued_envelopes == 0);
  }

  TEST_CASE("one app key is one message after a crash, a reconnect, a restart and a wiped disk") {
    Town town;
    town.get_acquainted();
    const Outgoing once{.to = "bob", .text = "once", .key = "the key"};
    std::optional<MessageId> first;
    const auto again = [&](const char* when) {
      const auto sent = town.alice.send(once);
      REQUIRE_MESSAGE(sent.ok(), when);
      if (!first) first = sent->id;
      CHECK_MESSAGE(sent->id == *first, when);
      Outgoing other = once;
      other.text = "another text";
      const auto refused = town.alice.send(other);
      REQUIRE(!refused.ok());
      CHECK_MESSAGE(refused.error().code == ErrorCode::key_conflict, when);
    };
    const auto reopen = [&] {
      auto opened = Client::open({.home = town.home});
      REQUIRE_MESSAGE(opened.ok(), opened.error().message);
      town.alice = std::move(*opened);
    };
    {  // A program that has only just queued it ends without another word.
      town.alice.disconnect();
      { const Client closed = std::move(town.alice); }
      const pid_t child = ::fork();
      REQUIRE(child >= 0);
      if (child == 0) {
        auto client = Client::open({.home = town.home});
        ::_exit(client && client->send(once) ? 0 : 1);
      }
      int status = 0;
      REQUIRE(::waitpid(child, &status, 0) == child);
      REQUIRE(status == 0);
      reopen();
      const auto before = history(town.alice, "bob");
      REQUIRE(before.size() == 2);
      first = before.back().id;
    }
    again("after a crash before it was accepted");
    REQUIRE(town.alice.connect().ok());
    REQUIRE(await_accepted(town.alice, *first));
    again("after it was accepted");
    town.alice.disconnect();
    REQUIRE(town.alice.connect().ok());
    REQUIRE(await_settled(town.alice));
    again("after a reconnect");
    town.alice.disconnect();
    town.bob.disconnect();
    REQUIRE(town.relay.stop() == 0);
    town.relay.start();
    REQUIRE(town.alice.connect().ok());
    REQUIRE(await_settled(town.alice));
    again("after a restart of the relay");
    town.alice.disconnect();
    town.wipe_relay();
    again("with a wiped relay, offline");
    REQUIRE(town.alice.connect().ok());
    REQUIRE(town.bob.connect().ok());
    const auto last = town.say(town.alice, "bob", "last");
    REQUIRE(await(town.bob, [&] { return town.bob.message(last).ok(); }));
    again("with a wiped relay");
    CHECK(await_settled(town.alice));
    CHECK(await_settled(town.bob));
    const std::vector<std::string> expected{"hello", "once", "last"};
    CHECK(texts(town.bob, "alice") == expected);
    CHECK(texts(town.alice, "bob") == expected);
    CHECK(town.bob.message(*first).ok());
  }

  TEST_CASE("of two copies of a home the one that came first is told, and stays away") {
    Town town;
    town.get_acquainted();
    town.alice.disconnect();
    { const Client closed = std::move(town.alice); }
    const fs::path copy = town.directory.path() / "copy";
    fs::copy(town.home, copy, fs::copy_options::recursive);
    auto first = Client::open({.home = town.home});
    REQUIRE(first.ok());
    REQUIRE(first->connect().ok());
    REQUIRE(await_settled(*first));
    auto second = Client::open({.home = copy});
    REQUIRE(second.ok());
    REQUIRE(second->connect().ok());
    REQUIRE(await_event(*first, EventKind::replaced));
    CHECK(await_settled(*second));
    const auto waited = first->wait_settled(kPatience);  // nothing more will come: no wait
    REQUIRE(!waited.ok());
    CHECK(waited.error().code == ErrorCode::replaced);
    // One that tried again would be back within a second, the longest first delay.
    const auto logins = town.relay.status().logins_total;
    CHECK_FALSE(await_event(*second, EventKind::replaced, 1'100ms));
    CHECK(town.relay.status().logins_total == logins);
    const auto id = town.say(*second, "bob", "from the copy");
    CHECK(await(town.bob, [&] { return town.bob.message(id).ok(); }));

    REQUIRE(first->connect().ok());  // asked to, it tries once more
    CHECK(await_event(*second, EventKind::replaced));
  }

  TEST_CASE("eight threads use one client while it connects and disconnects; nothing is lost") {
    constexpr int kThreads = 8, kEach = 25;
    Town town;
    town.get_acquainted();
    std::atomic<int> failures = 0, at_work = kThreads;
    const auto use = [&](int number) {
      for (int i = 0; i < kEach; ++i) {
        const std::string text = std::to_string(number) + " says " + std::to_string(i);
        if (!town.alice.send({.to = "bob", .text = text, .key = text})) ++failures;
        if (!town.alice.messages("bob", {.limit = 50, .newest_first = true})) ++failures;
        if (!town.alice.conversations({})) ++failures;
        if (!town.alice.mark_read("bob")) ++failures;
        (void)town.alice.next_event();
        (void)town.alice.account();
      }
      --at_work;
    };
    std::vector<std::thread> threads;
    for (int number = 0; number < kThreads; ++number) threads.emplace_back(use, number);
    int answers = 0;
    while (at_work > 0) {
      town.alice.disconnect();
      if (!town.bob.send({.to = "alice", .text = std::to_string(answers), .key = {}})) ++failures;
      ++answers;
      if (!town.alice.connect()) ++failures;
      (void)town.alice.wait_settled(20ms).ok();
    }
    for (auto& thread : threads) thread.join();
    CHECK(failures == 0);
    constexpr auto kAll = 1 + kThreads * kEach;
    const auto all = [&](Client& client, const char* name) {
      return await(client, [&] {
        return history(client, name).size() >= static_cast<std::size_t>(kAll + answers);
      });
    };
    CHECK(all(town.bob, "alice"));
    CHECK(all(town.alice, "bob"));
    CHECK(await_settled(town.bob));
    CHECK(await_settled(town.alice));
    std::map<std::string, int> next;  // of each thread
    for (const Message& message : history(town.bob, "alice")) {
      const auto says = message.text.find(" says ");
      if (message.outgoing || says == std::string::npos) continue;
      CHECK(std::stoi(message.text.substr(says + 6)) == next[message.text.substr(0, says)]++);
    }
    CHECK(next.size() == kThreads);
    for (const auto& [thread, count] : next) CHECK(count == kEach);
    CHECK(history(town.alice, "bob").size() == static_cast<std::size_t>(kAll + answers));
  }

  TEST_CASE("a full disk is an error; when there is room the client goes on, and nothing is lost" *
            doctest::skip(!SmallDisk::allowed())) {
    const SmallDisk disk("24m");
    Town town(disk.path() / "alice");
    town.get_acquainted();
    disk.fill();
    std::vector<std::string> expected{"hello"};
    const auto say = [&]() -> Result<Sent> {
      const std::string text = std::to_string(expected.size()) + std::string(50'000, 'x');
      auto sent = town.alice.send({.to = "bob", .text = text, .key = {}});
      if (sent) expected.push_back(text);
      return sent;
    };
    auto refused = say();
    while (refused) refused = say();  // there may be room in the file
    CHECK(refused.error().code == ErrorCode::disk_full);
    const auto told = await_event(town.alice, EventKind::storage_failed);
    REQUIRE(told);
    CHECK(told->detail.find("full") != std::string::npos);
    const auto answer = town.say(town.bob, "alice", "an answer meanwhile");
    REQUIRE(await_accepted(town.bob, answer));

    disk.make_room();
    // Nobody asks it to: it opens its home again, connects, and takes what has come.
    CHECK(await(town.alice, [&] { return town.alice.message(answer).ok(); }));
    const auto later = say();
    REQUIRE_MESSAGE(later.ok(), later.error().message);
    CHECK(await(town.bob, [&] { return town.bob.message(later->id).ok(); }));
    CHECK(await_settled(town.alice));
    CHECK(await_settled(town.bob));
    expected.insert(expected.end() - 1, "an answer meanwhile");
    CHECK(texts(town.bob, "alice").size() == expected.size());
    std::vector<std::string> received = texts(town.bob, "alice");
    std::ranges::sort(received);
    std::ranges::sort(expected);
    CHECK(received == expected);
  }

  TEST_CASE("a relay that comes back is found, and gets what was queued meanwhile") {
    Town town;
    town.get_acquainted();
    town.relay.kill();
    REQUIRE(await_event(town.alice, EventKind::offline));
    std::vector<std::string> expected{"hello"};
    for (int i = 0; i < 20; ++i) {
      expected.push_back("queued " + std::to_string(i));
      town.say(town.alice, "bob", expected.back());
    }
    town.relay.start();
    CHECK(await(town.bob, [&] { return texts(town.bob, "alice").size() >= expected.size(); }));
    CHECK(await_settled(town.alice));
    CHECK(await_settled(town.bob));
    CHECK(texts(town.bob, "alice") == expected);
  }

  TEST_CASE("after a recovery the next message comes to the new home, and the old one is told") {
    Town town;
    town.get_acquainted();
    const auto code = town.alice.recovery_code();
    REQUIRE(code.ok());
    const Options options{.home = town.directory.path() / "new"};
    auto recovered = Client::recover(options, town.address(), *code);
    REQUIRE_MESSAGE(recovered.ok(), recovered.error().message);
    REQUIRE(recovered->connect().ok());
    REQUIRE(await(*recovered, [&] { return recovered->account().registered; }));
    CHECK(await_event(town.alice, EventKind::removed));
    const auto waited = town.alice.wait_settled(kPatience);
    REQUIRE(!waited.ok());
    CHECK(waited.error().code == ErrorCode::removed);
    CHECK(await(*recovered, [&] { return recovered->account().name == "alice"; }));
    CHECK(recovered->account().user == town.alice.account().user);
    CHECK(recovered->account().device != town.alice.account().device);

    const auto id = town.say(town.bob, "alice", "are you back?");
    CHECK(await(*recovered, [&] { return recovered->message(id).ok(); }));
    CHECK(await(town.bob, [&] { return town.bob.message(id)->status == Status::delivered; }));
    const auto answer = town.say(*recovered, "bob", "I am");
    CHECK(await(town.bob, [&] { return town.bob.message(answer).ok(); }));
    CHECK_FALSE(town.alice.message(id).ok());
  }

  TEST_CASE("a full event queue says that events are lost; the descriptor knows when it is empty") {
    const support::TemporaryDirectory directory{support::Medium::disk};
    support::RelayProcess relay(
        {.directory = directory.path() / "relay", .settings = {}, .binary = {}, .environment = {}});
    auto client = Client::create({.home = directory.path() / "home", .events_max = 2},
                                 wire::format_address(relay.address()), "alice");
    REQUIRE(client.ok());
    const auto readable = [&] {
      pollfd waiting{client->descriptor(), POLLIN, 0};
      return ::poll(&waiting, 1, 0) == 1;
    };
    while (client->next_event()) {
    }
    CHECK_FALSE(readable());
    CHECK_FALSE(client->wait_event(0ms));
    for (const char* name : {"ann", "ben", "cid", "dan", "eve"}) {
      REQUIRE(client->send({.to = name, .text = "x", .key = {}}).ok());
    }
    std::vector<EventKind> kinds;
    while (readable()) {
      const auto event = client->next_event();
      REQUIRE(event);
      kinds.push_back(event->kind);
    }
    REQUIRE(kinds.size() == 3);
    CHECK(kinds[0] == EventKind::events_lost);
    CHECK(std::ranges::count(kinds, EventKind::events_lost) == 1);
    CHECK_FALSE(client->next_event());
    REQUIRE(client->send({.to = "fay", .text = "x", .key = {}}).ok());
    CHECK(readable());
    CHECK(client->wait_event(0ms));
  }
}

}  // namespace godwit::integration
