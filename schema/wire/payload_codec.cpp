// Reading: an aligned copy, the FlatBuffers verifier, the kind of body, the end of the bytes, then
// one read() per kind and holds(), which checks every bound of payload.hpp.
// Failure: the first check that fails is the answer; nothing of the payload is used.
// Writing: the same holds() is asserted, so that what we send is what we would accept.

#include <algorithm>
#include <bit>
#include <cassert>
#include <utility>

#include "schema/payload_generated.h"
#include "schema/wire/bytes.hpp"
#include "schema/wire/identity.hpp"
#include "schema/wire/limits.hpp"
#include "schema/wire/payload.hpp"

// Without it the verifier cannot say how far into the buffer it has looked
// (schema/wire/meson.build).
#ifndef FLATBUFFERS_TRACK_VERIFIER_BUFFER_SIZE
#error "build with the dependency wire_schema"
#endif

namespace godwit::wire {
namespace {

using tl::unexpected;
using Builder = flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;
namespace fb = payload_fb;

constexpr std::size_t kPlaintextHeaderSize = 1 + 8 + Hash32::kSize;

// ---- Bounds -------------------------------------------------------------------------------------

// How many bytes the UTF-8 character at the front takes; 0 when it is none: a stray or missing
// continuation, a longer form than needed, a surrogate, or beyond U+10FFFF.
[[nodiscard]] std::size_t character_size(ByteView text) {
  const auto continues = [&](std::size_t at, std::uint8_t least, std::uint8_t most) {
    return at < text.size() && text[at] >= least && text[at] <= most;
  };
  const std::uint8_t first = text[0];
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return continues(1, 0x80, 0xbf) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const std::uint8_t least = first == 0xe0 ? 0xa0 : 0x80;
    const std::uint8_t most = first == 0xed ? 0x9f : 0xbf;
    return continues(1, least, most) && continues(2, 0x80, 0xbf) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const std::uint8_t least = first == 0xf0 ? 0x90 : 0x80;
    const std::uint8_t most = first == 0xf4 ? 0x8f : 0xbf;
    const bool whole =
        continues(1, least, most) && continues(2, 0x80, 0xbf) && continues(3, 0x80, 0xbf);
    return whole ? 4 : 0;
  }
  return 0;
}

[[nodiscard]] bool holds(const Text& text) {
  return text.hlc != 0 && !text.text.empty() && text.text.size() <= kTextSizeMax &&
         is_utf8(text.text);
}

[[nodiscard]] bool holds(const Receipt& receipt) {
  if (receipt.ranges.size() > kReceiptRangesMax || receipt.read > receipt.delivered) return false;
  std::uint64_t below = receipt.delivered;
  for (const SeqRange& range : receipt.ranges) {
    // With one seq between, or the two would be one; first >= 2 keeps the subtraction whole.
    if (range.first < 2 || range.first - 1 <= below || range.last < range.first) return false;
    below = range.last;
  }
  return true;
}

[[nodiscard]] bool holds(const Repair& repair) {
  if (repair.seqs.empty() || repair.seqs.size() > kRepairSeqsMax) return false;
  const auto not_less = [](std::uint64_t left, std::uint64_t right) { return left >= right; };
  return repair.seqs.front() != 0 &&
         std::ranges::adjacent_find(repair.seqs, not_less) == repair.seqs.end();
}

[[nodiscard]] bool holds(const Reset& reset) {
  return reset.undecryptable.size() <= kResetHashesMax;
}

[[nodiscard]] bool holds(const Typing&) {
  return true;
}

// ---- Reading ------------------------------------------------------------------------------------
// A vector's size was verified against the bytes, whose number is bounded: copying it is safe.

[[nodiscard]] std::uint64_t read_seq(const fb::Seq& from) {
  return (std::uint64_t{from.high()} << 32) | from.low();
}

[[nodiscard]] std::string_view read_string(const flatbuffers::String& from) {
  return {from.c_str(), from.size()};
}

[[nodiscard]] Text read(const fb::Text& from) {
  Text to{.id = std::bit_cast<MessageId>(*from.id()),
          .hlc = from.hlc(),
          .text = read_string(*from.text()),
          .sender_name = {}};
  if (from.sender_name() != nullptr) to.sender_name = read_string(*from.sender_name());
  return to;
}

[[nodiscard]] Receipt read(const fb::Receipt& from) {
  Receipt to{.delivered = from.delivered(), .ranges = {}, .read = from.read()};
  if (from.ranges() == nullptr) return to;
  to.ranges.reserve(from.ranges()->size());
  for (const auto* range : *from.ranges()) {
    to.ranges.push_back({read_seq(range->first()), read_seq(range->last())});
  }
  return to;
}

[[nodiscard]] Repair read(const fb::Repair& from) {
  Repair to;
  to.seqs.reserve(from.seqs()->size());
  for (const auto* seq : *from.seqs()) to.seqs.push_back(read_seq(*seq));
  return to;
}

[[nodiscard]] Reset read(const fb::Reset& from) {
  Reset to;
  if (from.undecryptable() == nullptr) return to;
  to.undecryptable.reserve(from.undecryptable()->size());
  for (const auto* hash : *from.undecryptable()) {
    to.undecryptable.push_back(std::bit_cast<EnvelopeHash>(*hash));
  }
  return to;
}

[[nodiscard]] Typing read(const fb::Typing& from) {
  return {.active = from.active()};
}

template <class Body>
[[nodiscard]] bool read_body(const fb::Payload& from, Payload& to) {
  auto body = read(*static_cast<const Body*>(from.body()));
  const bool sound = holds(body);
  to.body = std::move(body);
  return sound;
}

[[nodiscard]] bool read_body(const fb::Payload& from, Payload& to) {
  switch (from.body_type()) {
    case fb::Body::Text:
      return read_body<fb::Text>(from, to);
    case fb::Body::Receipt:
      return read_body<fb::Receipt>(from, to);
    case fb::Body::Repair:
      return read_body<fb::Repair>(from, to);
    case fb::Body::Reset:
      return read_body<fb::Reset>(from, to);
    case fb::Body::Typing:
      return read_body<fb::Typing>(from, to);
    case fb::Body::NONE:
      break;
  }
  return false;
}

// ---- Writing ------------------------------------------------------------------------------------

[[nodiscard]] fb::Seq to_struct(std::uint64_t seq) {
  return {static_cast<std::uint32_t>(seq), static_cast<std::uint32_t>(seq >> 32)};
}

[[nodiscard]] fb::SeqRange to_struct(const SeqRange& range) {
  return {to_struct(range.first), to_struct(range.last)};
}

[[nodiscard]] fb::Id to_struct(const EnvelopeHash& hash) {
  return std::bit_cast<fb::Id>(hash);
}

template <class To, class From>
[[nodiscard]] Offset<flatbuffers::Vector<const To*>> write_structs(Builder& builder,
                                                                   const std::vector<From>& from) {
  return builder.CreateVectorOfStructs<To>(
      from.size(),
      [](std::size_t i, To* to, const std::vector<From>* values) { *to = to_struct((*values)[i]); },
      &from);
}

[[nodiscard]] Offset<flatbuffers::String> write_string(Builder& builder, std::string_view text) {
  return builder.CreateString(text.data(), text.size());
}

[[nodiscard]] Offset<fb::Text> write(Builder& builder, const Text& from) {
  const auto id = std::bit_cast<fb::Id>(from.id);
  const auto text = write_string(builder, from.text);
  Offset<flatbuffers::String> name;
  if (from.sender_name) name = write_string(builder, *from.sender_name);
  return fb::CreateText(builder, &id, from.hlc, text, name);
}

[[nodiscard]] Offset<fb::Receipt> write(Builder& builder, const Receipt& from) {
  Offset<flatbuffers::Vector<const fb::SeqRange*>> ranges;
  if (!from.ranges.empty()) ranges = write_structs<fb::SeqRange>(builder, from.ranges);
  return fb::CreateReceipt(builder, from.delivered, ranges, from.read);
}

[[nodiscard]] Offset<fb::Repair> write(Builder& builder, const Repair& from) {
  return fb::CreateRepair(builder, write_structs<fb::Seq>(builder, from.seqs));
}

[[nodiscard]] Offset<fb::Reset> write(Builder& builder, const Reset& from) {
  Offset<flatbuffers::Vector<const fb::Id*>> hashes;
  if (!from.undecryptable.empty()) hashes = write_structs<fb::Id>(builder, from.undecryptable);
  return fb::CreateReset(builder, hashes);
}

[[nodiscard]] Offset<fb::Typing> write(Builder& builder, const Typing& from) {
  return fb::CreateTyping(builder, from.active);
}

template <class Body>
constexpr fb::Body kind_of(Offset<Body>) {
  return fb::BodyTraits<Body>::enum_value;
}

}  // namespace

bool is_utf8(std::string_view text) {
  for (ByteView rest = as_bytes(text); !rest.empty();) {
    const std::size_t size = character_size(rest);
    if (size == 0) return false;
    rest = rest.subspan(size);
  }
  return true;
}

tl::expected<ParsedPayload, PayloadError> ParsedPayload::parse(ByteView bytes) {
  if (bytes.size() < kFrameSizeMin) return unexpected(PayloadError::malformed);
  if (bytes.size() > kPayloadSizeMax) return unexpected(PayloadError::out_of_bounds);
  ParsedPayload parsed;
  parsed.storage_.resize((bytes.size() + 7) / 8);
  std::memcpy(parsed.storage_.data(), bytes.data(), bytes.size());
  const auto* const copy = reinterpret_cast<const std::uint8_t*>(parsed.storage_.data());

  flatbuffers::Verifier verifier(copy, bytes.size(), kVerifierDepthMax, kVerifierTablesMax);
  if (!verifier.VerifyBuffer<fb::Payload>()) return unexpected(PayloadError::malformed);
  const fb::Payload& from = *flatbuffers::GetRoot<fb::Payload>(copy);
  // Before the end is looked for: the verifier does not look into a body that it does not know.
  if (from.body_type() == fb::Body::NONE || from.body_type() > fb::Body::MAX) {
    return unexpected(PayloadError::unknown_body);
  }
  if (verifier.GetComputedSize() != bytes.size()) return unexpected(PayloadError::malformed);

  parsed.value_.list = {from.list_gen(), from.list_seq()};
  parsed.value_.list_hash = std::bit_cast<ListHash>(*from.list_hash());
  if (!read_body(from, parsed.value_)) return unexpected(PayloadError::out_of_bounds);
  return parsed;
}

Bytes encode_payload(const Payload& payload) {
  Builder builder;
  std::visit(
      [&](const auto& from) {
        assert(holds(from));
        const auto body = write(builder, from);
        const auto hash = std::bit_cast<fb::Id>(payload.list_hash);
        builder.Finish(fb::CreatePayload(builder, payload.list.gen, payload.list.seq, &hash,
                                         kind_of(body), body.Union()));
      },
      payload.body);
  const ByteView made(builder.GetBufferPointer(), builder.GetSize());
  assert(made.size() <= kPayloadSizeMax);
  return {made.begin(), made.end()};
}

std::optional<Plaintext> parse_plaintext(ByteView bytes) {
  if (bytes.size() < kPlaintextHeaderSize) return {};
  const auto kind = static_cast<Plaintext::Kind>(bytes[0]);
  const Plaintext plaintext{.kind = kind,
                            .seq = load_le<std::uint64_t>(bytes.subspan(1)),
                            .h = Hash32::copy_of(bytes.subspan(9, Hash32::kSize)),
                            .payload = bytes.subspan(kPlaintextHeaderSize)};
  const bool tombstone = kind == Plaintext::Kind::tombstone;
  if (!tombstone && kind != Plaintext::Kind::payload) return {};
  if (plaintext.seq == 0 || plaintext.payload.empty() != tombstone) return {};
  return plaintext;
}

Bytes encode_plaintext(const Plaintext& plaintext) {
  assert(plaintext.seq != 0);
  assert(plaintext.payload.empty() == (plaintext.kind == Plaintext::Kind::tombstone));
  Bytes out;
  out.reserve(kPlaintextHeaderSize + plaintext.payload.size());
  out.push_back(static_cast<std::uint8_t>(plaintext.kind));
  append_le(out, plaintext.seq);
  append(out, plaintext.h.view());
  append(out, plaintext.payload);
  return out;
}

}  // namespace godwit::wire
