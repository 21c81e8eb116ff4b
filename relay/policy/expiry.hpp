// policy/expiry: whether mail may expire by the wall clock. Pure.
//
// A clock that jumps ahead would end the life of all mail that waits; one that was behind and is
// set right, of all that was taken in meanwhile. So after a jump, either way, nothing expires until
// what was there has had the longest life that mail can have, by the clock that never jumps.
// Refuses: to doubt the clock that a start finds: there is nothing to hold against it. So a start
//          with the right time ends the wait.
// Thread: one owner; not shared.
#pragma once

#include <chrono>
#include <optional>

#include "relay/limits.hpp"
#include "relay/time.hpp"

namespace godwit::relay::policy {

class Expiry {
 public:
  explicit Expiry(std::chrono::seconds life_max) : life_max_(life_max) {}

  // The same time, with what it means for mail. To be asked often, and in order.
  [[nodiscard]] Now judge(Now now) {
    using std::chrono::milliseconds;
    const auto steady = now.steady.time_since_epoch();
    const auto ahead = milliseconds{static_cast<std::int64_t>(now.wall_ms)} -
                       std::chrono::duration_cast<milliseconds>(steady);
    if (ahead_ && std::chrono::abs(ahead - *ahead_) > kClockJumpMin) {
      resumes_ = now.steady + life_max_;
    }
    ahead_ = ahead;
    now.nothing_expires = now.steady < resumes_;
    return now;
  }

 private:
  std::chrono::seconds life_max_;
  std::optional<std::chrono::milliseconds> ahead_;  // the wall clock, of the steady one
  Steady resumes_{};
};

}  // namespace godwit::relay::policy
