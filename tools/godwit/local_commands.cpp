// conversations, messages, read, status, explain: what is on this device; none of them connects.
#include <algorithm>

#include "tools/godwit/commands.hpp"
#include "tools/godwit/text.hpp"

namespace godwit::cli {
namespace {

constexpr std::size_t kNameColumns = 16;
constexpr std::size_t kTextColumns = 48;

std::string padded(std::string text, std::size_t columns) {
  text = shorten(text, columns);
  return text + std::string(columns - width_of(text), ' ');
}

template <class T>
void print_end(const Page<T>& page, std::string_view which, const Output& out) {
  if (out.json()) {
    Json object;
    object["end"] = page.end;
    object["cursor"] = page.cursor;
    out.object(object);
  } else if (!page.end) {
    out.note("there are " + std::string(which) + "; go on with --cursor " + page.cursor);
  }
}

std::optional<MessageId> parse_id(const Arguments& arguments, const Output& out) {
  auto id = MessageId::parse(arguments.message);
  if (!id) {
    out.fail("invalid_argument", "\"" + arguments.message +
                                     "\" is no message id; `godwit send` and `godwit messages "
                                     "--json` print them: 32 hex digits");
  }
  return id;
}

void print_message(const Message& message, const Output& out) {
  const std::string head = out.styled(date_and_time(message.time), Style::dim) + "  ";
  const std::string sender = padded(sender_of(message), kNameColumns);
  const std::string indent(18 + kNameColumns + 1, ' ');
  std::string text;
  for (const auto& line : lines_of(message.text)) {
    if (!text.empty()) {
      text += '\n';
      text += indent;
    }
    text += line;
  }
  const auto tick = tick_of(message, out.colours());
  out.line(head + out.styled(sender, Style::bold) + " " + text + (tick.empty() ? "" : "  " + tick));
  if (message.failure) {
    out.line(indent + out.styled("not sent: " + one_line(*message.failure), Style::bad));
  }
}

}  // namespace

Error with_near_names(Error error, const Client& client, const std::string& name) {
  if (error.code != ErrorCode::not_found) return error;
  const auto contacts = client.contacts();
  if (!contacts) return error;
  std::vector<std::string> names;
  for (const auto& contact : *contacts) {
    if (!contact.name.empty() && contact.name != name) names.push_back(contact.name);
  }
  const auto offers = did_you_mean(name, names);
  error.message += offers.empty() ? "; check the spelling, or see: godwit contacts" : offers;
  return error;
}

int list_conversations(const Arguments& arguments, const Output& out) {
  const auto client = Client::open(arguments.options());
  if (!client) return out.fail(client.error());
  const auto page = client->conversations(arguments.page);
  if (!page) return out.fail(page.error());
  for (const auto& one : page->items) {
    if (out.json()) {
      out.object(json_of(one));
      continue;
    }
    const std::string unread = one.unread == 0 ? "" : std::to_string(one.unread) + " new";
    const std::string name = one.name.empty() && one.peer ? one.peer->hex() : one_line(one.name);
    out.line(out.styled(padded(name, kNameColumns), Style::bold) + "  " +
             out.styled(padded(unread, 7), Style::good) + "  " +
             out.styled(date_and_time(one.last_activity), Style::dim) + "  " +
             (one.request ? out.styled("not accepted: ", Style::dim) : "") +
             shorten((one.last_outgoing ? "you: " : "") + one_line(one.last_text), kTextColumns));
  }
  if (page->items.empty() && !out.json() && arguments.page.cursor.empty() &&
      arguments.page.offset == 0) {
    out.note("no conversations yet; begin one with: godwit send NAME TEXT");
  }
  print_end(*page, "more", out);
  return kExitOk;
}

int list_messages(const Arguments& arguments, const Output& out) {
  const auto client = Client::open(arguments.options());
  if (!client) return out.fail(client.error());
  PageRequest request = arguments.page;
  request.newest_first = !arguments.from_start;
  auto page = client->messages(arguments.name, request);
  if (!page) return out.fail(with_near_names(page.error(), *client, arguments.name));
  // As one reads: the newest at the end, whatever page it is.
  if (request.newest_first) std::ranges::reverse(page->items);
  for (const auto& message : page->items) {
    if (out.json()) {
      out.object(json_of(message));
    } else {
      print_message(message, out);
    }
  }
  print_end(*page, request.newest_first ? "older ones" : "more", out);
  return kExitOk;
}

int mark_read(const Arguments& arguments, const Output& out) {
  auto client = Client::open(arguments.options());
  if (!client) return out.fail(client.error());
  const auto marked = client->mark_read(arguments.name);
  if (!marked) return out.fail(with_near_names(marked.error(), *client, arguments.name));
  return kExitOk;
}

int print_status(const Arguments& arguments, const Output& out) {
  const auto id = parse_id(arguments, out);
  if (!id) return kExitFailed;
  const auto client = Client::open(arguments.options());
  if (!client) return out.fail(client.error());
  const auto status = client->status(*id);
  if (!status) return out.fail(status.error());
  if (out.json()) {
    out.object(json_of(*id, *status));
    return kExitOk;
  }
  out.line(out.styled(to_string(status->status), Style::bold) +
           (status->failure ? ": " + one_line(*status->failure) : ""));
  for (const auto& step : status->steps) {
    out.line("  " + out.styled(date_and_time(step.time), Style::dim) + "  " +
             std::string(to_string(step.status)) +
             (step.by.empty() ? "" : " by " + one_line(step.by)));
  }
  return kExitOk;
}

int print_explanation(const Arguments& arguments, const Output& out) {
  const auto id = parse_id(arguments, out);
  if (!id) return kExitFailed;
  const auto client = Client::open(arguments.options());
  if (!client) return out.fail(client.error());
  const auto explanation = client->explain(*id);
  if (!explanation) return out.fail(explanation.error());
  if (out.json()) {
    out.object(json_of(*id, *explanation));
    return kExitOk;
  }
  for (const auto& step : explanation->steps) {
    out.line(out.styled(date_and_time(step.time), Style::dim) + "  " + one_line(step.what));
  }
  if (explanation->waits_on.empty()) {
    out.line("nothing more will happen");
  } else {
    out.line(out.styled("waits on", Style::bold) + "  " + one_line(explanation->waits_on));
  }
  return kExitOk;
}

}  // namespace godwit::cli
