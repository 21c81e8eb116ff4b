#include "tools/godwit/chat_view.hpp"

#include <algorithm>
#include <iterator>

#include "tools/godwit/text.hpp"

namespace godwit::cli {
namespace {

constexpr std::size_t kColumnsMin = 20;
constexpr std::size_t kTextColumnsMin = 16;
constexpr std::size_t kNarrowIndent = 2;
constexpr std::size_t kColouredTickColumns = 2;
constexpr std::size_t kNameColumnsMax = 16;
constexpr std::string_view kPrompt = "> ";

std::string date_of(const Message& message) {
  return date_and_time(message.time).substr(0, 10);
}

std::string status_row(const ChatView& view, std::size_t columns) {
  std::string text = one_line(view.peer);
  if (view.typing) text += " is typing ...";
  if (!view.notice.empty()) text += "  ·  " + one_line(view.notice);
  if (view.scrolled > 0) text += "  ·  Page Down for newer";
  return paint(shorten(text, columns), Style::dim, view.colours);
}

}  // namespace

std::vector<std::string> rows_of(const Message& message, std::size_t columns, bool colours) {
  const std::string time = clock_time(message.time);
  const auto tick = tick_of(message, colours);
  const std::size_t tick_columns =  // behind a space; colours are no columns
      tick.empty() ? 0 : 1 + (colours ? kColouredTickColumns : width_of(tick));
  std::size_t indent = time.size() + width_of(sender_of(message)) + 3;
  indent = std::min(indent, time.size() + kNameColumnsMax + 3);
  // Beside the name there has to be room for words; else the text begins on a row of its own.
  const bool beside = columns >= indent + kTextColumnsMin + tick_columns;
  const std::size_t name_columns = (beside ? indent : columns) - time.size() - 3;
  if (!beside) indent = kNarrowIndent;
  const std::size_t room = columns - indent - tick_columns;
  std::vector<std::string> rows;
  for (const auto& line : lines_of(message.text)) {
    for (auto& part : wrap(line, room)) {
      rows.push_back(std::string(indent, ' ') + std::move(part));
    }
  }
  const std::string sender = shorten(sender_of(message), name_columns) + ":";
  const std::string head = paint(time, Style::dim, colours) + " " +
                           paint(sender, message.outgoing ? Style::good : Style::bold, colours);
  if (beside) {
    rows.front() = head + " " + rows.front().substr(indent);
  } else {
    rows.insert(rows.begin(), head);
  }
  if (!tick.empty()) rows.back() += " " + tick;
  if (message.failure) {
    for (auto& part : wrap(one_line("not sent: " + *message.failure), room)) {
      rows.push_back(std::string(indent, ' ') + paint(part, Style::bad, colours));
    }
  }
  return rows;
}

Screen lay_out(const ChatView& view, const LineEditor& editor, std::size_t columns,
               std::size_t rows) {
  columns = std::max(columns, kColumnsMin);
  const std::size_t room = rows > 2 ? rows - 2 : 1;

  std::vector<std::string> all;
  std::string date;
  for (const auto& message : view.messages) {
    if (const auto its_date = date_of(message); its_date != date) {
      date = its_date;
      all.push_back(paint("-- " + date + " --", Style::dim, view.colours));
    }
    std::ranges::move(rows_of(message, columns, view.colours), std::back_inserter(all));
  }

  Screen screen;
  screen.scrolled = std::min(view.scrolled, all.size() > room ? all.size() - room : 0);
  const std::size_t end = all.size() - screen.scrolled;
  const std::size_t begin = end > room ? end - room : 0;
  screen.rows.resize(room - (end - begin));  // empty ones above a short history
  screen.rows.insert(screen.rows.end(), all.begin() + static_cast<std::ptrdiff_t>(begin),
                     all.begin() + static_cast<std::ptrdiff_t>(end));
  screen.rows.push_back(status_row(view, columns));
  const auto line = editor.view(columns - kPrompt.size());
  screen.rows.push_back(std::string(kPrompt) + line.text);
  screen.cursor_row = screen.rows.size() - 1;
  screen.cursor_column = kPrompt.size() + line.cursor;
  return screen;
}

}  // namespace godwit::cli
