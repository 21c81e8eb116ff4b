// power/daemon_load: what people do while the daemon is recorded. Senders submit in bursts, short
// and long and to all receivers at once; receivers come, acknowledge in pieces, and go; names
// change. The relay is stopped and started in between. Each request and each good answer is noted
// in the log that the relay's calls go to.
//
// Owns:   the devices and what they wait for.
// Thread: the fleet's loop, which is the caller's.
#pragma once

#include <deque>
#include <memory>
#include <random>

#include "tests/power/log.hpp"
#include "tests/power/parcels.hpp"
#include "tests/support/relay_process.hpp"

namespace godwit::power {

class Load {
 public:
  Load(support::RelayProcess& relay, const Log& log, std::uint64_t seed);
  // Ends with the relay stopped. What should not be is a failed REQUIRE.
  void play();

 private:
  struct Person {
    Person(support::Fleet& fleet, std::uint32_t number)
        : user(number), device(fleet, account_of(number)) {}
    const std::uint32_t user;
    support::RawDevice device;
    bool up = false;    // a connection is there or being made
    bool live = false;  // logged in
    bool naming = false;
    // Of a receiver, delivered on this connection and not acknowledged: number and envelope.
    std::deque<std::pair<std::uint32_t, std::uint64_t>> pending;
  };

  [[nodiscard]] std::uint32_t draw(std::uint32_t below);
  void await(const std::function<bool()>& done);
  void everybody_comes();
  void everybody_goes();
  void come(Person& person);
  void round();
  void submit(std::uint32_t sender);
  void come_or_go(Person& receiver);
  void acknowledge(Person& receiver);
  void change_name(Person& person);
  void on_deliver(Person& receiver, const wire::Deliver& deliver);
  [[nodiscard]] Person& receiver(std::uint32_t number) { return *people_[kSenders + number]; }
  // Whether the answer is a T; anything else is a fault.
  template <class T>
  bool is_answer(const wire::RelayFrame& frame);

  support::RelayProcess& relay_;
  const Log& log_;
  std::mt19937_64 random_;
  support::Fleet fleet_;
  std::vector<std::unique_ptr<Person>> people_;
  std::vector<std::uint64_t> submitted_ = std::vector<std::uint64_t>(kSenders);  // how many
  std::uint64_t names_ = 0;
  std::size_t waiting_ = 0;  // for outcomes of submits, registrations and names
  std::string fault_;        // the first; empty: none
};

}  // namespace godwit::power
