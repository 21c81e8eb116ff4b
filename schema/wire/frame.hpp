// wire/frame: cuts the decrypted byte stream into length-prefixed frames.
// Owns:    one unfinished frame, at most the limit set; nothing while a frame boundary is reached.
// Refuses: to decrypt, parse FlatBuffers or touch a socket.
// Thread:  one reader per connection; not shared.
// Trust:   input is hostile; the size is checked before a byte is kept.
// Spec:    schema/README.md, "Framing".
#pragma once

#include <functional>
#include <memory>
#include <tl/expected.hpp>

#include "schema/wire/limits.hpp"
#include "schema/wire/types.hpp"

namespace godwit::wire {

enum class FrameError : std::uint8_t {
  too_large,  // the size is over the limit in force
  too_small,  // the size is under any FlatBuffer's
};

class FrameAssembler {
 public:
  // Called once per frame with its body, at an 8-byte aligned address, valid during the call.
  // Returning false stops the assembler: the rest of the input is dropped (the connection ends).
  using OnFrame = std::function<bool(ByteView body)>;

  // Before login the limit is 4 KiB, later kFrameSizeMax.
  void set_size_max(std::size_t bytes) { size_max_ = bytes; }

  // Takes any cut of the stream. An error is final: the peer broke the protocol.
  [[nodiscard]] tl::expected<void, FrameError> feed(ByteView bytes, const OnFrame& on_frame);

  // Bytes held for an unfinished frame.
  [[nodiscard]] std::size_t buffered() const { return header_filled_ + filled_; }
  // Bytes of memory held beyond the assembler's own size.
  [[nodiscard]] std::size_t memory() const { return storage_.capacity() * sizeof storage_[0]; }

 private:
  [[nodiscard]] bool take_header(ByteView& bytes);
  [[nodiscard]] tl::expected<void, FrameError> check_size() const;
  void keep(ByteView part);
  [[nodiscard]] bool deliver(ByteView body, const OnFrame& on_frame);
  [[nodiscard]] bool deliver_kept(const OnFrame& on_frame);

  std::size_t size_max_ = kFrameSizeMaxBeforeLogin;
  std::vector<std::uint64_t> storage_;  // u64 for its alignment; capacity is freed when idle
  std::size_t filled_ = 0;              // bytes of the body in storage_
  std::array<std::uint8_t, kFrameHeaderSize> header_{};
  std::uint8_t header_filled_ = 0;
  bool stopped_ = false;
};

}  // namespace godwit::wire
