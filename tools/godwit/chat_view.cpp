#include "tools/godwit/chat_view.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <utility>

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
  for (const auto& part : {view.problem, view.connection}) {
    if (!part.empty()) text += "  ·  " + one_line(part);
  }
  if (view.scrolled > 0) text += "  ·  Page Down for newer";
  return paint(shorten(text, columns), Style::dim, view.colours);
}

void append_notice(std::vector<std::string>& rows, const std::string& text, std::size_t columns,
                   bool colours) {
  std::string head = "! ";
  for (const auto& part : wrap(one_line(text), columns - head.size())) {
    rows.push_back(paint(std::exchange(head, "  ") + part, Style::bad, colours));
  }
}

// All that can be scrolled to: the messages, a row for each day, the notices where they came.
std::vector<std::string> history_rows(const ChatView& view, std::size_t columns) {
  std::vector<std::string> rows;
  if (view.whole && !view.messages.empty()) {
    rows.push_back(paint("-- the beginning --", Style::dim, view.colours));
  }
  if (view.notices_dropped > 0) {
    append_notice(rows, std::to_string(view.notices_dropped) + " older notices are left out",
                  columns, view.colours);
  }
  std::set<MessageId> here;
  for (const auto& message : view.messages) here.insert(message.id);
  std::multimap<MessageId, const Notice*> behind;  // of one message in the order in which they came
  for (const auto& notice : view.notices) {
    if (here.contains(notice.after)) {
      behind.emplace(notice.after, &notice);
    } else {
      append_notice(rows, notice.text, columns, view.colours);
    }
  }
  std::string date;
  for (const auto& message : view.messages) {
    if (const auto its_date = date_of(message); its_date != date) {
      date = its_date;
      rows.push_back(paint("-- " + date + " --", Style::dim, view.colours));
    }
    std::ranges::move(rows_of(message, columns, view.colours), std::back_inserter(rows));
    const auto [begin, end] = behind.equal_range(message.id);
    for (auto one = begin; one != end; ++one) {
      append_notice(rows, one->second->text, columns, view.colours);
    }
  }
  return rows;
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

  const auto all = history_rows(view, columns);
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
