// The names of the error codes, and the proof that they are those of schema/error.fbs.

#include "schema/wire/messages.hpp"

#include "schema/godwit_generated.h"

namespace godwit::wire {
namespace {

[[nodiscard]] constexpr bool same(ErrorCode ours, fb::ErrorCode theirs) {
  return static_cast<std::uint8_t>(ours) == static_cast<std::uint8_t>(theirs);
}

static_assert(kErrorCodeMax == static_cast<std::uint8_t>(fb::ErrorCode::MAX));
static_assert(same(ErrorCode::ok, fb::ErrorCode::ok));
static_assert(same(ErrorCode::bad_request, fb::ErrorCode::bad_request));
static_assert(same(ErrorCode::out_of_state, fb::ErrorCode::out_of_state));
static_assert(same(ErrorCode::version_unsupported, fb::ErrorCode::version_unsupported));
static_assert(same(ErrorCode::unknown_device, fb::ErrorCode::unknown_device));
static_assert(same(ErrorCode::unauthorized, fb::ErrorCode::unauthorized));
static_assert(same(ErrorCode::too_large, fb::ErrorCode::too_large));
static_assert(same(ErrorCode::mailbox_full, fb::ErrorCode::mailbox_full));
static_assert(same(ErrorCode::store_full, fb::ErrorCode::store_full));
static_assert(same(ErrorCode::rate_limited, fb::ErrorCode::rate_limited));
static_assert(same(ErrorCode::busy, fb::ErrorCode::busy));
static_assert(same(ErrorCode::stale_list, fb::ErrorCode::stale_list));
static_assert(same(ErrorCode::conflict, fb::ErrorCode::conflict));
static_assert(same(ErrorCode::name_taken, fb::ErrorCode::name_taken));
static_assert(same(ErrorCode::name_invalid, fb::ErrorCode::name_invalid));
static_assert(same(ErrorCode::not_found, fb::ErrorCode::not_found));
static_assert(same(ErrorCode::replaced, fb::ErrorCode::replaced));
static_assert(same(ErrorCode::removed, fb::ErrorCode::removed));
static_assert(same(ErrorCode::timeout, fb::ErrorCode::timeout));
static_assert(same(ErrorCode::internal, fb::ErrorCode::internal));

}  // namespace

std::string_view name_of(ErrorCode code) {
  // The generated names are empty for a value outside of the list; so is this.
  return fb::EnumNameErrorCode(static_cast<fb::ErrorCode>(code));
}

}  // namespace godwit::wire
