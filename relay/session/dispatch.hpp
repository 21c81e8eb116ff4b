// session/dispatch: one frame body -> the codec -> is it allowed now? -> its handler.
// Failure: what does not parse ends the session; what is out of state ends it; content that the
// protocol forbids is refused by its request id, when that can be read.
#pragma once

#include "relay/handlers/context.hpp"

namespace godwit::relay::session {

void dispatch(handlers::Context& context, Session& session, wire::ByteView frame_body);

}  // namespace godwit::relay::session
