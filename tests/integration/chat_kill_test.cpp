// Two people write to each other while the relay and both of their programs are killed with
// SIGKILL, again and again, and each is offline half of the time. Then: nothing lost, nothing
// twice, the order kept, every status right on both devices, nothing left at the relay.
//
// Happy path: two accounts -> two processes of this program that talk (`--talk`) -> kills at random
// moments -> quiet: both stay until they have everything and know that it was read -> their homes
// are opened here and judged.
// Failure: each broken promise is counted and its first cases printed; the exit status is 1.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <godwit/client.hpp>
#include <map>
#include <random>
#include <thread>

#include "tests/support/relay_process.hpp"
#include "tests/support/requirements.hpp"

namespace godwit::integration {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
namespace fs = std::filesystem;

struct Talk {
  fs::path home;
  std::string name, peer;
  std::uint32_t messages = 0;
  std::uint32_t per_second = 1'000;
  std::uint64_t seed = 1;
};

std::string text_of(const std::string& name, std::uint32_t number) {
  return name + " says " + std::to_string(number);
}

// ---- One who talks ------------------------------------------------------------------------------

class Talker {
 public:
  explicit Talker(Talk talk, Client client)
      : talk_(std::move(talk)), client_(std::move(client)), random_(talk_.seed) {}

  int run() {
    next_ = progress();
    next_ -= std::min(next_, 25U);  // again, under the same keys: what a crash left in doubt
    auto turn = steady_clock::now();
    bool online = false;
    while (next_ < talk_.messages) {
      if (steady_clock::now() >= turn) {
        online = !online;
        online ? (void)client_.connect() : client_.disconnect();
        turn = steady_clock::now() + milliseconds(50 + random_() % 400);
      }
      if (!say()) return 1;
      if (random_() % 8 == 0) (void)client_.mark_read(talk_.peer);
    }
    (void)client_.connect();
    while (!done()) {
      (void)client_.mark_read(talk_.peer);
      (void)client_.wait_event(50ms);
      while (client_.next_event()) {
      }
    }
    (void)client_.mark_read(talk_.peer);  // what came since
    return client_.wait_settled(30s) ? 0 : 1;
  }

 private:
  fs::path progress_file() const { return talk_.home.parent_path() / (talk_.name + ".progress"); }

  std::uint32_t progress() const {
    std::uint32_t number = 0;
    std::ifstream(progress_file()) >> number;
    return number;
  }

  bool say() {
    std::vector<Outgoing> batch;
    const auto end =
        std::min(talk_.messages, next_ + 1 + static_cast<std::uint32_t>(random_() % 20));
    for (; next_ < end; ++next_) {
      batch.push_back({talk_.peer, text_of(talk_.name, next_), "key " + std::to_string(next_)});
    }
    const auto sent = client_.send(std::span<const Outgoing>(batch));
    if (!sent) {
      std::fprintf(stderr, "%s: %s\n", talk_.name.c_str(), sent.error().message.c_str());
      return false;
    }
    const fs::path part = progress_file().string() + ".part";
    std::ofstream(part) << next_;
    fs::rename(part, progress_file());
    std::this_thread::sleep_for(batch.size() * 1'000'000us / talk_.per_second);
    return true;
  }

  // All of ours are read, and all of theirs are here.
  bool done() {
    std::uint32_t received = 0, read = 0;
    PageRequest page{.limit = 1'000};
    for (bool end = false; !end;) {
      const auto got = client_.messages(talk_.peer, page);
      if (!got) return false;
      for (const Message& message : got->items) {
        if (!message.outgoing) {
          ++received;
        } else if (message.status == Status::read) {
          ++read;
        }
      }
      page.cursor = got->cursor;
      end = got->end;
    }
    return received >= talk_.messages && read >= talk_.messages;
  }

  const Talk talk_;
  Client client_;
  std::mt19937_64 random_;
  std::uint32_t next_ = 0;
};

int talk(const Talk& options) {
  for (int attempt = 0; attempt < 200; ++attempt) {  // the killed one's lock may linger a moment
    auto client = Client::open({.home = options.home});
    if (client) return Talker(options, std::move(*client)).run();
    if (client.error().code != ErrorCode::home_in_use) {
      std::fprintf(stderr, "%s: %s\n", options.name.c_str(), client.error().message.c_str());
      return 1;
    }
    std::this_thread::sleep_for(10ms);
  }
  return 1;
}

// ---- The test -----------------------------------------------------------------------------------

struct Options {
  std::uint32_t kills = 20;  // of each of the three
  std::uint32_t messages = 20'000;
  std::uint32_t per_second = 1'000;
  std::uint64_t seed = 1;
  std::uint32_t seconds_max = 300;
};

class Process {
 public:
  Process(Talk talk, std::string self) : talk_(std::move(talk)), self_(std::move(self)) {}
  ~Process() { kill(); }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void start() {
    ++talk_.seed;
    std::vector<std::string> arguments{self_,
                                       "--talk",
                                       talk_.home.string(),
                                       "--name",
                                       talk_.name,
                                       "--peer",
                                       talk_.peer,
                                       "--messages",
                                       std::to_string(talk_.messages),
                                       "--per-second",
                                       std::to_string(talk_.per_second),
                                       "--seed",
                                       std::to_string(talk_.seed)};
    std::vector<char*> raw;
    for (auto& argument : arguments) raw.push_back(argument.data());
    raw.push_back(nullptr);
    REQUIRE(posix_spawn(&pid_, self_.c_str(), nullptr, nullptr, raw.data(), environ) == 0);
  }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    (void)wait(true);
  }
  // The exit status; nothing while it runs.
  std::optional<int> wait(bool block) {
    if (pid_ <= 0) return status_;
    int status = 0;
    if (::waitpid(pid_, &status, block ? 0 : WNOHANG) == 0) return std::nullopt;
    pid_ = -1;
    status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return status_;
  }
  bool running() { return pid_ > 0 && !wait(false).has_value(); }

 private:
  Talk talk_;
  std::string self_;
  pid_t pid_ = -1;
  int status_ = 0;
};

class ChatKillTest {
 public:
  ChatKillTest(const Options& options, const std::string& self)
      : options_(options),
        random_(options.seed),
        relay_({.directory = directory_.path() / "relay",
                .settings = {},
                .binary = {},
                .environment = {}}),
        alice_(talk_of("alice", "bob"), self),
        bob_(talk_of("bob", "alice"), self) {}

  bool run() {
    register_both();
    alice_.start();
    bob_.start();
    kill_at_random();
    const bool finished = wait_for_both();
    judge("alice", "bob");
    judge("bob", "alice");
    if (!finished) expect(false, "both end by themselves");
    for (int i = 0; i < 100 && relay_.status().queued_envelopes != 0; ++i)
      std::this_thread::sleep_for(50ms);
    expect(relay_.status().queued_envelopes == 0, "the relay has nothing left");
    std::printf("kills: relay %u, alice %u, bob %u; messages %u each way; %.1f s; seed %llu\n",
                options_.kills, options_.kills, options_.kills, options_.messages, seconds(),
                static_cast<unsigned long long>(options_.seed));
    std::printf("LOST %zu, TWICE %zu, OUT OF ORDER %zu, WRONG STATUS %zu, NEVER SENT %zu\n", lost_,
                twice_, disordered_, wrong_status_, invented_);
    return broken_ == 0 && lost_ + twice_ + disordered_ + wrong_status_ + invented_ == 0;
  }

 private:
  double seconds() const {
    return std::chrono::duration<double>(steady_clock::now() - began_).count();
  }
  fs::path home(const std::string& name) const { return directory_.path() / name; }
  Talk talk_of(const std::string& name, const std::string& peer) const {
    return {home(name),
            name,
            peer,
            options_.messages,
            options_.per_second,
            options_.seed * 1'000 + name.size()};
  }

  void register_both() {
    for (const std::string name : {"alice", "bob"}) {
      auto client =
          Client::create({.home = home(name)}, wire::format_address(relay_.address()), name);
      REQUIRE_MESSAGE(client.ok(), (client ? "" : client.error().message));
      REQUIRE(client->connect().ok());
      REQUIRE(client->wait_registered(10s).ok());
      REQUIRE(client->wait_settled(10s).ok());
    }
  }

  void kill_at_random() {
    std::vector<int> victims;
    for (std::uint32_t i = 0; i < options_.kills; ++i) victims.insert(victims.end(), {0, 1, 2});
    std::ranges::shuffle(victims, random_);
    for (const int victim : victims) {
      std::this_thread::sleep_for(milliseconds(20 + random_() % 300));
      const auto pause = milliseconds(random_() % 100);
      if (victim == 0) {
        relay_.kill();
        std::this_thread::sleep_for(pause);
        relay_.start();
        continue;
      }
      Process& process = victim == 1 ? alice_ : bob_;
      ended_early_ += !process.running();
      process.kill();
      std::this_thread::sleep_for(pause);
      process.start();
    }
    expect(ended_early_ == 0, "the talk goes on until the last kill");
  }

  bool wait_for_both() {
    const auto until = began_ + std::chrono::seconds(options_.seconds_max);
    while (steady_clock::now() < until) {
      const bool alice = alice_.running(), bob = bob_.running();
      if (!alice && !bob) {
        return alice_.wait(false) == 0 && bob_.wait(false) == 0;
      }
      std::this_thread::sleep_for(20ms);
    }
    alice_.kill();
    bob_.kill();
    return false;
  }

  std::vector<Message> history(const std::string& of, const std::string& with) {
    std::vector<Message> all;
    auto client = Client::open({.home = home(of)});
    REQUIRE_MESSAGE(client.ok(), (client ? "" : client.error().message));
    PageRequest page{.limit = 1'000};
    for (bool end = false; !end;) {
      auto got = client->messages(with, page);
      if (!got) return all;
      all.insert(all.end(), got->items.begin(), got->items.end());
      page.cursor = got->cursor;
      end = got->end;
    }
    return all;
  }

  // What `from` wrote to `to`, as both devices have it.
  void judge(const std::string& from, const std::string& to) {
    std::map<std::string, std::uint32_t> numbers;
    for (std::uint32_t i = 0; i < options_.messages; ++i) numbers[text_of(from, i)] = i;
    count(history(from, to), true, numbers, from);
    count(history(to, from), false, numbers, to);
  }

  void count(const std::vector<Message>& messages, bool outgoing,
             const std::map<std::string, std::uint32_t>& numbers, const std::string& device) {
    std::vector<std::uint32_t> times(options_.messages);
    std::uint32_t least = 0;
    for (const Message& message : messages) {
      if (message.outgoing != outgoing) continue;
      const auto number = numbers.find(message.text);
      if (number == numbers.end()) {
        tell(++invented_, device, "has what was never sent", message.text);
        continue;
      }
      if (++times[number->second] > 1) tell(++twice_, device, "has twice", message.text);
      if (number->second < least) tell(++disordered_, device, "has too late", message.text);
      least = std::max(least, number->second);
      if (message.status != Status::read) {
        tell(++wrong_status_, device, to_string(message.status), message.text);
      }
    }
    for (std::uint32_t i = 0; i < options_.messages; ++i) {
      if (times[i] == 0) tell(++lost_, device, "has not number", std::to_string(i));
    }
  }

  static void tell(std::size_t count, std::string_view device, std::string_view what,
                   const std::string& which) {
    if (count > 5) return;
    std::printf("%.*s %.*s: %s\n", static_cast<int>(device.size()), device.data(),
                static_cast<int>(what.size()), what.data(), which.c_str());
  }
  void expect(bool holds, const char* what) {
    if (holds) return;
    ++broken_;
    std::printf("not so: %s\n", what);
  }

  const Options options_;
  std::mt19937_64 random_;
  const steady_clock::time_point began_ = steady_clock::now();
  support::TemporaryDirectory directory_{support::Medium::disk};
  support::RelayProcess relay_;
  Process alice_, bob_;
  std::size_t lost_ = 0, twice_ = 0, disordered_ = 0, wrong_status_ = 0, invented_ = 0;
  std::size_t broken_ = 0, ended_early_ = 0;
};

}  // namespace
}  // namespace godwit::integration

int main(int argc, char** argv) {
  using namespace godwit::integration;
  CLI::App app("Kills a relay and two people's programs while they talk");
  Options options;
  Talk mine;
  std::string talking;
  app.add_option("--kills", options.kills, "of each");
  app.add_option("--messages", options.messages, "each way");
  app.add_option("--per-second", options.per_second, "each way, at most");
  app.add_option("--seed", options.seed);
  app.add_option("--seconds-max", options.seconds_max);
  app.add_option("--talk", talking, "the home of one who talks")->group("");
  app.add_option("--name", mine.name)->group("");
  app.add_option("--peer", mine.peer)->group("");
  CLI11_PARSE(app, argc, argv);
  if (!talking.empty()) {
    mine.home = talking;
    mine.messages = options.messages;
    mine.per_second = options.per_second;
    mine.seed = options.seed;
    return talk(mine);
  }
  const godwit::support::Requirements requirements;
  const auto self = std::filesystem::read_symlink("/proc/self/exe").string();
  const bool kept = ChatKillTest(options, self).run();
  std::puts(kept ? "every promise was kept" : "A PROMISE WAS BROKEN");
  return kept ? 0 : 1;
}
