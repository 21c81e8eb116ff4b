// line_editor: the line that a person is typing: keys in, line out.
//
// Understands UTF-8, the usual control keys, the arrows, and pasted text, whose line breaks stay
// in the line instead of sending it. A key may come in pieces, as bytes of a terminal do.
// Refuses: to draw, or to read a terminal.
// Thread:  one owner.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace godwit::cli {

class LineEditor {
 public:
  enum class Key : std::uint8_t { none, enter, end_of_input, page_up, page_down, redraw };

  // One byte of the terminal. `enter`: the line is complete, take() it.
  [[nodiscard]] Key feed(char byte);
  // No more bytes for a while: what began like a key and did not go on is dropped.
  void pause() { sequence_.clear(); }
  [[nodiscard]] bool in_sequence() const { return !sequence_.empty(); }

  [[nodiscard]] std::string take();  // the line; empty afterwards
  [[nodiscard]] std::string text() const;
  [[nodiscard]] bool empty() const { return line_.empty(); }

  // What fits into `columns`, with the cursor inside; and the column of the cursor.
  struct View {
    std::string text;
    std::size_t cursor = 0;
  };
  [[nodiscard]] View view(std::size_t columns) const;

 private:
  [[nodiscard]] Key control(char byte);
  [[nodiscard]] Key escape_sequence();
  void insert(char32_t character);
  void erase(std::size_t from, std::size_t to);
  [[nodiscard]] std::size_t word_before() const;

  std::u32string line_;
  std::size_t cursor_ = 0;
  std::string sequence_;   // of an escape sequence, from ESC on
  std::string character_;  // bytes of an unfinished character
  bool pasting_ = false;
};

}  // namespace godwit::cli
