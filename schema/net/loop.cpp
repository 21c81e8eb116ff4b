#include "schema/net/loop.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <csignal>
#include <utility>

#include "schema/net/descriptor.hpp"
#include "schema/net/handle.hpp"

namespace godwit::net {

namespace {

// A close callback may destroy an owner of further handles, which then close one round later.
// Deeper nesting than this is a handle that nobody destroyed.
constexpr int kCloseRoundsMax = 64;

// libuv ends the process when its first loop finds no descriptors for a pipe in its middle. So they
// are asked for before: epoll, two pipes and an eventfd, and some that another thread may take.
constexpr std::size_t kDescriptorsWanted = 12;

bool descriptors_are_there() {
  std::array<Descriptor, kDescriptorsWanted> taken;
  return std::ranges::all_of(taken, [](Descriptor& one) {
    one = Descriptor(::eventfd(0, EFD_CLOEXEC));
    return one.is_open();
  });
}

// libuv writes with writev(), which raises SIGPIPE when the peer is gone. A peer must not be able
// to end the process; the program's own handler, if it has one, stays.
void ignore_broken_pipes() {
  struct sigaction action {};
  if (sigaction(SIGPIPE, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) return;
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, nullptr);
}

}  // namespace

struct Loop::State {
  uv_loop_t loop;
  // libuv runs timers, then prepare handles, then waits: so this is the last moment of a round.
  // It also keeps the loop alive, which makes run() last until stop().
  uv_prepare_t round_end;
  std::function<void()> on_round_end;
  ReadBuffer read_buffer;

  void end_round() {
    ++read_buffer.round;
    if (on_round_end) on_round_end();
  }
};

tl::expected<std::unique_ptr<Loop::State>, NetError> Loop::make_state() {
  ignore_broken_pipes();
  if (!descriptors_are_there()) return tl::unexpected(last_error());
  auto state = std::make_unique<State>();
  uv_loop_t* const loop = &state->loop;
  if (const int result = uv_loop_init(loop); result != 0) {
#if UV_VERSION_HEX < 0x012d00
    // libuv before 1.45 leaves its epoll set open when what comes after it fails.
    if (const int left = uv_backend_fd(loop); left >= 0) ::close(left);
#endif
    return tl::unexpected(to_net_error(result));
  }
  loop->data = &state->read_buffer;
  uv_prepare_init(loop, &state->round_end);
  state->round_end.data = state.get();
  uv_prepare_start(&state->round_end, [](uv_prepare_t* handle) {
    static_cast<State*>(handle->data)->end_round();
  });
  return state;
}

tl::expected<Loop, NetError> Loop::open() {
  auto state = make_state();
  if (!state) return tl::unexpected(state.error());
  return Loop(std::move(*state));
}

Loop::Loop(std::unique_ptr<State> state) : state_(std::move(state)), loop_(&state_->loop) {}

Loop::Loop()
    : Loop([] {
        auto state = make_state();
        assert(state && "a program without descriptors for its loop can do nothing");
        return std::move(*state);
      }()) {}

Loop::Loop(Loop&&) noexcept = default;

Loop::~Loop() {
  if (!state_) return;
  uv_close(reinterpret_cast<uv_handle_t*>(&state_->round_end), nullptr);
  int result = uv_loop_close(loop_);
  for (int round = 0; result == UV_EBUSY && round < kCloseRoundsMax; ++round) {
    uv_run(loop_, UV_RUN_NOWAIT);
    result = uv_loop_close(loop_);
  }
  assert(result == 0 && "a handle outlived its loop");
}

// Each of the three ends with end_round(), because the callbacks of its last round ran after the
// prepare handle did.
void Loop::run() {
  uv_run(loop_, UV_RUN_DEFAULT);
  state_->end_round();
}

void Loop::run_once() {
  uv_run(loop_, UV_RUN_ONCE);
  state_->end_round();
}

void Loop::poll() {
  uv_run(loop_, UV_RUN_NOWAIT);
  state_->end_round();
}

void Loop::stop() { uv_stop(loop_); }

void Loop::on_round_end(std::function<void()> callback) {
  state_->on_round_end = std::move(callback);
}

std::chrono::steady_clock::time_point Loop::now() const {
  // Both count CLOCK_MONOTONIC from the same epoch.
  return std::chrono::steady_clock::time_point(std::chrono::milliseconds(uv_now(loop_)));
}

std::size_t Loop::open_handles() const {
  std::size_t count = 0;
  uv_walk(
      loop_,
      [](uv_handle_t* handle, void* counter) {
        if (uv_is_closing(handle) == 0) ++*static_cast<std::size_t*>(counter);
      },
      &count);
  return count - 1;  // without round_end
}

std::uint64_t prepare_descriptors(std::uint64_t expected) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  rlimit raised = limit;
  raised.rlim_cur = raised.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  // The table never shrinks, so one descriptor that far out, for a moment, is all it takes. Where
  // there is none to be had the table grows later.
  const std::uint64_t last = std::min<std::uint64_t>(expected, limit.rlim_cur);
  const Descriptor near(::eventfd(0, EFD_CLOEXEC));
  if (last > 0 && near.is_open()) {
    const Descriptor far(::fcntl(near.get(), F_DUPFD_CLOEXEC, static_cast<int>(last - 1)));
  }
  return limit.rlim_cur;
}

std::string describe(NetError error) {
  switch (error) {
    case NetError::address_invalid: return "not an address that can be used here";
    case NetError::address_in_use: return "the address is in use";
    case NetError::permission: return "permission denied";
    case NetError::no_descriptors: return "out of file descriptors";
    case NetError::refused: return "nobody listens there";
    case NetError::reset: return "the peer went away";
    case NetError::closed: return "the peer closed the connection";
    case NetError::timed_out: return "timed out";
    case NetError::other: return "network failure";
  }
  return "network failure";
}

NetError to_net_error(int status) {
  switch (status) {
    case UV_EADDRNOTAVAIL:
    case UV_EAFNOSUPPORT:
    case UV_EINVAL:
    case UV_ENAMETOOLONG: return NetError::address_invalid;
    case UV_EADDRINUSE: return NetError::address_in_use;
    case UV_EACCES:
    case UV_EPERM: return NetError::permission;
    case UV_EMFILE:
    case UV_ENFILE: return NetError::no_descriptors;
    case UV_ECONNREFUSED: return NetError::refused;
    case UV_ECONNRESET:
    case UV_ECONNABORTED:
    case UV_ENOTCONN:
    case UV_EPIPE: return NetError::reset;
    case UV_EOF: return NetError::closed;
    case UV_ETIMEDOUT: return NetError::timed_out;
    default: return NetError::other;
  }
}

}  // namespace godwit::net
