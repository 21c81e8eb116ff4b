// By user id: one slot. By name: the name's slot gives the id, the user's slot gives the list.
// Unknown and hidden answer alike.
#include "relay/handlers/handlers.hpp"
#include "relay/slot/slot_of.hpp"

namespace godwit::relay::handlers {

using wire::ErrorCode;

namespace {

// `name`: what the record must say, when it was asked for by name; else empty.
void find_by_id(Context& context, Session& session, std::uint32_t request, const wire::UserId& user,
                const std::string& name) {
  context.call(session, slot::slot_of(user), slot::GetUser{user},
               [&context, request, name](Session& live, slot::Answer& answer) {
                 const auto* found = std::get_if<slot::FoundUser>(&answer);
                 if (found == nullptr) return refuse(context, live, request, answer);
                 if (!name.empty() && found->name != name) {  // a claim that a crash left behind
                   return context.refuse(live, request, ErrorCode::not_found);
                 }
                 context.reply(live, request, wire::User{found->list->view()});
               });
}

}  // namespace

void handle_get_user(Context& context, Session& session, std::uint32_t request,
                     const wire::GetUser& content) {
  const auto wait = context.take_lookups(session, 1);
  if (wait.count() > 0) return context.refuse(session, request, ErrorCode::rate_limited, wait);
  if (content.user) return find_by_id(context, session, request, *content.user, {});
  const auto name = wire::fold_name(*content.name);
  if (!name) return context.refuse(session, request, ErrorCode::name_invalid);
  context.call(session, slot::slot_of_name(*name), slot::ResolveName{*name},
               [&context, request, name = *name](Session& live, slot::Answer& answer) {
                 const auto* found = std::get_if<slot::FoundName>(&answer);
                 if (found == nullptr) return refuse(context, live, request, answer);
                 find_by_id(context, live, request, found->user, name);
               });
}

}  // namespace godwit::relay::handlers
