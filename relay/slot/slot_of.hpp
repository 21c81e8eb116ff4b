// slot/slot_of: which slot a user or a name lives in, and which loop a slot lives on.
// The seed is fixed for all relays and all time: a slot is a place in the cell, not in a process.
// Spec: schema/README.md is silent on purpose: clients never see slots.
#pragma once

#include "relay/limits.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::relay::slot {

inline constexpr wire::SipKey kSlotSeed{'g', 'o', 'd', 'w', 'i', 't', ' ', 's',
                                        'l', 'o', 't', 's', ' ', 'v', '1', 0};

[[nodiscard]] inline std::uint16_t slot_of(const wire::UserId& user) {
  return static_cast<std::uint16_t>(wire::siphash(kSlotSeed, user.view()) % kSlots);
}

[[nodiscard]] inline std::uint16_t slot_of_name(std::string_view folded_name) {
  return static_cast<std::uint16_t>(wire::siphash(kSlotSeed, wire::as_bytes(folded_name)) % kSlots);
}

[[nodiscard]] inline std::uint32_t loop_of(std::uint16_t slot, std::uint32_t loops) {
  return slot % loops;
}

}  // namespace godwit::relay::slot
