// net/timer: fires once, or again and again. Destroying it cancels it. Loop thread only.
#pragma once

#include "schema/net/loop.hpp"

namespace godwit::net {

class Timer {
 public:
  Timer(Loop& loop, std::function<void()> on_fire);
  ~Timer();
  Timer(Timer&&) noexcept;
  Timer& operator=(Timer&&) noexcept;

  // Counted from loop.now(); a delay below zero is zero. `repeat` zero: once. Starting a running
  // timer sets it anew. It may destroy itself in on_fire.
  void start(std::chrono::milliseconds delay, std::chrono::milliseconds repeat = {});
  void stop();
  [[nodiscard]] bool active() const;

 private:
  struct State;
  struct Close {
    void operator()(State* state) const;
  };
  std::unique_ptr<State, Close> state_;
};

}  // namespace godwit::net
