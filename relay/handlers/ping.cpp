#include "relay/handlers/handlers.hpp"

namespace godwit::relay::handlers {

void handle_ping(Context& context, Session& session, std::uint32_t request, const wire::Ping&) {
  context.reply(session, request, wire::Done{});
}

}  // namespace godwit::relay::handlers
