// An app with the SDK that does what it is told, a line of input each, and answers with a line:
// "ok", or what failed, in the library's own words.
//
//   open HOME [locked]            locked: with the passphrase of passphrase.hpp
//   create HOME RELAY NAME [locked]
//   recover HOME RELAY CODE
//   lock HOME                     the passphrase of passphrase.hpp instead of its key file
//   say NAME TEXT                 until the other device has it
//   hear NAME TEXT                waits for it and reads it
//   close
#include <chrono>
#include <cstdio>
#include <cstring>
#include <godwit/client.hpp>
#include <optional>
#include <sstream>
#include <string>

#include "tests/secrets/passphrase.hpp"

namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr auto kPatience = 60s;

std::optional<godwit::Client> client;

template <class Result>
std::string answer_of(const Result& result) {
  return result ? "ok" : result.error().message;
}

bool await(const auto& is_so) {
  const auto until = steady_clock::now() + kPatience;
  while (!is_so()) {
    if (steady_clock::now() > until) return false;
    (void)client->wait_event(20ms);
    while (client->next_event()) {
    }
  }
  return true;
}

bool has_status(const godwit::MessageId& id, godwit::Status least) {
  const auto status = client->status(id);
  return status && status->status >= least;
}

bool has_text(const std::string& from, const std::string& text) {
  const auto page = client->messages(from, {.limit = 100});
  if (!page) return false;
  for (const auto& message : page->items) {
    if (!message.outgoing && message.text == text) return true;
  }
  return false;
}

std::string take(godwit::Result<godwit::Client> opened) {
  if (!opened) return opened.error().message;
  client = std::move(*opened);
  if (auto connected = client->connect(); !connected) return connected.error().message;
  return await([] { return client->account().registered && client->wait_settled(20ms).ok(); })
             ? "ok"
             : "not registered in time";
}

// The app overwrites its own copy of the passphrase, as a careful one does.
template <class Open>
std::string with_options(const std::string& home, bool locked, const Open& open) {
  godwit::Options options;
  options.home = home;
  if (locked) options.passphrase = godwit::secrets::passphrase();
  auto opened = open(options);
  if (locked) ::explicit_bzero(options.passphrase->data(), options.passphrase->size());
  return take(std::move(opened));
}

std::string obey(const std::string& line) {
  std::istringstream words(line);
  std::string verb, first, second;
  words >> verb;
  words >> first;
  if (verb == "open") {
    words >> second;
    return with_options(first, second == "locked", godwit::Client::open);
  }
  if (verb == "create") {
    std::string relay, name, locked;
    words >> relay >> name >> locked;
    return with_options(first, locked == "locked", [&](const godwit::Options& options) {
      return godwit::Client::create(options, relay, name);
    });
  }
  if (verb == "recover") {
    std::string relay, code;
    words >> relay >> code;
    godwit::Options options;
    options.home = first;
    return take(godwit::Client::recover(options, relay, code));
  }
  if (verb == "lock") {
    std::optional<std::string> next = godwit::secrets::passphrase();
    const auto changed = godwit::Client::change_passphrase({.home = first}, next);
    ::explicit_bzero(next->data(), next->size());
    return answer_of(changed);
  }
  std::getline(words >> std::ws, second);
  if (verb == "say") {
    const auto sent = client->send({.to = first, .text = second, .key = {}});
    if (!sent) return sent.error().message;
    return await([&] { return has_status(sent->id, godwit::Status::delivered); }) ? "ok" : "late";
  }
  if (verb == "hear") {
    if (!await([&] { return has_text(first, second); })) return "late";
    const auto read = client->mark_read(first);
    if (!read) return read.error().message;
    return await([] { return client->wait_settled(20ms).ok(); }) ? "ok" : "not settled";
  }
  if (verb == "close") {
    client.reset();
    return "ok";
  }
  return "no such verb";
}

}  // namespace

int main() {
  char line[1024];
  while (std::fgets(line, sizeof line, stdin) != nullptr) {
    line[std::strcspn(line, "\n")] = '\0';
    std::puts(obey(line).c_str());
    std::fflush(stdout);
  }
  return 0;
}
