// wire/codec: the one trust gate. Hostile frame bodies in, values out; and values into frames.
// Owns:    the FlatBuffers builder's buffer, reused from frame to frame.
// Refuses: to decide anything: rights, states and quotas are the session's business.
// Thread:  parse_* are pure; an Encoder has one owner.
// Trust:   every byte is hostile. The verifier runs first, with kVerifierTablesMax and
//          kVerifierDepthMax, over 8-byte aligned storage; then every count, size, enum, union
//          member and order is checked, so that what comes out needs no second look. Of a name
//          in a request only the length is: what a name may hold, fold_name() says. Signatures
//          are identity's.
// Filling: a FlatBuffer does not tell its length. What is checked is that the last byte the
//          verifier looked at, rounded up to 4, ends the frame: nothing can trail behind. Bytes
//          between the parts that no offset leads to cannot be seen; they are never read. For
//          the same reason a field that this version does not know may be refused, so a newer
//          one is sent only to a peer that has said that it speaks that version.
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
  out_of_bounds,  // a count, size, index, enum or order that the protocol forbids
};

inline constexpr std::size_t kFrameAlignment = 8;
inline constexpr std::size_t kRawNameSizeMax = 64;  // bytes; so that fold_name() can be the judge

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
