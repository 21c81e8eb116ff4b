#include "tools/godwit/interrupt.hpp"

#include <unistd.h>

#include <chrono>
#include <utility>

namespace godwit::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kExitNow = 130;
// timeout(1) and some shells send one signal twice, to the process and to its group.
constexpr std::chrono::milliseconds kSameSignal{500};

}  // namespace

sigset_t ending_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction now {};
    sigaction(number, nullptr, &now);
    if (now.sa_handler != SIG_IGN) sigaddset(&signals, number);
  }
  return signals;
}

void stop_as_asked() {
  sigset_t stop, before;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTSTP);
  raise(SIGTSTP);
  pthread_sigmask(SIG_UNBLOCK, &stop, &before);  // here
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Interrupt::Interrupt(std::function<void()> on_signal) {
  sigset_t signals = ending_signals();
  sigaddset(&signals, SIGUSR1);  // the destructor's
  pthread_sigmask(SIG_BLOCK, &signals, &before_);
  thread_ = std::thread([this, signals, on_signal = std::move(on_signal)] {
    Clock::time_point first{};
    for (int number = 0; sigwait(&signals, &number) == 0 && !ending_;) {
      if (!happened_.exchange(true)) {
        first = Clock::now();
        on_signal();
      } else if (Clock::now() - first > kSameSignal) {
        _exit(kExitNow);
      }
    }
  });
}

Interrupt::~Interrupt() {
  ending_ = true;
  pthread_kill(thread_.native_handle(), SIGUSR1);
  thread_.join();
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

}  // namespace godwit::cli
