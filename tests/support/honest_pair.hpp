// support/honest_pair: two devices that keep talking, on a thread and a loop of their own, while
// something else is done to their relay. What they see is the measure of it.
//
// Owns:   the thread; it ends with the object.
// Thread: the constructor, report() and the destructor belong to one.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "tests/support/raw_device.hpp"

namespace godwit::support {

class HonestPair {
 public:
  struct Report {
    std::uint64_t sent = 0;
    std::uint64_t delivered = 0;
    std::chrono::milliseconds slowest{};  // from submit to the other's callback, or still waiting
    std::string broken;  // the first thing that must not happen: a loss, a refusal, a closed line
  };

  // Registers both; `seed` and `seed + 1`. `from`: their source address.
  HonestPair(wire::RelayAddress relay, std::uint64_t seed, std::string from = {});
  ~HonestPair();
  HonestPair(const HonestPair&) = delete;
  HonestPair& operator=(const HonestPair&) = delete;

  // Of the time since the last report.
  [[nodiscard]] Report report();
  // False when `count` more messages were not delivered within `limit`.
  [[nodiscard]] bool await(std::uint64_t count, std::chrono::seconds limit);

 private:
  class Talk;
  void run(const wire::RelayAddress& relay, std::uint64_t seed, const std::string& from);

  std::mutex mutex_;
  std::condition_variable changed_;       // delivered_in_all_ rose
  Report report_;                         // guarded by mutex_
  std::uint64_t delivered_in_all_ = 0;    // guarded by mutex_
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace godwit::support
