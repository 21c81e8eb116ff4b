// store/directory: the files of a database but for LMDB's: the lock, the key file, the keyring's
// place; and reading and writing them so that a crash leaves the old content or the new.
// Owns:    the directory's descriptor and its lock, given back at the end.
// Refuses: to know what stands in the files.
// Thread:  one owner.
#pragma once

#include "client-sdk/src/store/database.hpp"
#include "schema/net/descriptor.hpp"

namespace godwit::store {

// What errno says.
[[nodiscard]] StoreError error_of_system(int code);

// Durable when it returns.
[[nodiscard]] Result<void> write_synced(int file, std::size_t at, wire::ByteView bytes);
// What the file lacks reads as zeros.
[[nodiscard]] Result<wire::Bytes> read_at(int file, std::size_t at, std::size_t size);

class Directory {
 public:
  // Makes it (mode 700) and locks it; what an unfinished create() left is removed.
  [[nodiscard]] static Result<Directory> create(const std::filesystem::path& path);
  // Precondition of a database here: the keyring, which is named last.
  [[nodiscard]] static Result<Directory> open(const std::filesystem::path& path);

  // Whether the one that had it open before came to mark_closed().
  [[nodiscard]] bool closed_in_order() const { return closed_in_order_; }
  // The last thing before the end.
  void mark_closed();

  // A new keyring has no name until it is whole. It is made before anything else is.
  [[nodiscard]] Result<net::Descriptor> make_keyring();
  [[nodiscard]] Result<void> name_keyring();
  [[nodiscard]] Result<net::Descriptor> open_keyring() const;

  // wrong_key when there is none, or none of that size.
  [[nodiscard]] Result<crypto::Secret> read_key() const;
  [[nodiscard]] Result<crypto::Secret> make_key(const crypto::Random& random);
  // Overwritten before it goes. That there is none is fine.
  [[nodiscard]] Result<void> remove_key();

 private:
  Directory() = default;
  [[nodiscard]] Result<void> lock();
  [[nodiscard]] Result<net::Descriptor> open_file(const char* name, int flags) const;
  [[nodiscard]] Result<void> rename_synced(const char* from, const char* to);
  [[nodiscard]] bool has_lost_keyring() const;
  [[nodiscard]] bool has(const char* name) const;

  net::Descriptor directory_;
  net::Descriptor lock_;  // its file holds one byte: whether the database is open
  bool closed_in_order_ = false;
};

}  // namespace godwit::store
