// slot/prekeys: the keys that let others write to a device that is away: seal key, signed prekey,
// and one-time prekeys, each handed out once, the oldest first.
// Refuses: to verify signatures: the session did.
// Thread:  the loop that owns the slots.
#pragma once

#include "relay/slot/journal.hpp"

namespace godwit::relay::slot {

class Prekeys {
 public:
  explicit Prekeys(Journal& journal) : journal_(journal) {}

  // Keys that are absent stay as they are; one-time keys with an id not above the highest ever
  // taken are retries and ignored. bad_request: no signed keys yet, and one of the two is missing;
  // too_large: the one-time keys would pass kOneTimeKeysMax. Then nothing was taken.
  [[nodiscard]] wire::ErrorCode put(const wire::UserId& user, const wire::DeviceId& device,
                                    const std::optional<wire::SignedKey>& seal_key,
                                    const std::optional<wire::SignedKey>& signed_prekey,
                                    std::span<const wire::OneTimeKey> one_time);
  // Everything of a device that left.
  void remove(const wire::UserId& user, const wire::DeviceId& device);

  // Takes a one-time key out for good when `with_one_time` and one is left.
  [[nodiscard]] std::optional<wire::Bundle> bundle(const wire::UserId& user,
                                                   const wire::DeviceId& device,
                                                   bool with_one_time);
  [[nodiscard]] std::uint32_t one_time_left(const wire::UserId& user,
                                            const wire::DeviceId& device);

 private:
  Journal& journal_;
};

}  // namespace godwit::relay::slot
