// What one device says to another, once it is decrypted: padding, plaintext, payload, and the text
// in it. What parses is encoded to what parses alike.
// About: schema/wire/payload_codec.cpp client-sdk/src/crypto/sequence.cpp
#include "schema/wire/payload.hpp"

#include "client-sdk/src/crypto/sequence.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace godwit::fuzz {
namespace {

// Decodes without regard to form and encodes again: well-formed text is what comes back the same.
bool is_utf8_by_hand(wire::ByteView text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::uint32_t first = text[at];
    const std::size_t size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (text.size() - at < size) return false;
    std::uint32_t point = size == 1 ? first : first & (0x7fU >> size);
    for (std::size_t i = 1; i < size; ++i) point = point << 6 | (text[at + i] & 0x3fU);
    wire::Bytes again;
    if (size == 1) {
      again.push_back(static_cast<std::uint8_t>(point));
    } else {
      const std::uint32_t lead = 0xf00U >> size & 0xffU;
      again.push_back(static_cast<std::uint8_t>(lead | point >> (6 * (size - 1))));
      for (std::size_t i = size - 1; i > 0; --i) {
        again.push_back(static_cast<std::uint8_t>(0x80U | (point >> (6 * (i - 1)) & 0x3fU)));
      }
    }
    const std::uint32_t least = size == 1 ? 0 : size == 2 ? 0x80 : size == 3 ? 0x800 : 0x1'0000;
    const bool surrogate = point >= 0xd800 && point <= 0xdfff;
    if (!same(again, text.subspan(at, size)) || point < least || point > 0x10'ffff || surrogate) {
      return false;
    }
    at += size;
  }
  return true;
}

void read_payload(wire::ByteView bytes) {
  const auto parsed = wire::ParsedPayload::parse(bytes);
  if (!parsed) return;
  const wire::Bytes encoded = wire::encode_payload(parsed->value());
  const auto again = wire::ParsedPayload::parse(encoded);
  require(again.has_value(), "what was parsed is encoded to what parses");
  require(wire::encode_payload(again->value()) == encoded, "it means the same");
  if (const auto* text = std::get_if<wire::Text>(&parsed->value().body)) {
    require(is_utf8_by_hand(wire::as_bytes(text->text)), "a text is well-formed");
  }
}

void read_plaintext(wire::ByteView bytes) {
  const auto plaintext = wire::parse_plaintext(bytes);
  if (!plaintext) return;
  require(same(wire::encode_plaintext(*plaintext), bytes), "a plaintext has one encoding");
  read_payload(plaintext->payload);
}

void read_padded(wire::ByteView bytes) {
  wire::Bytes padded = copy_of(bytes);
  if (crypto::unpad(padded)) {
    require(padded.size() < bytes.size(), "padding has at least a byte");
    require(same(padded, bytes.first(padded.size())), "what is padded stays as it was");
  }
  wire::Bytes made = crypto::pad(bytes);
  require(made.size() > bytes.size() && made.size() % 256 == 0, "padded lengths come in steps");
  require(crypto::unpad(made) && same(made, bytes), "what was padded comes back");
}

}  // namespace
}  // namespace godwit::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace godwit::fuzz;
  Input in(data, size);
  switch (in.below(4)) {
    case 0:
      read_payload(in.rest());
      break;
    case 1:
      read_plaintext(in.rest());
      break;
    case 2:
      read_padded(in.rest());
      break;
    default: {
      const godwit::wire::ByteView text = in.rest();
      require(godwit::wire::is_utf8(text_of(text)) == is_utf8_by_hand(text), "UTF-8 is UTF-8");
    }
  }
  return 0;
}
