#include "client-sdk/src/crypto/recovery_code.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cctype>

#include "tests/support/fixed_random.hpp"

namespace godwit::crypto {
namespace {

constexpr std::string_view kAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

wire::SecretKey drawn(std::string_view seed) {
  test::FixedRandom random(seed);
  wire::SecretKey secret;
  random(secret.bytes);
  return secret;
}

std::string error_of(std::string_view code) {
  const auto parsed = parse_recovery_code(code);
  REQUIRE_FALSE(parsed.has_value());
  return parsed.error();
}

}  // namespace

TEST_SUITE("client-sdk/src/crypto/recovery_code") {
  TEST_CASE("a code is eleven groups of five, and comes back as its key") {
    for (const std::string_view seed : {"a", "b", "c", "d"}) {
      const std::string code = format_recovery_code(drawn(seed));
      CHECK(code.size() == 11 * 5 + 10);
      CHECK(std::count(code.begin(), code.end(), '-') == 10);
      for (const char letter : code) {
        CHECK((letter == '-' || kAlphabet.find(letter) != std::string_view::npos));
      }
      CHECK(parse_recovery_code(code) == drawn(seed));
    }
    CHECK(parse_recovery_code(format_recovery_code({})) == wire::SecretKey{});
  }

  // A code that people have on paper must be read by every later version.
  TEST_CASE("the code of a key does not change") {
    wire::SecretKey counting;
    for (std::size_t i = 0; i < 32; ++i) counting.bytes[i] = static_cast<std::uint8_t>(i);
    CHECK(format_recovery_code(counting) ==
          "000G4-0R40M-30E20-9185G-R38E1-W8124-GK2GA-HC5RR-34D1P-70X3R-FH43B");
  }

  TEST_CASE("case, spaces, dashes and look-alike letters do not matter") {
    const wire::SecretKey key = drawn("a");
    std::string code = format_recovery_code(key);
    for (char& letter : code) letter = static_cast<char>(std::tolower(letter));
    CHECK(parse_recovery_code(code) == key);
    std::erase(code, '-');
    CHECK(parse_recovery_code(code) == key);
    CHECK(parse_recovery_code("  " + code.substr(0, 20) + "\n" + code.substr(20) + " ") == key);

    // In the code of zeros, 0 can be typed as O; a key with ones lets 1 be typed as I or L.
    std::string zeros = format_recovery_code({});
    std::replace(zeros.begin(), zeros.end(), '0', 'o');
    CHECK(parse_recovery_code(zeros) == wire::SecretKey{});
    for (const char typed : {'I', 'i', 'L', 'l'}) {
      std::string ones = format_recovery_code(key);
      REQUIRE(std::count(ones.begin(), ones.end(), '1') > 0);
      std::replace(ones.begin(), ones.end(), '1', typed);
      CHECK(parse_recovery_code(ones) == key);
    }
  }

  TEST_CASE("a typing error is found, and named where it can be") {
    const std::string code = format_recovery_code(drawn("a"));
    CHECK(error_of("").find("too short") != std::string::npos);
    CHECK(error_of(code.substr(1)).find("too short: it has 54 of 55") != std::string::npos);
    CHECK(error_of(code + "0").find("too long") != std::string::npos);
    std::string with_u = code;
    with_u[7] = 'U';
    CHECK(error_of(with_u) == "the character \"U\" at place 7 is in no recovery code");
    CHECK(error_of("\xc3\xa9" + code) ==
          "a character that is neither a letter nor a digit at place 1 is in no recovery code");
  }

  TEST_CASE("any one letter that is wrong, and any two neighbours that are swapped, are found") {
    const std::string code = format_recovery_code(drawn("a"));
    for (std::size_t i = 0; i < code.size(); ++i) {
      if (code[i] == '-') continue;
      for (const char letter : kAlphabet) {
        std::string wrong = code;
        wrong[i] = letter;
        if (wrong != code) CHECK_FALSE(parse_recovery_code(wrong));
      }
      if (i + 1 == code.size() || code[i] == code[i + 1] || code[i + 1] == '-') continue;
      std::string swapped = code;
      std::swap(swapped[i], swapped[i + 1]);
      CHECK_FALSE(parse_recovery_code(swapped));
    }
  }
}

}  // namespace godwit::crypto
