// Two people who write to each other while messages are lost, doubled, swapped and altered, prekeys
// vanish and sessions are reset. Whatever happened: both agree on one session within ten round
// trips, and what is late changes that no more. The input is the story.
// About: client-sdk/src/crypto/session_set.cpp client-sdk/src/crypto/session.cpp
#include "tests/fuzz/party.hpp"

namespace godwit::fuzz {
namespace {

using crypto::SessionError;

constexpr int kEventsMax = 40;
constexpr int kRoundTripsMax = 10;
constexpr std::uint64_t kMinute = 60;
constexpr std::uint64_t kResetEvery = 60 * kMinute;

const PartyKeys& keys_of(std::size_t which) {
  static const std::array<PartyKeys, 2> keys{PartyKeys("alice"), PartyKeys("bob")};
  return keys[which];
}

// One end, its mailbox, and the rules that the caller of a session set keeps.
struct End {
  Party party;
  std::vector<wire::Bytes> mailbox = {};  // on their way to this end, in no order
  bool reset_due = false;
  std::optional<std::uint64_t> last_reset = {};
};

class Story {
 public:
  explicit Story(Input& in) : in_(in) {}

  void play() {
    for (int i = 0; i < kEventsMax && !in_.empty(); ++i) {
      now_ += in_.below(20) * kMinute;
      event(in_.below(2));
    }
  }

  // What was still on its way comes in between, or never.
  void settle() {
    const std::size_t crossing_of_3 = in_.below(4);  // none of the round trips, some, or all
    for (int round = 0; round < kRoundTripsMax && !agreed(); ++round) {
      static_cast<void>(round_trip(in_.below(3) < crossing_of_3));
    }
    require(agreed(), "both agree on one session within ten round trips");
    while (!ends_[0].mailbox.empty()) deliver(0);
    while (!ends_[1].mailbox.empty()) deliver(1);
    require(round_trip(true), "then each reads the other");
    require(agreed(), "and late messages change nothing");
  }

 private:
  void event(std::size_t end) {
    switch (in_.below(8)) {
      case 0:
      case 1:
        return send(end);
      case 2:
      case 3:
        return deliver(end);
      case 4:
        return deliver_altered(end);
      case 5:
        if (!ends_[end].mailbox.empty()) static_cast<void>(take_any(end));  // lost
        return;
      case 6:
        return reset(end);
      default: {
        auto& ids = ends_[end].party.one_time_ids;
        if (!ids.empty()) ids.erase(ids.begin());
      }
    }
  }

  bool agreed() {
    const crypto::Session* const one = ends_[0].party.set.current();
    const crypto::Session* const other = ends_[1].party.set.current();
    return one && other && one->id() == other->id();
  }

  void begin(std::size_t end) {
    Party& self = ends_[end].party;
    Party& other = ends_[1 - end].party;
    std::optional<wire::OneTimeKey> one_time;
    if (in_.below(4) == 1) one_time = other.give_one_time_key();
    self.set.add(self.session_with(other, self.set.next_gen(), one_time), now_);
  }

  wire::Bytes written(std::size_t end) {
    Party& self = ends_[end].party;
    if (self.set.empty()) begin(end);
    return self.set.encrypt(wire::as_bytes("hello"), wire::random_bytes);
  }

  void send(std::size_t end) { ends_[1 - end].mailbox.push_back(written(end)); }

  void reset(std::size_t end) {
    End& self = ends_[end];
    if (self.last_reset && now_ - *self.last_reset < kResetEvery) return;
    self.last_reset = now_;
    self.reset_due = false;
    begin(end);
    send(end);
  }

  wire::Bytes take_any(std::size_t end) {
    auto& mailbox = ends_[end].mailbox;
    const std::size_t at = in_.below(mailbox.size());
    wire::Bytes message = std::move(mailbox[at]);
    mailbox.erase(mailbox.begin() + static_cast<std::ptrdiff_t>(at));
    return message;
  }

  void deliver(std::size_t end) {
    if (ends_[end].mailbox.empty()) return;
    const wire::Bytes message = take_any(end);
    static_cast<void>(open(end, message));
    if (in_.below(8) == 1) require(!open(end, message), "nothing opens twice");
  }

  // The relay alters it; nobody asks for anything because of that, as if it were lost.
  void deliver_altered(std::size_t end) {
    if (ends_[end].mailbox.empty()) return;
    wire::Bytes message = take_any(end);
    const std::size_t bit = in_.below(message.size() * 8);
    message[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    Party& self = ends_[end].party;
    const wire::Bytes before = packed(self.set);
    require(!self.open(ends_[1 - end].party, message, now_), "an altered message does not open");
    require(packed(self.set) == before, "it leaves no trace");
  }

  bool open(std::size_t end, const wire::Bytes& message) {
    Party& self = ends_[end].party;
    const wire::Bytes before = packed(self.set);
    const auto opened = self.open(ends_[1 - end].party, message, now_);
    if (opened) {
      require(same(opened->plaintext, wire::as_bytes("hello")), "it says what was said");
      return true;
    }
    require(packed(self.set) == before, "a message that fails changes nothing");
    if (opened.error() == SessionError::replayed || opened.error() == SessionError::base_key_used) {
      return false;
    }
    const auto parsed = crypto::parse_inner(message);
    require(parsed.has_value(), "what was sent has a form");
    if (parsed->prekey) self.set.saw_gen(parsed->prekey->gen);
    ends_[end].reset_due = true;
    return false;
  }

  // Each sends one message and the other gets it; true when both could read. Crossing: both send
  // before either has read.
  bool round_trip(bool crossing) {
    now_ += 10 * kMinute;
    const wire::Bytes first = send_now(0);
    if (crossing) {
      const wire::Bytes second = send_now(1);
      const bool read_first = receive(1, first);
      return receive(0, second) && read_first;
    }
    const bool read_first = receive(1, first);
    return receive(0, send_now(1)) && read_first;
  }

  wire::Bytes send_now(std::size_t end) {
    if (ends_[end].reset_due) reset(end);
    return written(end);
  }

  bool receive(std::size_t end, const wire::Bytes& message) {
    if (in_.below(2) == 1) deliver(end);
    return open(end, message);
  }

  Input& in_;
  std::array<End, 2> ends_{End{Party(keys_of(0))}, End{Party(keys_of(1))}};
  std::uint64_t now_ = kStart;
};

}  // namespace
}  // namespace godwit::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace godwit::fuzz;
  Input in(data, size);
  Story story(in);
  story.play();
  story.settle();
  return 0;
}
