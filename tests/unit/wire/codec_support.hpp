// Forged frames for the codec's tests: what our own encoder refuses to say.
#pragma once

#include <optional>

#include "schema/godwit_generated.h"
#include "schema/wire/codec.hpp"

namespace godwit::test {

using Builder = flatbuffers::FlatBufferBuilder;

// A frame in a heap block of exactly its size, so that a sanitizer sees a read behind its end.
// operator new aligns it for every fundamental type, hence to 8.
class FrameCopy {
 public:
  explicit FrameCopy(wire::ByteView from) : bytes_(from.begin(), from.end()) {}

  [[nodiscard]] wire::ByteView view() const { return bytes_; }
  [[nodiscard]] std::uint8_t& operator[](std::size_t i) { return bytes_[i]; }

 private:
  wire::Bytes bytes_;
};

template <class Body>
[[nodiscard]] FrameCopy forged_request(Builder& builder, flatbuffers::Offset<Body> body,
                                       std::uint32_t id = 5) {
  builder.Finish(
      fb::CreateRequest(builder, id, fb::RequestBodyTraits<Body>::enum_value, body.Union()));
  return FrameCopy({builder.GetBufferPointer(), builder.GetSize()});
}

template <class Body>
[[nodiscard]] FrameCopy forged_relay_frame(Builder& builder, flatbuffers::Offset<Body> body,
                                           std::uint32_t request = 0) {
  builder.Finish(
      fb::CreateRelayFrame(builder, request, fb::RelayBodyTraits<Body>::enum_value, body.Union()));
  return FrameCopy({builder.GetBufferPointer(), builder.GetSize()});
}

[[nodiscard]] inline flatbuffers::Offset<fb::DeviceList> forged_list(Builder& builder,
                                                                     std::size_t body_size = 8) {
  const fb::Key key;
  const fb::Signature signature;
  const std::vector<std::uint8_t> body(body_size, 0x5a);
  return fb::CreateDeviceListDirect(builder, &key, &key, &signature, &body, &signature);
}

[[nodiscard]] inline flatbuffers::Offset<fb::SignedKey> forged_key(Builder& builder) {
  const fb::Key key;
  const fb::Signature signature;
  return fb::CreateSignedKey(builder, 1, 2, 3, &key, &signature);
}

// What a parse says: nothing when it accepted the frame.
template <class Frame>
[[nodiscard]] std::optional<wire::CodecError> refusal(
    const tl::expected<Frame, wire::CodecError>& parsed) {
  if (parsed) return {};
  return parsed.error();
}

[[nodiscard]] inline std::optional<wire::CodecError> request_refusal(const FrameCopy& frame) {
  return refusal(wire::parse_request(frame.view()));
}

[[nodiscard]] inline std::optional<wire::CodecError> relay_refusal(const FrameCopy& frame) {
  return refusal(wire::parse_relay_frame(frame.view()));
}

}  // namespace godwit::test
