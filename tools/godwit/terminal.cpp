#include "tools/godwit/terminal.hpp"

#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string_view>

#include "tools/godwit/interrupt.hpp"

namespace godwit::cli {
namespace {

// Another screen, so that the one of before comes back; pasted text in brackets; what is too wide
// for a very narrow terminal is cut instead of wrapped.
constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?2004h\x1b[?7l\x1b[2J";
constexpr std::string_view kLeave = "\x1b[?7h\x1b[?2004l\x1b[?25h\x1b[?1049l";
// And Ctrl-\, which is there for a program that answers no other key.
constexpr std::array kCrashes{SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGQUIT};

// A handler of signals reaches nothing but this.
termios before{};

void write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno != EINTR) return;
    if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
  }
}

void give_back() {
  write_all(kLeave);
  tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
}

// Only what may be called from a signal; the default action follows.
void on_crash(int number) {
  give_back();
  signal(number, SIG_DFL);
  raise(number);
}

}  // namespace

bool Terminal::is_there() {
  // Nobody sets a variable while this program runs.
  const char* const kind = std::getenv("TERM");  // NOLINT(concurrency-mt-unsafe)
  return isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1 && kind != nullptr &&
         std::string_view(kind) != "dumb";
}

Terminal::Terminal() {
  tcgetattr(STDIN_FILENO, &before);
  for (const int number : kCrashes) signal(number, on_crash);
  take();
}

Terminal::~Terminal() {
  give_back();
  for (const int number : kCrashes) signal(number, SIG_DFL);
}

void Terminal::take() const {
  termios raw = before;
  raw.c_iflag &= ~static_cast<tcflag_t>(ICRNL | IXON | ISTRIP);
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | IEXTEN);  // ISIG stays: Ctrl-C, Ctrl-Z
  raw.c_cc[VMIN] = 1;
  raw.c_cc[VTIME] = 0;
  tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
  write_all(kEnter);
}

void Terminal::stop_here() {
  give_back();
  stop_as_asked();
  take();
}

Terminal::Size Terminal::size() const {
  winsize window{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0 || window.ws_row == 0) {
    return {};
  }
  return {window.ws_col, window.ws_row};
}

// In one write, hidden cursor: nothing flickers. Each row ends with "erase to the end" instead of a
// line feed, so that a full last row does not scroll.
void Terminal::draw(const std::vector<std::string>& rows, std::size_t cursor_row,
                    std::size_t cursor_column) const {
  const auto move = [](std::size_t row, std::size_t column) {
    return "\x1b[" + std::to_string(row + 1) + ";" + std::to_string(column + 1) + "H";
  };
  std::string frame = "\x1b[?25l";
  for (std::size_t row = 0; row < rows.size(); ++row) frame += move(row, 0) + "\x1b[K" + rows[row];
  frame += "\x1b[J" + move(cursor_row, cursor_column) + "\x1b[?25h";
  write_all(frame);
}

}  // namespace godwit::cli
