#include "tools/godwit/notices.hpp"

#include "tools/godwit/text.hpp"

namespace godwit::cli {
namespace {

// Whom an event is about; nobody in particular is the empty name.
std::string user_of(const Event& event, const Client& client) {
  if (event.user == UserId{}) return {};
  const auto contacts = client.contacts();
  return name_of(event.user, contacts ? *contacts : std::vector<Contact>(), client.account());
}

}  // namespace

std::optional<std::string> notice_of(const Event& event, const Client& client) {
  // Only what has words costs a look at the contacts.
  const auto words = words_of(event);
  if (!words) return std::nullopt;
  const auto user = user_of(event, client);
  return user.empty() ? *words : user + ": " + *words;
}

void tell(const Event& event, const Client& client, const Output& out) {
  if (const auto notice = notice_of(event, client)) out.note("note: " + *notice);
}

void tell_of_arrivals(Client& client, const std::optional<MessageId>& own, const Output& out) {
  client.disconnect();
  std::size_t count = 0;
  while (const auto event = client.next_event()) {
    if (event->kind == EventKind::message_received) ++count;
    const bool told = event->kind == EventKind::status_changed && event->message == own;
    if (!told) tell(*event, client, out);
  }
  if (count == 0) return;
  out.note("note: " + std::to_string(count) + (count == 1 ? " message" : " messages") +
           " came meanwhile; see `godwit conversations`");
}

}  // namespace godwit::cli
