// Sockets that connect, say the few bytes they are given, and are reset: as cheap for who does it
// as it can be, so that two cores make 5,000 of them a second and still serve the honest.
#include <sys/socket.h>

#include <deque>
#include <random>
#include <thread>

#include "relay/config.hpp"
#include "relay/limits.hpp"
#include "schema/wire/bytes.hpp"
#include "tests/enemies/enemy.hpp"
#include "tests/support/tcp.hpp"

namespace godwit::enemies {
namespace {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::size_t kFirstMessageSize = wire::kHelloSize - wire::kRecordHeaderSize;
constexpr std::size_t kHalfOpen = 10'000;
constexpr std::size_t kPerSecond = 5'000;
constexpr auto kForEver = std::chrono::hours(1);

struct Flood {
  std::size_t addresses = 1;
  std::size_t most = ~std::size_t{0};                                 // connections in all
  steady_clock::duration stays = 100ms;                               // each of them
  std::function<wire::Bytes(const Ground&, std::size_t index)> says;  // empty: nothing
};

struct Standing {
  steady_clock::time_point since;
  net::Descriptor socket;
};

void leave(Work& work, Standing one) {
  std::uint8_t byte = 0;
  work.done.answered += ::recv(one.socket.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
  support::reset_tcp(std::move(one.socket));
}

void run(Work& work, const Flood& flood) {
  std::deque<Standing> standing;
  const auto began = steady_clock::now();
  while (!work.over()) {
    const auto now = steady_clock::now();
    const std::chrono::duration<double> passed = now - began;
    const auto due = std::min<std::uint64_t>(
        flood.most, static_cast<std::uint64_t>(passed.count() * double{kPerSecond}));
    // No more in one go than a tenth of a second has: what was missed then is not made up for.
    for (std::size_t left = kPerSecond / 10; work.done.tried < due && left > 0; --left) {
      const std::uint64_t index = work.done.tried++;
      auto socket =
          support::begin_tcp(work.ground().relay.host_port, address_of(index % flood.addresses));
      if (!socket.is_open()) {
        work.done.wrong.push_back("this machine has no socket for the enemy");
        return;
      }
      if (flood.says) {
        const wire::Bytes bytes = flood.says(work.ground(), index);
        // A relay without room for it does not hear it.
        (void)::send(socket.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      }
      standing.push_back({now, std::move(socket)});
    }
    while (!standing.empty() && now - standing.front().since >= flood.stays) {
      leave(work, std::move(standing.front()));
      standing.pop_front();
    }
    std::this_thread::sleep_for(1ms);
  }
  for (Standing& one : standing) leave(work, std::move(one));
}

wire::Bytes garbage(const Ground&, std::size_t index) {
  std::mt19937_64 engine(index);
  wire::Bytes bytes(2);
  wire::store_u16_be(bytes.data(), kFirstMessageSize);
  while (bytes.size() < 2 + kFirstMessageSize) {
    bytes.push_back(static_cast<std::uint8_t>(engine()));
  }
  return bytes;
}

wire::Bytes replay(const Ground& ground, std::size_t) {
  return ground.first_message;
}

std::uint64_t refused(const Watched& watched) {
  return watched.after.figures.refused_total - watched.before.figures.refused_total;
}

// What the relay lets one address do in the time of the attack, and the seconds around it.
std::uint64_t allowed_to_one(const Watched& watched) {
  const relay::Config config;
  return config.handshakes_burst +
         static_cast<std::uint64_t>((watched.seconds + 2) * config.handshakes_per_s);
}

// Half of them, since one that was reset before the relay came to accept it may be of nobody.
void refuses_all_but_the_rate(const Watched& watched, Problems& problems) {
  const auto let_in =
      std::max({watched.connections_peak, watched.done.answered, ended_by_relay(watched)});
  if (let_in > allowed_to_one(watched)) {
    problems.push_back(std::to_string(let_in) + " connections of one address were let in");
  }
  if (2 * refused(watched) + allowed_to_one(watched) < watched.done.tried) {
    problems.push_back("no more than " + std::to_string(refused(watched)) + " of " +
                       std::to_string(watched.done.tried) + " refusals were counted");
  }
}

Enemy flooding(std::string name, std::string does, std::uint64_t memory_max, Flood flood) {
  Enemy enemy;
  enemy.name = std::move(name);
  enemy.does = std::move(does);
  enemy.memory_max = memory_max;
  enemy.judge = [one = flood.addresses == 1](const Watched& watched, Problems& problems) {
    if (one) refuses_all_but_the_rate(watched, problems);
  };
  enemy.attack = [flood = std::move(flood)](Work& work) { run(work, flood); };
  return enemy;
}

}  // namespace

std::string address_of(std::size_t index) {
  return "127.0.0." + std::to_string(3 + index);
}

std::vector<Enemy> enemies_that_connect() {
  // A connection without a session, and what the allocator makes of it.
  constexpr std::uint64_t kEach = 4'096;
  const relay::Config config;
  const std::uint64_t of_one_address =
      config.handshakes_burst + config.handshakes_per_s * std::uint64_t{11};
  std::vector<Enemy> all;
  all.push_back(flooding("half-open", "10,000 connections from 20 addresses that say nothing",
                         kHalfOpen * kEach,
                         {.addresses = 20, .most = kHalfOpen, .stays = kForEver, .says = {}}));
  all.back().acts_within = relay::kHandshakeDeadline + 1s * (kHalfOpen / kPerSecond);
  all.back().acted = [](const Watched& watched) { return ended_by_relay(watched) >= kHalfOpen; };
  all.back().log_says = "connection_ended reason=handshake_timeout";
  all.push_back(flooding("half-open-one-address",
                         "5,000 connections a second of one address that say nothing, and stay",
                         of_one_address * kEach,
                         {.most = kHalfOpen, .stays = kForEver, .says = {}}));
  all.back().log_says = "connection_refused reason=handshake_rate";
  all.push_back(flooding("garbage", "5,000 first messages of random bytes a second, one address",
                         of_one_address * kEach, {.says = garbage}));
  all.back().log_says = "connection_ended reason=bad_handshake";
  all.push_back(flooding("replay", "5,000 replayed first messages a second, one address",
                         of_one_address * kEach, {.says = replay}));
  all.back().log_says = "connection_ended reason=replayed_hello";
  all.push_back(flooding("replay-100-addresses",
                         "5,000 replayed first messages a second, 50 of each address",
                         config.connections_max * kEach, {.addresses = 100, .says = replay}));
  all.push_back(flooding("rst-storm", "5,000 connections a second that say hello and reset",
                         config.connections_max * kEach,
                         {.addresses = 100, .stays = 0ms, .says = replay}));
  return all;
}

}  // namespace godwit::enemies
