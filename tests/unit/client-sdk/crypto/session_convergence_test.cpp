// Whatever was lost, reordered, doubled, begun at once or reset: both ends of a pair agree on one
// current session within ten round trips. Each seed is one story; one that fails is printed.
#include <doctest/doctest.h>

#include <random>

#include "tests/unit/client-sdk/crypto/peers.hpp"

namespace godwit::crypto {
namespace {

constexpr std::uint32_t kStories = 10'000;
constexpr int kRoundTripsMax = 10;
constexpr std::uint64_t kMinute = 60;
constexpr std::uint64_t kResetEvery = 60 * kMinute;

// One end, its mailbox, and the rules that the caller of a session set keeps.
struct End {
  explicit End(std::string_view seed) : peer(seed) {}

  Peer peer;
  std::vector<wire::Bytes> mailbox;  // on their way to this end, in no order
  bool reset_due = false;
  std::optional<std::uint64_t> last_reset;

  void forget() {
    peer.set = {};
    peer.one_time_keys.clear();
    mailbox.clear();
    reset_due = false;
    last_reset.reset();
  }
};

class Story {
 public:
  Story(End& one, End& other, std::uint32_t seed) : ends_{&one, &other}, dice_(seed) {
    one.forget();
    other.forget();
  }

  void play() {
    const unsigned events = 3 + roll(7);
    for (unsigned i = 0; i < events; ++i) {
      now_ += roll(20) * kMinute;
      const std::size_t end = roll(2);
      switch (roll(8)) {
        case 0:
        case 1:
          send(end);
          break;
        case 2:
        case 3:
        case 4:
          deliver(end);
          break;
        case 5:
          if (!ends_[end]->mailbox.empty()) take_any(end);  // lost
          break;
        case 6:
          reset(end);
          break;
        case 7:
          lose_one_time_key(end);
          break;
      }
    }
  }

  // The number of round trips after which both agreed; nothing when they did not. What was still on
  // its way comes in between, or never.
  std::optional<int> settle() {
    const unsigned crossing_of_3 = roll(4);  // none of the round trips, some, or all
    for (int round = 1; round <= kRoundTripsMax; ++round) {
      round_trip(roll(3) < crossing_of_3);
      if (agreed()) return round;
    }
    return {};
  }

  // Late messages and further ones change nothing once both agree, and each reads the other.
  bool stays() {
    while (!ends_[0]->mailbox.empty()) deliver(0);
    while (!ends_[1]->mailbox.empty()) deliver(1);
    const bool read = round_trip(true);
    return read && agreed();
  }

 private:
  unsigned roll(unsigned sides) { return static_cast<unsigned>(dice_() % sides); }
  Peer& peer(std::size_t end) { return ends_[end]->peer; }

  bool agreed() {
    const Session* const one = peer(0).set.current();
    const Session* const other = peer(1).set.current();
    return one && other && one->id() == other->id();
  }

  void begin(std::size_t end) {
    Peer& other = peer(1 - end);
    std::optional<wire::OneTimeKey> one_time;
    if (roll(4) == 0) one_time = other.give_one_time_key();
    peer(end).set.add(peer(end).begin_session(other, peer(end).set.next_gen(), one_time), now_);
  }

  void send(std::size_t end) {
    if (peer(end).set.empty()) begin(end);
    ends_[1 - end]->mailbox.push_back(peer(end).send("hello"));
  }

  void reset(std::size_t end) {
    End& self = *ends_[end];
    if (self.last_reset && now_ - *self.last_reset < kResetEvery) return;
    self.last_reset = now_;
    self.reset_due = false;
    begin(end);
    send(end);
  }

  void lose_one_time_key(std::size_t end) {
    auto& keys = peer(end).one_time_keys;
    if (!keys.empty()) keys.erase(keys.begin());
  }

  wire::Bytes take_any(std::size_t end) {
    auto& mailbox = ends_[end]->mailbox;
    const std::size_t at = roll(static_cast<unsigned>(mailbox.size()));
    wire::Bytes message = std::move(mailbox[at]);
    mailbox.erase(mailbox.begin() + static_cast<std::ptrdiff_t>(at));
    return message;
  }

  void deliver(std::size_t end) {
    if (ends_[end]->mailbox.empty()) return;
    const wire::Bytes message = take_any(end);
    open(end, message);
    if (roll(8) == 0) open(end, message);  // doubled
  }

  bool open(std::size_t end, const wire::Bytes& message) {
    const auto opened = peer(end).open(peer(1 - end), message, now_);
    if (opened) {
      if (opened->used_one_time_key) peer(end).one_time_keys.erase(*opened->used_one_time_key);
      return true;
    }
    if (opened.error() == SessionError::replayed || opened.error() == SessionError::base_key_used) {
      return false;
    }
    const auto parsed = parse_inner(message);
    REQUIRE(parsed.has_value());
    if (parsed->prekey) peer(end).set.saw_gen(parsed->prekey->gen);
    ends_[end]->reset_due = true;
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
    if (ends_[end]->reset_due) reset(end);
    if (peer(end).set.empty()) begin(end);
    return peer(end).send("hello");
  }

  bool receive(std::size_t end, const wire::Bytes& message) {
    if (roll(2) == 0) deliver(end);
    return open(end, message);
  }

  std::array<End*, 2> ends_;
  std::mt19937 dice_;
  std::uint64_t now_ = kStart;
};

}  // namespace

TEST_SUITE("client-sdk/src/crypto/session_set: convergence") {
  TEST_CASE("both ends agree on one session within ten round trips, whatever happened") {
    End alice("alice");
    End bob("bob");
    int most = 0;
    std::uint32_t failed = 0;
    for (std::uint32_t seed = 1; seed <= kStories && failed < 5; ++seed) {
      INFO("seed: " << seed);
      Story story(alice, bob, seed);
      story.play();
      const auto rounds = story.settle();
      const bool stays = rounds && story.stays();
      CHECK_MESSAGE(rounds, "they never agreed");
      if (rounds) CHECK_MESSAGE(stays, "they agreed, and then they did not");
      if (!stays) ++failed;
      if (rounds) most = std::max(most, *rounds);
    }
    MESSAGE("round trips needed at most: " << most);
  }
}

}  // namespace godwit::crypto
