// text: what other people wrote, made safe to print, and how wide it is on a terminal.
// Thread: pure functions; use_utf8() once, before the first width.
// Trust:  names and texts come from strangers: a control character could rewrite the screen, name
//         the window or type commands. None gets through.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace godwit::cli {

// Widths are those of UTF-8, whatever the language of the environment is.
void use_utf8();

// The code points of UTF-8; each byte that does not belong becomes U+FFFD.
[[nodiscard]] std::u32string decode(std::string_view text);
[[nodiscard]] std::string encode(std::u32string_view text);

// One line: line breaks and tabs become spaces; other control characters, and those that turn the
// direction of writing, U+FFFD.
[[nodiscard]] std::string one_line(std::string_view text);
// The same for each line of a text.
[[nodiscard]] std::vector<std::string> lines_of(std::string_view text);

// Columns on a terminal: 2 for wide characters, 0 for marks that combine.
[[nodiscard]] std::size_t width_of(char32_t character);
[[nodiscard]] std::size_t width_of(std::string_view line);
// The longest beginning that fits, with an ellipsis when something was left out.
[[nodiscard]] std::string shorten(std::string_view line, std::size_t columns);
// Cuts at spaces where there are some, else between characters. `columns`: at least 2.
[[nodiscard]] std::vector<std::string> wrap(std::string_view line, std::size_t columns);

// Where the character that a person sees begins or ends, at or beside `at`: marks stay with their
// base, and what a zero-width joiner joins stays together.
[[nodiscard]] std::size_t character_before(std::u32string_view text, std::size_t at);
[[nodiscard]] std::size_t character_after(std::u32string_view text, std::size_t at);

}  // namespace godwit::cli
