// ops/log: one line per event on stderr:
//
//   2026-11-20T12:00:00.123Z info started loops=2 store="/var/lib/godwit"
//
// Nothing that names a user goes in: no ids, keys, addresses of clients or payloads. An event that
// hostile traffic can cause must not fill the disk: at most kLogLinesPerSecond lines of one event
// in a second, then one line that counts those left out (`suppressed=K`). So are those counted that
// standard error does not take, because nobody reads it.
//
// Owns:    a count per event name; the names are literals of the program, so there are few.
// Refuses: to wait or to fail: a log that cannot be written is left unwritten.
// Thread:  any.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

namespace godwit::relay::ops {

inline constexpr std::uint64_t kLogLinesPerSecond = 10;  // of one event
inline constexpr std::size_t kLogValueSizeMax = 256;     // bytes; the rest is cut off

enum class LogLevel : std::uint8_t { debug, info, warning, error };
// `name` as in relay.toml, where it was checked; anything else is info.
[[nodiscard]] LogLevel parse_log_level(std::string_view name);

// key=value. Lives as long as the call that takes it.
struct Field {
  Field(std::string_view name, std::string_view text) : key(name), value(text) {}
  Field(std::string_view name, const char* text) : key(name), value(std::string_view(text)) {}
  Field(std::string_view name, const std::string& text)
      : key(name), value(std::string_view(text)) {}
  Field(std::string_view name, bool flag) : key(name), value(flag) {}
  Field(std::string_view name, std::signed_integral auto number)
      : key(name), value(std::int64_t{number}) {}
  Field(std::string_view name,
        std::unsigned_integral auto number) requires(!std::same_as<decltype(number), bool>)
      : key(name), value(std::uint64_t{number}) {}

  std::string_view key;  // a literal: letters, digits, underscores
  std::variant<std::string_view, bool, std::int64_t, std::uint64_t> value;
};

// False: a pipe is full or a terminal stopped, and whoever writes a line would wait.
[[nodiscard]] bool stderr_takes_a_line();

class Log {
 public:
  using Fields = std::initializer_list<Field>;
  using Clock = std::function<std::chrono::system_clock::time_point()>;

  explicit Log(LogLevel least);  // to stderr
  // `to` outlives the log.
  Log(LogLevel least, std::ostream& to, Clock clock);
  ~Log();  // writes the counts that are still due
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // `event`: a literal in snake_case.
  void debug(std::string_view event, Fields fields = {}) { write(LogLevel::debug, event, fields); }
  void info(std::string_view event, Fields fields = {}) { write(LogLevel::info, event, fields); }
  void warning(std::string_view event, Fields fields = {}) {
    write(LogLevel::warning, event, fields);
  }
  void error(std::string_view event, Fields fields = {}) { write(LogLevel::error, event, fields); }

 private:
  void write(LogLevel level, std::string_view event, Fields fields);

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace godwit::relay::ops
