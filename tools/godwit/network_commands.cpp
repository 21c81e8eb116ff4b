// send and sync: the commands that wait for the relay.
#include <algorithm>
#include <deque>
#include <iostream>
#include <utility>

#include "tools/godwit/commands.hpp"
#include "tools/godwit/interrupt.hpp"
#include "tools/godwit/notices.hpp"
#include "tools/godwit/reasons.hpp"
#include "tools/godwit/text.hpp"

namespace godwit::cli {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kPatience = 30s;         // of sync: logged in, but nothing moves
constexpr auto kOfflinePatience = 10s;  // of sync: no login
constexpr auto kSlice = 50ms;           // between looks at the events while waiting
constexpr std::string_view kLater = "queued: will be sent by the next `godwit sync`";

void print_sent(const Output& out, const MessageId& id, Status status) {
  if (out.json()) {
    Json object;
    object["id"] = id.hex();
    object["state"] = to_string(status);
    out.object(object);
  } else if (status == Status::queued) {
    out.line(std::string(kLater) + "  " + out.styled(id.hex(), Style::dim));
  } else {
    out.line(std::string(to_string(status)) + "  " + out.styled(id.hex(), Style::dim));
  }
}

int print_failed(const Output& out, const Client& client, const Arguments& arguments,
                 const MessageId& id) {
  const auto message = client.message(id);
  const std::string why = message && message->failure ? *message->failure : "the relay refused it";
  if (out.json()) print_sent(out, id, Status::failed);
  const bool no_such_name = why.starts_with("nobody has the name");
  const Error error{no_such_name ? ErrorCode::not_found : ErrorCode::refused, "not sent: " + why};
  return out.fail(with_near_names(error, client, arguments.name));
}

Error with_advice(Error error) {
  if (goes_on(error)) {
    error.message += "; nothing is lost: run `godwit sync` again";
  } else if (error.code == ErrorCode::removed) {
    error.message += "; bring it back in a new home with `godwit recover`";
  } else if (error.code == ErrorCode::replaced) {
    error.message += "; end the other copy of this home, then run `godwit sync`";
  }
  return error;
}

// The text waits here all the same, unless this device sends nothing any more. Who is told only
// that it failed would write it again.
int fail_queued(const Output& out, const MessageId& id, const Error& error) {
  if (error.code != ErrorCode::removed) print_sent(out, id, Status::queued);
  return out.fail(with_advice(error));
}

// What a person wants to see of it as it happens; with --json, the messages.
class Progress {
 public:
  Progress(Client& client, const Output& out) : client_(client), out_(out) {}

  // All that waits; false when nothing did. A message whose sender's name is still being looked up
  // waits a little longer, and those behind it with it; `all`: no longer.
  bool drain(bool all) {
    bool any = false;
    while (const auto event = client_.next_event()) {
      any = true;
      if (!all || event->kind != EventKind::offline) show(*event);
    }
    while (!arrived_.empty()) {
      const auto message = client_.message(arrived_.front());
      if (message && !all && !has_name(*message)) break;
      arrived_.pop_front();
      if (message) show(*message);
    }
    return any;
  }
  [[nodiscard]] std::size_t received() const { return received_; }
  [[nodiscard]] std::size_t sent() const { return sent_; }

 private:
  void show(const Event& event) {
    switch (event.kind) {
      case EventKind::message_received:
        ++received_;
        arrived_.push_back(event.message);
        return;
      case EventKind::status_changed:
        sent_ += event.status == Status::sent ? 1 : 0;
        return tell(event, client_, out_);
      case EventKind::offline:
        return out_.note("note: offline" +
                         (event.detail.empty() ? "" : ": " + one_line(event.detail)));
      default:
        return tell(event, client_, out_);
    }
  }

  void show(const Message& message) const {
    if (out_.json()) return out_.object(json_of(message));
    const std::string sender = sender_of(message);
    std::string head = out_.styled(clock_time(message.time), Style::dim) + "  " +
                       out_.styled(sender, Style::bold) + "  ";
    for (const auto& line : lines_of(message.text)) {
      out_.line(std::exchange(head, std::string(9 + width_of(sender), ' ')) + line);
    }
  }

  Client& client_;
  const Output& out_;
  std::deque<MessageId> arrived_;  // not shown yet
  std::size_t received_ = 0;
  std::size_t sent_ = 0;
};

}  // namespace

int send(const Arguments& arguments, const Output& out) {
  auto client = Client::open(arguments.options());
  if (!client) return out.fail(client.error());
  auto sent = client->send({.to = arguments.name, .text = arguments.text, .key = arguments.key});
  if (!sent) return out.fail(with_near_names(sent.error(), *client, arguments.name));
  if (arguments.no_wait) {
    print_sent(out, sent->id, sent->status);
    return kExitOk;
  }
  Interrupt interrupt([&client] { client->disconnect(); });
  if (auto connected = client->connect(); !connected) {
    if (sent->status == Status::queued) return fail_queued(out, sent->id, connected.error());
    return out.fail(connected.error());
  }
  Reasons reasons(out);
  const auto until = Clock::now() + in_milliseconds(arguments.timeout_s);
  auto status = client->wait_accepted(sent->id, kSlice);
  while (!status && goes_on(status.error()) && !interrupt.happened() && Clock::now() < until) {
    reasons.tell(status.error());
    status = client->wait_accepted(sent->id, kSlice);
  }
  if (!status && status.error().code == ErrorCode::timed_out) {
    const auto explanation = client->explain(sent->id);
    if (explanation) out.note("note: it waits on " + one_line(explanation->waits_on));
  } else if (!status && is_first_attempt(status.error()) && !interrupt.happened()) {
    out.note("note: " + with_reason(status.error(), *client).message);
  }
  tell_of_arrivals(*client, sent->id, out);
  if (status && *status == Status::failed) {
    return print_failed(out, *client, arguments, sent->id);
  }
  if (!status && !goes_on(status.error())) return fail_queued(out, sent->id, status.error());
  print_sent(out, sent->id, status ? *status : Status::queued);
  return interrupt.happened() ? kExitInterrupted : kExitOk;
}

namespace {

// Until all is settled and `keep_for` has passed, or there is no hope left, or no reader.
Result<void> sync_until_settled(Client& client, Clock::duration keep_for,
                                const Interrupt& interrupt, Progress& progress, const Output& out) {
  Reasons reasons(out);
  const auto begin = Clock::now();
  const auto keep_until = begin + keep_for;
  auto moved_at = begin;
  for (;;) {
    auto settled = client.wait_settled(kSlice);
    const auto now = Clock::now();
    if (progress.drain(settled.ok())) moved_at = now;
    // Nobody would see what else comes; main says that the output cannot be written.
    if (!std::cout.flush()) return {};
    if (interrupt.happened()) return settled;
    if (settled) {
      if (now >= keep_until) return settled;
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(keep_until - now);
      (void)client.wait_event(std::min<std::chrono::milliseconds>(left, kSlice));
      continue;
    }
    if (!goes_on(settled.error())) return settled;
    reasons.tell(settled.error());
    const bool offline = settled.error().code == ErrorCode::offline;
    const auto patience = offline ? kOfflinePatience : kPatience;
    if (now >= keep_until && now >= moved_at + patience) return settled;
  }
}

}  // namespace

int sync(const Arguments& arguments, const Output& out) {
  auto client = Client::open(arguments.options());
  if (!client) return out.fail(client.error());
  Interrupt interrupt([&client] { client->disconnect(); });
  if (auto connected = client->connect(); !connected) return out.fail(connected.error());
  Progress progress(*client, out);
  const auto settled = sync_until_settled(*client, in_milliseconds(arguments.for_s.value_or(0)),
                                          interrupt, progress, out);
  // First: what came after the last look is kept and acknowledged, and no other sync would show it.
  client->disconnect();
  (void)progress.drain(true);
  const auto count = client->waiting();
  const std::size_t waiting = count ? *count : 0;
  if (out.json()) {
    Json object;
    object["received"] = progress.received();
    object["sent"] = progress.sent();
    object["waiting"] = waiting;
    object["settled"] = settled.ok();
    out.object(object);
  } else {
    out.note("received " + std::to_string(progress.received()) + ", sent " +
             std::to_string(progress.sent()) +
             (waiting == 0 ? "" : ", still waiting " + std::to_string(waiting)));
  }
  if (settled) return kExitOk;
  if (interrupt.happened()) return kExitInterrupted;
  return out.fail(with_advice(with_reason(settled.error(), *client)));
}

}  // namespace godwit::cli
