// A request as the relay reads it. What parses is within every bound that the encoder asserts, and
// is encoded to what parses alike; every field is looked at.
// About: schema/wire/codec_parse.cpp schema/wire/codec_encode.cpp
#include "schema/wire/codec.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/golden/dump.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace godwit;
  fuzz::Input in(data, size);
  const auto parsed = wire::parse_request({data, size});
  if (!parsed) {
    static_cast<void>(wire::request_id_of({data, size}));
    return 0;
  }
  const std::string text = test::text_of(*parsed);
  wire::Encoder encoder;
  const wire::Bytes encoded = fuzz::copy_of(encoder.encode(*parsed));
  const auto again = wire::parse_request(encoded);
  fuzz::require(again.has_value(), "what was parsed is encoded to what parses");
  fuzz::require(test::text_of(*again) == text, "it means the same");
  fuzz::require(wire::request_id_of(encoded) == parsed->id, "its id can be read alone");
  fuzz::require(fuzz::same(encoder.encode(*again), encoded), "one value has one encoding");
  return 0;
}
