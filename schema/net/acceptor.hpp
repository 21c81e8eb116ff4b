// net/acceptor: takes connections from a listening descriptor, a bounded number in each round.
//
// libuv's own accept loop goes on while there is one to accept, so that a flood starves timers and
// sessions; this one watches the descriptor (uv_poll) and accepts by itself. Out of descriptors it
// rests for kDescriptorRest: the kernel keeps the connections, and the loop does not spin.
// Owns:   the listening descriptor.
// Thread: the loop's.
#pragma once

#include <functional>
#include <memory>
#include <tl/expected.hpp>

#include "schema/net/descriptor.hpp"
#include "schema/net/loop.hpp"

namespace godwit::net {

inline constexpr std::chrono::milliseconds kDescriptorRest{100};

class Acceptor {
 public:
  // `on_accept(descriptor)` owns the descriptor; it may destroy the acceptor.
  [[nodiscard]] static tl::expected<Acceptor, NetError> start(
      Loop& loop, Descriptor listening, int accepts_per_round,
      std::function<void(int descriptor)> on_accept);
  Acceptor(Acceptor&&) noexcept;
  Acceptor& operator=(Acceptor&&) noexcept;
  ~Acceptor();

 private:
  struct State;
  struct Close {
    void operator()(State* state) const;
  };
  explicit Acceptor(std::unique_ptr<State, Close> state);
  std::unique_ptr<State, Close> state_;
};

}  // namespace godwit::net
