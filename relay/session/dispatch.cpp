#include "relay/session/dispatch.hpp"

#include "relay/handlers/handlers.hpp"
#include "schema/wire/codec.hpp"

namespace godwit::relay::session {
namespace {

using namespace handlers;

// Each request and the states it is allowed in.
struct Route {
  Context& context;
  Session& session;
  std::uint32_t request;

  void operator()(const wire::Login& body) const { before_login(handle_login, body); }
  void operator()(const wire::Register& body) const { before_login(handle_register, body); }
  void operator()(const wire::PutDevices& body) const { live(handle_put_devices, body); }
  void operator()(const wire::PutKeys& body) const { live(handle_put_keys, body); }
  void operator()(const wire::GetUser& body) const { live(handle_get_user, body); }
  void operator()(const wire::GetPrekeys& body) const { live(handle_get_prekeys, body); }
  void operator()(const wire::SetName& body) const { live(handle_set_name, body); }
  void operator()(const wire::Submit& body) const { live(handle_submit, body); }
  void operator()(const wire::Ack& body) const { live(handle_ack, body); }
  void operator()(const wire::Ping& body) const { handle_ping(context, session, request, body); }

 private:
  template <class Handler, class Body>
  void before_login(Handler handler, const Body& body) const {
    if (session.state != State::greeting) {
      return context.end(session, wire::ErrorCode::out_of_state);
    }
    if (++session.attempts > kLoginAttemptsMax) {
      return context.end(session, wire::ErrorCode::unauthorized);
    }
    handler(context, session, request, body);
  }
  template <class Handler, class Body>
  void live(Handler handler, const Body& body) const {
    if (session.state != State::live) {
      return context.end(session, wire::ErrorCode::out_of_state);
    }
    handler(context, session, request, body);
  }
};

}  // namespace

void dispatch(handlers::Context& context, Session& session, wire::ByteView frame_body) {
  if (session.state == State::closing) return;
  session.last_heard = context.now().steady;
  // A stranger is under no rate, and need not read what it is answered.
  if (session.state != State::live && ++session.before_login > kFramesBeforeLoginMax) {
    return context.end(session, wire::ErrorCode::unauthorized);
  }
  const auto request = wire::parse_request(frame_body);
  if (!request) {
    switch (request.error()) {
      case wire::CodecError::unaligned:
      case wire::CodecError::malformed:
        return context.end(session, wire::ErrorCode::bad_request);
      case wire::CodecError::unknown_body:
      case wire::CodecError::out_of_bounds:
        return context.refuse(session, wire::request_id_of(frame_body),
                              wire::ErrorCode::bad_request);
    }
    return;
  }
  // Submits and acks have bounds of their own, so that nothing else can keep them out.
  const bool is_call = !std::holds_alternative<wire::Submit>(request->body) &&
                       !std::holds_alternative<wire::Ack>(request->body) &&
                       !std::holds_alternative<wire::Ping>(request->body);
  if (is_call && session.calls.size() >= kCallsInFlightMax) {
    return context.refuse(session, request->id, wire::ErrorCode::busy, kRetryBusy);
  }
  std::visit(Route{context, session, request->id}, request->body);
}

}  // namespace godwit::relay::session
