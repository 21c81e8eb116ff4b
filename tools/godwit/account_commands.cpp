// init and recover: an account on this device, and its registration at the relay. Either may be
// run again after it was cut off: what is already there is gone on with.
// passphrase: what opens the account; it does not connect.
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <iostream>

#include "tools/godwit/commands.hpp"
#include "tools/godwit/interrupt.hpp"
#include "tools/godwit/notices.hpp"
#include "tools/godwit/reasons.hpp"
#include "tools/godwit/text.hpp"

namespace godwit::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kRegisterWait = 30s;
constexpr auto kKeysWait = 5s;  // for what may follow later too
constexpr auto kSlice = 50ms;
// A home keeps the address that it was made with.
constexpr std::string_view kOtherAddress =
    "; if the address was wrong, with the right one and another --home";

std::string again(std::string_view command) {
  return "; run the same `godwit " + std::string(command) + "` again";
}

int fail_name_taken(const Output& out, const std::string& name) {
  return out.fail("name_taken", "the name \"" + name +
                                    "\" is another user's; run the same command again with "
                                    "another --name");
}

bool is_name_taken(const Result<void>& result) {
  return !result && result.error().code == ErrorCode::name_taken;
}

// Asks until there is an answer, for as long as a person waits; tells why it takes long.
template <class Ask>
Result<void> ask_patiently(const Ask& ask, const Interrupt& interrupt, Reasons& reasons) {
  const auto until = std::chrono::steady_clock::now() + kRegisterWait;
  for (;;) {
    auto answer = ask();
    if (answer || !goes_on(answer.error()) || interrupt.happened()) return answer;
    if (std::chrono::steady_clock::now() >= until) return answer;
    reasons.tell(answer.error());
  }
}

// Asks for a name for an account that stands at the relay without one: its first was taken.
Result<void> claim(Client& client, const std::string& name) {
  auto asked = client.set_name(name);
  if (asked || asked.error().code != ErrorCode::offline) return asked;
  auto login = client.wait_settled(kSlice);  // else it says why there is none
  return login ? client.set_name(name) : login;
}

// Until others can write to this account.
int finish(Client& client, const Arguments& arguments, std::string_view command,
           const Output& out) {
  Interrupt interrupt([&client] { client.disconnect(); });
  if (auto connected = client.connect(); !connected) return out.fail(connected.error());
  out.note("registering at " + one_line(client.account().relay) + " ...");
  Reasons reasons(out);
  const auto answered = [&client] { return client.wait_registered(kSlice); };
  const auto claimed = [&] { return claim(client, arguments.name); };
  auto registered = ask_patiently(answered, interrupt, reasons);
  if (is_name_taken(registered)) {  // or the relay knows none, after a recovery
    registered = Result<void>();
    if (!arguments.name.empty()) {
      registered = ask_patiently(claimed, interrupt, reasons);
      if (registered) registered = ask_patiently(answered, interrupt, reasons);
    }
  }
  if (interrupt.happened()) {
    out.fail("interrupted", "interrupted before the relay answered" + again(command));
    return kExitInterrupted;
  }
  if (is_name_taken(registered)) return fail_name_taken(out, arguments.name);
  if (!registered) {
    const Error error = with_reason(registered.error(), client);
    const bool other_address =
        goes_on(error) && error.message.find("the relay answered") == std::string::npos;
    return out.fail(to_string(error.code),
                    error.message + "; the account is made but " +
                        (client.account().registered ? "has no name yet" : "not registered") +
                        again(command) + (other_address ? std::string(kOtherAddress) : ""));
  }
  // Keys for those who write first; and, after a recovery, the name.
  (void)client.wait_settled(kKeysWait).ok();
  tell_of_arrivals(client, std::nullopt, out);
  return kExitOk;
}

int print_account(const Client& client, const Output& out) {
  const auto code = client.recovery_code();
  if (!code) return out.fail(code.error());
  const Account account = client.account();
  if (out.json()) {
    Json object;
    object["user_id"] = account.user.hex();
    object["name"] = account.name;
    object["recovery_code"] = *code;
    out.object(object);
    return kExitOk;
  }
  out.line("user id        " + account.user.hex());
  out.line("name           " + one_line(account.name));
  out.line("recovery code  " + out.styled(*code, Style::bold));
  out.note(
      "Write the recovery code down now: it is the only way back to this account when the "
      "device is\nlost. The same `godwit init` shows it again for as long as this home is there.");
  return kExitOk;
}

// As a name is kept.
std::string lowered(std::string name) {
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

// Nothing is left to do for it at the relay.
bool stands(const Account& account) {
  return account.registered && !account.name.empty();
}

// The home has an account already: gone on with when it is this one, or has no name yet.
Result<Client> resume(const Arguments& arguments, const Error& exists) {
  auto client = Client::open(arguments.options());
  if (!client) return client;
  const Account account = client->account();
  if (stands(account) && account.name != lowered(arguments.name)) {
    return Error{ErrorCode::home_exists, arguments.home + " holds the account \"" + account.name +
                                             "\" already; name another --home"};
  }
  if (account.relay != arguments.relay) {
    return Error{exists.code, arguments.home + " holds an account for " + account.relay +
                                  "; use that --relay, or if it was wrong, another --home"};
  }
  return client;
}

// As the code is compared: without what a person may add or change.
std::string bare(std::string_view code) {
  std::string letters;
  for (const char c : code) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) continue;
    const char upper = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    letters += upper == 'O' ? '0' : upper == 'I' || upper == 'L' ? '1' : upper;
  }
  return letters;
}

}  // namespace

int init(const Arguments& arguments, const Output& out) {
  auto client = Client::create(arguments.options(), arguments.relay, arguments.name);
  if (!client && client.error().code == ErrorCode::home_exists) {
    client = resume(arguments, client.error());
    if (client && !client->account().registered) {
      if (auto named = client->set_name(arguments.name); !named) return out.fail(named.error());
    }
  }
  if (!client) return out.fail(client.error());
  if (!stands(client->account())) {
    const int status = finish(*client, arguments, "init", out);
    if (status != kExitOk) return status;
  }
  return print_account(*client, out);
}

int recover(const Arguments& arguments, const Output& out) {
  if (isatty(STDIN_FILENO) == 1) std::cerr << "recovery code: " << std::flush;
  std::string code;
  std::getline(std::cin, code);
  if (bare(code).empty()) {
    return out.fail("invalid_argument", "no recovery code on stdin; type it, or pass it in with <");
  }
  auto client = Client::recover(arguments.options(), arguments.relay, code);
  if (!client && client.error().code == ErrorCode::home_exists) {
    client = resume(arguments, client.error());
    if (client) {
      const auto own = client->recovery_code();
      if (!own) return out.fail(own.error());
      if (bare(*own) != bare(code)) {
        return out.fail("home_exists", arguments.home +
                                           " holds another account; name another "
                                           "--home");
      }
    }
  }
  if (!client) return out.fail(client.error());
  if (const int status = finish(*client, arguments, "recover", out); status != kExitOk) {
    return status;
  }
  const Account account = client->account();
  if (out.json()) {
    Json object;
    object["user_id"] = account.user.hex();
    object["name"] = account.name;
    out.object(object);
  } else {
    out.line("user id  " + account.user.hex());
    if (!account.name.empty()) out.line("name     " + one_line(account.name));
    out.note("This device has taken the place of all earlier ones of the account.");
  }
  if (account.name.empty()) {
    out.note(
        "note: this relay knows no name of the account, so nobody finds it here. Was it at another "
        "relay?\nThen recover it there, with another --home. Else give it a name: godwit init "
        "--relay ... --name NAME");
  }
  return kExitOk;
}

int change_passphrase(const Arguments& arguments, const Output& out) {
  const auto changed = Client::change_passphrase(arguments.options(), arguments.new_passphrase);
  if (!changed) return out.fail(changed.error());
  out.note(arguments.new_passphrase ? "The account opens with the new passphrase now."
                                    : "The account opens with the key file in its home now.");
  return kExitOk;
}

}  // namespace godwit::cli
