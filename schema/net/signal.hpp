// net/signal: a POSIX signal as a call on the loop. Destroying it restores what the signal did
// before. Loop thread only; at most one per signal number and process hears reliably.
#pragma once

#include "schema/net/loop.hpp"

namespace godwit::net {

class Signal {
 public:
  // `number`: SIGTERM, SIGINT ... (not SIGKILL or SIGSTOP). Does not keep a loop alive by itself.
  Signal(Loop& loop, int number, std::function<void()> on_signal);
  ~Signal();
  Signal(Signal&&) noexcept;
  Signal& operator=(Signal&&) noexcept;

 private:
  struct State;
  struct Close {
    void operator()(State* state) const;
  };
  std::unique_ptr<State, Close> state_;
};

}  // namespace godwit::net
