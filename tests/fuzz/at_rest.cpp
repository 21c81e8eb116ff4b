// Sealed records and wrapped keys of a device's database. They open as they were sealed, under
// their own table and key, or not at all.
// About: client-sdk/src/crypto/at_rest.cpp
#include "client-sdk/src/crypto/at_rest.hpp"

#include "schema/wire/hash.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace godwit::fuzz {
namespace {

using namespace crypto;

constexpr std::array<std::string_view, 2> kTables{"account", "secrets"};
constexpr std::uint32_t kKid = 7;

const RecordKeys& keys() {
  static const RecordKeys keys(wire::SecretKey{{1}}, kKid, kTables);
  return keys;
}

[[nodiscard]] std::optional<wire::Bytes> opened(std::size_t table, wire::ByteView key,
                                                wire::ByteView record) {
  if (kid_of(record) != kKid) return {};
  wire::Bytes out(record.size() - kRecordOverhead);
  if (!keys().open(out, table, key, record)) return {};
  return out;
}

// A record's key that no other run has.
wire::Bytes record_key(Input& in) {
  wire::Bytes key = copy_of(in.bytes(kRecordKeySizeMax - sizeof(std::uint64_t)));
  wire::append_le(key, drawn());
  return key;
}

void raw_record(Input& in) {
  const wire::Bytes key = record_key(in);
  const auto record = in.rest();
  if (const auto kid = kid_of(record)) {
    require(record.size() >= kRecordOverhead, "what names its key has room for a tag");
  }
  require(!opened(0, key, record), "nobody makes a record without the key");
}

void altered_record(Input& in) {
  const std::size_t table = in.below(2);
  const wire::Bytes key = record_key(in);
  const wire::Bytes plaintext = copy_of(in.bytes(4096));
  wire::Bytes record(plaintext.size() + kRecordOverhead);
  keys().seal(record, table, key, Nonce{in.byte()}, plaintext);
  require(kid_of(record) == kKid, "a record names its key");
  require(opened(table, key, record) == plaintext, "a record opens as it was sealed");
  require(!opened(1 - table, key, record), "a record belongs to its table");

  wire::Bytes other_key = key;
  const bool moved = mutate(in, other_key) && other_key.size() <= kRecordKeySizeMax;
  if (moved) require(!opened(table, other_key, record), "a record belongs to its key");
  if (mutate(in, record)) require(!opened(table, key, record), "an altered record does not open");
}

void altered_wrap(Input& in) {
  wire::SecretKey with;
  wire::random_bytes(with.bytes);
  wire::SecretKey key;
  const auto secret = in.bytes(32);
  std::copy(secret.begin(), secret.end(), key.bytes.begin());
  const wire::Bytes associated = copy_of(in.bytes(64));
  const Wrap wrapped = wrap(with, key, associated, wire::random_bytes);
  const auto unwrapped = unwrap(with, wrapped, associated);
  require(unwrapped && unwrapped->value() == key, "a key is unwrapped as it was wrapped");

  wire::Bytes bytes = copy_of(wrapped.view());
  if (mutate(in, bytes) && bytes.size() == kWrapSize) {
    require(!unwrap(with, Wrap::copy_of(bytes), associated), "an altered wrap does not open");
  }
  wire::Bytes elsewhere = associated;
  if (mutate(in, elsewhere)) {
    require(!unwrap(with, wrapped, elsewhere), "a wrap belongs to its place");
  }
}

}  // namespace
}  // namespace godwit::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace godwit::fuzz;
  Input in(data, size);
  switch (in.below(3)) {
    case 0:
      raw_record(in);
      break;
    case 1:
      altered_record(in);
      break;
    default:
      altered_wrap(in);
  }
  return 0;
}
