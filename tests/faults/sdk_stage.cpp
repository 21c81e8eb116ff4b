// One trial: a program with the SDK (talker.cpp) is started with the fault, with a name of its own
// -> it and somebody here write to each other -> it ends. Unless it is done, it is started again
// without the fault, and then has to be. Both homes are judged: each message once, in order, read;
// and what the program had shown is there, and was shown once.
#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <godwit/client.hpp>
#include <optional>
#include <set>

#include "tests/faults/stage.hpp"
#include "tests/support/relay_process.hpp"

namespace godwit::faults {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
namespace fs = std::filesystem;

constexpr std::uint32_t kMessages = 100;  // each way
constexpr auto kPatience = 40s;           // more than the talker's own
constexpr auto kSettle = 10s;
constexpr std::size_t kToldMax = 5;
constexpr const char* kPeer = "bob";

std::string text_from(const std::string& name, std::uint32_t number) {
  return name + " says " + std::to_string(number);
}

// The one who is not in danger: answers the first message of each name with all of its own, and
// reads what comes.
class Peer {
 public:
  Peer(const fs::path& home, const std::string& relay) : client_(make(home, relay)) {}

  void listen(const std::string& to) {
    if (!client_.wait_event(10ms)) return;
    bool news = false;
    while (const auto event = client_.next_event()) {
      news = news || event->kind == EventKind::message_received;
    }
    if (!news) return;
    (void)client_.mark_read(to);
    if (!answered_.insert(to).second) return;
    std::vector<Outgoing> all;
    for (std::uint32_t i = 0; i < kMessages; ++i) {
      all.push_back({to, text_from(kPeer, i) + " to " + to, std::nullopt});
    }
    REQUIRE(client_.send(std::span<const Outgoing>(all)).ok());
  }
  // What was read there is known here a moment later.
  void await_end(const std::string& with) {
    const auto limit = steady_clock::now() + kSettle;
    while (!all_read(with) && steady_clock::now() < limit) listen(with);
  }
  [[nodiscard]] Client& client() { return client_; }

 private:
  static Client make(const fs::path& home, const std::string& relay) {
    auto client = Client::create({.home = home}, relay, kPeer);
    REQUIRE(client.ok());
    REQUIRE(client->connect().ok());
    REQUIRE(client->wait_registered(20s).ok());
    return std::move(*client);
  }
  [[nodiscard]] bool all_read(const std::string& with) const {
    const auto page = client_.messages(with, {.limit = 1'000});
    if (!page || page->items.size() != 2 * kMessages) return false;
    return std::ranges::all_of(
        page->items, [](const Message& message) { return message.status == Status::read; });
  }

  Client client_;
  std::set<std::string> answered_;
};

std::vector<std::string> lines_of(const fs::path& file, const std::string& beginning) {
  std::vector<std::string> lines;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(beginning)) lines.push_back(line.substr(beginning.size()));
  }
  return lines;
}

class SdkStage final : public Stage {
 public:
  SdkStage()
      : relay_({.directory = directory_.path() / "relay",
                .settings = {},
                .binary = {},
                .environment = {}}),
        address_(wire::format_address(relay_.address())),
        peer_(directory_.path() / kPeer, address_) {
    (void)play(std::nullopt);
  }

  Played play(const std::optional<Fault>& fault) override {
    played_ = {};
    name_ = "user" + std::to_string(++trials_);
    const Counter counter(directory_.path() / "counts");
    // One in four stays, to see the library mend itself; that takes it a second and more.
    const bool stays = fault && !fault->lasting && fault->index % 4 == 0;
    const int status = run(counter.environment(fault), stays);
    played_.calls = counter.calls();
    judge_end(status);
    if (status != 0) {
      const int again = run({}, false);
      expect(again == 0, "without the fault it ends with " + std::to_string(again));
    }
    judge_homes();
    std::error_code ignored;
    fs::remove_all(home(), ignored);
    fs::remove(output(), ignored);
    return std::move(played_);
  }

 private:
  [[nodiscard]] fs::path home() const { return directory_.path() / name_; }
  [[nodiscard]] fs::path output() const { return directory_.path() / (name_ + ".shown"); }
  void expect(bool holds, const std::string& otherwise) {
    if (!holds && played_.faults.size() < kToldMax) played_.faults.push_back(otherwise);
  }

  // The exit status of the talker, 128 + N of a signal N.
  int run(const std::map<std::string, std::string>& environment, bool stays);
  void judge_end(int status);
  void judge_left(bool returned);
  void judge_homes();
  void judge_history(Client& client, const std::string& with, bool is_peer);
  void judge_shown(Client& client);

  support::TemporaryDirectory directory_{support::Medium::disk};
  support::RelayProcess relay_;
  const std::string address_;
  Peer peer_;
  std::uint64_t trials_ = 0;
  std::string name_;
  std::optional<int> left_;  // descriptors, at the end of a run without a fault
  Played played_;
};

int SdkStage::run(const std::map<std::string, std::string>& environment, bool stays) {
  std::vector<std::string> arguments{GODWIT_FAULT_TALKER, home().string(), address_, name_, kPeer,
                                     std::to_string(kMessages)};
  if (stays) arguments.push_back("stays");
  return run_program(
      std::move(arguments), environment, output(), [this] { peer_.listen(name_); }, kPatience);
}

void SdkStage::judge_end(int status) {
  const auto told = lines_of(output(), "told ");
  if (!told.empty()) played_.said = with_name(told.back(), home().string(), "HOME");
  judge_left(status == 0 || status == 3 || status == 4 || status == 6);
  switch (status) {
    case 0:
      return;
    case 3:
      played_.ending = Ending::refused;
      break;
    case 4:
      played_.ending = Ending::stopped;
      break;
    case 6:
    case 128 + SIGKILL:
      played_.hung = true;
      return;
    default:
      played_.crashed = status >= 128;
      expect(status >= 128, "it ended with " + std::to_string(status) + ": " + played_.said);
      return;
  }
  expect(!told.empty(), "it ended without a word");
}

// libuv keeps two for as long as the process lives: so many as without a fault, or fewer. A program
// that came to its end says how many.
void SdkStage::judge_left(bool returned) {
  const auto lines = lines_of(output(), "left ");
  expect(!lines.empty() || !returned, "it does not say how many descriptors it leaves open");
  if (lines.empty()) return;
  const int left = std::stoi(lines.back());
  if (!left_) left_ = left;
  expect(left <= *left_, lines.back() + " descriptors are left open, not " +
                             std::to_string(*left_));
}

void SdkStage::judge_homes() {
  auto client = Client::open({.home = home()});
  if (!client) return expect(false, "its home does not open: " + client.error().message);
  peer_.await_end(name_);
  judge_history(*client, kPeer, false);
  judge_shown(*client);
  judge_history(peer_.client(), name_, true);
}

// Both directions of the conversation: each message once, in order, and read.
void SdkStage::judge_history(Client& client, const std::string& with, bool is_peer) {
  const std::string who = is_peer ? "the peer" : "the program";
  const auto page = client.messages(with, {.limit = 1'000});
  if (!page) return expect(false, who + " has no messages: " + page.error().message);
  for (const bool outgoing : {true, false}) {
    const std::string from = outgoing == is_peer ? kPeer : name_;
    std::uint32_t next = 0;
    for (const Message& message : page->items) {
      if (message.outgoing != outgoing) continue;
      const std::string wanted =
          text_from(from, next) + (from == kPeer ? " to " + name_ : std::string());
      expect(message.text == wanted, who + " has \"" + message.text + "\" for \"" + wanted + "\"");
      expect(message.status == Status::read,
             who + " has \"" + message.text + "\" as " + std::string(to_string(message.status)));
      ++next;
    }
    if (next < kMessages) played_.lost += kMessages - next;
    expect(next <= kMessages, who + " has " + std::to_string(next) + " messages from " + from);
  }
}

// What the program showed is true, and was shown once.
void SdkStage::judge_shown(Client& client) {
  const auto page = client.messages(kPeer, {.limit = 1'000});
  if (!page) return;
  std::set<std::string> here;
  for (const Message& message : page->items) here.insert(message.text);
  std::set<std::string> received;
  for (const std::string& text : lines_of(output(), "received ")) {
    expect(here.contains(text), "\"" + text + "\" was shown, and is gone");
    expect(received.insert(text).second, "\"" + text + "\" was shown twice");
  }
  for (const std::string& text : lines_of(output(), "sent ")) {
    expect(here.contains(text), "\"" + text + "\" was shown as sent, and is gone");
  }
  std::map<std::string, int> highest;
  for (const std::string& line : lines_of(output(), "status ")) {
    const auto space = line.find(' ');
    const std::string status = line.substr(space + 1);
    int rank = 0;
    for (const auto one : {Status::queued, Status::sent, Status::delivered, Status::read}) {
      if (to_string(one) == status) rank = static_cast<int>(one);
    }
    int& before = highest[line.substr(0, space)];
    expect(rank >= before, "a status fell: " + line);
    before = std::max(before, rank);
  }
}

}  // namespace

std::unique_ptr<Stage> sdk() { return std::make_unique<SdkStage>(); }

}  // namespace godwit::faults
