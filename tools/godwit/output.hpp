// output: what godwit prints. Results on stdout, for people or one JSON object a line; progress and
// errors on stderr.
// Thread: the main one.
// Trust:  names and texts are other people's: for people they pass through one_line() here, in JSON
//         what is not ASCII is escaped.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "godwit/client.hpp"

namespace godwit::cli {

using Json = nlohmann::ordered_json;

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitInterrupted = 130;  // as a shell says it of SIGINT

enum class Style : std::uint8_t { plain, dim, bold, good, bad, read };

// `colours`: else the text comes back as it is.
[[nodiscard]] std::string paint(std::string_view text, Style style, bool colours);
// A terminal is there for this descriptor, it knows colours, and NO_COLOR is not set.
[[nodiscard]] bool wants_colours(int descriptor);

class Output {
 public:
  explicit Output(bool json) : json_(json), colours_(wants_colours(1)) {}

  [[nodiscard]] bool json() const { return json_; }
  [[nodiscard]] bool colours() const { return colours_; }
  void line(std::string_view text) const;  // stdout, for people
  void object(const Json& object) const;   // stdout, one line
  void note(std::string_view text) const;  // stderr
  [[nodiscard]] std::string styled(std::string_view text, Style style) const {
    return paint(text, style, colours_);
  }

  // Prints "godwit: MESSAGE" and, with --json, the error as an object. Returns the exit status.
  int fail(std::string_view code, std::string_view message, int status = kExitFailed) const;
  int fail(const Error& error) const;

 private:
  bool json_;
  bool colours_;
};

// "…" queued, "✓" sent, "✓✓" delivered, "✓✓" in another colour read, "✗" failed.
// Nothing for what others wrote.
[[nodiscard]] std::string tick_of(const Message& message, bool colours);
// Whose name a message is from is looked up when the first one comes; until then it has an id.
[[nodiscard]] bool has_name(const Message& message);
// Who wrote it: a name, or the beginning of the id where none is known; "you" for our own.
[[nodiscard]] std::string sender_of(const Message& message);

// A user among the contacts, or "this account"; as sender_of() has it where no name is known.
[[nodiscard]] std::string name_of(const UserId& user, const std::vector<Contact>& contacts,
                                  const Account& own);
// "devices changed: device left 3a..." of an event that somebody should know of; nothing for the
// others.
[[nodiscard]] std::optional<std::string> words_of(const Event& event);

[[nodiscard]] std::string date_and_time(Time time);  // local, "2026-11-21 03:24"
[[nodiscard]] std::string clock_time(Time time);     // local, "03:24"

[[nodiscard]] Json json_of(const Message& message);
[[nodiscard]] Json json_of(const Conversation& conversation);
[[nodiscard]] Json json_of(const Contact& contact);
[[nodiscard]] Json json_of(const MessageId& id, const MessageStatus& status);
[[nodiscard]] Json json_of(const MessageId& id, const Explanation& explanation);

// "; did you mean bob or bert?", or nothing.
[[nodiscard]] std::string did_you_mean(std::string_view name,
                                       const std::vector<std::string>& known);

}  // namespace godwit::cli
