// One submit, one or many recipients. Each recipient's envelope goes to the slot of its user; the
// outcomes come back one by one, at once or when durable, and leave together.
#include "relay/handlers/handlers.hpp"
#include "relay/slot/slot_of.hpp"

namespace godwit::relay::handlers {

using wire::ErrorCode;

namespace {

// A place among the session's pending submits; a free one is used again.
std::uint32_t open_submit(Session& session, std::uint32_t request, std::size_t recipients) {
  if (session.free_submits.empty()) {
    session.free_submits.push_back(static_cast<std::uint32_t>(session.submits.size()));
    session.submits.emplace_back();
  }
  const std::uint32_t index = session.free_submits.back();
  session.free_submits.pop_back();
  session::PendingSubmit& pending = session.submits[index];
  pending.request = request;
  pending.left = static_cast<std::uint32_t>(recipients);
  pending.outcomes.assign(recipients, {});
  pending.lists.clear();
  return index;
}

// Bodies that several recipients name are shared: in memory, and stored once.
std::vector<std::shared_ptr<store::Body>> make_bodies(Context& context,
                                                      const wire::Submit& content) {
  std::vector<std::shared_ptr<store::Body>> bodies(content.bodies.size());
  for (const wire::Recipient& recipient : content.recipients) {
    auto& body = bodies[recipient.body];
    if (!body) {
      const wire::ByteView bytes = content.bodies[recipient.body];
      body = std::make_shared<store::Body>(store::Body{0, {bytes.begin(), bytes.end()}});
    } else if (body->shared_id == 0) {
      body->shared_id = context.next_body_id();
    }
  }
  return bodies;
}

}  // namespace

void handle_submit(Context& context, Session& session, std::uint32_t request,
                   const wire::Submit& content) {
  const Config& config = context.config();
  const std::size_t in_flight = session.submits.size() - session.free_submits.size();
  if (in_flight >= config.submits_in_flight_max) {
    return context.refuse(session, request, ErrorCode::busy, kRetryBusy);
  }
  const auto wait = context.take_submit(session, content.recipients.size());
  if (wait.count() > 0) return context.refuse(session, request, ErrorCode::rate_limited, wait);
  if (content.ttl_s > config.ttl_max_s) {
    return context.refuse(session, request, ErrorCode::too_large);
  }
  for (const wire::ByteView body : content.bodies) {
    if (body.size() > config.envelope_size_max) {
      return context.refuse(session, request, ErrorCode::too_large);
    }
  }

  const auto bodies = make_bodies(context, content);
  const std::uint32_t ttl_s = content.ttl_s == 0 ? config.ttl_default_s : content.ttl_s;
  const std::uint32_t index = open_submit(session, request, content.recipients.size());
  for (std::size_t i = 0; i < content.recipients.size(); ++i) {
    const wire::Recipient& recipient = content.recipients[i];
    slot::Enqueue enqueue;
    enqueue.sender = session.user;
    enqueue.user = recipient.user;
    enqueue.device = recipient.device;
    enqueue.list = recipient.list;
    enqueue.request_id = content.request_id;
    enqueue.ttl_s = ttl_s;
    enqueue.recipient = static_cast<std::uint16_t>(i);
    enqueue.limited = !session.unlimited;
    enqueue.body = bodies[recipient.body];
    context.enqueue(session, index, std::move(enqueue));
  }
}

}  // namespace godwit::relay::handlers
