#include "schema/net/signal.hpp"

#include <cassert>
#include <utility>

#include "schema/net/handle.hpp"

namespace godwit::net {

struct Signal::State {
  uv_signal_t handle;
  std::function<void()> on_signal;
};

void Signal::Close::operator()(State* state) const {
  close_and_free(state);
}

Signal::Signal(Loop& loop, int number, std::function<void()> on_signal)
    : state_(new State{{}, std::move(on_signal)}) {
  uv_signal_init(&loop.raw(), &state_->handle);
  state_->handle.data = state_.get();
  const auto hear = [](uv_signal_t* handle, int) {
    static_cast<State*>(handle->data)->on_signal();
  };
  // It fails for a number that no handler may be set for: our mistake, not the system's.
  [[maybe_unused]] const int failed = uv_signal_start(&state_->handle, hear, number);
  assert(failed == 0);
  uv_unref(as_handle(*state_));
}

Signal::~Signal() = default;
Signal::Signal(Signal&&) noexcept = default;
Signal& Signal::operator=(Signal&&) noexcept = default;

}  // namespace godwit::net
