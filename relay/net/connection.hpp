// net/connection: one TCP connection: socket bytes -> Noise records -> frames, and back.
//
// Happy path: the first bytes are the peer's hello; the owner says when there is time to answer it,
// and is told the peer's key with the first frame; each frame goes to the owner. Frames to send
// gather in the channel and leave as one write at the end of the loop's round.
// Failure: a record that does not authenticate, a frame over the limit, an end of stream or an
// overfull write queue: the owner is told once, and nothing more comes from this connection.
//
// Owns:    the stream and the channel.
// Refuses: to know what a frame means.
// Thread:  the loop's.
#pragma once

#include <string_view>

#include "relay/limits.hpp"
#include "relay/net/recent_hellos.hpp"
#include "relay/net/static_secrets.hpp"
#include "relay/time.hpp"
#include "schema/net/stream.hpp"
#include "schema/wire/channel.hpp"

namespace godwit::relay::net {

class Connection;

class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  // Asked once for all that one read brings.
  [[nodiscard]] virtual Now now() const = 0;
  // The peer's hello is here: answer_hello() is due. False: it was here before, and the connection
  // ends.
  [[nodiscard]] virtual bool on_hello(Connection& connection, const HelloMark& mark) = 0;
  virtual void on_established(Connection& connection, const wire::Key& peer, Now now) = 0;
  virtual void on_frame(Connection& connection, wire::ByteView body, Now now) = 0;
  // `reason` is a literal for the log. The owner destroys the connection later, not in here.
  virtual void on_ended(Connection& connection, std::string_view reason) = 0;
  // Has something to flush at the end of this round.
  virtual void on_output(Connection& connection) = 0;
  // Has something to flush kFrameWaitMax from now, unless it is flushed before.
  virtual void on_waiting_output(Connection& connection) = 0;
  // Memory for frames; empty when there is none to spare. And back, when they are written.
  [[nodiscard]] virtual wire::Bytes lend_buffer() = 0;
  virtual void take_back(wire::Bytes buffer) = 0;
};

class Connection {
 public:
  // `secrets`: of the relay's key; outlives this. `window_bytes`: may wait for a peer that is slow
  // to read, and it is heard all the same: its acks are what moves the window on.
  Connection(ConnectionOwner& owner, godwit::net::Stream stream, StaticSecrets& secrets,
             Steady opened, std::size_t window_bytes);
  Connection(const Connection&) = delete;  // callbacks point here
  Connection& operator=(const Connection&) = delete;

  // A quarter of a millisecond of arithmetic and more, which any peer can ask for. Once, after
  // on_hello.
  void answer_hello();
  // `may_wait`: for the next frame that may not, within reason.
  void send(wire::ByteView frame_body, bool may_wait);
  void flush();
  void read_at_most(std::size_t bytes) { stream_.read_at_most(bytes); }
  void pause(bool paused);
  void lift_frame_limit() { channel_.frames().set_size_max(wire::kFrameSizeMax); }
  // What was sent leaves with the next flush(), then FIN; on_ended comes when the kernel has both.
  // No more frames.
  void finish(Steady now);
  // At once and without a word; on_ended is called before it returns. Nothing more is read.
  void end(std::string_view reason);

  // Ends a connection whose handshake, or whose end, takes too long.
  void check_deadlines(Steady now);

  [[nodiscard]] bool established() const { return established_; }
  [[nodiscard]] Steady finished() const { return finished_; }  // when finish() was called
  [[nodiscard]] std::string peer_address() const { return stream_.peer_address(); }

  std::uint64_t id = 0;       // the owner's mark
  std::uint64_t session = 0;  // the owner's; 0: none
  Steady leaves_by{};         // the owner's: when frames that wait leave; zero: none does
  bool output_due = false;    // the owner's: it stands in the list of those to flush

 private:
  enum class State : std::uint8_t { open, finishing, ended };

  void on_read(wire::ByteView bytes);
  void gather_hello(wire::ByteView bytes);
  void receive(wire::ByteView bytes, Now now);
  void apply_pause();
  void establish(Now now);

  State state_ = State::open;  // small things first: they share a word with output_due
  bool established_ = false;
  std::uint8_t hello_size_ = 0;  // bytes of it that came
  HelloMark hello_end_{};
  bool paused_by_owner_ = false;  // an operation of this session is parked
  bool paused_by_queue_ = false;  // the peer does not read what we write
  bool reading_ = true;
  ConnectionOwner& owner_;
  godwit::net::Stream stream_;
  wire::Channel channel_;
  Steady opened_;
  Steady finished_{};
  std::size_t window_bytes_;
};

}  // namespace godwit::relay::net
