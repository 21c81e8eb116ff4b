// handlers: exactly one wire request per function, one file each. Each gets a request that the
// codec has checked and dispatch has allowed in the session's state, and answers it exactly once.
#pragma once

#include "relay/handlers/context.hpp"

namespace godwit::relay::handlers {

void handle_login(Context&, Session&, std::uint32_t request, const wire::Login&);
void handle_register(Context&, Session&, std::uint32_t request, const wire::Register&);
void handle_put_devices(Context&, Session&, std::uint32_t request, const wire::PutDevices&);
void handle_put_keys(Context&, Session&, std::uint32_t request, const wire::PutKeys&);
void handle_get_user(Context&, Session&, std::uint32_t request, const wire::GetUser&);
void handle_get_prekeys(Context&, Session&, std::uint32_t request, const wire::GetPrekeys&);
void handle_set_name(Context&, Session&, std::uint32_t request, const wire::SetName&);
void handle_submit(Context&, Session&, std::uint32_t request, const wire::Submit&);
void handle_ack(Context&, Session&, std::uint32_t request, const wire::Ack&);
void handle_ping(Context&, Session&, std::uint32_t request, const wire::Ping&);

// ---- Steps that two handlers share --------------------------------------------------------------

// The last step of Login and Register: becomes the device's one live session, and welcomes it.
void attach(Context&, Session&, std::uint32_t request, wire::ErrorCode name);

// Claims `name` (folded; empty: none) for the session's user and releases the one held before. It
// comes to its end even when the session does not; `then` gets ok, name_taken or busy, if the
// session is still there.
void change_name(Context&, Session&, const std::string& name,
                 std::function<void(Session&, wire::ErrorCode)> then);

// The code of an answer that carries nothing else; ok for those that carry something.
[[nodiscard]] wire::ErrorCode code_of(const slot::Answer& answer);

// Passes on what a slot refused.
void refuse(Context&, Session&, std::uint32_t request, const slot::Answer& refusal);

// Replies Done, or passes on the refusal.
void finish(Context&, Session&, std::uint32_t request, const slot::Answer& answer);

// A list that verifies, of no more devices than the relay allows: that is seen to first, since each
// device is several signatures to verify.
[[nodiscard]] tl::expected<wire::DeviceList, wire::ErrorCode> verified(
    const Context& context, const wire::SignedListView& list);

// Why a list that does not verify is refused.
[[nodiscard]] wire::ErrorCode code_of(wire::IdentityError error);

}  // namespace godwit::relay::handlers
