#include "tools/godwit/line_editor.hpp"

#include <algorithm>
#include <utility>

#include "tools/godwit/text.hpp"

namespace godwit::cli {
namespace {

constexpr char kEscape = '\x1b';
constexpr std::size_t kSequenceMax = 16;
constexpr std::size_t kLineMax = 64 * 1024;  // characters; no longer text could be sent
constexpr char32_t kReturnSign = U'⏎';

constexpr char ctrl(char letter) {
  return static_cast<char>(letter & 0x1f);
}

bool is_continuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xc0) == 0x80;
}

std::size_t size_by_lead(char byte) {
  const auto lead = static_cast<unsigned char>(byte);
  return lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
}

}  // namespace

LineEditor::Key LineEditor::feed(char byte) {
  if (!sequence_.empty()) {
    sequence_ += byte;
    return escape_sequence();
  }
  if (byte == kEscape) {
    sequence_ = byte;
    return Key::none;
  }
  if (!character_.empty() && !is_continuation(byte)) character_.clear();
  const auto value = static_cast<unsigned char>(byte);
  if (value < 0x20 || value == 0x7f) return control(byte);
  character_ += byte;
  if (character_.size() < size_by_lead(character_.front())) return Key::none;
  for (const char32_t character : decode(std::exchange(character_, {}))) insert(character);
  return Key::none;
}

LineEditor::Key LineEditor::control(char byte) {
  if (pasting_ && (byte == '\r' || byte == '\n')) {
    insert(U'\n');
    return Key::none;
  }
  switch (byte) {
    case '\r':
    case '\n':
      return Key::enter;
    case '\t':
      insert(U' ');
      break;
    case ctrl('D'):
      if (line_.empty()) return Key::end_of_input;
      erase(cursor_, character_after(line_, cursor_));
      break;
    case ctrl('A'):
      cursor_ = 0;
      break;
    case ctrl('E'):
      cursor_ = line_.size();
      break;
    case ctrl('B'):
      cursor_ = character_before(line_, cursor_);
      break;
    case ctrl('F'):
      cursor_ = character_after(line_, cursor_);
      break;
    case ctrl('U'):
      erase(0, cursor_);
      break;
    case ctrl('K'):
      erase(cursor_, line_.size());
      break;
    case ctrl('W'):
      erase(word_before(), cursor_);
      break;
    case ctrl('L'):
      return Key::redraw;
    case ctrl('H'):
    case '\x7f':
      erase(character_before(line_, cursor_), cursor_);
      break;
    default:
      break;
  }
  return Key::none;
}

// CSI: ESC [ digits and signs, then one letter or ~. SS3: ESC O and one letter.
LineEditor::Key LineEditor::escape_sequence() {
  const char last = sequence_.back();
  if (sequence_.size() == 2 && (last == '[' || last == 'O')) return Key::none;
  const bool complete = sequence_.size() == 2 || (last >= 0x40 && last <= 0x7e);
  if (!complete && sequence_.size() < kSequenceMax) return Key::none;
  const std::string sequence = std::exchange(sequence_, {});
  const auto is = [&sequence](std::string_view letters, std::string_view code) {
    const std::string_view rest = std::string_view(sequence).substr(1);
    return rest.size() == 2 && letters.find(rest[1]) != std::string_view::npos
               ? true
               : !code.empty() && rest == code;
  };
  if (is("D", "[1;2D")) {
    cursor_ = character_before(line_, cursor_);
  } else if (is("C", "[1;2C")) {
    cursor_ = character_after(line_, cursor_);
  } else if (is("H", "[1~")) {
    cursor_ = 0;
  } else if (is("F", "[4~")) {
    cursor_ = line_.size();
  } else if (is("", "[3~")) {
    erase(cursor_, character_after(line_, cursor_));
  } else if (is("A", "[5~")) {
    return Key::page_up;
  } else if (is("B", "[6~")) {
    return Key::page_down;
  } else if (is("", "[1;5D")) {
    cursor_ = word_before();
  } else if (is("", "[200~")) {
    pasting_ = true;
  } else if (is("", "[201~")) {
    pasting_ = false;
  }
  return Key::none;
}

void LineEditor::insert(char32_t character) {
  if (line_.size() == kLineMax) return;
  line_.insert(cursor_++, 1, character);
}

void LineEditor::erase(std::size_t from, std::size_t to) {
  line_.erase(from, to - from);
  cursor_ = from;
}

std::size_t LineEditor::word_before() const {
  std::size_t at = cursor_;
  while (at > 0 && line_[at - 1] == U' ') --at;
  while (at > 0 && line_[at - 1] != U' ') --at;
  return at;
}

std::string LineEditor::take() {
  cursor_ = 0;
  return encode(std::exchange(line_, {}));
}

std::string LineEditor::text() const {
  return encode(line_);
}

LineEditor::View LineEditor::view(std::size_t columns) const {
  const auto width = [](char32_t c) { return c == U'\n' ? 1 : width_of(c); };
  // From the cursor to the left until there is no room, with one column for the cursor itself.
  std::size_t begin = cursor_;
  std::size_t used = 1;
  while (begin > 0 && used + width(line_[begin - 1]) <= columns) used += width(line_[--begin]);
  View view;
  view.cursor = used - 1;
  std::size_t end = cursor_;
  for (used -= 1; end < line_.size() && used + width(line_[end]) <= columns; ++end) {
    used += width(line_[end]);
  }
  std::u32string shown = line_.substr(begin, end - begin);
  std::replace(shown.begin(), shown.end(), U'\n', kReturnSign);
  view.text = one_line(encode(shown));
  return view;
}

}  // namespace godwit::cli
