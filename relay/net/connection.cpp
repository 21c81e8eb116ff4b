#include "relay/net/connection.hpp"

namespace godwit::relay::net {

Connection::Connection(ConnectionOwner& owner, godwit::net::Stream stream,
                       const wire::KeyPair& relay_key, Steady opened,
                       std::size_t write_queue_max)
    : owner_(owner),
      stream_(std::move(stream)),
      channel_(wire::Channel::responder(relay_key)),
      opened_(opened),
      write_queue_max_(write_queue_max) {
  stream_.start({
      .on_read = [this](wire::ByteView bytes) { on_read(bytes); },
      .on_closed = [this](godwit::net::NetError) { end("closed_by_peer"); },
      .on_drained =
          [this] {
            paused_by_queue_ = false;
            apply_pause();
          },
  });
}

void Connection::on_read(wire::ByteView bytes) {
  if (state_ != State::open) return;
  const Now now = owner_.now();
  // By reference, so that it fits into a std::function without memory of its own.
  const auto received = channel_.receive(bytes, [this, &now](wire::ByteView body) {
    establish(now);
    owner_.on_frame(*this, body, now);
    return state_ == State::open;
  });
  if (state_ == State::ended) return;
  // Our half of the handshake; frames were announced when they were sent.
  if (!channel_.established() && channel_.has_output()) owner_.on_output(*this);
  if (received) return establish(now);
  switch (received.error()) {
    case wire::ChannelError::bad_handshake:
      return end("bad_handshake");
    case wire::ChannelError::bad_record:
      return end("bad_record");
    case wire::ChannelError::frame_too_large:
    case wire::ChannelError::frame_too_small:
      return end("bad_frame_size");
    case wire::ChannelError::stopped:
      return;  // finish() was called from on_frame
  }
}

void Connection::establish(Now now) {
  if (established_ || !channel_.established()) return;
  established_ = true;
  owner_.on_established(*this, *channel_.peer(), now);
}

void Connection::send(wire::ByteView frame_body, bool may_wait) {
  if (state_ != State::open) return;
  const bool first = !channel_.has_output();
  if (first) channel_.lend(owner_.lend_buffer());
  channel_.send(frame_body);
  if (!may_wait || channel_.pending() > kWaitingBytesMax) return owner_.on_output(*this);
  if (first) owner_.on_waiting_output(*this);
}

void Connection::flush() {
  if (state_ == State::ended) return;
  if (channel_.has_output()) {
    wire::Bytes out;
    channel_.flush(out);
    owner_.take_back(stream_.write(std::move(out)));
  }
  if (state_ == State::finishing) return stream_.shutdown();
  const std::size_t queued = stream_.queued_bytes();
  if (queued > write_queue_max_) return end("write_queue_full");
  paused_by_queue_ = queued > kWriteQueuePauseBytes;
  apply_pause();
}

void Connection::pause(bool paused) {
  paused_by_owner_ = paused;
  apply_pause();
}

void Connection::apply_pause() {
  const bool read = state_ != State::open || (!paused_by_owner_ && !paused_by_queue_);
  if (read == reading_) return;
  reading_ = read;
  if (read) {
    stream_.resume();
  } else {
    stream_.pause();
  }
}

void Connection::finish(Steady now) {
  if (state_ != State::open) return;
  state_ = State::finishing;
  finished_ = now;
  apply_pause();  // the end of the peer must be seen
  owner_.on_output(*this);  // not from here: this may be a call from within on_read()
}

void Connection::end(std::string_view reason) {
  if (state_ == State::ended) return;
  state_ = State::ended;
  owner_.on_ended(*this, reason);
}

}  // namespace godwit::relay::net
