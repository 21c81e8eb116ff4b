#include "relay/net/connection.hpp"

#include <algorithm>

namespace godwit::relay::net {

Connection::Connection(ConnectionOwner& owner, godwit::net::Stream stream,
                       StaticSecrets& secrets, Steady opened, std::size_t window_bytes)
    : owner_(owner),
      stream_(std::move(stream)),
      channel_(wire::Channel::responder(
          secrets.own(), {}, {}, [&secrets](const wire::Key& peer) { return secrets.with(peer); })),
      opened_(opened),
      window_bytes_(window_bytes) {
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
  if (channel_.established()) return receive(bytes, owner_.now());
  gather_hello(bytes);
}

// The channel works as soon as it has the whole hello. So it gets all but the last byte, which
// comes when the owner wants the work to be done. Nobody has anything to say before the answer.
void Connection::gather_hello(wire::ByteView bytes) {
  if (hello_size_ + bytes.size() > wire::kHelloSize) return end("bad_handshake");
  hello_size_ = static_cast<std::uint8_t>(hello_size_ + bytes.size());
  const bool whole = hello_size_ == wire::kHelloSize;
  for (const std::uint8_t byte : bytes.last(std::min(bytes.size(), hello_end_.size()))) {
    std::shift_left(hello_end_.begin(), hello_end_.end(), 1);
    hello_end_.back() = byte;
  }
  receive(whole ? bytes.first(bytes.size() - 1) : bytes, {});
  if (!whole || state_ != State::open) return;
  if (!owner_.on_hello(*this, hello_end_)) end("replayed_hello");
}

void Connection::answer_hello() {
  if (state_ != State::open) return;
  receive({&hello_end_.back(), 1}, {});
  flush();
}

void Connection::receive(wire::ByteView bytes, Now now) {
  // By reference, so that it fits into a std::function without memory of its own.
  const auto received = channel_.receive(bytes, [this, &now](wire::ByteView body) {
    establish(now);
    owner_.on_frame(*this, body, now);
    return state_ == State::open;
  });
  if (state_ == State::ended) return;
  if (received) return;
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

// Not with our answer, nor with any bytes behind it: a hello can be a replayed one, and only who
// can read the answer makes a frame.
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
  if (queued > kWriteQueueMaxBytes + window_bytes_) return end("write_queue_full");
  paused_by_queue_ = queued > kWriteQueuePauseBytes + window_bytes_;
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

void Connection::check_deadlines(Steady now) {
  if (state_ == State::open && !established_ && now > opened_ + kHandshakeDeadline) {
    end("handshake_timeout");
  } else if (state_ == State::finishing && now > finished_ + kCloseDeadline) {
    end("close_timeout");
  }
}

void Connection::end(std::string_view reason) {
  if (state_ == State::ended) return;
  state_ = State::ended;
  owner_.on_ended(*this, reason);
}

}  // namespace godwit::relay::net
