// secrets/home_keys: every secret key that a home holds, for who has its key: what a test looks for
// where it must not be.
// Refuses: to open a home that a process has open; a copy of it will do.
// Thread:  one.
#pragma once

#include <optional>

#include "tests/secrets/memory.hpp"

namespace godwit::secrets {

struct HomeKeys {
  // Root, list key, device keys and secret halves of prekeys.
  std::vector<Secret> account;
  // Of each session: root, chain and header keys, the ratchet's own secret.
  std::vector<Secret> sessions;
  // The database's: data keys and those derived of them for each table, what wraps them, and the
  // key file, where there is one.
  std::vector<Secret> database;

  [[nodiscard]] std::vector<Secret> all() const;
};

[[nodiscard]] HomeKeys keys_of_home(const std::filesystem::path& home,
                                    const std::optional<std::string>& passphrase = {});

}  // namespace godwit::secrets
