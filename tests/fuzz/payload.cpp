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
  } else if (const auto* receipt = std::get_if<wire::Receipt>(&parsed->value().body)) {
    std::uint64_t last = receipt->delivered;
    for (const wire::SeqRange& range : receipt->ranges) {
      require(range.first > last && range.first - last > 1, "ranges ascend, and do not touch");
      require(range.last >= range.first, "a range has an end");
      last = range.last;
    }
  }
}

std::vector<wire::SeqRange> ranges_of(Input& in, std::uint64_t below) {
  std::vector<wire::SeqRange> ranges(in.below(wire::kReceiptRangesMax + 1));
  for (wire::SeqRange& range : ranges) {
    range.first = below + 2 + in.byte();
    range.last = below = range.first + in.byte();
  }
  return ranges;
}

template <class List, class Made>
List list_of(std::size_t size, const Made& made) {
  List list;
  while (list.size() < size) list.push_back(made());
  return list;
}

// One that a device could have sent, of each kind: bytes alone rarely have the form of a list.
void read_made_payload(Input& in) {
  wire::Payload payload{.list = {in.number<std::uint32_t>(), in.number<std::uint32_t>()},
                        .list_hash = {},
                        .body = {}};
  const std::uint64_t number = in.number<std::uint32_t>();
  std::uint64_t seq = number;
  switch (in.below(4)) {
    case 0:
      payload.body = wire::Receipt{
          .delivered = number, .ranges = ranges_of(in, number), .read = in.below(number + 1)};
      break;
    case 1:
      payload.body = wire::Repair{list_of<std::vector<std::uint64_t>>(
          1 + in.below(wire::kRepairSeqsMax), [&] { return seq += 1 + in.byte(); })};
      break;
    case 2:
      payload.body = wire::Reset{
          list_of<std::vector<wire::EnvelopeHash>>(in.below(wire::kResetHashesMax + 1), [&] {
            wire::EnvelopeHash hash;
            hash.bytes.front() = in.byte();
            return hash;
          })};
      break;
    default:
      payload.body = wire::Typing{.active = in.chance(0x80)};
  }
  wire::Bytes bytes = wire::encode_payload(payload);
  const auto parsed = wire::ParsedPayload::parse(bytes);
  require(parsed.has_value(), "what was encoded parses");
  require(wire::encode_payload(parsed->value()) == bytes, "it means what was encoded");
  (void)mutate(in, bytes);
  read_payload(bytes);
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
  switch (in.below(5)) {
    case 0:
      read_payload(in.rest());
      break;
    case 1:
      read_plaintext(in.rest());
      break;
    case 2:
      read_padded(in.rest());
      break;
    case 3:
      read_made_payload(in);
      break;
    default: {
      const godwit::wire::ByteView text = in.rest();
      require(godwit::wire::is_utf8(text_of(text)) == is_utf8_by_hand(text), "UTF-8 is UTF-8");
    }
  }
  return 0;
}
