#include "relay/handlers/handlers.hpp"
#include "relay/slot/slot_of.hpp"

namespace godwit::relay::handlers {

using wire::ErrorCode;

void handle_login(Context& context, Session& session, std::uint32_t request,
                  const wire::Login& login) {
  if (login.version < wire::kProtocolVersionMin) {
    return context.refuse(session, request, ErrorCode::version_unsupported);
  }
  session.version = login.version;
  session.user = login.user;
  session.device = login.device;
  attach(context, session, request, ErrorCode::ok);
}

void attach(Context& context, Session& session, std::uint32_t request, ErrorCode name) {
  session.state = session::State::attaching;
  session.slot = slot::slot_of(session.user);
  context.call(session, session.slot,
               slot::Attach{session.user, session.device, session.transport},
               [&context, request, name](Session& live, slot::Answer& answer) {
                 if (const auto* attached = std::get_if<slot::AttachedAs>(&answer)) {
                   live.state = session::State::live;
                   return context.welcome(live, request, *attached, name);
                 }
                 // An unknown device may register on the same connection.
                 live.state = session::State::greeting;
                 refuse(context, live, request, answer);
               });
}

ErrorCode code_of(const slot::Answer& answer) {
  const auto* simple = std::get_if<slot::Simple>(&answer);
  return simple == nullptr ? ErrorCode::ok : simple->code;
}

void refuse(Context& context, Session& session, std::uint32_t request,
            const slot::Answer& refusal) {
  const auto& simple = std::get<slot::Simple>(refusal);
  context.refuse(session, request, simple.code, std::chrono::milliseconds{simple.retry_after_ms});
}

void finish(Context& context, Session& session, std::uint32_t request,
            const slot::Answer& answer) {
  if (code_of(answer) != ErrorCode::ok) return refuse(context, session, request, answer);
  context.reply(session, request, wire::Done{});
}

}  // namespace godwit::relay::handlers
