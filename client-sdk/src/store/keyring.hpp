// store/keyring: the wrapped keys of a database, in one small file with slots of fixed place.
//
//   0      main slot 0     version u16 | kind u8 | salt 16 | passes u32 | memory u64 |
//   4096   main slot 1       commitment 32 | wrapped DEK 72 | BLAKE2b-128 of what stands before
//   8192   session slot A  kid u32 | wrapped session DEK 72
//   12288  session slot B
//
// A key is replaced by writing the other slot and zeroing the old one, each synced, so that what
// replaced a key also overwrote it. Slots stand 4 KiB apart: a torn write spoils one. An empty slot
// is zeros.
//
// Owns:    the file, and the DEKs while it is open.
// Thread:  one owner.
// Trust:   the file may have been altered. Version and kind are bound to the wrapped DEK.
// Spec:    schema/ENVELOPE.md, "At rest".
#pragma once

#include <variant>

#include "client-sdk/src/crypto/at_rest.hpp"
#include "client-sdk/src/store/database.hpp"
#include "schema/net/descriptor.hpp"

namespace godwit::store {

inline constexpr std::uint16_t kDataVersion = 1;
inline constexpr std::uint32_t kLastingKid = 1;       // the DEK's
inline constexpr std::uint32_t kFirstSessionKid = 2;  // and upwards, one more for each rotation

// What the caller holds: a passphrase, or the content of the key file. A view.
using Unlock = std::variant<std::string_view, const wire::SecretKey*>;

class Keyring {
 public:
  // Draws the keys and fills the (new, empty) file, synced.
  [[nodiscard]] static Result<Keyring> create(net::Descriptor file, const Unlock& unlock,
                                              const crypto::Random& random);
  // Whatever a crash left half done is finished, but for a rotation of session keys.
  [[nodiscard]] static Result<Keyring> open(net::Descriptor file, const Unlock& unlock);

  [[nodiscard]] const wire::SecretKey& lasting() const { return keys_[0]; }

  struct SessionKey {
    std::uint32_t kid = 0;
    const wire::SecretKey* dek = nullptr;  // lives until the next call that is not const
  };
  // The one to seal with.
  [[nodiscard]] SessionKey session() const { return {slots_[newest_].kid, &keys_[1 + newest_]}; }
  // Of a rotation that is not finished: the one that is to go.
  [[nodiscard]] std::optional<SessionKey> retiring() const;

  // A new session key in the other slot. Precondition: none is retiring.
  [[nodiscard]] Result<void> begin_rotation(const crypto::Random& random);
  // Zeroes the slot of the retiring one.
  [[nodiscard]] Result<void> finish_rotation();

  // Wraps the DEK anew.
  [[nodiscard]] Result<void> rewrap(const Unlock& unlock, const crypto::Random& random);

 private:
  struct SessionSlot {
    std::uint32_t kid = 0;  // 0: empty
  };
  explicit Keyring(net::Descriptor file) : file_(std::move(file)), keys_(3) {}
  [[nodiscard]] Result<void> write_main(std::size_t slot, const Unlock& unlock,
                                        const crypto::Random& random);
  [[nodiscard]] Result<void> write_session(std::size_t slot, std::uint32_t kid,
                                           const crypto::Random& random);
  [[nodiscard]] Result<void> zero(std::size_t place);
  [[nodiscard]] Result<void> read_main(const Unlock& unlock);
  [[nodiscard]] Result<void> read_sessions();

  net::Descriptor file_;
  crypto::LockedSecrets keys_;  // the DEK, then the session DEK of slot A, of slot B
  std::size_t main_ = 0;        // slot in use
  std::array<SessionSlot, 2> slots_;
  std::size_t newest_ = 0;  // session slot in use
};

}  // namespace godwit::store
