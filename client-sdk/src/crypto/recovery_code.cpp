#include "client-sdk/src/crypto/recovery_code.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "schema/wire/hash.hpp"

namespace godwit::crypto {
namespace {

using tl::unexpected;
using wire::SecretKey;

constexpr std::string_view kAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";  // Crockford's
constexpr std::size_t kGroupSize = 5;
constexpr std::size_t kLettersMax = 55;
constexpr std::size_t kBitsPerLetter = 5;
// Seed, then checksum; the code is its first 275 bits, so five bits of it stand for nothing.
constexpr std::size_t kContentSize = (kLettersMax * kBitsPerLetter + 7) / 8;
constexpr std::size_t kChecksumSize = kContentSize - SecretKey::kSize;
constexpr std::size_t kSpareBits = kContentSize * 8 - kLettersMax * kBitsPerLetter;

using Content = std::array<std::uint8_t, kContentSize>;

// Overwritten when its holder is done.
struct WipedContent {
  Content bytes{};
  WipedContent() = default;
  WipedContent(const WipedContent&) = delete;
  WipedContent& operator=(const WipedContent&) = delete;
  ~WipedContent() { wire::wipe(bytes); }
};

// The first 19 bits of BLAKE2b-128(lab(code) || seed), with zeros behind.
std::array<std::uint8_t, kChecksumSize> checksum_of(wire::ByteView seed) {
  std::array<std::uint8_t, 16> hash;
  wire::blake2b(hash, {wire::label("code"), seed});
  std::array<std::uint8_t, kChecksumSize> sum;
  std::copy_n(hash.begin(), sum.size(), sum.begin());
  sum.back() = static_cast<std::uint8_t>(sum.back() >> kSpareBits << kSpareBits);
  return sum;
}

// Where bit `i` of a letter stands in the content; letters and bytes begin with their highest bit.
struct BitPlace {
  std::size_t byte;
  unsigned shift;
};
BitPlace place_of(std::size_t letter, std::size_t i) {
  const std::size_t bit = letter * kBitsPerLetter + i;
  return {bit / 8, static_cast<unsigned>(7 - bit % 8)};
}

// kAlphabet[value], without an address that depends on the secret.
char letter_of(unsigned value) {
  // 1 when the value is above `last`, by the borrow of the subtraction.
  const auto above = [value](unsigned last) { return (last - value) >> 31; };
  // Digits, then letters, of which I, L, O and U are left out.
  const unsigned letter =
      '0' + value + 7 * above(9) + above(17) + above(19) + above(21) + above(26);
  return static_cast<char>(letter);
}

// Nothing for a character that no code has.
std::optional<unsigned> value_of(char typed) {
  char letter = typed >= 'a' && typed <= 'z' ? static_cast<char>(typed - 'a' + 'A') : typed;
  if (letter == 'O') letter = '0';
  if (letter == 'I' || letter == 'L') letter = '1';
  const std::size_t value = kAlphabet.find(letter);
  if (value == std::string_view::npos) return {};
  return static_cast<unsigned>(value);
}

std::string name_of(char typed) {
  if (typed > ' ' && typed <= '~') return std::string("the character \"") + typed + '"';
  return "a character that is neither a letter nor a digit";
}

}  // namespace

std::string format_recovery_code(const SecretKey& root_seed) {
  WipedContent content;
  std::ranges::copy(root_seed.bytes, content.bytes.begin());
  std::ranges::copy(checksum_of(root_seed.view()), content.bytes.begin() + SecretKey::kSize);
  std::string code;
  code.reserve(kLettersMax + kLettersMax / kGroupSize);
  for (std::size_t letter = 0; letter < kLettersMax; ++letter) {
    if (letter > 0 && letter % kGroupSize == 0) code.push_back('-');
    unsigned value = 0;
    for (std::size_t i = 0; i < kBitsPerLetter; ++i) {
      const BitPlace place = place_of(letter, i);
      value = value << 1 | (content.bytes[place.byte] >> place.shift & 1U);
    }
    code.push_back(letter_of(value));
  }
  return code;
}

tl::expected<SecretKey, std::string> parse_recovery_code(std::string_view code) {
  WipedContent content;
  std::size_t letters = 0;
  for (const char typed : code) {
    if (typed == '-' || typed == ' ' || typed == '\t' || typed == '\n' || typed == '\r') continue;
    const auto value = value_of(typed);
    if (!value) {
      return unexpected(name_of(typed) + " at place " + std::to_string(letters + 1) +
                        " is in no recovery code");
    }
    if (letters == kLettersMax) {
      return unexpected("the code is too long: it has more than " + std::to_string(kLettersMax) +
                        " letters and digits");
    }
    for (std::size_t i = 0; i < kBitsPerLetter; ++i) {
      const BitPlace place = place_of(letters, i);
      const unsigned bit = *value >> (kBitsPerLetter - 1 - i) & 1U;
      content.bytes[place.byte] |= static_cast<std::uint8_t>(bit << place.shift);
    }
    ++letters;
  }
  if (letters < kLettersMax) {
    return unexpected("the code is too short: it has " + std::to_string(letters) + " of " +
                      std::to_string(kLettersMax) + " letters and digits");
  }
  const wire::ByteView seed = wire::ByteView(content.bytes).first(SecretKey::kSize);
  const wire::ByteView sum = wire::ByteView(content.bytes).subspan(SecretKey::kSize);
  if (!wire::equal_in_constant_time(sum, checksum_of(seed))) {
    return unexpected(
        std::string("the code does not hold: a letter or digit is wrong or out of place"));
  }
  return SecretKey::copy_of(seed);
}

}  // namespace godwit::crypto
