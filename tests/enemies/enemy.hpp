// enemies/enemy: those who wish a relay ill: what each does, what it may cost the relay, and what
// the relay's limits must make of it.
//
// An enemy works on a thread of its own while an honest pair talks and newcomers log in, and leaves
// when its time is over. The relay takes nobody for unlimited: `unlimited_from` is empty.
// Thread: an enemy is made and judged by one thread, and attacks on another.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/enemies/clock.hpp"
#include "tests/support/measured.hpp"
#include "tests/support/raw_device.hpp"

namespace godwit::enemies {

// What there is to be had. Everybody in it is registered.
struct Ground {
  wire::RelayAddress relay;
  std::vector<support::Account> attackers;  // kAttackers of them
  support::Account victim;                  // one of the honest pair: it is connected
  support::Account absent;                  // never connected
  std::vector<support::Account> crowd;      // never connected; whom one submit can name
  wire::Bytes first_message;                // of a real device's login, as it was on the wire
  Clock* clock = nullptr;                   // the relay's
};
inline constexpr std::size_t kAttackers = 16;

// What an enemy says of its work.
struct Done {
  std::uint64_t tried = 0;         // connections or submits
  std::uint64_t ended = 0;         // connections that the relay ended
  std::uint64_t answered = 0;      // connections whose handshake the relay answered
  std::uint64_t taken = 0;         // submits that were accepted
  std::uint64_t turned_away = 0;   // submits that were refused as they must be
  std::vector<std::string> wrong;  // what the relay must not do
};

class Work {
 public:
  explicit Work(const Ground& ground) : ground_(ground) {}
  [[nodiscard]] const Ground& ground() const { return ground_; }
  [[nodiscard]] bool over() const { return over_; }
  void end() { over_ = true; }
  Done done;  // the attacker's until its thread has ended

 private:
  const Ground& ground_;
  std::atomic<bool> over_{false};
};

// What was seen of the relay from outside.
struct Watched {
  support::Measured before;  // nobody but the pair is connected
  support::Measured last;    // at the end of the attack, the enemy still there
  support::Measured after;   // it has left
  std::uint64_t memory_peak = 0;
  std::size_t descriptors_peak = 0;
  std::uint64_t connections_peak = 0;
  std::uint64_t queued_bytes_peak = 0;
  double seconds = 0;  // of the attack
  Done done;
};

// Connections that the relay ended while it was attacked.
[[nodiscard]] inline std::uint64_t ended_by_relay(const Watched& watched) {
  return watched.last.figures.closed_by_relay_total - watched.before.figures.closed_by_relay_total;
}

using Problems = std::vector<std::string>;

struct Enemy {
  std::string name;
  std::string does;                   // a phrase
  std::uint64_t memory_max = 0;       // bytes that it may cost the relay
  std::function<void(Work&)> attack;  // until it is over
  std::function<void(const Watched&, Problems&)> judge;
  std::map<std::string, std::string> settings{};  // of the relay, besides `unlimited_from`
  // While the relay still lets everybody do everything.
  std::function<void(Ground&, support::Fleet&)> prepare{};
  // What the relay must have done against it, and when. An attack that lasts this long goes on
  // until that is so, or a minute more: how soon a relay gets to run is not what is judged.
  std::chrono::seconds acts_within{};
  std::function<bool(const Watched&)> acted{};
  std::string log_says{};     // by then, when there is something to say: an event and a field
  bool strange_mail = false;  // what it sends arrives at one of the honest pair
};

// Of enemy number `index`; the honest are at 127.0.0.2.
[[nodiscard]] std::string address_of(std::size_t index);

// They connect, and hardly more.
[[nodiscard]] std::vector<Enemy> enemies_that_connect();
// They have an account, or get as far as the states behind the handshake.
[[nodiscard]] std::vector<Enemy> enemies_with_sessions();
[[nodiscard]] std::vector<Enemy> enemies_of_the_clock();

inline constexpr std::uint64_t kMebibyte = 1 << 20;
// What the allocator keeps, the pair's retry window and the tables of rates.
inline constexpr std::uint64_t kMemorySlack = 8 * kMebibyte;

}  // namespace godwit::enemies
