// Payloads: what is encoded comes back, and everything that payload.hpp forbids is refused. Forged
// ones are built with the generated code, since our own encoder asserts the same bounds.

#include "schema/wire/payload.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "schema/payload_generated.h"
#include "schema/wire/bytes.hpp"
#include "schema/wire/limits.hpp"

namespace godwit::test {
namespace {

using namespace wire;
namespace fb = payload_fb;
using Builder = flatbuffers::FlatBufferBuilder;

constexpr std::optional<PayloadError> kAccepted{};
constexpr std::optional<PayloadError> kOutOfBounds{PayloadError::out_of_bounds};
constexpr std::optional<PayloadError> kMalformed{PayloadError::malformed};

template <class Fixed>
[[nodiscard]] Fixed filled(std::uint8_t with) {
  Fixed out;
  out.bytes.fill(with);
  return out;
}

template <class Body>
[[nodiscard]] Payload payload_of(Body body) {
  return {.list = {3, 0x1'0000'0007}, .list_hash = filled<ListHash>(9), .body = std::move(body)};
}

[[nodiscard]] std::optional<PayloadError> refusal(ByteView bytes) {
  // A block of exactly this size, so that a sanitizer sees a read behind its end.
  const Bytes copy(bytes.begin(), bytes.end());
  const auto parsed = ParsedPayload::parse(copy);
  if (parsed) return {};
  return parsed.error();
}

template <class Body>
[[nodiscard]] Bytes forged(Builder& builder, flatbuffers::Offset<Body> body,
                           fb::Body kind = fb::BodyTraits<Body>::enum_value) {
  const fb::Id hash;
  builder.Finish(fb::CreatePayload(builder, 1, 1, &hash, kind, body.Union()));
  return {builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()};
}

[[nodiscard]] std::optional<PayloadError> text(std::string_view content, std::uint64_t hlc = 1,
                                               const char* name = nullptr) {
  Builder builder;
  const fb::Id id;
  const auto written = builder.CreateString(content.data(), content.size());
  const auto sender = name == nullptr ? 0 : builder.CreateString(name);
  return refusal(forged(builder, fb::CreateText(builder, &id, hlc, written, sender)));
}

[[nodiscard]] fb::Seq seq_of(std::uint64_t seq) {
  return {static_cast<std::uint32_t>(seq), static_cast<std::uint32_t>(seq >> 32)};
}

[[nodiscard]] std::optional<PayloadError> receipt(std::uint64_t delivered,
                                                  const std::vector<SeqRange>& ranges,
                                                  std::uint64_t read = 0) {
  Builder builder;
  std::vector<fb::SeqRange> written;
  for (const auto& range : ranges) written.push_back({seq_of(range.first), seq_of(range.last)});
  return refusal(forged(builder, fb::CreateReceiptDirect(builder, delivered, &written, read)));
}

[[nodiscard]] std::optional<PayloadError> repair(const std::vector<std::uint64_t>& seqs) {
  Builder builder;
  std::vector<fb::Seq> written;
  for (const auto seq : seqs) written.push_back(seq_of(seq));
  return refusal(forged(builder, fb::CreateRepairDirect(builder, &written)));
}

[[nodiscard]] std::optional<PayloadError> reset(std::size_t count) {
  Builder builder;
  const std::vector<fb::Id> hashes(count);
  return refusal(forged(builder, fb::CreateResetDirect(builder, &hashes)));
}

[[nodiscard]] Bytes a_text() {
  return encode_payload(payload_of(
      Text{.id = filled<MessageId>(1), .hlc = 7, .text = "h\xc3\xa9llo", .sender_name = "anna.b"}));
}

template <class Body>
[[nodiscard]] ParsedPayload parsed(const Body& body) {
  const Payload payload = payload_of(body);
  const Bytes bytes = encode_payload(payload);
  CHECK(bytes == encode_payload(payload));
  auto out = ParsedPayload::parse(bytes);
  REQUIRE(out);
  CHECK(out->value().list == payload.list);
  CHECK(out->value().list_hash == payload.list_hash);
  REQUIRE(std::holds_alternative<Body>(out->value().body));
  return std::move(*out);
}

}  // namespace

TEST_SUITE_BEGIN("wire/payload");

TEST_CASE("every kind of payload comes back as it was, wherever the parsed one is moved to") {
  const Bytes bytes = a_text();
  // At every alignment.
  for (std::size_t shift = 0; shift < 8; ++shift) {
    Bytes shifted(shift);
    shifted.insert(shifted.end(), bytes.begin(), bytes.end());
    auto made = ParsedPayload::parse(ByteView(shifted).subspan(shift));
    REQUIRE(made);
    std::ranges::fill(shifted, std::uint8_t{0});
    const ParsedPayload moved = std::move(*made);
    const auto& text = std::get<Text>(moved.value().body);
    CHECK(text.id == filled<MessageId>(1));
    CHECK(text.hlc == 7);
    CHECK(text.text == "h\xc3\xa9llo");
    CHECK(text.sender_name == "anna.b");
  }
  CHECK_FALSE(
      std::get<Text>(parsed(Text{.id = {}, .hlc = 1, .text = "x", .sender_name = {}}).value().body)
          .sender_name);

  const std::uint64_t most = ~std::uint64_t{0};
  const auto receipt_back =
      parsed(Receipt{.delivered = 5, .ranges = {{7, 7}, {9, most - 2}, {most, most}}, .read = 5});
  const auto& receipt_body = std::get<Receipt>(receipt_back.value().body);
  CHECK(receipt_body.delivered == 5);
  CHECK(receipt_body.read == 5);
  CHECK(receipt_body.ranges == std::vector<SeqRange>{{7, 7}, {9, most - 2}, {most, most}});

  const auto repair_back = parsed(Repair{.seqs = {1, 2, most}});
  CHECK(std::get<Repair>(repair_back.value().body).seqs == std::vector<std::uint64_t>{1, 2, most});
  const auto reset_back = parsed(Reset{.undecryptable = {filled<EnvelopeHash>(4)}});
  CHECK(std::get<Reset>(reset_back.value().body).undecryptable ==
        std::vector{filled<EnvelopeHash>(4)});
  CHECK(std::get<Reset>(parsed(Reset{}).value().body).undecryptable.empty());
  CHECK(std::get<Typing>(parsed(Typing{.active = true}).value().body).active);
  CHECK_FALSE(std::get<Typing>(parsed(Typing{.active = false}).value().body).active);
}

TEST_CASE("a payload that is cut short, or that something trails behind, is refused") {
  const Bytes bytes = a_text();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK(refusal(ByteView(bytes).first(size)) != kAccepted);
  }
  for (std::size_t more = 1; more <= 16; ++more) {
    Bytes longer = bytes;
    longer.resize(bytes.size() + more);
    CHECK(refusal(longer) == kMalformed);
  }
  CHECK(refusal(Bytes(kPayloadSizeMax + 1)) == kOutOfBounds);
}

TEST_CASE("a payload with any one bit flipped is read or refused, and every field can be touched") {
  const Bytes bytes = a_text();
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    Bytes flipped = bytes;
    flipped[bit / 8] ^= static_cast<std::uint8_t>(1 << (bit % 8));
    const auto made = ParsedPayload::parse(flipped);
    if (!made) continue;
    CHECK(encode_payload(made->value()).size() <= kPayloadSizeMax);  // asserts every bound
  }
}

TEST_CASE("a kind of body that is not known is named as such") {
  Builder builder;
  const auto later = static_cast<fb::Body>(static_cast<std::uint8_t>(fb::Body::MAX) + 1);
  CHECK(refusal(forged(builder, fb::CreateTyping(builder, true), later)) ==
        PayloadError::unknown_body);
  builder.Clear();
  CHECK(refusal(forged(builder, fb::CreateTyping(builder, true), fb::Body::NONE)) ==
        PayloadError::unknown_body);
}

TEST_CASE("a text is refused without a clock, empty or too long, whatever its sender's name") {
  CHECK(text("x") == kAccepted);
  CHECK(text("x", 0) == kOutOfBounds);
  CHECK(text("") == kOutOfBounds);
  CHECK(text(std::string(kTextSizeMax, 'x'), 1, std::string(kNameSizeMax, 'a').c_str()) ==
        kAccepted);
  CHECK(text(std::string(kTextSizeMax + 1, 'x')) == kOutOfBounds);
  CHECK(text("x", 1, "anna") == kAccepted);
  for (const char* name : {"", "a", "Anna", "an na", "ann\xc3\xa4", "\xff"}) {
    CHECK(text("x", 1, name) == kAccepted);  // that is no name is the reader's business
  }
}

TEST_CASE("a text is strict UTF-8") {
  using namespace std::string_view_literals;
  for (const auto good :
       {"\0"sv, "\x7f"sv, "\xc2\x80"sv, "\xdf\xbf"sv, "\xe0\xa0\x80"sv, "\xed\x9f\xbf"sv,
        "\xee\x80\x80"sv, "\xef\xbf\xbf"sv, "\xf0\x90\x80\x80"sv, "\xf4\x8f\xbf\xbf"sv,
        "a\xe2\x82\xac"
        "b"sv}) {
    CAPTURE(to_hex(as_bytes(good)));
    CHECK(text(good) == kAccepted);
  }
  for (const auto bad : {"\x80"sv,
                         "\xbf"sv,
                         "\xc0\x80"sv,
                         "\xc1\xbf"sv,
                         "\xc2"sv,
                         "\xc2\x41"sv,
                         "\xc2\xc2"sv,
                         "\xe0\x9f\xbf"sv,
                         "\xe0\xa0"sv,
                         "\xe1\x80\x41"sv,
                         "\xed\xa0\x80"sv,
                         "\xed\xbf\xbf"sv,
                         "\xf0\x8f\xbf\xbf"sv,
                         "\xf0\x90\x80"sv,
                         "\xf1\x80\x41\x80"sv,
                         "\xf1\x80\x80\x41"sv,
                         "\xf4\x90\x80\x80"sv,
                         "\xf5\x80\x80\x80"sv,
                         "\xff"sv,
                         "ok\xe2\x82"sv}) {
    CAPTURE(to_hex(as_bytes(bad)));
    CHECK(text(bad) == kOutOfBounds);
  }
}

TEST_CASE("a receipt is refused when it contradicts itself") {
  const std::uint64_t most = ~std::uint64_t{0};
  CHECK(receipt(0, {}) == kAccepted);
  CHECK(receipt(5, {}, 5) == kAccepted);
  CHECK(receipt(5, {}, 6) == kOutOfBounds);
  CHECK(receipt(0, {{2, 2}}) == kAccepted);
  CHECK(receipt(0, {{1, 2}}) == kOutOfBounds);  // it would be delivered = 2
  CHECK(receipt(0, {{0, 2}}) == kOutOfBounds);
  CHECK(receipt(5, {{7, 9}}) == kAccepted);
  CHECK(receipt(5, {{6, 9}}) == kOutOfBounds);
  CHECK(receipt(5, {{9, 8}}) == kOutOfBounds);
  CHECK(receipt(5, {{7, 9}, {11, 11}}) == kAccepted);
  CHECK(receipt(5, {{7, 9}, {10, 11}}) == kOutOfBounds);
  CHECK(receipt(5, {{11, 11}, {7, 9}}) == kOutOfBounds);
  CHECK(receipt(most, {{2, 3}}) == kOutOfBounds);
  CHECK(receipt(1, {{3, most}, {2, 2}}) == kOutOfBounds);
  std::vector<SeqRange> many;
  for (std::uint64_t i = 0; i < kReceiptRangesMax; ++i) many.push_back({10 + 2 * i, 10 + 2 * i});
  CHECK(receipt(5, many) == kAccepted);
  many.push_back({1000, 1000});
  CHECK(receipt(5, many) == kOutOfBounds);
}

TEST_CASE("a repair asks for 1 to 100 in order, and a reset names at most 100") {
  CHECK(repair({1}) == kAccepted);
  CHECK(repair({}) == kOutOfBounds);
  CHECK(repair({0, 1}) == kOutOfBounds);
  CHECK(repair({2, 2}) == kOutOfBounds);
  CHECK(repair({3, 2}) == kOutOfBounds);
  std::vector<std::uint64_t> many(kRepairSeqsMax);
  for (std::size_t i = 0; i < many.size(); ++i) many[i] = i + 1;
  CHECK(repair(many) == kAccepted);
  many.push_back(1000);
  CHECK(repair(many) == kOutOfBounds);
  CHECK(reset(kResetHashesMax) == kAccepted);
  CHECK(reset(kResetHashesMax + 1) == kOutOfBounds);
}

TEST_CASE("a plaintext comes back as it was; one of no kind, seq or content is refused") {
  const Bytes content{1, 2, 3};
  const Plaintext payload{.kind = Plaintext::Kind::payload,
                          .seq = 0x1'0000'0002,
                          .h = filled<Hash32>(5),
                          .payload = content};
  const Bytes bytes = encode_plaintext(payload);
  CHECK(bytes.size() == 1 + 8 + 32 + content.size());
  CHECK(
      to_hex(bytes).starts_with("010200000001000000"
                                "0505"));
  const auto back = parse_plaintext(bytes);
  REQUIRE(back);
  CHECK(back->kind == payload.kind);
  CHECK(back->seq == payload.seq);
  CHECK(back->h == payload.h);
  CHECK(std::ranges::equal(back->payload, content));

  const Bytes tombstone =
      encode_plaintext({.kind = Plaintext::Kind::tombstone, .seq = 1, .h = {}, .payload = {}});
  REQUIRE(parse_plaintext(tombstone));
  CHECK(parse_plaintext(tombstone)->kind == Plaintext::Kind::tombstone);

  const auto altered = [](Bytes from, std::size_t at, std::uint8_t to) {
    from[at] = to;
    return from;
  };
  CHECK_FALSE(parse_plaintext(ByteView(bytes).first(41)));  // a payload that is empty
  CHECK_FALSE(parse_plaintext(ByteView(bytes).first(40)));
  CHECK_FALSE(parse_plaintext(ByteView{}));
  CHECK_FALSE(parse_plaintext(altered(bytes, 0, 0)));
  CHECK_FALSE(parse_plaintext(altered(bytes, 0, 2)));  // a tombstone that is not empty
  CHECK_FALSE(parse_plaintext(altered(bytes, 0, 3)));
  CHECK_FALSE(parse_plaintext(altered(tombstone, 1, 0)));
}

TEST_SUITE_END();

}  // namespace godwit::test
