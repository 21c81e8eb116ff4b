// A line: below the level -> nothing. Else the counts that are due go first, then the event's own
// line, unless it has had its share of this second or standard error takes nothing now.

#include "relay/ops/log.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <mutex>
#include <type_traits>
#include <utility>

namespace godwit::relay::ops {
namespace {

using TimePoint = std::chrono::system_clock::time_point;
using std::chrono::seconds;

using StderrSink = spdlog::sinks::stdout_sink_base<spdlog::details::console_nullmutex>;

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using OwnFile = std::unique_ptr<std::FILE, CloseFile>;

// A terminal takes the beginning of a line and waits for its reader to make room for the rest,
// which poll() does not foresee. So it is written to by a description of our own, which does not
// wait; that of stderr is others' too. Empty: no terminal, or it lets us open none.
OwnFile open_terminal() {
  if (::isatty(STDERR_FILENO) == 0) return {};
  const int own = ::open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  return OwnFile(own < 0 ? nullptr : ::fdopen(own, "w"));
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      break;
  }
  return spdlog::level::err;
}

bool is_plain(char c) {
  return c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '=';
}

// Bare when that is unambiguous; else in quotes, with everything but printable ASCII escaped, so
// that no value can end its line or command a terminal.
void append_text(std::string& line, std::string_view text) {
  const bool cut = text.size() > kLogValueSizeMax;
  text = text.substr(0, kLogValueSizeMax);
  const bool bare = !text.empty() && !cut && std::all_of(text.begin(), text.end(), is_plain);
  if (bare) {
    line += text;
    return;
  }
  line += '"';
  for (const char c : text) {
    if (is_plain(c) || c == ' ' || c == '=') {
      line += c;
    } else if (c == '"' || c == '\\') {
      line += {'\\', c};
    } else {
      std::array<char, 5> escape{};
      std::snprintf(escape.data(), escape.size(), "\\x%02x", static_cast<unsigned char>(c));
      line += escape.data();
    }
  }
  line += cut ? "...\"" : "\"";
}

void append_field(std::string& line, const Field& field) {
  line += ' ';
  line += field.key;
  line += '=';
  std::visit(
      [&line](const auto& value) {
        using Value = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<Value, std::string_view>) {
          append_text(line, value);
        } else if constexpr (std::is_same_v<Value, bool>) {
          line += value ? "true" : "false";
        } else {
          line += std::to_string(value);
        }
      },
      field.value);
}

}  // namespace

struct Log::State {
  struct Share {  // of one event, in one second
    TimePoint begin;
    std::uint64_t lines = 0;
    std::uint64_t suppressed = 0;
    LogLevel level = LogLevel::info;  // of the last line left out
  };

  State(LogLevel least, spdlog::sink_ptr sink, Clock clock_)
      : clock(std::move(clock_)), logger("godwit", std::move(sink)) {
    logger.set_level(to_spdlog(least));
    logger.set_formatter(std::make_unique<spdlog::pattern_formatter>(
        "%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc, "\n"));
  }

  void print(TimePoint now, LogLevel level, std::string_view line) {
    logger.log(now, spdlog::source_loc{}, to_spdlog(level),
               spdlog::string_view_t(line.data(), line.size()));
  }

  // The clock may be set back; a share that begins in the future has passed, too.
  static bool has_passed(const Share& share, TimePoint now) {
    return now < share.begin || now - share.begin >= seconds(1);
  }

  void print_suppressed(std::string_view event, Share& share, TimePoint now) {
    if (share.suppressed == 0 || !can_write()) return;
    const auto suppressed = std::exchange(share.suppressed, 0);
    events_due--;
    std::string line(event);
    append_field(line, Field("suppressed", suppressed));
    print(now, share.level, line);
  }

  // Any event's line brings out the counts of all, so that none stays untold for long.
  void print_all_suppressed(TimePoint now, bool at_once) {
    if (events_due == 0) return;
    for (auto& [event, share] : shares) {
      if (at_once || has_passed(share, now)) print_suppressed(event, share, now);
    }
  }

  bool take_share(std::string_view event, LogLevel level, TimePoint now) {
    auto found = shares.find(event);
    if (found == shares.end()) found = shares.emplace(std::string(event), Share{now}).first;
    auto& share = found->second;
    if (has_passed(share, now)) {
      share.begin = now;
      share.lines = 0;
    }
    if (share.lines < kLogLinesPerSecond && can_write()) {
      share.lines++;
      return true;
    }
    if (share.suppressed++ == 0) events_due++;
    share.level = level;
    return false;
  }

  bool can_write() const { return !to_stderr || stderr_takes_a_line(); }

  Clock clock;
  bool to_stderr = false;
  OwnFile terminal;
  std::mutex mutex;
  spdlog::logger logger;
  std::map<std::string, Share, std::less<>> shares;
  std::size_t events_due = 0;  // shares with suppressed != 0
};

LogLevel parse_log_level(std::string_view name) {
  if (name == "debug") return LogLevel::debug;
  if (name == "warning") return LogLevel::warning;
  if (name == "error") return LogLevel::error;
  return LogLevel::info;
}

// A pipe then takes the whole line: it is shorter than PIPE_BUF, a few fields of four times
// kLogValueSizeMax each at most.
bool stderr_takes_a_line() {
  pollfd entry{STDERR_FILENO, POLLOUT, 0};
  return ::poll(&entry, 1, 0) != 0;
}

Log::Log(LogLevel least) {
  OwnFile terminal = open_terminal();
  state_ = std::make_unique<State>(
      least, std::make_shared<StderrSink>(terminal ? terminal.get() : stderr),
      &std::chrono::system_clock::now);
  state_->to_stderr = true;
  state_->terminal = std::move(terminal);
}

Log::Log(LogLevel least, std::ostream& to, Clock clock)
    : state_(std::make_unique<State>(least, std::make_shared<spdlog::sinks::ostream_sink_st>(to),
                                     std::move(clock))) {}

Log::~Log() {
  state_->print_all_suppressed(state_->clock(), true);
}

void Log::write(LogLevel level, std::string_view event, Fields fields) {
  if (!state_->logger.should_log(to_spdlog(level))) return;
  const std::lock_guard lock(state_->mutex);
  const auto now = state_->clock();
  state_->print_all_suppressed(now, false);
  if (!state_->take_share(event, level, now)) return;
  std::string line(event);
  for (const auto& field : fields) append_field(line, field);
  state_->print(now, level, line);
}

}  // namespace godwit::relay::ops
