// interrupt: Ctrl-C, SIGTERM and the end of the terminal as a call, so that what waits for the
// network ends in good order instead of in the middle.
// Owns:   a thread that waits for the signals, which all other threads leave to it.
#pragma once

#include <signal.h>

#include <atomic>
#include <functional>
#include <thread>

namespace godwit::cli {

// SIGINT, SIGTERM and SIGHUP, but for those that the program was started to ignore.
[[nodiscard]] sigset_t ending_signals();

// What SIGTSTP does where it is not blocked, as it must be here: the program stops until somebody
// continues it, and goes on at once where the system knows that nobody could.
void stop_as_asked();

class Interrupt {
 public:
  // Made before the threads that are to leave the signals alone, so before connect(). `on_signal`
  // runs on a thread of its own, once; a later signal ends the process at once. A signal that is
  // ignored, as nohup does it, stays so.
  explicit Interrupt(std::function<void()> on_signal);
  ~Interrupt();  // the signals do again what they did before
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  [[nodiscard]] bool happened() const { return happened_; }

 private:
  std::atomic<bool> ending_ = false;
  std::atomic<bool> happened_ = false;
  sigset_t before_{};
  std::thread thread_;
};

}  // namespace godwit::cli
