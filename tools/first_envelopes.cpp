// first_envelopes: two devices register at a relay and exchange envelopes, one of them offline
// first. It says what happens as it happens, and fails when anything is lost, late, out of order,
// altered or doubled. It is for looking on; the promises are tested in tests/.
//
//   first_envelopes ADDRESS [DIR]
//
// With DIR, the data directory of a relay on this machine that nobody else uses, it shows what the
// relay counts, and holds the relay to it.
//
// Happy path: Ben registers and goes offline -> Ada registers, finds Ben by his name and sends him
// envelopes -> Ben comes back and gets them -> they exchange more while both are online.
// Failure: the first fault is kept, ends every wait, and is the one that is printed.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "relay/ops/admin.hpp"
#include "schema/wire/hash.hpp"
#include "tests/support/raw_device.hpp"

namespace godwit::tools {
namespace {

using std::chrono::steady_clock;
using support::Account;
using support::Fleet;
using support::RawDevice;
using wire::ErrorCode;

constexpr std::chrono::seconds kLate{10};
constexpr std::size_t kOfflineEnvelopes = 5;
constexpr std::size_t kRoundTrips = 50;
constexpr std::size_t kEnvelopeSize = 700;  // about what a short text takes when it is encrypted

// "" when all is well, else the first thing that was not.
using Fault = std::string;

// One device, the envelopes it is to get, and those it got.
class Person {
 public:
  Person(Fleet& fleet, std::string name, std::uint64_t seed, Fault& fault)
      : name_(std::move(name)), device_(fleet, Account::from_seed(seed)), fault_(fault) {
    device_.set_callbacks({
        .on_connected = {},
        .on_deliver = [this](RawDevice&, const wire::Deliver& deliver) { take(deliver); },
        .on_caught_up = [this](RawDevice&) { caught_up_ = true; },
        .on_event = {},
        .on_closed =
            [this](RawDevice&, const std::string& reason) {
              if (!leaving_) say_fault("lost the connection: " + reason);
              online_ = false;
            },
    });
  }

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const Account& account() const { return device_.account(); }
  [[nodiscard]] bool online() const { return online_; }
  [[nodiscard]] bool caught_up() const { return caught_up_; }
  [[nodiscard]] bool has_all() const { return received_ == expected_.size() && acks_open_ == 0; }
  [[nodiscard]] bool found() const { return found_; }
  [[nodiscard]] std::size_t accepted() const { return accepted_; }
  [[nodiscard]] steady_clock::time_point last_received() const { return last_received_; }

  void register_here() {
    come_online();
    device_.register_user(name_, [this](const wire::RelayFrame& frame) { on_welcome(frame); });
  }
  void login() {
    come_online();
    device_.login([this](const wire::RelayFrame& frame) { on_welcome(frame); });
  }
  void leave() {
    leaving_ = true;
    device_.disconnect();
  }

  void find(const Person& other) {
    wire::GetUser question;
    question.name = other.name_;
    device_.send(std::move(question), [this, &other](const wire::RelayFrame& frame) {
      const auto* user = std::get_if<wire::User>(&frame.body);
      if (user == nullptr) return say_fault("could not find " + other.name_);
      const auto list = wire::verify_device_list(user->list);
      found_ = list && list->user == other.account().user;
      if (!found_) say_fault("was given somebody else for " + other.name_);
    });
  }

  // Sends random bytes: the relay could not tell them from ciphertext. The request id is the
  // sender's name for this submit: with it, the same submit can be sent again.
  wire::RequestId write_to(Person& other) {
    wire::Bytes envelope(kEnvelopeSize);
    wire::random_bytes(envelope);
    wire::RequestId id;
    wire::random_bytes(id.bytes);
    other.expected_.push_back(std::move(envelope));
    submit(other, id);
    return id;
  }
  // As a sender does whose reply was lost. Precondition: nothing was sent to `other` since.
  void repeat_last(Person& other, const wire::RequestId& id) { submit(other, id); }

 private:
  void say_fault(const std::string& what) {
    if (fault_.empty()) fault_ = name_ + ' ' + what;
  }

  void come_online() {
    leaving_ = false;
    caught_up_ = false;
    last_number_ = 0;
    device_.connect();
  }

  void on_welcome(const wire::RelayFrame& frame) {
    const auto* welcome = std::get_if<wire::Welcome>(&frame.body);
    if (welcome == nullptr) return say_fault("was refused");
    if (welcome->name != ErrorCode::ok) return say_fault("did not get the name");
    online_ = true;
  }

  void submit(const Person& to, const wire::RequestId& id) {
    device_.submit(to.account(), id, to.expected_.back(), [this](const wire::RelayFrame& frame) {
      const auto* submitted = std::get_if<wire::Submitted>(&frame.body);
      if (submitted == nullptr || submitted->outcomes.size() != 1 ||
          submitted->outcomes.front().code != ErrorCode::ok) {
        return say_fault("sent an envelope that was refused");
      }
      ++accepted_;
    });
  }

  void take(const wire::Deliver& deliver) {
    last_received_ = steady_clock::now();
    if (deliver.number != ++last_number_) return say_fault("got a delivery out of its number");
    if (received_ == expected_.size()) return say_fault("got an envelope twice");
    if (!std::ranges::equal(deliver.envelope, expected_[received_])) {
      return say_fault("got an envelope out of order, or altered");
    }
    ++received_;
    ++acks_open_;
    device_.ack(deliver.number, [this](const wire::RelayFrame& frame) {
      if (!std::holds_alternative<wire::Done>(frame.body)) say_fault("could not acknowledge");
      --acks_open_;
    });
  }

  std::string name_;
  RawDevice device_;
  Fault& fault_;
  bool online_ = false;
  bool leaving_ = false;
  bool caught_up_ = false;
  bool found_ = false;
  std::size_t accepted_ = 0;
  std::vector<wire::Bytes> expected_;
  std::size_t received_ = 0;
  std::size_t acks_open_ = 0;
  std::uint32_t last_number_ = 0;
  steady_clock::time_point last_received_;
};

class Story {
 public:
  Story(wire::RelayAddress relay, std::optional<std::filesystem::path> directory)
      : fleet_(std::move(relay)), directory_(std::move(directory)) {}

  [[nodiscard]] Fault tell() {
    figures(0);
    if (meet() && write_to_offline() && come_back() && talk()) figures(0);
    return fault_;
  }

 private:
  void say(const char* what) const {
    const std::chrono::duration<double> since = steady_clock::now() - start_;
    std::printf("%7.3f s  %s\n", since.count(), what);
  }
  void say(const std::string& what) const { say(what.c_str()); }

  // True when `done` came to hold in time, and nothing went wrong meanwhile.
  bool wait(const std::function<bool()>& done, const std::string& what) {
    const bool came = fleet_.run_until([&] { return !fault_.empty() || done(); }, kLate);
    if (!came && fault_.empty()) fault_ = what + " within " + std::to_string(kLate.count()) + " s";
    return fault_.empty();
  }

  // What the relay counts; it has to agree on what waits in its mailboxes.
  bool figures(std::uint64_t queued) {
    if (!directory_) return true;
    const auto now = relay::ops::ask_status(*directory_);
    if (!now) {
      fault_ = now.error();
      return false;
    }
    const auto number = [](std::uint64_t value) { return std::to_string(value); };
    say("  relay: " + number(now->queued_envelopes) + " queued, " + number(now->accepted_total) +
        " accepted, " + number(now->acked_total) + " acknowledged (" +
        number(now->elided_total) + " before they reached the disk), " +
        number(now->duplicates_total) + " repeated");
    if (now->queued_envelopes == queued) return true;
    fault_ = "the relay should have " + number(queued) + " envelopes queued";
    return false;
  }

  bool meet() {
    ben_.register_here();
    if (!wait([&] { return ben_.online(); }, "Ben was not registered")) return false;
    say("Ben's device registers under the name ben.");
    ben_.leave();
    if (!wait([&] { return !ben_.online(); }, "Ben's connection did not end")) return false;
    say("Ben goes offline.");
    ada_.register_here();
    if (!wait([&] { return ada_.online(); }, "Ada was not registered")) return false;
    ada_.find(ben_);
    if (!wait([&] { return ada_.found(); }, "Ada got no answer about Ben")) return false;
    say("Ada's device registers, finds Ben by his name and checks the signatures of his devices.");
    return true;
  }

  bool write_to_offline() {
    wire::RequestId last;
    for (std::size_t i = 0; i < kOfflineEnvelopes; ++i) last = ada_.write_to(ben_);
    if (!wait([&] { return ada_.accepted() == kOfflineEnvelopes; }, "Ada's were not accepted")) {
      return false;
    }
    say("Ada sends " + std::to_string(kOfflineEnvelopes) +
        " envelopes. The relay accepts them: they are on its disk.");
    ada_.repeat_last(ben_, last);
    if (!wait([&] { return ada_.accepted() == kOfflineEnvelopes + 1; }, "No answer came again")) {
      return false;
    }
    say("Ada repeats the last one, as if the answer had been lost: accepted, as the first time.");
    return figures(kOfflineEnvelopes);
  }

  bool come_back() {
    ben_.login();
    if (!wait([&] { return ben_.caught_up() && ben_.has_all(); }, "Ben did not get all of them")) {
      return false;
    }
    say("Ben comes back, gets all of them in order, none twice, and acknowledges: the relay "
        "deletes them.");
    return figures(0);
  }

  bool talk() {
    std::vector<double> milliseconds;
    for (std::size_t i = 0; i < 2 * kRoundTrips; ++i) {
      Person& from = i % 2 == 0 ? ada_ : ben_;
      Person& to = i % 2 == 0 ? ben_ : ada_;
      const std::size_t accepted = from.accepted() + 1;
      const auto sent = steady_clock::now();
      from.write_to(to);
      if (!wait([&] { return to.has_all() && from.accepted() == accepted; },
                to.name() + " did not get what " + from.name() + " sent")) {
        return false;
      }
      const std::chrono::duration<double, std::milli> taken = to.last_received() - sent;
      milliseconds.push_back(taken.count());
    }
    std::ranges::sort(milliseconds);
    char text[160];
    std::snprintf(text, sizeof text,
                  "Both online, %zu envelopes each way. From sender to recipient: "
                  "median %.2f ms, slowest %.2f ms.",
                  kRoundTrips, milliseconds[milliseconds.size() / 2], milliseconds.back());
    say(text);
    return true;
  }

  steady_clock::time_point start_ = steady_clock::now();
  Fleet fleet_;
  std::optional<std::filesystem::path> directory_;
  Fault fault_;
  Person ada_{fleet_, "ada", 1, fault_};
  Person ben_{fleet_, "ben", 2, fault_};
};

int run(int argc, char** argv) {
  if (argc != 2 && argc != 3) {
    std::fprintf(stderr, "usage: first_envelopes ADDRESS [DIR]\n");
    return 2;
  }
  auto address = wire::parse_address(argv[1]);
  if (!address) {
    std::fprintf(stderr, "first_envelopes: %s\n", address.error().c_str());
    return 2;
  }
  std::optional<std::filesystem::path> directory;
  if (argc == 3) directory = argv[2];
  Story story(*std::move(address), std::move(directory));
  const Fault fault = story.tell();
  if (fault.empty()) return 0;
  std::fflush(stdout);
  std::fprintf(stderr, "first_envelopes: %s\n", fault.c_str());
  return 1;
}

}  // namespace
}  // namespace godwit::tools

int main(int argc, char** argv) { return godwit::tools::run(argc, argv); }
