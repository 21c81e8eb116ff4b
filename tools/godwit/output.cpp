#include "tools/godwit/output.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>
#include <iostream>

#include "relay/nearest.hpp"
#include "tools/godwit/text.hpp"

namespace godwit::cli {
namespace {

std::string formatted(Time time, const char* format) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm local{};
  if (localtime_r(&seconds, &local) == nullptr) return "?";
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), format, &local)};
}

// In ASCII, so that no control character and no change of direction reaches a terminal; whoever
// reads it as JSON has the same text. Bytes that are no UTF-8 must not end the program.
std::string dump(const Json& object) {
  return object.dump(-1, ' ', true, Json::error_handler_t::replace);
}

}  // namespace

std::string paint(std::string_view text, Style style, bool colours) {
  constexpr std::array<std::string_view, 6> kCodes{"", "2", "1", "32", "31", "36"};
  const auto code = kCodes[static_cast<std::size_t>(style)];
  if (!colours || code.empty()) return std::string(text);
  return "\x1b[" + std::string(code) + "m" + std::string(text) + "\x1b[0m";
}

bool wants_colours(int descriptor) {
  // Nobody sets a variable while this program runs.
  const char* const refused = std::getenv("NO_COLOR");  // NOLINT(concurrency-mt-unsafe)
  const char* const terminal = std::getenv("TERM");     // NOLINT(concurrency-mt-unsafe)
  return (refused == nullptr || *refused == '\0') && isatty(descriptor) == 1 &&
         terminal != nullptr && std::string_view(terminal) != "dumb";
}

void Output::line(std::string_view text) const {
  std::cout << text << '\n';
}

// Flushed, so that a program that reads sees each object when it is there.
void Output::object(const Json& object) const {
  std::cout << dump(object) << std::endl;
}

void Output::note(std::string_view text) const {
  std::cerr << text << '\n';
}

int Output::fail(std::string_view code, std::string_view message, int status) const {
  std::cout.flush();
  std::cerr << "godwit: " << one_line(message) << '\n';
  if (json_) {
    Json error;
    error["code"] = code;
    error["message"] = message;
    object(Json{{"error", std::move(error)}});
  }
  return status;
}

int Output::fail(const Error& error) const {
  const bool wrong_key = error.code == ErrorCode::wrong_key;
  const char* const advice = wrong_key ? " (--passphrase asks for one)" : "";
  return fail(to_string(error.code), error.message + advice);
}

std::string tick_of(const Message& message, bool colours) {
  if (!message.outgoing) return {};
  switch (message.status) {
    case Status::queued:
      return paint("…", Style::dim, colours);
    case Status::sent:
      return paint("✓", Style::dim, colours);
    case Status::delivered:
      return paint("✓✓", Style::dim, colours);
    case Status::read:
      return colours ? paint("✓✓", Style::read, colours) : "✓✓ read";
    case Status::failed:
      return paint("✗", Style::bad, colours);
    case Status::received:
      break;
  }
  return {};
}

bool has_name(const Message& message) {
  return !message.sender_name.empty() && message.sender_name != message.sender.hex();
}

std::string sender_of(const Message& message) {
  if (message.outgoing) return "you";
  if (message.sender_name == "you") return "you (not you)";
  if (has_name(message)) return one_line(message.sender_name);
  return message.sender.hex();
}

std::string name_of(const UserId& user, const std::vector<Contact>& contacts, const Account& own) {
  if (user == own.user) return "this account";
  const auto contact = std::ranges::find(contacts, user, &Contact::user);
  // By its id somebody without a name can be written to.
  if (contact == contacts.end() || contact->name.empty()) return user.hex();
  return one_line(contact->name);
}

std::optional<std::string> words_of(const Event& event) {
  std::string words(to_string(event.kind));
  std::ranges::replace(words, '_', ' ');
  switch (event.kind) {
    case EventKind::message_received:
    case EventKind::conversation_added:
    case EventKind::typing:
    case EventKind::online:
    case EventKind::offline:
    case EventKind::caught_up:
    case EventKind::registered:
    case EventKind::contact_added:
      return std::nullopt;
    case EventKind::status_changed:
      if (event.status != Status::failed) return std::nullopt;
      words = "a message was not sent";
      break;
    case EventKind::expired:
      return "not fetched while the relay kept it: godwit explain " + event.message.hex();
    case EventKind::gap:
      return "messages are missing; they are asked for again";
    case EventKind::gap_closed:
      return "the missing messages have come";
    case EventKind::chain_broken:
      return "this device contradicts what it sent before";
    case EventKind::undecryptable:
      return "a message could not be read; a new session begins, and it is asked for again";
    case EventKind::stale_prekey:
      return "the key that a message began with had long expired";
    case EventKind::late_clock:
      return "the clock there is far ahead, or the one here far behind";
    case EventKind::store_changed:
      return "the relay has another store now: what was not delivered goes out again";
    case EventKind::events_lost:
      return "more came than could be told here; see: godwit conversations";
    default:
      break;
  }
  return event.detail.empty() ? words : words + ": " + one_line(event.detail);
}

std::string date_and_time(Time time) {
  return formatted(time, "%Y-%m-%d %H:%M");
}
std::string clock_time(Time time) {
  return formatted(time, "%H:%M");
}

Json json_of(const Message& message) {
  Json object;
  object["id"] = message.id.hex();
  object["conversation"] = message.conversation.hex();
  object["sender"] = message.sender_name;
  object["sender_id"] = message.sender.hex();
  object["text"] = message.text;
  object["time"] = message.time.time_since_epoch().count();
  object["status"] = to_string(message.status);
  object["key"] = message.key ? Json(*message.key) : Json(nullptr);
  if (message.failure) object["failure"] = *message.failure;
  if (message.late) object["late"] = true;
  return object;
}

Json json_of(const Conversation& conversation) {
  Json object;
  object["id"] = conversation.id.hex();
  object["name"] = conversation.name;
  object["user_id"] = conversation.peer ? Json(conversation.peer->hex()) : Json(nullptr);
  object["unread"] = conversation.unread;
  object["time"] = conversation.last_activity.time_since_epoch().count();
  object["last_text"] = conversation.last_text;
  object["last_outgoing"] = conversation.last_outgoing;
  object["request"] = conversation.request;
  return object;
}

Json json_of(const Contact& contact) {
  Json object;
  object["user_id"] = contact.user.hex();
  object["name"] = contact.name;
  object["accepted"] = contact.accepted;
  object["blocked"] = contact.blocked;
  return object;
}

Json json_of(const MessageId& id, const MessageStatus& status) {
  Json object;
  object["id"] = id.hex();
  object["status"] = to_string(status.status);
  object["steps"] = Json::array();
  for (const auto& step : status.steps) {
    Json one;
    one["status"] = to_string(step.status);
    one["time"] = step.time.time_since_epoch().count();
    one["by"] = step.by;
    object["steps"].push_back(std::move(one));
  }
  if (status.failure) object["failure"] = *status.failure;
  return object;
}

Json json_of(const MessageId& id, const Explanation& explanation) {
  Json object;
  object["id"] = id.hex();
  object["steps"] = Json::array();
  for (const auto& step : explanation.steps) {
    Json one;
    one["time"] = step.time.time_since_epoch().count();
    one["what"] = step.what;
    object["steps"].push_back(std::move(one));
  }
  object["waits_on"] = explanation.waits_on;
  return object;
}

std::string did_you_mean(std::string_view name, const std::vector<std::string>& known) {
  constexpr std::size_t kOffersMax = 3;
  std::vector<std::string_view> left(known.begin(), known.end());
  std::string offers;
  for (std::size_t count = 0; count < kOffersMax; ++count) {
    const auto near = relay::nearest(name, left);
    if (!near) break;
    offers += (offers.empty() ? "; did you mean " : " or ") + one_line(*near);
    std::erase(left, *near);
  }
  return offers.empty() ? offers : offers + "?";
}

}  // namespace godwit::cli
