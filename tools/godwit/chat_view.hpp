// chat_view: the rows of a chat on a screen: messages from the bottom up, a line that says what
// goes on, the line that is being typed.
// Refuses: to know a terminal or a client: values in, rows out.
// Thread:  pure functions.
// Trust:   texts and names are other people's; they pass through lines_of() and one_line() here.
#pragma once

#include <string>
#include <vector>

#include "tools/godwit/line_editor.hpp"
#include "tools/godwit/output.hpp"

namespace godwit::cli {

// Something that a person should see, and that stays: a row among the messages.
struct Notice {
  std::string text;
  MessageId after{};  // the newest message when it came
  friend bool operator==(const Notice&, const Notice&) = default;
};

struct ChatView {
  std::string peer;
  std::vector<Message> messages;    // oldest first
  bool whole = false;               // nothing is older than these
  std::vector<Notice> notices;      // oldest first; those behind no message here stand at the top
  std::size_t notices_dropped = 0;  // older than these
  std::size_t scrolled = 0;         // rows that are hidden below
  std::string connection;           // why there is none; empty when there is one
  std::string problem;              // with the line that was to be sent
  bool typing = false;
  bool colours = false;
};

// The rows of one message. `columns`: at least 20.
[[nodiscard]] std::vector<std::string> rows_of(const Message& message, std::size_t columns,
                                               bool colours);

struct Screen {
  std::vector<std::string> rows;
  std::size_t cursor_row = 0;
  std::size_t cursor_column = 0;
  std::size_t scrolled = 0;  // as far as there is something to scroll to
};
[[nodiscard]] Screen lay_out(const ChatView& view, const LineEditor& editor, std::size_t columns,
                             std::size_t rows);

}  // namespace godwit::cli
