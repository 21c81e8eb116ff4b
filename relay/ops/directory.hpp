// ops/directory: the data directory of a relay: its settings, its key, its lock.
//
//   DIR/relay.toml   the settings, for the operator to edit
//   DIR/key          the relay's X25519 secret in base64url, mode 0600; whoever has it is the relay
//   DIR/lock         held while a relay runs; says its process id
//   DIR/admin.sock   where `status` asks the running relay
//
// Owns:    nothing but the lock, as long as a DirectoryLock lives.
// Refuses: a key that others may read.
// Thread:  any; the functions block on the disk.
// Trust:   the operator's; every error is one line that says what is wrong and what to do.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "schema/wire/types.hpp"

namespace godwit::relay::ops {

using std::filesystem::path;

[[nodiscard]] path config_file(const path& directory);
[[nodiscard]] path key_file(const path& directory);
[[nodiscard]] path lock_file(const path& directory);
[[nodiscard]] path admin_socket(const path& directory);

// Creates the directory, and those above it, with mode 0700. One that exists is left as it is.
[[nodiscard]] tl::expected<void, std::string> prepare_directory(const path& directory);

// `file` has the old content or all of the new, whenever the machine stops: written beside,
// fsynced, renamed, and the directory fsynced.
[[nodiscard]] tl::expected<void, std::string> write_atomically(const path& file,
                                                               std::string_view content,
                                                               mode_t mode);

[[nodiscard]] tl::expected<void, std::string> write_key(const path& directory,
                                                        const wire::SecretKey& secret);
[[nodiscard]] tl::expected<wire::KeyPair, std::string> read_key(const path& directory);

// An open descriptor, closed when it dies.
class File {
 public:
  explicit File(int descriptor = -1) : descriptor_(descriptor) {}
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();
  [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }
  [[nodiscard]] int get() const { return descriptor_; }

 private:
  int descriptor_;
};

// One relay per directory. The system lets go of the lock when the process ends, however it ends.
class DirectoryLock {
 public:
  [[nodiscard]] static tl::expected<DirectoryLock, std::string> acquire(const path& directory);

 private:
  explicit DirectoryLock(File file) : file_(std::move(file)) {}
  File file_;
};

}  // namespace godwit::relay::ops
