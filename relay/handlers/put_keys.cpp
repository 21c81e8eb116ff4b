// The keys' signatures are checked against the identity key in the list that the relay holds.
#include "relay/handlers/handlers.hpp"

namespace godwit::relay::handlers {

using wire::ErrorCode;

namespace {

ErrorCode verify(const Session& session, const slot::PutKeys& keys, const wire::SignedList& list) {
  const auto parsed = wire::parse_device_list(list.body);
  if (!parsed) return ErrorCode::internal;
  const wire::DeviceRecord* device = parsed->find(session.device);
  if (device == nullptr) return ErrorCode::removed;
  const auto check = [&](wire::SignedKeyKind kind, const std::optional<wire::SignedKey>& key) {
    if (!key) return ErrorCode::ok;
    const auto verified = wire::verify_signed_key(kind, session.user, device->identity, *key);
    return verified ? ErrorCode::ok : code_of(verified.error());
  };
  const ErrorCode seal = check(wire::SignedKeyKind::seal, keys.seal_key);
  return seal != ErrorCode::ok ? seal : check(wire::SignedKeyKind::prekey, keys.signed_prekey);
}

}  // namespace

void handle_put_keys(Context& context, Session& session, std::uint32_t request,
                     const wire::PutKeys& content) {
  const auto wait = context.take_lookups(session, kLookupsPerPutKeys);
  if (wait.count() > 0) return context.refuse(session, request, ErrorCode::rate_limited, wait);
  slot::PutKeys keys{session.user, session.device, content.seal_key, content.signed_prekey,
                     content.one_time};
  context.call(session, session.slot, slot::GetUser{session.user},
               [&context, request, keys](Session& live, slot::Answer& answer) {
                 const auto* found = std::get_if<slot::FoundUser>(&answer);
                 const ErrorCode code =
                     found == nullptr ? code_of(answer) : verify(live, keys, *found->list);
                 if (code != ErrorCode::ok) return context.refuse(live, request, code);
                 context.call(live, live.slot, keys,
                              [&context, request](Session& put, slot::Answer& done) {
                                finish(context, put, request, done);
                              });
               });
}

}  // namespace godwit::relay::handlers
