#include "relay/handlers/handlers.hpp"
#include "relay/slot/slot_of.hpp"

namespace godwit::relay::handlers {

using wire::ErrorCode;

void handle_get_prekeys(Context& context, Session& session, std::uint32_t request,
                        const wire::GetPrekeys& content) {
  const auto wait = context.take_prekeys(session);
  if (wait.count() > 0) return context.refuse(session, request, ErrorCode::rate_limited, wait);
  context.call(session, slot::slot_of(content.user),
               slot::GetPrekeys{content.user, content.devices, session.device,
                                !session.unlimited},
               [&context, request](Session& live, slot::Answer& answer) {
                 auto* found = std::get_if<slot::FoundPrekeys>(&answer);
                 if (found == nullptr) return refuse(context, live, request, answer);
                 context.reply(live, request,
                               wire::Prekeys{found->list->view(), std::move(found->bundles)});
               });
}

}  // namespace godwit::relay::handlers
