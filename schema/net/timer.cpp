#include "schema/net/timer.hpp"

#include <algorithm>
#include <utility>

#include "schema/net/handle.hpp"

namespace godwit::net {

struct Timer::State {
  uv_timer_t handle;
  std::function<void()> on_fire;
};

void Timer::Close::operator()(State* state) const { close_and_free(state); }

Timer::Timer(Loop& loop, std::function<void()> on_fire)
    : state_(new State{{}, std::move(on_fire)}) {
  uv_timer_init(&loop.raw(), &state_->handle);
  state_->handle.data = state_.get();
}

Timer::~Timer() = default;
Timer::Timer(Timer&&) noexcept = default;
Timer& Timer::operator=(Timer&&) noexcept = default;

void Timer::start(std::chrono::milliseconds delay, std::chrono::milliseconds repeat) {
  constexpr std::chrono::milliseconds kNow{0};
  const auto fire = [](uv_timer_t* handle) { static_cast<State*>(handle->data)->on_fire(); };
  uv_timer_start(&state_->handle, fire, static_cast<std::uint64_t>(std::max(delay, kNow).count()),
                 static_cast<std::uint64_t>(std::max(repeat, kNow).count()));
}

void Timer::stop() { uv_timer_stop(&state_->handle); }

bool Timer::active() const { return uv_is_active(as_handle(*state_)) != 0; }

}  // namespace godwit::net
