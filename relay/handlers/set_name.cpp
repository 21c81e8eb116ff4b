#include "relay/handlers/handlers.hpp"
#include "relay/slot/slot_of.hpp"

namespace godwit::relay::handlers {

using wire::ErrorCode;

void handle_set_name(Context& context, Session& session, std::uint32_t request,
                     const wire::SetName& content) {
  const auto wait = context.take_lookup(session);
  if (wait.count() > 0) return context.refuse(session, request, ErrorCode::rate_limited, wait);
  std::string name;
  if (content.name) {
    const auto folded = wire::fold_name(*content.name);
    if (!folded) return context.refuse(session, request, ErrorCode::name_invalid);
    name = *folded;
  }
  change_name(context, session, session.user, name,
              [&context, request](Session& live, ErrorCode code) {
                if (code != ErrorCode::ok) return context.refuse(live, request, code);
                context.reply(live, request, wire::Done{});
              });
}

namespace {

using Then = std::function<void(Session&, ErrorCode)>;

// The user's slot remembers the new name; the slot of the old one lets it go.
void remember_name(Context& context, Session& session, const wire::UserId& user,
                   const std::string& name, Then then) {
  std::optional<std::string> next;
  if (!name.empty()) next = name;
  context.call(session, slot::slot_of(user), slot::SetUserName{user, next},
               [&context, user, name, then](Session& live, slot::Answer& answer) {
                 const auto* previous = std::get_if<slot::PreviousName>(&answer);
                 if (previous == nullptr) return then(live, code_of(answer));
                 if (!previous->name || *previous->name == name) return then(live, ErrorCode::ok);
                 context.call(live, slot::slot_of_name(*previous->name),
                              slot::ReleaseName{*previous->name, user},
                              [then](Session& done, slot::Answer& released) {
                                then(done, code_of(released));
                              });
               });
}

}  // namespace

void change_name(Context& context, Session& session, const wire::UserId& user,
                 const std::string& name, Then then) {
  if (name.empty()) return remember_name(context, session, user, name, std::move(then));
  context.call(session, slot::slot_of_name(name), slot::ClaimName{name, user},
               [&context, user, name, then](Session& live, slot::Answer& answer) {
                 const ErrorCode code = code_of(answer);
                 if (code != ErrorCode::ok) return then(live, code);
                 remember_name(context, live, user, name, then);
               });
}

}  // namespace godwit::relay::handlers
