// net/handle: what the wrappers of this folder share. Only the .cpp files here include it, so that
// uv.h stays behind them.
//
// A wrapper is one `unique_ptr<State, Close>` whose State begins life with an initialised member
// `handle` and handle.data == the State. Its deleter calls close_and_free(), which is the only
// uv_close() of such a State: since a unique_ptr deletes once, a second uv_close (libuv aborts the
// process on it) cannot be written. The State, with the callbacks in it, lives until libuv's close
// callback: a callback may destroy its own wrapper and return into memory that is still there.
#pragma once

#include <uv.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "schema/net/loop.hpp"

namespace godwit::net {

// libuv reads one stream at a time and hands the bytes over before it reads the next, so a loop
// needs one buffer, and an idle connection none. It is the loop's `data`. Six messages to a group
// of 1,024 fit into it, at 40 KiB each, so that a member gets them in one write and not in six.
inline constexpr std::size_t kReadBufferSize = 256 * 1024;
struct ReadBuffer {
  std::array<char, kReadBufferSize> bytes;
  std::uint32_t round = 1;  // of the loop, so that a stream can tell whether it has read in it
};

template <class State>
uv_handle_t* as_handle(State& state) {
  return reinterpret_cast<uv_handle_t*>(&state.handle);
}

template <class State>
void close_and_free(State* state) {
  uv_close(as_handle(*state), [](uv_handle_t* handle) {
    delete static_cast<State*>(handle->data);
  });
}

// `status`: a libuv error, which on this system is a negated errno.
[[nodiscard]] NetError to_net_error(int status);
[[nodiscard]] inline NetError last_error() { return to_net_error(-errno); }

}  // namespace godwit::net
