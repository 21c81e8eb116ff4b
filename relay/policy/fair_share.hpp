// policy/fair_share: what one sender may still add to a mailbox that is half full, so that nobody
// can close it to all others. Pure.
//
// Below half of the quota nobody counts. From there on each sender may add an eighth of the quota,
// and one envelope at least, until the mailbox is less than half full again. So one alone gets
// five eighths, and it takes four that mean harm to fill what is left.
// Refuses: to remember across a restart: what was there before it is nobody's.
// Owns:    an entry for each sender who added something to the upper half.
// Thread:  one owner; not shared.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "relay/limits.hpp"
#include "schema/wire/types.hpp"

namespace godwit::relay::policy {

// Of one mailbox: what it may hold, or what somebody has in it.
struct Room {
  std::uint32_t envelopes = 0;
  std::uint64_t bytes = 0;
};

[[nodiscard]] constexpr bool half_full(const Room& held, const Room& quota) {
  return std::uint64_t{2} * held.envelopes >= quota.envelopes || 2 * held.bytes >= quota.bytes;
}

class FairShare {
 public:
  // True when `sender` may add an envelope of that many bytes, which then counts.
  [[nodiscard]] bool take(const wire::UserId& sender, std::uint64_t bytes, const Room& quota) {
    Room& taken = taken_[sender];
    const bool first = taken.envelopes == 0;
    if (!first && (taken.envelopes >= quota.envelopes / kSharesOfMailbox ||
                   taken.bytes + bytes > quota.bytes / kSharesOfMailbox)) {
      return false;
    }
    ++taken.envelopes;
    taken.bytes += bytes;
    return true;
  }

 private:
  std::unordered_map<wire::UserId, Room, wire::IdHash> taken_;
};

}  // namespace godwit::relay::policy
