// Happy path: list and keys verify, and the handshake's static key is the listed transport key of
// the device -> the user's slot takes the list -> the name is claimed -> attach -> Welcome.
// Failure: nothing is written unless everything verifies. A list that does not follow the one that
// is there is answered with that one, as User: a device that was recovered from the root key alone
// builds on it and registers again. A taken name does not undo the registration: Welcome says so,
// and SetName can try another.
#include "relay/handlers/handlers.hpp"
#include "relay/slot/slot_of.hpp"

namespace godwit::relay::handlers {

using wire::ErrorCode;

namespace {

// Everything that can be said without asking a slot.
ErrorCode check(const Context& context, const Session& session, const wire::Register& request,
                wire::DeviceList& list) {
  if (request.version < wire::kProtocolVersionMin) return ErrorCode::version_unsupported;
  const auto sound = verified(context, request.list);
  if (!sound) return sound.error();
  list = *sound;
  const wire::DeviceRecord* device = list.find(request.device);
  if (device == nullptr) return ErrorCode::unknown_device;
  if (device->transport != session.transport) return ErrorCode::unauthorized;
  using wire::SignedKeyKind;
  const auto seal = wire::verify_signed_key(SignedKeyKind::seal, list.user, device->identity,
                                            request.seal_key);
  if (!seal) return code_of(seal.error());
  const auto prekey = wire::verify_signed_key(SignedKeyKind::prekey, list.user, device->identity,
                                              request.signed_prekey);
  if (!prekey) return code_of(prekey.error());
  return ErrorCode::ok;
}

}  // namespace

void handle_register(Context& context, Session& session, std::uint32_t request,
                     const wire::Register& content) {
  std::string name;
  if (content.name) {
    const auto folded = wire::fold_name(*content.name);
    if (!folded) return context.refuse(session, request, ErrorCode::name_invalid);
    name = *folded;
  }
  // The rate comes first: each check below costs several signature verifications.
  const auto wait = context.take_registration(session);
  if (wait.count() > 0) return context.refuse(session, request, ErrorCode::rate_limited, wait);

  auto put = std::make_unique<slot::PutUser>();
  const ErrorCode code = check(context, session, content, put->parsed);
  if (code != ErrorCode::ok) return context.refuse(session, request, code);
  put->list = wire::SignedList::copy_of(content.list);
  put->device = content.device;
  put->keys = slot::DeviceKeys{content.seal_key, content.signed_prekey};

  session.state = session::State::attaching;
  session.version = content.version;
  session.user = put->parsed.user;
  session.device = content.device;
  context.call(session, slot::slot_of(session.user), std::move(put),
               [&context, request, name](Session& registered, slot::Answer& answer) {
                 if (code_of(answer) != ErrorCode::ok) {
                   registered.state = session::State::greeting;
                   return refuse(context, registered, request, answer);
                 }
                 if (const auto* held = std::get_if<slot::FoundUser>(&answer)) {
                   registered.state = session::State::greeting;
                   return context.reply(registered, request, wire::User{held->list->view()});
                 }
                 if (name.empty()) return attach(context, registered, request, ErrorCode::ok);
                 change_name(context, registered, name,
                             [&context, request](Session& named, ErrorCode outcome) {
                               attach(context, named, request, outcome);
                             });
               });
}

tl::expected<wire::DeviceList, ErrorCode> verified(const Context& context,
                                                   const wire::SignedListView& view) {
  const auto parsed = wire::parse_device_list(view.body);
  if (!parsed) return tl::unexpected(code_of(parsed.error()));
  if (parsed->devices.size() > context.config().devices_max) {
    return tl::unexpected(ErrorCode::too_large);
  }
  return wire::verify_device_list(view).map_error(
      [](wire::IdentityError error) { return code_of(error); });
}

ErrorCode code_of(wire::IdentityError error) {
  switch (error) {
    case wire::IdentityError::malformed:
    case wire::IdentityError::wrong_user:
    case wire::IdentityError::bad_key:
      return ErrorCode::bad_request;
    case wire::IdentityError::bad_delegation:
    case wire::IdentityError::bad_list_signature:
    case wire::IdentityError::bad_device:
    case wire::IdentityError::bad_key_signature:
      return ErrorCode::unauthorized;
  }
  return ErrorCode::bad_request;
}

}  // namespace godwit::relay::handlers
