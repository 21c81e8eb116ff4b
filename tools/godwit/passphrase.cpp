#include "tools/godwit/passphrase.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <string_view>

#include "tools/godwit/interrupt.hpp"

namespace godwit::cli {
namespace {

Error wrong(std::string what) {
  return {ErrorCode::invalid_argument, std::move(what)};
}

// The terminal of this process, whatever stdin is; echo is off for as long as this lives. A signal
// that ends or stops the program meanwhile does so when echo is on again.
class QuietTerminal {
 public:
  QuietTerminal() : descriptor_(::open("/dev/tty", O_RDWR | O_CLOEXEC)) {
    if (!is_there()) return;
    sigset_t signals = ending_signals();
    for (const int number : {SIGQUIT, SIGTSTP}) sigaddset(&signals, number);
    pthread_sigmask(SIG_BLOCK, &signals, &mask_before_);
    signals_ = signalfd(-1, &signals, SFD_CLOEXEC);
    tcgetattr(descriptor_, &before_);
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    tcsetattr(descriptor_, TCSAFLUSH, &quiet);
  }
  ~QuietTerminal() {
    if (!is_there()) return;
    tcsetattr(descriptor_, TCSAFLUSH, &before_);
    ::close(descriptor_);
    ::close(signals_);  // none was read: what waits is delivered now
    pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
  }
  QuietTerminal(const QuietTerminal&) = delete;
  QuietTerminal& operator=(const QuietTerminal&) = delete;

  [[nodiscard]] bool is_there() const { return descriptor_ >= 0; }

  // Nothing: a signal waits.
  [[nodiscard]] std::optional<std::string> ask(std::string_view question) const {
    write(question);
    std::array<pollfd, 2> waits{{{descriptor_, POLLIN, 0}, {signals_, POLLIN, 0}}};
    while (::poll(waits.data(), waits.size(), -1) < 0) {
    }
    const bool interrupted = waits[1].revents != 0;
    std::array<char, 4096> line{};  // the most that a terminal gives as one
    const ssize_t size = interrupted ? 0 : ::read(descriptor_, line.data(), line.size());
    write("\n");
    if (interrupted) return std::nullopt;
    std::string text(line.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    if (text.ends_with('\n')) text.pop_back();
    return text;
  }

 private:
  void write(std::string_view text) const { (void)!::write(descriptor_, text.data(), text.size()); }

  int descriptor_;
  int signals_ = -1;
  termios before_{};
  sigset_t mask_before_{};
};

Result<std::optional<std::string>> ask_for(const PassphraseWish& wish) {
  std::optional<std::string> first, second;
  {
    const QuietTerminal terminal;
    if (!terminal.is_there()) {
      return wrong(std::string("there is no terminal to ask for the passphrase; use ") +
                   wish.file_option);
    }
    first = terminal.ask(wish.question);
    second = first && wish.is_new ? terminal.ask("once more: ") : first;
  }
  if (!second) return wrong("interrupted; run this again");  // by one that only stopped it
  if (std::ranges::any_of(*first, [](unsigned char c) { return std::iscntrl(c) != 0; })) {
    return wrong("no passphrase has a control character, such as that of Ctrl-Z; run this again");
  }
  if (first != second) return wrong("the two passphrases differ; run this again");
  return first;
}

Result<std::optional<std::string>> first_line_of(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!file || !std::getline(file, line)) {
    return wrong("the passphrase cannot be read from " + path);
  }
  if (line.ends_with('\r')) line.pop_back();
  return std::optional(std::move(line));
}

}  // namespace

Result<std::optional<std::string>> take_passphrase(const PassphraseWish& wish) {
  if (!wish.ask && wish.file.empty()) return std::optional<std::string>();
  auto taken = wish.ask ? ask_for(wish) : first_line_of(wish.file);
  if (taken && taken->value_or("").empty()) {
    return wrong("an empty passphrase protects nothing; choose another");
  }
  return taken;
}

}  // namespace godwit::cli
