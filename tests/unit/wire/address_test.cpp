#include "schema/wire/address.hpp"

#include <doctest/doctest.h>

#include <cctype>

#include "schema/wire/hash.hpp"
#include "schema/wire/x25519.hpp"

namespace godwit::wire {
namespace {

Key sample_key() {
  Key key;
  for (std::size_t i = 0; i < key.bytes.size(); ++i) key.bytes[i] = static_cast<std::uint8_t>(i);
  return key;
}

constexpr std::string_view kSampleKeyText = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

std::string address_at(std::string_view host_port) {
  return "godwit://" + std::string(kSampleKeyText) + "@" + std::string(host_port);
}

TEST_SUITE("schema/wire/address") {
  TEST_CASE("an address is read back as it was written") {
    for (const std::string where : {"relay.example:7700", "127.0.0.1:1", "[2001:db8::1]:65535"}) {
      const RelayAddress address{sample_key(), where};
      CHECK(format_address(address) == address_at(where));
      CHECK(parse_address(format_address(address)) == address);
    }
  }

  TEST_CASE("a text that is not an address is refused with the reason") {
    const auto reason = [](const std::string& text) {
      const auto address = parse_address(text);
      REQUIRE_FALSE(address.has_value());
      return address.error();
    };
    CHECK(reason("https://example.org").find("the text does not begin with godwit://") == 0);
    CHECK(reason("godwit://relay.example:7700").find("no @") == 0);
    CHECK(reason("godwit://AAEC@relay.example:7700").find("the key is not 43") == 0);
    CHECK(reason(address_at("relay.example")).find("what follows the @") == 0);
    CHECK(reason(address_at("relay.example:0")).find("nobody can connect") == 0);
    CHECK(reason("").find("the text does not begin") == 0);
  }

  TEST_CASE("a host and a port are read only in their one form") {
    CHECK(parse_host_port("0.0.0.0:0") == HostPort{"0.0.0.0", 0});
    CHECK(parse_host_port("[::1]:7700") == HostPort{"::1", 7700});
    CHECK(parse_host_port("relay_1.example-2.org:65535") ==
          HostPort{"relay_1.example-2.org", 65535});
    for (const std::string_view bad :
         {"", ":", "host", "host:", ":7700", "host:65536", "host:-1", "host:+1", "host: 1",
          "::1:7700", "[]:7700", "[host]:7700", "[::1:7700", "ho st:1", "user@host:1",
          "host/path:1", "[::g]:1", "host:1 "}) {
      CAPTURE(bad);
      CHECK_FALSE(parse_host_port(bad).has_value());
    }
    CHECK_FALSE(parse_host_port(std::string(kHostSizeMax + 1, 'a') + ":1").has_value());
    CHECK(parse_host_port(std::string(kHostSizeMax, 'a') + ":1").has_value());
  }

  TEST_CASE("base64url follows RFC 4648 in the alphabet of URLs and without padding") {
    CHECK(base64url(as_bytes("")).empty());
    CHECK(base64url(as_bytes("f")) == "Zg");
    CHECK(base64url(as_bytes("fo")) == "Zm8");
    CHECK(base64url(as_bytes("foobar")) == "Zm9vYmFy");
    CHECK(base64url(Bytes{0xfb, 0xff}) == "-_8");
    CHECK(base64url(sample_key().view()) == kSampleKeyText);
  }

  TEST_CASE("each byte string has exactly one base64url text") {
    CHECK(parse_base64url("") == Bytes{});
    CHECK(parse_base64url("Zm9vYmFy") == Bytes{'f', 'o', 'o', 'b', 'a', 'r'});
    CHECK(parse_base64url("-_8") == Bytes{0xfb, 0xff});
    for (const std::string_view bad : {"Zg==", "Zh", "Z", "Zm9", "+/8", "Zm8 ", " Zm8", "Zm8\n"}) {
      CAPTURE(bad);
      CHECK_FALSE(parse_base64url(bad).has_value());
    }
  }

  TEST_CASE("base64url has 64 letters and no other byte") {
    for (int byte = 0; byte < 256; ++byte) {
      const char letter = static_cast<char>(byte);
      const bool alphanumeric = byte < 0x80 && std::isalnum(byte) != 0;
      const bool is_letter = alphanumeric || letter == '-' || letter == '_';
      CAPTURE(byte);
      for (std::size_t at = 0; at < 4; ++at) {
        std::string text = "Zm9v";
        text[at] = letter;
        CHECK(parse_base64url(text).has_value() == is_letter);
      }
    }
  }
}

TEST_SUITE("schema/wire/x25519") {
  TEST_CASE("a public key is derived as in RFC 7748, section 6.1") {
    init_crypto();
    const auto secret = SecretKey{{0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1,
                                   0x72, 0x51, 0xb2, 0x66, 0x45, 0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0,
                                   0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a}};
    const auto expected = Key{{0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54, 0x74, 0x8b, 0x7d,
                               0xdc, 0xb4, 0x3e, 0xf7, 0x5a, 0x0d, 0xbf, 0x3a, 0x0d, 0x26, 0x38,
                               0x1a, 0xf4, 0xeb, 0xa4, 0xa9, 0x8e, 0xaa, 0x9b, 0x4e, 0x6a}};
    CHECK(key_pair_of(secret).public_key == expected);
  }

  TEST_CASE("no two random key pairs are alike") {
    init_crypto();
    CHECK(random_key_pair().secret != random_key_pair().secret);
  }
}

}  // namespace
}  // namespace godwit::wire
