// A user story's stage: a relay of its own, devices that remember what they saw, and questions that
// wait for their answer.
//
// Trust: nothing of the relay is believed but what it says on the wire and in `status`.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <list>
#include <utility>

#include "tests/support/raw_device.hpp"
#include "tests/support/relay_process.hpp"

namespace godwit::integration {

using support::Account;
using wire::ErrorCode;

// Long enough for a busy machine and a sanitizer; a test that passes never waits for it.
inline constexpr std::chrono::seconds kPatience{60};

// A reply, owning what it holds.
struct Answer {
  ErrorCode code = ErrorCode::ok;  // of Refused
  std::uint32_t retry_after_ms = 0;
  std::optional<wire::Welcome> welcome;
  std::vector<wire::Outcome> outcomes;
  std::vector<wire::Bytes> lists;        // bodies
  std::optional<wire::SignedList> list;  // of User, whole
  std::vector<wire::Bundle> bundles;
  bool done = false;

  [[nodiscard]] static Answer copy_of(const wire::RelayFrame& frame);
  [[nodiscard]] bool accepted() const {
    return !outcomes.empty() && std::ranges::all_of(outcomes, [](const wire::Outcome& one) {
      return one.code == ErrorCode::ok;
    });
  }
};

class Story;

class Device {
 public:
  struct Envelope {
    std::uint32_t number = 0;
    std::string text;
  };

  Device(Story& story, Account account);
  // The callbacks point here.
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  // What was seen since the last connect().
  std::vector<Envelope> inbox;
  std::optional<std::size_t> caught_up_after;  // envelopes that came before CaughtUp
  std::vector<std::uint32_t> keys_low;
  std::optional<ErrorCode> closing;
  bool closed = false;
  bool acks = true;  // each envelope at once

  [[nodiscard]] const Account& account() const { return raw_.account(); }
  [[nodiscard]] support::RawDevice& raw() { return raw_; }
  [[nodiscard]] std::vector<std::string> texts() const;

  void connect();     // and the handshake
  void disconnect();  // returns when the relay has no session of it
  void await_closed();
  void await_texts(std::size_t count);

  // Ask and wait for the reply.
  Answer ask(decltype(wire::Request::body) body);
  Answer login();
  Answer register_user(std::optional<std::string> name = {});
  Answer submit(const Account& to, std::uint64_t id, const std::string& text,
                std::uint32_t ttl_s = 0);
  Answer ack(std::uint32_t upto) { return ask(wire::Ack{upto, {}}); }

  // Connect and become live, the latter two with a check of the Welcome.
  void join();       // registers
  void come_back();  // logs in and waits for CaughtUp

 private:
  Answer await(const std::function<void(support::RawDevice::Reply)>& send);

  Story& story_;
  support::RawDevice raw_;
};

using Settings = std::map<std::string, std::string>;  // "section.key" -> TOML value

[[nodiscard]] inline Settings with_two_loops(Settings settings) {
  settings.emplace("network.loops", "2");
  return settings;
}

class Story {
 public:
  // `where`: the relay's directory; nothing: one of the story's own. The relay has two loops unless
  // the settings say otherwise, so that operations travel on any machine.
  explicit Story(Settings settings = {}, const std::filesystem::path& where = {},
                 std::map<std::string, std::string> environment = {})
      : relay({.directory = where.empty() ? directory.path() / "relay" : where,
               .settings = with_two_loops(std::move(settings)),
               .binary = {},
               .environment = std::move(environment)}),
        fleet(relay.address()) {}

  support::TemporaryDirectory directory{support::Medium::disk};
  support::RelayProcess relay;
  support::Fleet fleet;

  // A device that is not connected. It lives as long as the story.
  Device& device(Account account) { return devices_.emplace_back(*this, std::move(account)); }
  // A device that is registered and live.
  Device& member(std::uint64_t seed) {
    Device& made = device(Account::from_seed(seed));
    made.join();
    return made;
  }
  // A device that is registered, and away.
  Device& absent(std::uint64_t seed) {
    Device& made = member(seed);
    made.disconnect();
    return made;
  }

  void run_until(const std::function<bool()>& done) {
    REQUIRE_MESSAGE(fleet.run_until(done, kPatience), "what was waited for did not come");
  }
  // Asks the relay for its figures until they are as they should be.
  void await_status(const std::function<bool(const relay::ops::Figures&)>& holds);
  void await_log(const std::string& words);

  void restart() {
    relay.kill();
    for (Device& one : devices_) one.raw().reset();
    relay.start();
    REQUIRE(relay.address() == fleet.relay());
  }

 private:
  void await(const std::function<bool()>& holds);

  std::list<Device> devices_;
};

[[nodiscard]] inline wire::RequestId request_id(std::uint64_t number) {
  wire::RequestId id;
  std::memcpy(id.bytes.data(), &number, sizeof number);
  return id;
}

// The texts "0", "1", ... before `count`.
[[nodiscard]] inline std::vector<std::string> numbers(std::size_t count) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < count; ++i) texts.push_back(std::to_string(i));
  return texts;
}

}  // namespace godwit::integration
