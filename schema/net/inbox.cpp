#include "schema/net/inbox.hpp"

#include <cassert>

#include "schema/net/handle.hpp"

namespace godwit::net {

struct Waker::State {
  uv_async_t handle;
  std::function<void()> on_wake;
};

void Waker::Close::operator()(State* state) const { close_and_free(state); }

Waker::Waker(Loop& loop, std::function<void()> on_wake)
    : state_(new State{{}, std::move(on_wake)}) {
  [[maybe_unused]] const int result =
      uv_async_init(&loop.raw(), &state_->handle, [](uv_async_t* handle) {
        static_cast<State*>(handle->data)->on_wake();
      });
  assert(result == 0 && "the loop opened its wake-up descriptor when it was made");
  state_->handle.data = state_.get();
}

Waker::~Waker() = default;

void Waker::wake() { uv_async_send(&state_->handle); }

}  // namespace godwit::net
