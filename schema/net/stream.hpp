// net/stream: one connected TCP or local (AF_UNIX) socket, and the listeners that make them.
//
// Destroying a stream closes it: what the kernel has is delivered, what is still queued
// (queued_bytes()) is discarded, and no callback runs any more. Who wants the rest delivered calls
// shutdown() and destroys the stream in on_closed.
//
// Owns:    the handle (closed by the deleter, freed in the close callback), the bytes of queued
//          writes, the callbacks (freed with the handle, so any of them may destroy the stream).
// Refuses: to bound the write queue by itself: the owner asks queued_bytes() and decides.
// Thread:  the loop's.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <tl/expected.hpp>

#include "schema/net/loop.hpp"
#include "schema/wire/types.hpp"

namespace godwit::net {

class Stream {
 public:
  struct Callbacks {
    // Once in a round of the loop, at most 256 KiB. Bytes live during the call (they lie in a read
    // buffer that all streams of the loop share).
    std::function<void(wire::ByteView)> on_read;
    // End of stream or error; no callback after it. The owner destroys the stream. A reset right
    // behind the last bytes may show as `closed`: what must be whole says so in its own protocol.
    std::function<void(NetError)> on_closed;
    // queued_bytes() has come down to zero. Not called for a write the kernel took at once.
    std::function<void()> on_drained;
  };

  // Takes over an accepted or connected descriptor of a stream socket, and closes it when that
  // fails (`reset`: the peer has gone). Sets TCP_NODELAY on TCP.
  [[nodiscard]] static tl::expected<Stream, NetError> adopt(Loop& loop, int descriptor);
  // Connects; frames written before on_connected wait. `address`: HOST:PORT, numeric host or
  // localhost. on_connected(error or nothing) is called later, from the loop; after an error
  // nothing else is, and the owner destroys the stream, then or in the callback.
  [[nodiscard]] static tl::expected<Stream, NetError> connect(
      Loop& loop, const std::string& address,
      std::function<void(tl::expected<void, NetError>)> on_connected,
      const std::string& from_address = {});  // source address without port, for tests

  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;
  ~Stream();

  // Begins to read, once the connection stands. Once for a stream. Callbacks may destroy it.
  void start(Callbacks callbacks);
  // From now on on_read gets at most so much in a round: for peers who shall not be long in front
  // of others. `bytes`: 1 to 256 KiB.
  void read_at_most(std::size_t bytes);
  void pause();   // stop reading: the peer feels back pressure; its end is not seen meanwhile
  void resume();

  // Queues bytes; the stream owns them until the kernel has them. Tries to write at once, and
  // calls nothing back from within. After the end, shutdown() or reset() it does nothing. What
  // was written at once is returned, for who has a use for its memory.
  wire::Bytes write(wire::Bytes bytes);
  [[nodiscard]] std::size_t queued_bytes() const;  // not yet with the kernel
  // Sends what is queued, then FIN, then on_closed(closed). A peer that does not read delays this
  // without bound: the owner sets a timer.
  void shutdown();
  // Closes at once with RST, for tests and for abusers. No callback follows.
  void reset();

  // Asks the system: numeric, without port; "local" for AF_UNIX; empty when the peer has gone. Not
  // after reset().
  [[nodiscard]] std::string peer_address() const;

 private:
  struct State;
  struct Close {
    void operator()(State* state) const;
  };
  explicit Stream(std::unique_ptr<State, Close> state);
  std::unique_ptr<State, Close> state_;
};

// Listens on HOST:PORT; an IPv6 address takes IPv6 peers only. Hands out descriptors,
// not streams, so that any loop may adopt them.
class Listener {
 public:
  struct Options {
    int backlog = 1024;
    int accepts_per_round = 8;  // a flood is not in front of everybody; libuv accepts without end
  };
  // `on_accept(descriptor)` owns the descriptor and may destroy the listener. The bound
  // address (port 0 resolved) is address().
  [[nodiscard]] static tl::expected<Listener, NetError> listen(
      Loop& loop, const std::string& address, Options options,
      std::function<void(int descriptor)> on_accept);
  Listener(Listener&&) noexcept;
  Listener& operator=(Listener&&) noexcept;
  ~Listener();
  [[nodiscard]] const std::string& address() const;

 private:
  struct State;
  struct Close {
    void operator()(State* state) const;
  };
  explicit Listener(std::unique_ptr<State, Close> state);
  std::unique_ptr<State, Close> state_;
};

// Who is at the other end of a connected descriptor: numeric, without port; empty when it has gone.
[[nodiscard]] std::string peer_address_of(int descriptor);

}  // namespace godwit::net
