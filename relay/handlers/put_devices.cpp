#include "relay/handlers/handlers.hpp"

namespace godwit::relay::handlers {

using wire::ErrorCode;

void handle_put_devices(Context& context, Session& session, std::uint32_t request,
                        const wire::PutDevices& content) {
  const auto wait = context.take_lookups(session, kLookupsPerPutDevices);
  if (wait.count() > 0) return context.refuse(session, request, ErrorCode::rate_limited, wait);
  const auto list = verified(context, content.list);
  if (!list) return context.refuse(session, request, list.error());
  if (list->user != session.user) return context.refuse(session, request, ErrorCode::unauthorized);
  auto put = std::make_unique<slot::PutUser>();
  put->list = wire::SignedList::copy_of(content.list);
  put->parsed = *list;
  put->expected = content.expected;
  put->device = session.device;
  context.call(session, session.slot, std::move(put),
               [&context, request](Session& live, slot::Answer& answer) {
                 finish(context, live, request, answer);
               });
}

}  // namespace godwit::relay::handlers
