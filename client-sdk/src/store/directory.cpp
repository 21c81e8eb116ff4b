#include "client-sdk/src/store/directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "schema/wire/hash.hpp"

namespace godwit::store {
namespace {

using tl::unexpected;

constexpr const char* kLock = "lock";
constexpr const char* kKeyring = "keyring";
constexpr const char* kNewKeyring = "keyring.new";
constexpr const char* kKey = "key";
constexpr const char* kNewKey = "key.new";
constexpr std::uint8_t kOpen = 0;  // as an empty file reads
constexpr std::uint8_t kClosed = 1;

[[nodiscard]] tl::unexpected<StoreError> system_error() {
  return unexpected(error_of_system(errno));
}

// A new file's name is durable only when its directory is.
[[nodiscard]] Result<void> sync(int descriptor) {
  if (::fsync(descriptor) != 0) return system_error();
  return {};
}

[[nodiscard]] Result<net::Descriptor> open_directory(const std::filesystem::path& path) {
  net::Descriptor opened(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened.is_open()) return system_error();
  return opened;
}

}  // namespace

StoreError error_of_system(int code) {
  switch (code) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return StoreError::disk_full;
    case ENOENT:
    case ENOTDIR:
      return StoreError::not_found;
    case EWOULDBLOCK:
      return StoreError::in_use;
    case EACCES:
    case EPERM:
    case EROFS:
      return StoreError::forbidden;
    default:
      return StoreError::io;
  }
}

Result<void> write_synced(int file, std::size_t at, wire::ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t size = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return system_error();
    at += static_cast<std::size_t>(size);
    bytes = bytes.subspan(static_cast<std::size_t>(size));
  }
  return sync(file);
}

Result<wire::Bytes> read_at(int file, std::size_t at, std::size_t size) {
  wire::Bytes bytes(size);
  for (std::size_t done = 0; done < size;) {
    const ssize_t now =
        ::pread(file, bytes.data() + done, size - done, static_cast<off_t>(at + done));
    if (now < 0 && errno == EINTR) continue;
    if (now < 0) return system_error();
    if (now == 0) break;
    done += static_cast<std::size_t>(now);
  }
  return bytes;
}

Result<Directory> Directory::create(const std::filesystem::path& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return system_error();
  Directory made;
  auto opened = open_directory(path);
  auto parent = open_directory(path / "..");
  if (!opened) return unexpected(opened.error());
  if (!parent) return unexpected(parent.error());
  made.directory_ = std::move(*opened);
  if (const auto synced = sync(parent->get()); !synced) return unexpected(synced.error());
  if (const auto locked = made.lock(); !locked) return unexpected(locked.error());
  if (made.has(kKeyring)) return unexpected(StoreError::exists);
  if (made.has_lost_keyring()) return unexpected(StoreError::no_keyring);
  // The keyring that was never named stays: while it is there, the rest is nobody's history.
  for (const char* name : {"data.mdb", "lock.mdb", kKey, kNewKey}) {
    if (::unlinkat(made.directory_.get(), name, 0) != 0 && errno != ENOENT) return system_error();
  }
  return made;
}

Result<Directory> Directory::open(const std::filesystem::path& path) {
  Directory made;
  auto opened = open_directory(path);
  if (!opened) return unexpected(opened.error());
  made.directory_ = std::move(*opened);
  if (!made.has(kKeyring)) {
    return unexpected(made.has_lost_keyring() ? StoreError::no_keyring : StoreError::not_found);
  }
  if (const auto locked = made.lock(); !locked) return unexpected(locked.error());
  return made;
}

Result<void> Directory::lock() {
  auto file = open_file(kLock, O_RDWR | O_CREAT);
  if (!file) return unexpected(file.error());
  if (::flock(file->get(), LOCK_EX | LOCK_NB) != 0) return system_error();
  lock_ = std::move(*file);
  const auto was_open = read_at(lock_.get(), 0, 1);
  if (!was_open) return unexpected(was_open.error());
  closed_in_order_ = was_open->front() == kClosed;
  return write_synced(lock_.get(), 0, {&kOpen, 1});
}

void Directory::mark_closed() {
  // Not synced, and of no matter when it fails: what is not marked is looked over.
  static_cast<void>(!::pwrite(lock_.get(), &kClosed, 1, 0));
}

Result<net::Descriptor> Directory::make_keyring() {
  auto file = open_file(kNewKeyring, O_RDWR | O_CREAT | O_TRUNC);
  if (!file) return file;
  if (const auto synced = sync(directory_.get()); !synced) return unexpected(synced.error());
  return file;
}

// A create() that was cut off leaves the new one beside what it made. A key without either may open
// a copy of what was here, or is no key of ours at all.
bool Directory::has_lost_keyring() const {
  return (has("data.mdb") || has(kKey)) && !has(kNewKeyring);
}

Result<void> Directory::name_keyring() {
  return rename_synced(kNewKeyring, kKeyring);
}

Result<net::Descriptor> Directory::open_keyring() const {
  return open_file(kKeyring, O_RDWR);
}

Result<crypto::Secret> Directory::read_key() const {
  const auto file = open_file(kKey, O_RDONLY);
  if (!file) {
    const bool none = file.error() == StoreError::not_found;
    return unexpected(none ? StoreError::wrong_key : file.error());
  }
  wire::SecretKey key;
  const ssize_t size = ::pread(file->get(), key.bytes.data(), key.bytes.size(), 0);
  if (size < 0) return system_error();
  if (size != static_cast<ssize_t>(key.bytes.size())) return unexpected(StoreError::wrong_key);
  crypto::Secret secret(key);
  wire::wipe(key.bytes);
  return secret;
}

Result<crypto::Secret> Directory::make_key(const crypto::Random& random) {
  const auto file = open_file(kNewKey, O_RDWR | O_CREAT | O_TRUNC);
  if (!file) return unexpected(file.error());
  auto key = crypto::Secret::draw(random);
  auto written = write_synced(file->get(), 0, key.value().view());
  if (written) written = rename_synced(kNewKey, kKey);
  if (!written) return unexpected(written.error());
  return key;
}

Result<void> Directory::remove_key() {
  const auto file = open_file(kKey, O_RDWR);
  if (!file)
    return file.error() == StoreError::not_found ? Result<void>{} : unexpected(file.error());
  if (const auto zeroed = write_synced(file->get(), 0, wire::SecretKey{}.view()); !zeroed) {
    return zeroed;
  }
  if (::unlinkat(directory_.get(), kKey, 0) != 0) return system_error();
  return sync(directory_.get());
}

Result<net::Descriptor> Directory::open_file(const char* name, int flags) const {
  net::Descriptor file(::openat(directory_.get(), name, flags | O_CLOEXEC, 0600));
  if (!file.is_open()) return system_error();
  return file;
}

Result<void> Directory::rename_synced(const char* from, const char* to) {
  if (::renameat(directory_.get(), from, directory_.get(), to) != 0) return system_error();
  return sync(directory_.get());
}

bool Directory::has(const char* name) const {
  return ::faccessat(directory_.get(), name, F_OK, 0) == 0;
}

}  // namespace godwit::store
