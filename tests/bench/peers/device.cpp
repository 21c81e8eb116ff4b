#include "tests/bench/peers/device.hpp"

#include <charconv>
#include <utility>

namespace godwit::bench::peers {

void Device::connect(net::Loop& loop, const std::string& address, Role role) {
  role_ = role;
  auto stream = net::Stream::connect(loop, address, [this](tl::expected<void, net::NetError> up) {
    if (!up) return host_.fail("connecting: " + net::describe(up.error()));
    greet();
  });
  if (!stream) return host_.fail("connecting: " + net::describe(stream.error()));
  stream_ = std::move(*stream);
  stream_->start({.on_read = [this](wire::ByteView bytes) { read(bytes); },
                  .on_closed =
                      [this](net::NetError error) {
                        host_.fail("a connection ended: " + net::describe(error));
                      },
                  .on_drained = {}});
}

void Device::leave() {
  if (stream_) stream_->reset();
  stream_.reset();
  out_.clear();
  unfinished_.clear();
}

wire::Bytes& Device::out() {
  if (!std::exchange(flush_due_, true)) host_.flush_later(*this);
  return out_;
}

void Device::flush() {
  flush_due_ = false;
  if (stream_) stream_->write(std::exchange(out_, {}));
}

void Device::read(wire::ByteView bytes) {
  if (!unfinished_.empty()) {
    append(unfinished_, bytes);
    bytes = unfinished_;
  }
  const auto rest = bytes.subspan(take(bytes));
  if (!stream_) return;  // it has left
  unfinished_ = wire::Bytes(rest.begin(), rest.end());
}

void append(wire::Bytes& to, std::string_view text) {
  to.insert(to.end(), text.begin(), text.end());
}

void append(wire::Bytes& to, wire::ByteView bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

void append_number(wire::Bytes& to, std::uint64_t number) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, number);
  append(to, std::string_view(digits, end.ptr));
}

std::string_view text_of(wire::ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace godwit::bench::peers
