// chat: on a terminal a screen with history, live ticks and typing; in a pipe one line for each
// message in and out. poll() waits for keys, events and signals; nothing else waits.
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iostream>
#include <iterator>
#include <set>

#include "tools/godwit/chat_view.hpp"
#include "tools/godwit/commands.hpp"
#include "tools/godwit/interrupt.hpp"
#include "tools/godwit/notices.hpp"
#include "tools/godwit/reasons.hpp"
#include "tools/godwit/terminal.hpp"
#include "tools/godwit/text.hpp"

namespace godwit::cli {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kTypingShown = 7s;      // without a word that it goes on
constexpr auto kTypingTold = 3s;       // between two words that it goes on
constexpr auto kKeyPause = 50ms;       // after which an ESC is just that
constexpr auto kTick = 1s;             // typing ends by itself, a connection comes
constexpr auto kLook = 100ms;          // in a pipe, for what is sure to come
constexpr auto kFlushWait = 10s;       // for what a pipe has sent
constexpr auto kLeaveWait = 2s;        // for what was typed just before the end
constexpr std::size_t kHistory = 200;  // on the screen, and so many more where that is scrolled to
constexpr std::size_t kPageMax = 1'000;  // of the library
constexpr std::size_t kPipeHistory = 20;
constexpr std::size_t kTextMax = std::size_t{64} * 1024;  // bytes, of the library
constexpr std::size_t kNoticesMax = 200;
constexpr std::size_t kUnnamedMax = 64;  // messages of strangers that are looked at again

// The signals that end or stop a program, as something to poll. Made before the connection's
// thread, which then leaves them alone.
class Signals {
 public:
  Signals() {
    for (const int number : {SIGTSTP, SIGWINCH}) sigaddset(&set_, number);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    descriptor_ = signalfd(-1, &set_, SFD_CLOEXEC | SFD_NONBLOCK);
  }
  ~Signals() {
    ::close(descriptor_);
    pthread_sigmask(SIG_UNBLOCK, &set_, nullptr);
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  [[nodiscard]] int descriptor() const { return descriptor_; }
  // 0: none.
  [[nodiscard]] int next() const {
    signalfd_siginfo info{};
    return ::read(descriptor_, &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo)
                                                                  : 0;
  }

 private:
  sigset_t set_ = ending_signals();
  int descriptor_ = -1;
};

// The bytes that are there; nothing at the end of the input.
std::optional<std::string> read_input() {
  std::array<char, 4096> bytes{};
  const ssize_t size = ::read(STDIN_FILENO, bytes.data(), bytes.size());
  if (size > 0) return std::string(bytes.data(), static_cast<std::size_t>(size));
  if (size < 0 && (errno == EINTR || errno == EAGAIN)) return std::string();
  return std::nullopt;
}

// What both ways of chatting do alike.
class Chat {
 public:
  Chat(Client& client, const Arguments& arguments) : client_(client), name_(arguments.name) {}

  struct History {
    std::vector<Message> messages;  // oldest first
    bool whole = true;              // nothing is older
  };
  // The newest `count` messages; none when there is no conversation yet.
  [[nodiscard]] Result<History> load(std::size_t count) {
    History history;
    PageRequest request{.newest_first = true};
    do {
      request.limit = std::min(count - history.messages.size(), kPageMax);
      auto page = client_.messages(name_, request);
      if (!page && page.error().code == ErrorCode::not_found) return History();
      if (!page) return page.error();
      std::ranges::move(page->items, std::back_inserter(history.messages));
      history.whole = page->end;
      request.cursor = page->cursor;
    } while (!history.whole && history.messages.size() < count);
    std::ranges::reverse(history.messages);
    if (!history.messages.empty()) conversation_ = history.messages.back().conversation;
    return history;
  }

  // The receipts of what has been shown. A failure shows up as an event of its own.
  void read(const std::vector<Message>& shown) {
    std::uint64_t arrival = 0;
    for (const auto& message : shown) {
      if (message.status == Status::received) arrival = std::max(arrival, message.arrival);
    }
    if (arrival != 0) (void)client_.mark_read(name_, arrival).ok();
  }

  [[nodiscard]] Result<void> send(const std::string& text) {
    const auto sent = client_.send({.to = name_, .text = text});
    if (!sent) return sent.error();
    conversation_ = sent->conversation;
    return {};
  }

  [[nodiscard]] bool is_here(const Event& event) const {
    return conversation_ && event.conversation == *conversation_;
  }

  // Of this conversation; a receipt that waits is nothing that a person asked for.
  [[nodiscard]] std::size_t count_queued() {
    const auto history = load(kPageMax);
    if (!history) return 0;
    const auto count = std::ranges::count_if(history->messages, [](const Message& message) {
      return message.outgoing && message.status == Status::queued;
    });
    return static_cast<std::size_t>(count);
  }

  static std::string queued_note(std::size_t count) {
    return "note: not all could be sent: " + std::to_string(count) +
           (count == 1 ? " message waits" : " messages wait") + " for the next `godwit sync`";
  }

 protected:
  Client& client_;
  const std::string name_;
  std::optional<ConversationId> conversation_;
};

// ---- On a terminal ------------------------------------------------------------------------------

class ScreenChat : private Chat {
 public:
  ScreenChat(Client& client, const Arguments& arguments, const Output& out)
      : Chat(client, arguments) {
    view_.peer = name_;
    view_.colours = out.colours();
  }

  // What was typed last leaves with who typed it, if there is a connection.
  void leave(const Output& out) {
    if (connection().empty()) (void)client_.wait_settled(kLeaveWait).ok();
    if (const auto count = count_queued()) out.note(queued_note(count));
  }

  Result<void> run(const Signals& signals) {
    Terminal terminal;
    if (auto loaded = reload(); !loaded) return loaded;
    for (;;) {
      view_.connection = connection();
      if (auto drawn = draw(terminal); !drawn) return drawn;
      std::array<pollfd, 3> waiting{{{STDIN_FILENO, POLLIN, 0},
                                     {client_.descriptor(), POLLIN, 0},
                                     {signals.descriptor(), POLLIN, 0}}};
      const auto limit = editor_.in_sequence() ? kKeyPause : std::chrono::milliseconds(kTick);
      const int ready = ::poll(waiting.data(), waiting.size(), static_cast<int>(limit.count()));
      if (ready == 0) editor_.pause();
      // Whose a first message is turns out a moment after it has come.
      if (view_.messages.empty()) {
        if (auto loaded = reload(); !loaded) return loaded;
      }
      while (const int number = signals.next()) {
        if (number == SIGTSTP) {
          terminal.stop_here();
        } else if (number != SIGWINCH) {
          return {};
        }
      }
      if (ready > 0 && waiting[1].revents != 0) {
        if (auto loaded = take_events(); !loaded) return loaded;
      }
      if (ready > 0 && waiting[0].revents != 0 && !take_keys(terminal)) return {};
      keep_typing();
    }
  }

 private:
  Result<void> reload() {
    auto history = load(loaded_);
    if (!history) return history.error();
    view_.messages = std::move(history->messages);
    view_.whole = history->whole;
    if (view_.scrolled == 0) read(view_.messages);
    return {};
  }

  // Loads what is older when it is scrolled to; what was is let go at the bottom again.
  Result<void> draw(const Terminal& terminal) {
    if (view_.scrolled == 0) loaded_ = kHistory;
    const auto size = terminal.size();
    auto screen = lay_out(view_, editor_, size.columns, size.rows);
    while (screen.scrolled < view_.scrolled && !view_.whole) {
      loaded_ += kHistory;
      if (auto loaded = reload(); !loaded) return loaded;
      screen = lay_out(view_, editor_, size.columns, size.rows);
    }
    view_.scrolled = screen.scrolled;
    terminal.draw(screen.rows, screen.cursor_row, screen.cursor_column);
    return {};
  }

  // What keeps this from the relay; empty when nothing does.
  [[nodiscard]] std::string connection() {
    const auto settled = client_.wait_settled(0ms);
    if (settled || settled.error().code == ErrorCode::timed_out) return {};
    if (is_first_attempt(settled.error())) return "connecting ...";
    return settled.error().message;
  }

  // Behind the newest message, each once there. Bounded, since a relay can make as many as it
  // likes.
  void add(const std::vector<std::string>& notices) {
    const auto newest = view_.messages.empty() ? MessageId{} : view_.messages.back().id;
    for (const auto& text : notices) {
      const Notice notice{text, newest};
      if (std::ranges::find(view_.notices, notice) == view_.notices.end()) {
        view_.notices.push_back(notice);
      }
    }
    if (view_.notices.size() <= kNoticesMax) return;
    const auto over = view_.notices.size() - kNoticesMax;
    view_.notices.erase(view_.notices.begin(),
                        view_.notices.begin() + static_cast<std::ptrdiff_t>(over));
    view_.notices_dropped += over;
  }

  // One reload for however many events.
  Result<void> take_events() {
    std::vector<std::string> notices;
    while (const auto event = client_.next_event()) {
      switch (event->kind) {
        case EventKind::typing:
          if (!is_here(*event)) break;
          view_.typing = event->detail == "on";
          typing_until_ = Clock::now() + kTypingShown;
          break;
        case EventKind::message_received:
          if (is_here(*event)) view_.typing = false;
          break;
        case EventKind::status_changed:
          if (is_here(*event)) break;  // shown with the message
          [[fallthrough]];
        default:
          if (auto notice = notice_of(*event, client_)) notices.push_back(*std::move(notice));
      }
    }
    auto loaded = reload();
    add(notices);
    return loaded;
  }

  // False: the end.
  bool take_keys(const Terminal& terminal) {
    const auto input = read_input();
    if (!input) return false;
    const std::size_t page = std::max<std::size_t>(terminal.size().rows, 5) - 3;
    for (const char byte : *input) {
      switch (editor_.feed(byte)) {
        case LineEditor::Key::none:
        case LineEditor::Key::redraw:
          break;
        case LineEditor::Key::enter:
          send_line();
          break;
        case LineEditor::Key::page_up:
          view_.scrolled += page;
          break;
        case LineEditor::Key::page_down:
          view_.scrolled -= std::min(view_.scrolled, page);
          break;
        case LineEditor::Key::end_of_input:
          return false;
      }
    }
    return true;
  }

  void send_line() {
    if (editor_.text().find_first_not_of(" \n") == std::string::npos) return;
    if (auto sent = send(editor_.text()); !sent) {
      view_.problem = sent.error().message;  // and the line stays, to be sent again
      return;
    }
    view_.problem.clear();
    (void)editor_.take();
    view_.scrolled = 0;
    told_typing_ = {};
    (void)reload().ok();  // what fails here fails again with the next event, and ends it there
  }

  void keep_typing() {
    const auto now = Clock::now();
    if (view_.typing && now >= typing_until_) view_.typing = false;
    const std::string line = editor_.text();
    if (line == last_line_) return;
    last_line_ = line;
    if (line.empty()) {
      if (std::exchange(told_typing_, {})) (void)client_.set_typing(name_, false).ok();
    } else if (!told_typing_ || now >= *told_typing_ + kTypingTold) {
      told_typing_ = now;
      (void)client_.set_typing(name_, true).ok();
    }
  }

  ChatView view_;
  std::size_t loaded_ = kHistory;  // messages, when there are so many
  LineEditor editor_;
  Clock::time_point typing_until_{};
  std::optional<Clock::time_point> told_typing_;
  std::string last_line_;
};

// ---- In a pipe ----------------------------------------------------------------------------------

class PipeChat : private Chat {
 public:
  PipeChat(Client& client, const Arguments& arguments, const Output& out)
      : Chat(client, arguments), out_(out), reasons_(out) {}

  int run(const Signals& signals) {
    const auto history = load(kPipeHistory);
    if (!history) return out_.fail(history.error());
    for (const auto& message : history->messages) {
      print(message);
      shown_.insert(message.id);
    }
    if (!std::cout.flush()) return end();
    read(history->messages);
    bool open = true;
    for (auto leave_at = Clock::time_point::max(); Clock::now() < leave_at;) {
      std::array<pollfd, 3> waiting{{{open ? STDIN_FILENO : -1, POLLIN, 0},
                                     {client_.descriptor(), POLLIN, 0},
                                     {signals.descriptor(), POLLIN, 0}}};
      // Some things come without an event.
      const auto look = !open || !unnamed_.empty() ? kLook : std::chrono::milliseconds(kTick);
      if (::poll(waiting.data(), waiting.size(), static_cast<int>(look.count())) < 0) continue;
      while (const int number = signals.next()) {
        if (number == SIGTSTP) stop_as_asked();
        if (number == SIGINT || number == SIGTERM || number == SIGHUP) return kExitInterrupted;
      }
      if (!print_news()) return end();
      if (open && waiting[0].revents != 0 && !take_lines()) {
        open = false;
        leave_at = Clock::now() + kFlushWait;
      }
      const auto settled = client_.wait_settled(0ms);
      if (!open && settled) {
        if (const auto count = count_queued()) out_.note(queued_note(count));
        return end();
      }
      if (!settled) reasons_.tell(settled.error());
      if (!open && !settled && !goes_on(settled.error())) break;
    }
    tell_what_waits();
    return end();
  }

 private:
  void tell_what_waits() {
    const auto count = count_queued();
    out_.note(count == 0 ? "note: what waits at the relay comes with the next `godwit sync`"
                         : queued_note(count));
  }

  // Also what came after the last look: it is acknowledged, and no other command would show it.
  // That nobody reads what is printed is said by main.
  int end() {
    client_.disconnect();
    (void)print_news();
    return status_;
  }

  void print(const Message& message) const {
    if (out_.json()) return out_.object(json_of(message));
    std::string head = clock_time(message.time) + " " + sender_of(message) + ": ";
    for (const auto& line : lines_of(message.text)) {
      out_.line(head + line);
      head = "      ";
    }
  }

  // False: the output cannot be written any more, and what was not shown is not marked as read.
  bool print_news() {
    // Whose a first message is turns out a moment after it has come.
    std::vector<MessageId> ids = std::exchange(unnamed_, {});
    while (const auto event = client_.next_event()) {
      if (event->kind == EventKind::status_changed && event->status == Status::failed) {
        status_ = out_.fail("refused", "a message was not sent: " + event->detail);
      } else {
        tell(*event, client_, out_);
      }
      const bool arrival = event->kind == EventKind::message_received;
      if (arrival && !shown_.contains(event->message)) ids.push_back(event->message);
    }
    std::uint64_t received = 0;
    for (const auto& id : ids) {
      const auto message = client_.message(id);
      if (!message) continue;
      if (!is_here(*message)) {
        if (!has_name(*message) && unnamed_.size() < kUnnamedMax) unnamed_.push_back(id);
        continue;
      }
      print(*message);
      received = std::max(received, message->arrival);
    }
    if (!std::cout.flush()) return false;
    if (received != 0) (void)client_.mark_read(name_, received).ok();
    return true;
  }

  // A conversation may have become another one: that of a name, when it was known whose it is.
  [[nodiscard]] bool is_here(const Message& message) {
    if (conversation_ != message.conversation) (void)load(1).ok();
    return conversation_ == message.conversation;
  }

  // False: the input has ended.
  bool take_lines() {
    const auto input = read_input();
    if (input) pending_ += *input;
    for (auto end = pending_.find('\n'); end != std::string::npos; end = pending_.find('\n')) {
      send_line(pending_.substr(0, end));
      pending_.erase(0, end + 1);
      cut_ = false;
    }
    if (!input || pending_.size() > kTextMax) {  // what is too long is refused before its end
      send_line(std::exchange(pending_, {}));
      cut_ = true;
    }
    return input.has_value();
  }

  void send_line(const std::string& line) {
    if (cut_ || line.find_first_not_of(" \r") == std::string::npos) return;
    if (auto sent = send(line); !sent) status_ = out_.fail(sent.error());
  }

  const Output& out_;
  Reasons reasons_;
  std::string pending_;             // a line that has not ended
  bool cut_ = false;                // the beginning of that line has been refused
  std::vector<MessageId> unnamed_;  // of senders whose name is not known yet
  std::set<MessageId> shown_;       // before anything came: some may come as events too
  int status_ = kExitOk;
};

}  // namespace

int chat(const Arguments& arguments, const Output& out) {
  const Signals signals;
  auto client = Client::open(arguments.options());
  if (!client) return out.fail(client.error());
  if (auto connected = client->connect(); !connected) return out.fail(connected.error());
  if (!Terminal::is_there()) return PipeChat(*client, arguments, out).run(signals);
  ScreenChat screen(*client, arguments, out);
  const auto ended = screen.run(signals);
  screen.leave(out);
  tell_of_arrivals(*client, std::nullopt, out);  // after the last look
  return ended ? kExitOk : out.fail(ended.error());
}

}  // namespace godwit::cli
