// support/honest_pair: two devices that keep talking, on a thread and a loop of their own, while
// something else is done to their relay. What they see is the measure of it.
//
// They talk at a rate that does not depend on how they are answered. A submit that is refused with
// `busy` is sent again, as a device does.
//
// Owns:   the thread; it ends with the object.
// Thread: all but the constructor's thread belongs to one.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/raw_device.hpp"

namespace godwit::support {

class HonestPair {
 public:
  struct Report {
    std::uint64_t sent = 0;
    std::uint64_t accepted = 0;
    std::uint64_t delivered = 0;
    std::uint64_t refused = 0;   // as `busy`, and sent again
    std::uint64_t repeated = 0;  // delivered again, after it was sent again
    std::uint64_t strange = 0;   // envelopes that are not of the pair; acknowledged
    // From when it was to be submitted to the other's callback: of each that was delivered, in no
    // order; and the longest, those still under way included.
    std::vector<std::chrono::microseconds> times;
    std::chrono::milliseconds slowest{};
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
  // They say nothing new until all that was said is delivered and accepted. False when that was
  // not so within `limit`.
  [[nodiscard]] bool settle(std::chrono::seconds limit);

 private:
  class Talk;
  void run(const wire::RelayAddress& relay, std::uint64_t seed, const std::string& from);
  void talk(Fleet& fleet, Talk& there, Talk& back);

  std::mutex mutex_;
  std::condition_variable changed_;     // delivered_in_all_ rose, or settling_ was taken back
  Report report_;                       // guarded by mutex_
  std::uint64_t delivered_in_all_ = 0;  // guarded by mutex_
  bool settling_ = false;               // guarded by mutex_
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace godwit::support
