// The way of a write: write() tries the kernel at once; what the kernel does not take becomes the
// one request in flight; what is written meanwhile waits in `backlog` and follows as one request
// of many buffers. libuv ends one request in a round, so a request for each write would be slow.
//
// Failures: a write error is reported by its own callback, never from inside write(), so a caller
// is not destroyed under its own feet. A connection that ended (`ended`) takes no more writes.
#include "schema/net/stream.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cassert>
#include <utility>

#include "schema/net/address.hpp"
#include "schema/net/descriptor.hpp"
#include "schema/net/handle.hpp"

namespace godwit::net {

struct Stream::State {
  explicit State(Loop& loop) {
    uv_tcp_init(&loop.raw(), &handle);
    handle.data = this;
  }

  [[nodiscard]] uv_stream_t* stream() { return reinterpret_cast<uv_stream_t*>(&handle); }
  [[nodiscard]] bool closing() const {
    return uv_is_closing(reinterpret_cast<const uv_handle_t*>(&handle)) != 0;
  }
  [[nodiscard]] tl::expected<void, NetError> bind(const Address& from);
  void update_reading();
  [[nodiscard]] std::size_t send_now(wire::ByteView bytes);
  void submit(std::vector<wire::Bytes> parts, std::size_t sent);
  void submit_backlog();
  void finish_writing();
  void connected();
  void end(NetError error);

  uv_tcp_t handle;
  Callbacks callbacks;
  std::vector<wire::Bytes> backlog;
  std::size_t backlog_bytes = 0;
  std::uint32_t requests_in_flight = 0;
  std::uint32_t read_in_round = 0;
  std::uint32_t read_max = kReadBufferSize;  // bytes in a round
  bool connecting = false;
  bool started = false;
  bool reading = false;   // wanted; waits for the connection
  bool shutting = false;  // wanted; waits for the connection
  bool ended = false;     // no callback after this
};

namespace {

// What an idle connection costs in this process, so that a hundred thousand of them fit.
constexpr std::size_t kStreamStateSizeMax = 512;

}  // namespace

void Stream::Close::operator()(State* state) const {
  static_assert(sizeof(State) <= kStreamStateSizeMax);
  close_and_free(state);
}

Stream::Stream(std::unique_ptr<State, Close> state) : state_(std::move(state)) {}
Stream::Stream(Stream&&) noexcept = default;
Stream& Stream::operator=(Stream&&) noexcept = default;
Stream::~Stream() = default;

tl::expected<Stream, NetError> Stream::adopt(Loop& loop, int descriptor) {
  Descriptor socket(descriptor);
  Address peer;
  socklen_t size = sizeof peer.storage;
  if (getpeername(socket.get(), reinterpret_cast<sockaddr*>(&peer.storage), &size) != 0) {
    return tl::unexpected(last_error());  // the peer may be gone already
  }
  std::unique_ptr<State, Close> state(new State(loop));
  if (peer.family() != AF_UNIX) uv_tcp_nodelay(&state->handle, 1);
  if (const int result = uv_tcp_open(&state->handle, socket.get()); result != 0) {
    return tl::unexpected(to_net_error(result));
  }
  (void)socket.release();
  return Stream(std::move(state));
}

tl::expected<Stream, NetError> Stream::connect(
    Loop& loop, const std::string& address,
    std::function<void(tl::expected<void, NetError>)> on_connected,
    const std::string& from_address) {
  struct Connecting {
    uv_connect_t request;
    State* state;
    std::function<void(tl::expected<void, NetError>)> on_connected;
  };
  const auto peer = parse_address(address);
  if (!peer) return tl::unexpected(peer.error());
  std::unique_ptr<State, Close> state(new State(loop));
  uv_tcp_nodelay(&state->handle, 1);
  if (!from_address.empty()) {
    const auto from = parse_host(from_address);
    if (!from) return tl::unexpected(from.error());
    if (from->family() != peer->family()) return tl::unexpected(NetError::address_invalid);
    if (const auto bound = state->bind(*from); !bound) return tl::unexpected(bound.error());
  }
  std::unique_ptr<Connecting> connecting(
      new Connecting{{}, state.get(), std::move(on_connected)});
  connecting->request.data = connecting.get();
  const auto on_done = [](uv_connect_t* request, int status) {
    const std::unique_ptr<Connecting> done(static_cast<Connecting*>(request->data));
    if (done->state->closing()) return;
    if (status == 0) {
      done->state->connected();
      done->on_connected({});
    } else {
      done->state->ended = true;
      done->on_connected(tl::unexpected(to_net_error(status)));
    }
  };
  if (const int result =
          uv_tcp_connect(&connecting->request, &state->handle, peer->raw(), on_done);
      result != 0) {
    return tl::unexpected(to_net_error(result));
  }
  (void)connecting.release();  // on_done has it
  state->connecting = true;
  return Stream(std::move(state));
}

// The port is left to connect(): the system must find one that no other connection to the same peer
// has, where bind() would look for one that nobody has, for longer and longer as they run out.
tl::expected<void, NetError> Stream::State::bind(const Address& from) {
  Descriptor socket(::socket(from.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.is_open()) return tl::unexpected(last_error());
  const int on = 1;
  if (setsockopt(socket.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) != 0 ||
      ::bind(socket.get(), from.raw(), from.size()) != 0) {
    return tl::unexpected(last_error());
  }
  if (const int result = uv_tcp_open(&handle, socket.get()); result != 0) {
    return tl::unexpected(to_net_error(result));
  }
  (void)socket.release();
  return {};
}

void Stream::State::connected() {
  connecting = false;
  update_reading();
  if (!backlog.empty()) submit_backlog();
  if (shutting) finish_writing();
}

void Stream::start(Callbacks callbacks) {
  assert(state_ && !state_->started && "callbacks that may be running cannot be replaced");
  state_->started = true;
  state_->callbacks = std::move(callbacks);
  state_->reading = true;
  state_->update_reading();
}

void Stream::read_at_most(std::size_t bytes) {
  assert(bytes >= 1 && bytes <= kReadBufferSize);
  if (state_) state_->read_max = static_cast<std::uint32_t>(bytes);
}

void Stream::pause() {
  if (!state_) return;
  state_->reading = false;
  state_->update_reading();
}

void Stream::resume() {
  if (!state_ || !state_->started) return;
  state_->reading = true;
  state_->update_reading();
}

void Stream::State::update_reading() {
  if (connecting) return;
  if (!reading || ended) {
    uv_read_stop(stream());
    return;
  }
  // One buffer a round: libuv reads on while a stream fills them, up to 2 MiB of one peer in front
  // of all others.
  const auto lend_buffer = [](uv_handle_t* from, std::size_t, uv_buf_t* buffer) {
    State& state = *static_cast<State*>(from->data);
    auto* const shared = static_cast<ReadBuffer*>(from->loop->data);
    *buffer = uv_buf_t{nullptr, 0};  // no more for now
    if (std::exchange(state.read_in_round, shared->round) == shared->round) return;
    *buffer = uv_buf_t{shared->bytes.data(), state.read_max};
  };
  const auto on_bytes = [](uv_stream_t* from, ssize_t size, const uv_buf_t* buffer) {
    State& state = *static_cast<State*>(from->data);
    if (size == UV_ENOBUFS) return;  // it got none
    if (size < 0) {
      state.end(to_net_error(static_cast<int>(size)));
    } else if (size > 0 && state.callbacks.on_read) {
      state.callbacks.on_read({reinterpret_cast<const std::uint8_t*>(buffer->base),
                               static_cast<std::size_t>(size)});
    }
  };
  // Fails only when it reads already or when the end of the stream has been reported.
  uv_read_start(stream(), lend_buffer, on_bytes);
}

void Stream::State::end(NetError error) {
  if (ended) return;
  ended = true;
  update_reading();
  if (callbacks.on_closed) callbacks.on_closed(error);
}

wire::Bytes Stream::write(wire::Bytes bytes) {
  if (!state_ || state_->ended || state_->shutting || bytes.empty()) return {};
  if (state_->connecting || state_->requests_in_flight > 0) {
    state_->backlog_bytes += bytes.size();
    state_->backlog.push_back(std::move(bytes));
    return {};
  }
  const std::size_t sent = state_->send_now(bytes);
  if (sent == bytes.size()) return bytes;
  std::vector<wire::Bytes> parts;
  parts.push_back(std::move(bytes));
  state_->submit(std::move(parts), sent);
  return {};
}

// What the kernel takes at once: with send() and not uv_try_write(), which calls write() and so has
// the kernel go through its file layer. An error is none here: the request that follows meets it.
std::size_t Stream::State::send_now(wire::ByteView bytes) {
  uv_os_fd_t descriptor = -1;
  if (uv_fileno(reinterpret_cast<uv_handle_t*>(&handle), &descriptor) != 0) return 0;
  const ssize_t sent = ::send(descriptor, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent > 0 ? static_cast<std::size_t>(sent) : 0;
}

void Stream::State::submit_backlog() {
  backlog_bytes = 0;
  submit(std::exchange(backlog, {}), 0);
}

// `sent` bytes of the first part are with the kernel already.
void Stream::State::submit(std::vector<wire::Bytes> parts, std::size_t sent) {
  struct Write {
    uv_write_t request;
    State* state;  // libuv cancels the request before the state is freed
    std::vector<wire::Bytes> parts;
  };
  std::unique_ptr<Write> write(new Write{{}, this, std::move(parts)});
  write->request.data = write.get();
  std::vector<uv_buf_t> buffers;
  buffers.reserve(write->parts.size());
  for (wire::Bytes& part : write->parts) {
    buffers.push_back({reinterpret_cast<char*>(part.data()), part.size()});
  }
  buffers.front().base += sent;
  buffers.front().len -= sent;
  const auto on_done = [](uv_write_t* request, int status) {
    const std::unique_ptr<Write> done(static_cast<Write*>(request->data));
    State& state = *done->state;
    --state.requests_in_flight;
    if (state.closing() || state.ended) return;
    if (status < 0) {
      state.backlog.clear();
      state.backlog_bytes = 0;
      // Before start() nobody could be told; reading will meet the same end.
      if (state.started) state.end(to_net_error(status));
    } else if (state.requests_in_flight == 0) {
      if (!state.backlog.empty()) {
        state.submit_backlog();
      } else if (state.callbacks.on_drained) {
        state.callbacks.on_drained();
      }
    }
  };
  // Fails only on a stream that libuv found broken, which reading reports.
  if (uv_write(&write->request, stream(), buffers.data(),
               static_cast<unsigned int>(buffers.size()), on_done) != 0) {
    return;
  }
  (void)write.release();  // on_done has it
  ++requests_in_flight;
}

std::size_t Stream::queued_bytes() const {
  if (!state_) return 0;
  return state_->backlog_bytes + uv_stream_get_write_queue_size(state_->stream());
}

void Stream::shutdown() {
  if (!state_ || state_->ended || state_->shutting) return;
  state_->shutting = true;
  if (!state_->connecting) state_->finish_writing();
}

void Stream::State::finish_writing() {
  if (!backlog.empty()) submit_backlog();
  auto request = std::make_unique<uv_shutdown_t>();
  const auto on_done = [](uv_shutdown_t* done, int status) {
    const std::unique_ptr<uv_shutdown_t> owner(done);
    State& state = *static_cast<State*>(done->handle->data);
    if (state.closing()) return;
    state.end(status == 0 ? NetError::closed : to_net_error(status));
  };
  // Fails only on a stream that libuv found broken, which reading reports.
  if (uv_shutdown(request.get(), stream(), on_done) == 0) (void)request.release();
}

void Stream::reset() {
  if (!state_) return;
  uv_os_fd_t descriptor = -1;
  if (uv_fileno(as_handle(*state_), &descriptor) == 0) {
    // uv_tcp_close_reset() does the same, but refuses after shutdown(), and would be a second
    // place that closes.
    const linger discard{1, 0};
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &discard, sizeof discard);
  }
  state_.reset();
}

std::string Stream::peer_address() const {
  assert(state_ && "a reset or moved-from stream has no peer");
  uv_os_fd_t descriptor = -1;
  if (uv_fileno(as_handle(*state_), &descriptor) != 0) return {};
  return peer_address_of(descriptor);
}

std::string peer_address_of(int descriptor) {
  Address peer;
  socklen_t size = sizeof peer.storage;
  if (getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer.storage), &size) != 0) return {};
  return format_host(peer);
}

}  // namespace godwit::net
