// Sends one message and prints what comes back, until nothing has come for a minute.
//   send_receive HOME RELAY MY-NAME TO TEXT        RELAY: godwit://KEY@HOST:PORT
#include <cstdio>

#include "godwit/client.hpp"

using namespace std::chrono_literals;

static int fail(const godwit::Error& error) {
  std::fprintf(stderr, "%s\n", error.message.c_str());
  return 1;
}

int main(int argc, char** argv) {
  if (argc != 6) return std::fprintf(stderr, "usage: send_receive HOME RELAY NAME TO TEXT\n"), 2;
  const godwit::Options options{.home = argv[1]};
  auto client = godwit::Client::open(options);
  if (!client && client.error().code == godwit::ErrorCode::no_account) {
    client = godwit::Client::create(options, argv[2], argv[3]);
  }
  if (!client) return fail(client.error());

  if (auto connected = client->connect(); !connected) return fail(connected.error());
  if (auto ready = client->wait_registered(10s); !ready) return fail(ready.error());

  auto sent = client->send({.to = argv[4], .text = argv[5]});
  if (!sent) return fail(sent.error());
  std::printf("%s is queued; it survives a crash from here on\n", sent->id.hex().c_str());

  while (client->wait_event(60s)) {
    const auto event = client->next_event();
    if (event->kind == godwit::EventKind::status_changed) {
      std::printf("%s\n", std::string(to_string(event->status)).c_str());
    } else if (event->kind == godwit::EventKind::message_received) {
      auto message = client->message(event->message);
      if (!message) return fail(message.error());
      std::printf("%s: %s\n", message->sender_name.c_str(), message->text.c_str());
    }
  }
}
