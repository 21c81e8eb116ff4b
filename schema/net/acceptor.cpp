#include "schema/net/acceptor.hpp"

#include <sys/socket.h>

#include <optional>
#include <utility>

#include "schema/net/handle.hpp"
#include "schema/net/timer.hpp"

namespace godwit::net {

struct Acceptor::State {
  State(Loop& loop, Descriptor listening_descriptor, int most,
        std::function<void(int)> accept_callback)
      : listening(std::move(listening_descriptor)),
        accepts_per_round(most),
        on_accept(std::move(accept_callback)),
        rest(std::in_place, loop, [this] { watch(); }) {}

  void watch() {
    uv_poll_start(&handle, UV_READABLE, [](uv_poll_t* poll, int, int) {
      static_cast<State*>(poll->data)->accept_some();
    });
  }
  void accept_some();

  uv_poll_t handle{};
  Descriptor listening;
  const int accepts_per_round;
  std::function<void(int)> on_accept;
  std::optional<Timer> rest;  // runs while no descriptors are to be had; gone once closed
};

void Acceptor::State::accept_some() {
  for (int tries = 0; tries < accepts_per_round; ++tries) {
    const int accepted =
        accept4(listening.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted >= 0) {
      on_accept(accepted);
      if (uv_is_closing(as_handle(*this)) != 0) return;
      continue;
    }
    switch (errno) {
      case EAGAIN: return;
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM:
        uv_poll_stop(&handle);
        rest->start(kDescriptorRest);
        return;
      default: break;  // that connection died while it waited: on to the next
    }
  }
}

void Acceptor::Close::operator()(State* state) const {
  state->rest.reset();
  close_and_free(state);
  // libuv no longer watches it, and the address is free again at once.
  state->listening = Descriptor();
}

tl::expected<Acceptor, NetError> Acceptor::start(Loop& loop, Descriptor listening,
                                                 int accepts_per_round,
                                                 std::function<void(int)> on_accept) {
  auto fresh = std::make_unique<State>(loop, std::move(listening), accepts_per_round,
                                       std::move(on_accept));
  // A handle that could not be initialised must not be closed: `fresh` just deletes it.
  if (const int result = uv_poll_init(&loop.raw(), &fresh->handle, fresh->listening.get());
      result != 0) {
    return tl::unexpected(to_net_error(result));
  }
  std::unique_ptr<State, Close> state(fresh.release());
  state->handle.data = state.get();
  state->watch();
  return Acceptor(std::move(state));
}

Acceptor::Acceptor(std::unique_ptr<State, Close> state) : state_(std::move(state)) {}
Acceptor::Acceptor(Acceptor&&) noexcept = default;
Acceptor& Acceptor::operator=(Acceptor&&) noexcept = default;
Acceptor::~Acceptor() = default;

}  // namespace godwit::net
