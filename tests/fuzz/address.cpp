// What a person types or a link carries: a relay's address, a recovery code, a user name. What is
// read is written as something that reads alike.
// About: schema/wire/address.cpp client-sdk/src/crypto/recovery_code.cpp
#include "schema/wire/address.hpp"

#include "client-sdk/src/crypto/recovery_code.hpp"
#include "schema/wire/identity.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace godwit::fuzz {
namespace {

void read_address(std::string_view text) {
  const auto address = wire::parse_address(text);
  if (!address) return require(!address.error().empty(), "a refusal says why");
  const std::string written = wire::format_address(*address);
  const auto again = wire::parse_address(written);
  require(again && *again == *address, "an address reads as it was written");
  require(wire::format_address(*again) == written, "an address has one text");
  const auto where = wire::parse_host_port(address->host_port);
  require(where && where->port != 0, "an address names a port");
}

void read_base64url(std::string_view text) {
  const auto bytes = wire::parse_base64url(text);
  if (bytes) require(wire::base64url(*bytes) == text, "bytes have one text");
}

void write_base64url(wire::ByteView bytes) {
  const auto again = wire::parse_base64url(wire::base64url(bytes));
  require(again && same(*again, bytes), "bytes read as they were written");
}

void read_recovery_code(std::string_view text) {
  const auto seed = crypto::parse_recovery_code(text);
  if (!seed) return require(!seed.error().empty(), "a refusal says why");
  require(crypto::parse_recovery_code(crypto::format_recovery_code(*seed)) == *seed,
          "a recovery code reads as it was written");
}

// A code that was written down and typed with errors.
void mistype_recovery_code(Input& in) {
  wire::SecretKey seed;
  seed.bytes[in.below(32)] = in.byte();
  const std::string code = crypto::format_recovery_code(seed);
  wire::Bytes typed = copy_of(wire::as_bytes(code));
  static_cast<void>(mutate(in, typed));
  read_recovery_code(text_of(typed));
  require(crypto::parse_recovery_code(code) == seed, "a recovery code reads as it was written");
}

void mistype_address(Input& in) {
  wire::RelayAddress address{{}, "relay.example:7700"};
  address.key.bytes[in.below(32)] = in.byte();
  wire::Bytes typed = copy_of(wire::as_bytes(wire::format_address(address)));
  static_cast<void>(mutate(in, typed));
  read_address(text_of(typed));
}

void read_name(std::string_view text) {
  const auto name = wire::fold_name(text);
  if (!name) return;
  require(name->size() >= wire::kNameSizeMin && name->size() <= wire::kNameSizeMax,
          "a name is within its bounds");
  require(wire::fold_name(*name) == *name, "a folded name stays as it is");
}

}  // namespace
}  // namespace godwit::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace godwit::fuzz;
  Input in(data, size);
  switch (in.below(7)) {
    case 0:
      read_address(text_of(in.rest()));
      break;
    case 1:
      read_base64url(text_of(in.rest()));
      break;
    case 2:
      write_base64url(in.rest());
      break;
    case 3:
      read_recovery_code(text_of(in.rest()));
      break;
    case 4:
      mistype_recovery_code(in);
      break;
    case 5:
      mistype_address(in);
      break;
    default:
      read_name(text_of(in.rest()));
  }
  return 0;
}
