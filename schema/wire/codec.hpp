// wire/codec: the one trust gate. Hostile frame bodies in, values out; and values into frames.
// Owns:    the FlatBuffers builder's buffer, reused from frame to frame.
// Refuses: to decide anything: rights, states and quotas are the session's business.
// Thread:  parse_* are pure; an Encoder has one owner.
// Trust:   every byte is hostile. The verifier runs first, with kVerifierTablesMax and
//          kVerifierDepthMax, over 8-byte aligned storage; then every count, size, enum, union
//          member, name and order is checked, so that what comes out needs no second look.
// Spec:    schema/README.md, "Frames"; the .fbs files.
#pragma once

#include <memory>
#include <tl/expected.hpp>

#include "schema/wire/messages.hpp"

namespace godwit::wire {

enum class CodecError : std::uint8_t {
  unaligned,      // the caller's storage is not 8-byte aligned
  malformed,      // the FlatBuffers verifier refuses it, or it does not fill the frame
  unknown_body,   // a union member that this version does not know
  out_of_bounds,  // a count, size, index or order that the protocol forbids
};

// `body`: one frame without its header, 8-byte aligned. Views in the result point into it.
[[nodiscard]] tl::expected<Request, CodecError> parse_request(ByteView body);
[[nodiscard]] tl::expected<RelayFrame, CodecError> parse_relay_frame(ByteView body);

// The id of a request whose content was refused, so that the refusal can name it; 0 when even
// that cannot be read. Call it on input that parse_request refused.
[[nodiscard]] std::uint32_t request_id_of(ByteView body);

class Encoder {
 public:
  Encoder();
  ~Encoder();
  Encoder(Encoder&&) noexcept;
  Encoder& operator=(Encoder&&) noexcept;

  // The frame body; valid until the next call. Preconditions: the counts and sizes of the value
  // are within limits.hpp (what only we can get wrong is asserted).
  [[nodiscard]] ByteView encode(const Request& request);
  [[nodiscard]] ByteView encode(const RelayFrame& frame);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace godwit::wire
