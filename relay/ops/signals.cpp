#include "relay/ops/signals.hpp"

#include <unistd.h>

#include <csignal>
#include <string_view>
#include <utility>

namespace godwit::relay::ops {
namespace {

// Async-signal-safe: one write, and the signal again, which is the system's since SA_RESETHAND.
void on_sigbus(int signal) {
  constexpr std::string_view kLine =
      "godwit-relay: ended by SIGBUS: data.mdb is damaged or its disk cannot be read: check the "
      "disk, then start again; if that ends so too, move data.mdb away\n";
  (void)!::write(STDERR_FILENO, kLine.data(), kLine.size());
  std::raise(signal);
}

}  // namespace

void tell_of_sigbus() {
  struct sigaction action {};
  action.sa_handler = on_sigbus;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGBUS, &action, nullptr);
}

Signals::Signals(net::Loop& loop, std::function<void()> on_stop, std::function<void()> on_hangup,
                 std::function<void()> exit_now)
    : on_stop_(std::move(on_stop)),
      exit_now_(std::move(exit_now)),
      terminate_(loop, SIGTERM, [this] { stop_once(); }),
      interrupt_(loop, SIGINT, [this] {
        if (std::exchange(interrupted_, true)) return exit_now_();
        stop_once();
      }),
      hangup_(loop, SIGHUP, std::move(on_hangup)) {}

void Signals::exit_interrupted() {
  constexpr int kInterruptedStatus = 128 + SIGINT;  // as a shell reports it
  _exit(kInterruptedStatus);
}

void Signals::stop_once() {
  // Taken out first: the callback may end what this object belongs to.
  if (const auto on_stop = std::exchange(on_stop_, nullptr)) on_stop();
}

}  // namespace godwit::relay::ops
