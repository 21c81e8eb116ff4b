#include "relay/handlers/handlers.hpp"

namespace godwit::relay::handlers {

void handle_ack(Context& context, Session& session, std::uint32_t request,
                const wire::Ack& content) {
  context.ack(session, request, slot::Ack{session.device, content.upto, content.numbers});
}

}  // namespace godwit::relay::handlers
