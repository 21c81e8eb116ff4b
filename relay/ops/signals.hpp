// ops/signals: what the daemon does when the system or the operator wants it to end.
//
// The first SIGTERM or SIGINT asks for a clean stop. A second SIGINT (an impatient Ctrl-C) ends the
// process at once: nothing accepted is lost by that, since accepted means committed. SIGHUP, of a
// terminal that goes or of an operator who means "read the settings again", ends nothing.
// SIGPIPE is not among them: net/loop has it ignored, a peer that leaves is an error of its write.
// SIGBUS is what reading a page of data.mdb ends with that the disk does not give, or that lies
// beyond the end of the file: it still ends the process, with a word about that.
// Thread: the loop's.
#pragma once

#include <functional>

#include "schema/net/signal.hpp"

namespace godwit::relay::ops {

class Signals {
 public:
  // `on_stop` is called once. `exit_now` ends the process; tests put something milder there.
  Signals(net::Loop& loop, std::function<void()> on_stop, std::function<void()> on_hangup,
          std::function<void()> exit_now = exit_interrupted);
  // The signal callbacks point here.
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

 private:
  [[noreturn]] static void exit_interrupted();
  void stop_once();

  std::function<void()> on_stop_;
  std::function<void()> exit_now_;
  bool interrupted_ = false;
  net::Signal terminate_;
  net::Signal interrupt_;
  net::Signal hangup_;
};

// SIGBUS says what it means before it ends the process as ever, core dump included.
void tell_of_sigbus();

}  // namespace godwit::relay::ops
