// contacts, safety-number, accept, strangers, block, unblock: whom this account knows, offline.
#include <algorithm>
#include <utility>

#include "tools/godwit/commands.hpp"
#include "tools/godwit/text.hpp"

namespace godwit::cli {
namespace {

constexpr std::size_t kGroup = 5;  // digits, as people read numbers out
constexpr std::size_t kLineGroups = 6;

// In two lines of six groups.
void print_digits(std::string_view digits, const Output& out) {
  std::string line;
  for (std::size_t at = 0; at < digits.size(); at += kGroup) {
    const bool begins = at % (kGroup * kLineGroups) == 0;
    if (begins && at != 0) out.line(std::exchange(line, {}));
    line += (begins ? "" : " ") + std::string(digits.substr(at, kGroup));
  }
  out.line(line);
}

int set_blocked(const Arguments& arguments, const Output& out, bool blocked) {
  auto client = Client::open(arguments.options());
  if (!client) return out.fail(client.error());
  const auto set = client->block(arguments.name, blocked);
  if (!set) return out.fail(with_near_names(set.error(), *client, arguments.name));
  if (!out.json()) {
    out.note(one_line(arguments.name) +
             (blocked ? " is blocked: nothing of theirs is shown or confirmed, and what still "
                        "waits for them fails"
                      : " is not blocked any more; what they sent meanwhile is asked for with the "
                        "next `godwit sync`"));
  }
  return kExitOk;
}

}  // namespace

int list_contacts(const Arguments& arguments, const Output& out) {
  const auto client = Client::open(arguments.options());
  if (!client) return out.fail(client.error());
  const auto contacts = client->contacts();
  if (!contacts) return out.fail(contacts.error());
  std::size_t columns = 0;
  for (const auto& contact : *contacts) {
    columns = std::max(columns, width_of(one_line(contact.name)));
  }
  for (const auto& contact : *contacts) {
    if (out.json()) {
      out.object(json_of(contact));
      continue;
    }
    const std::string name = one_line(contact.name);
    out.line(out.styled(name, Style::bold) + std::string(columns - width_of(name) + 2, ' ') +
             out.styled(contact.user.hex(), Style::dim) +
             (contact.blocked     ? "  " + out.styled("blocked", Style::bad)
              : contact.accepted ? ""
                                 : "  " + out.styled("not accepted", Style::dim)));
  }
  if (contacts->empty() && !out.json()) {
    out.note("no contacts yet; who is written to or writes becomes one");
  }
  return kExitOk;
}

int print_safety_number(const Arguments& arguments, const Output& out) {
  const auto client = Client::open(arguments.options());
  if (!client) return out.fail(client.error());
  const auto digits = client->safety_number(arguments.name);
  if (!digits) return out.fail(with_near_names(digits.error(), *client, arguments.name));
  if (out.json()) {
    Json object;
    object["name"] = arguments.name;
    object["safety_number"] = *digits;
    out.object(object);
    return kExitOk;
  }
  print_digits(*digits, out);
  out.note("read them to " + one_line(arguments.name) +
           ", or meet: where the same digits stand on both sides, nobody sits between");
  return kExitOk;
}

int accept(const Arguments& arguments, const Output& out) {
  auto client = Client::open(arguments.options());
  if (!client) return out.fail(client.error());
  const auto accepted = client->accept(arguments.name);
  if (!accepted) return out.fail(with_near_names(accepted.error(), *client, arguments.name));
  if (!out.json()) {
    out.note(one_line(arguments.name) +
             " is accepted; that their messages came is confirmed with the next `godwit sync`");
  }
  return kExitOk;
}

int set_policy(const Arguments& arguments, const Output& out) {
  auto client = Client::open(arguments.options());
  if (!client) return out.fail(client.error());
  const bool open = arguments.policy == kPolicies.front();
  const auto set = client->set_contact_policy(open ? Client::ContactPolicy::open
                                                   : Client::ContactPolicy::requests);
  if (!set) return out.fail(set.error());
  if (!out.json()) {
    out.note(open ? "from now on who writes is a contact at once"
                  : "from now on who writes waits for a `godwit accept NAME`, or until you write "
                    "to them; nothing is confirmed to them before");
  }
  return kExitOk;
}

int block(const Arguments& arguments, const Output& out) {
  return set_blocked(arguments, out, true);
}
int unblock(const Arguments& arguments, const Output& out) {
  return set_blocked(arguments, out, false);
}

}  // namespace godwit::cli
