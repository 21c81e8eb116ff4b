// net/stream: one connected TCP or local (AF_UNIX) socket, and the listeners that make them.
//
// Writes own their bytes and outlive the stream: destroying a stream after write() lets libuv
// finish or cancel the write in its own time, and no callback of it runs any more.
//
// Owns:    the handle (closed by the deleter, freed in the close callback), queued writes.
// Refuses: to bound the write queue by itself: the owner asks queued_bytes() and decides.
// Thread:  the loop's.
#pragma once

#include <tl/expected.hpp>

#include "schema/net/loop.hpp"
#include "schema/wire/types.hpp"

namespace godwit::net {

class Stream {
 public:
  struct Callbacks {
    // Bytes live during the call (they lie in a read buffer that all streams of the loop share).
    std::function<void(wire::ByteView)> on_read;
    // End of stream or error; no callback after it. The owner destroys the stream.
    std::function<void(NetError)> on_closed;
    // All writes queued so far are with the kernel.
    std::function<void()> on_drained;
  };

  // Takes over an accepted or connected descriptor (TCP); sets TCP_NODELAY.
  [[nodiscard]] static tl::expected<Stream, NetError> adopt(Loop& loop, int descriptor);
  // Connects; frames written before on_connected wait. `address`: HOST:PORT, numeric host or
  // localhost. on_connected(error or nothing).
  [[nodiscard]] static tl::expected<Stream, NetError> connect(
      Loop& loop, const std::string& address,
      std::function<void(tl::expected<void, NetError>)> on_connected,
      const std::string& from_address = {});  // source address without port, for tests

  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;
  ~Stream();

  // Begins to read. Callbacks may destroy the stream.
  void start(Callbacks callbacks);
  void pause();   // stop reading: the peer feels back pressure
  void resume();

  // Queues bytes; the stream owns them until the kernel has them. Tries to write at once.
  void write(wire::Bytes bytes);
  [[nodiscard]] std::size_t queued_bytes() const;
  // Sends what is queued, then FIN, then on_closed(closed).
  void shutdown();
  // Closes with RST, for tests and for abusers.
  void reset();

  [[nodiscard]] const std::string& peer_address() const;  // numeric, without port

 private:
  friend class Listener;
  friend class LocalListener;
  struct State;
  struct Close {
    void operator()(State* state) const;
  };
  explicit Stream(std::unique_ptr<State, Close> state);
  std::unique_ptr<State, Close> state_;
};

// Listens on HOST:PORT. Hands out descriptors, not streams, so that any loop may adopt them.
class Listener {
 public:
  struct Options {
    int backlog = 1024;
    int accepts_per_round = 64;  // libuv accepts greedily; a flood must not starve the loop
  };
  // `on_accept(descriptor)` owns the descriptor. The bound address (port 0 resolved) is address().
  [[nodiscard]] static tl::expected<Listener, NetError> listen(
      Loop& loop, const std::string& address, Options options,
      std::function<void(int descriptor)> on_accept);
  Listener(Listener&&) noexcept;
  Listener& operator=(Listener&&) noexcept;
  ~Listener();
  [[nodiscard]] const std::string& address() const;
  void pause();   // stop accepting (connection cap reached)
  void resume();

 private:
  struct State;
  struct Close {
    void operator()(State* state) const;
  };
  explicit Listener(std::unique_ptr<State, Close> state);
  std::unique_ptr<State, Close> state_;
};

}  // namespace godwit::net
