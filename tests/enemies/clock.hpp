// enemies/clock: the wall clock of a relay, which a test moves while it runs.
// Thread: one owner.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace godwit::enemies {

inline constexpr const char* kClockFile = "GODWIT_CLOCK";  // names the file, to the interposer

// What lies in that file.
struct ClockOffset {
  std::atomic<std::int64_t> seconds{0};
};
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

class Clock {
 public:
  explicit Clock(std::filesystem::path file);  // made anew, at the right time
  ~Clock();
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;

  void set_ahead(std::chrono::seconds by) { offset_->seconds = by.count(); }
  // Of a relay that is to have this clock.
  [[nodiscard]] std::map<std::string, std::string> environment() const;

 private:
  std::filesystem::path file_;
  ClockOffset* offset_ = nullptr;  // mapped
};

}  // namespace godwit::enemies
