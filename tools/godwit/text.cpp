#include "tools/godwit/text.hpp"

#include <wchar.h>

#include <algorithm>
#include <clocale>

namespace godwit::cli {
namespace {

constexpr char32_t kReplacement = 0xfffd;
constexpr char32_t kZeroWidthJoiner = 0x200d;

// How many bytes a character that begins with `lead` has; 0 when none begins so.
std::size_t size_of(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead < 0xe0) return 2;
  if (lead >= 0xe0 && lead < 0xf0) return 3;
  if (lead >= 0xf0 && lead < 0xf5) return 4;
  return 0;
}

// The character at the beginning, or nothing valid: then one byte was looked at.
struct Decoded {
  char32_t character = kReplacement;
  std::size_t size = 1;
};

Decoded first_of(std::string_view text) {
  constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const auto lead = static_cast<unsigned char>(text.front());
  const std::size_t size = size_of(lead);
  if (size == 0 || size > text.size()) return {};
  if (size == 1) return {lead, 1};
  char32_t character = lead & (0xffU >> (size + 1));
  for (const char c : text.substr(1, size - 1)) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xc0) != 0x80) return {};
    character = (character << 6) | (byte & 0x3fU);
  }
  const bool surrogate = character >= 0xd800 && character < 0xe000;
  if (character < kSmallest[size] || character > 0x10ffff || surrogate) return {};
  return {character, size};
}

void append(std::string& to, char32_t character) {
  const auto put = [&to](char32_t byte) { to += static_cast<char>(byte); };
  if (character < 0x80) {
    put(character);
  } else if (character < 0x800) {
    put(0xc0 | (character >> 6));
    put(0x80 | (character & 0x3f));
  } else if (character < 0x10000) {
    put(0xe0 | (character >> 12));
    put(0x80 | ((character >> 6) & 0x3f));
    put(0x80 | (character & 0x3f));
  } else {
    put(0xf0 | (character >> 18));
    put(0x80 | ((character >> 12) & 0x3f));
    put(0x80 | ((character >> 6) & 0x3f));
    put(0x80 | (character & 0x3f));
  }
}

bool is_control(char32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

// What turns the direction of the text around it, and the line breaks of Unicode.
bool is_deceptive(char32_t c) {
  return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x2028 || c == 0x2029;
}

bool is_break(char32_t c) {
  return c == '\n' || c == '\r' || c == '\t';
}

}  // namespace

// glibc carries this locale in itself, so it is there also where no locale is installed.
void use_utf8() {
  std::setlocale(LC_CTYPE, "C.UTF-8");  // NOLINT(concurrency-mt-unsafe): before any thread
}

std::u32string decode(std::string_view text) {
  std::u32string characters;
  while (!text.empty()) {
    const auto [character, size] = first_of(text);
    characters += character;
    text.remove_prefix(size);
  }
  return characters;
}

std::string encode(std::u32string_view text) {
  std::string bytes;
  for (const char32_t character : text) append(bytes, character);
  return bytes;
}

std::string one_line(std::string_view text) {
  std::u32string characters = decode(text);
  for (char32_t& character : characters) {
    if (is_break(character)) {
      character = ' ';
    } else if (is_control(character) || is_deceptive(character)) {
      character = kReplacement;
    }
  }
  return encode(characters);
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  for (;;) {
    const auto end = text.find('\n');
    auto line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(one_line(line));
    if (end == std::string_view::npos) return lines;
    text.remove_prefix(end + 1);
  }
}

std::size_t width_of(char32_t character) {
  const int width = ::wcwidth(static_cast<wchar_t>(character));
  return width < 0 ? 1 : static_cast<std::size_t>(width);  // shown as some sign
}

std::size_t width_of(std::string_view line) {
  std::size_t width = 0;
  for (const char32_t character : decode(line)) width += width_of(character);
  return width;
}

std::string shorten(std::string_view line, std::size_t columns) {
  if (width_of(line) <= columns) return std::string(line);
  if (columns == 0) return {};
  const auto characters = decode(line);
  std::size_t width = 1;  // of the ellipsis
  std::size_t end = 0;
  while (width + width_of(characters[end]) <= columns) width += width_of(characters[end++]);
  return encode(std::u32string_view(characters).substr(0, end)) + "…";
}

std::vector<std::string> wrap(std::string_view line, std::size_t columns) {
  const auto characters = decode(line);
  const std::u32string_view all = characters;
  std::vector<std::string> rows;
  std::size_t begin = 0;
  while (begin < all.size()) {
    std::size_t end = begin;
    std::size_t width = 0;
    while (end < all.size() && width + width_of(all[end]) <= columns) {
      width += width_of(all[end++]);
    }
    if (end < all.size()) {
      const auto space = all.substr(begin, end - begin + 1).rfind(U' ');
      if (space != std::u32string_view::npos && space > 0) end = begin + space;
    }
    end = std::max(end, begin + 1);  // a character that is wider than all there is
    rows.push_back(encode(all.substr(begin, end - begin)));
    begin = end;
    if (begin < all.size() && all[begin] == U' ') ++begin;
  }
  if (rows.empty()) rows.emplace_back();
  return rows;
}

std::size_t character_before(std::u32string_view text, std::size_t at) {
  while (at > 0) {
    --at;
    const bool joined = at > 0 && text[at - 1] == kZeroWidthJoiner;
    if (width_of(text[at]) > 0 && !joined) break;
  }
  return at;
}

std::size_t character_after(std::u32string_view text, std::size_t at) {
  if (at < text.size()) ++at;
  while (at < text.size() && (width_of(text[at]) == 0 || text[at - 1] == kZeroWidthJoiner)) ++at;
  return at;
}

}  // namespace godwit::cli
