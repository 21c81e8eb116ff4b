// core/upkeep: our prekeys: made before they are needed, put at the relay, kept until nobody can
// still use them.
// Spec: schema/README.md, "PutKeys"; schema/ENVELOPE.md, "Prekeys".
#pragma once

#include "client-sdk/src/core/account.hpp"
#include "client-sdk/src/core/requests.hpp"
#include "client-sdk/src/crypto/session_set.hpp"

namespace godwit::core {

class Upkeep {
 public:
  // With a new account.
  static void make_first(Round& round, const LocalAccount& account);
  void load(const View& view);
  [[nodiscard]] bool made() const { return record_.signed_prekey.id != 0; }

  [[nodiscard]] const wire::SignedKey& signed_prekey() const { return record_.signed_prekey; }
  [[nodiscard]] const wire::SignedKey& seal_key() const { return record_.seal_key; }
  // The relay knows nothing of this device any more: everything is put anew, one-time keys too.
  void forget_put(Round& round);
  // The relay may have lost the two signed keys; of the others it says how many it has.
  void put_again(Round& round);
  // The registration has carried the two signed keys.
  void signed_keys_put(Round& round);

  // Replaces the signed keys that are due. That is at the later of our time and the relay's: what a
  // clock that is behind replaced would be too old to keep as soon as it is set right.
  void renew(Round& round, const LocalAccount& account, Milliseconds relay_time);
  // The same, then tops up one-time keys to kOneTimeKeysFull when the relay has `left`, and
  // puts what has not reached the relay.
  void tend(Round& round, const LocalAccount& account, Requests& requests, Milliseconds relay_time,
            std::optional<std::uint32_t> left);
  void on_put(Round& round, const KeysPut& put);
  void on_put_failed() { putting_ = false; }  // refused, or the connection went: later again
  // The store's session key, which seals ratchets and prekeys, is replaced every day.
  [[nodiscard]] bool session_key_due(Now now) const;
  void on_session_key_replaced(Now now);
  // Writes what was noted between rounds. With a round that writes anyway.
  void flush(Round& round);
  // Deletes secret halves that nobody can still use, by our clock and by the relay's: what one that
  // is ahead would throw away, others still encrypt for.
  void sweep(Round& round, Milliseconds relay_time);
  [[nodiscard]] bool all_put() const;

  // Secret halves. The sealing keys are asked for with every envelope, so they are kept at hand.
  [[nodiscard]] const crypto::DhKey* seal_secret(const View& view, std::uint32_t id);
  [[nodiscard]] crypto::PrekeySource source(Round& round);
  static void burn_one_time_key(Round& round, std::uint32_t id);

 private:
  void save(Round& round) const { round.save(name_bytes(kUpkeepName), record_); }

  UpkeepRecord record_;
  bool noted_ = false;  // and not written
  bool putting_ = false;
  milliseconds next_top_up_{};  // of Now::steady: a relay may say "none left" as often as it likes
  std::map<std::uint32_t, crypto::DhKey> seal_secrets_;
};

}  // namespace godwit::core
