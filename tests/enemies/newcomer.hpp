// enemies/newcomer: an honest device that connects, logs in and goes, again and again, while
// something else is done to its relay. Those who are connected already are HonestPair's business.
//
// Owns:   the thread; it ends with the object.
// Thread: one owner.
#pragma once

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/raw_device.hpp"

namespace godwit::enemies {

class Newcomer {
 public:
  struct Report {
    std::vector<std::chrono::microseconds> times;  // from connect() to the Welcome, in no order
    std::uint64_t failed = 0;                      // ended before it, or still without it
    std::string why;                               // of the first
  };

  // Precondition: the account is registered.
  Newcomer(wire::RelayAddress relay, support::Account account, std::string from);
  ~Newcomer();
  Newcomer(const Newcomer&) = delete;
  Newcomer& operator=(const Newcomer&) = delete;

  // Waits for one that is on its way. Once.
  [[nodiscard]] Report finish();

 private:
  class Visit;
  void run(const wire::RelayAddress& relay, const support::Account& account,
           const std::string& from);

  Report report_;  // the thread's until it has ended
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace godwit::enemies
