// wire/payload: what one device says to another inside the encryption, as plain values. The relay
// never sees it. payload_codec turns it into FlatBuffers (schema/payload.fbs) and back.
// Views point into the bytes they were read from.
// Spec: schema/ENVELOPE.md, "Payloads".
#pragma once

#include <optional>
#include <string_view>
#include <tl/expected.hpp>
#include <variant>

#include "schema/wire/types.hpp"

namespace godwit::wire {

using MessageId = FixedBytes<struct MessageIdTag, 16>;
using ListHash = FixedBytes<struct ListHashTag, 16>;          // SHA-512(list body)[:16]
using EnvelopeHash = FixedBytes<struct EnvelopeHashTag, 16>;  // BLAKE2b-128(envelope)

inline constexpr std::size_t kTextSizeMax = 64 * 1024;
inline constexpr std::size_t kReceiptRangesMax = 32;
inline constexpr std::size_t kRepairSeqsMax = 100;
inline constexpr std::size_t kResetHashesMax = 100;
// The longest text with all that stands around it.
inline constexpr std::size_t kPayloadSizeMax = kTextSizeMax + 256;

// A message of a conversation of two.
struct Text {
  MessageId id;
  std::uint64_t hlc = 0;                        // milliseconds since 1970 << 16 | counter; never 0
  std::string_view text;                        // UTF-8 (checked), 1 to kTextSizeMax bytes
  std::optional<std::string_view> sender_name;  // until the first delivered receipt; a valid name
};

struct SeqRange {  // both inclusive, first >= 2, first <= last
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  friend bool operator==(const SeqRange&, const SeqRange&) = default;
};

struct Receipt {
  std::uint64_t delivered = 0;   // everything up to it
  std::vector<SeqRange> ranges;  // and these: ascending, apart, above delivered + 1
  std::uint64_t read = 0;        // at most delivered
};

// Asks the sender's device to send these again.
struct Repair {
  std::vector<std::uint64_t> seqs;  // 1 to kRepairSeqsMax, strictly ascending, none 0
};

// Opens a session that replaces one that could not be read; names what could not.
struct Reset {
  std::vector<EnvelopeHash> undecryptable;  // at most kResetHashesMax
};

struct Typing {
  bool active = false;
};

// Every payload says what its sender believes its own device list to be.
struct Payload {
  ListVersion list;
  ListHash list_hash;
  std::variant<Text, Receipt, Repair, Reset, Typing> body;
};

enum class PayloadError : std::uint8_t {
  malformed,      // the FlatBuffers verifier refuses it, or it does not fill its bytes
  unknown_body,   // of a later version
  out_of_bounds,  // a count, size, order or text that the protocol forbids
};

// Any alignment.
class ParsedPayload {
 public:
  [[nodiscard]] static tl::expected<ParsedPayload, PayloadError> parse(ByteView bytes);
  ParsedPayload(ParsedPayload&&) = default;  // a copy's views would point into the original
  ParsedPayload& operator=(ParsedPayload&&) = default;
  [[nodiscard]] const Payload& value() const { return value_; }

 private:
  ParsedPayload() = default;
  std::vector<std::uint64_t> storage_;  // aligned copy that the views point into
  Payload value_;
};

// Well-formed UTF-8: nothing overlong, no surrogates, at most U+10FFFF.
[[nodiscard]] bool is_utf8(std::string_view text);

// Deterministic: the same value makes the same bytes. Precondition: every bound named above holds.
[[nodiscard]] Bytes encode_payload(const Payload& payload);

// ---- The plaintext of a ratchet message, before padding
//   kind u8 | seq u64 | h 32 | payload
struct Plaintext {
  enum class Kind : std::uint8_t {
    payload = 1,
    tombstone = 2,  // nothing to resend under this seq: the payload is empty, h is taken as it is
  };
  Kind kind = Kind::payload;
  std::uint64_t seq = 0;  // from 1
  Hash32 h;
  ByteView payload;
};
[[nodiscard]] std::optional<Plaintext> parse_plaintext(ByteView bytes);
[[nodiscard]] Bytes encode_plaintext(const Plaintext& plaintext);

}  // namespace godwit::wire
