#include "relay/ops/directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <system_error>
#include <utility>

#include "schema/wire/address.hpp"
#include "schema/wire/hash.hpp"
#include "schema/wire/x25519.hpp"

namespace godwit::relay::ops {
namespace {

constexpr mode_t kOwnerOnly = S_IRUSR | S_IWUSR;
constexpr mode_t kOthers = S_IRWXG | S_IRWXO;
constexpr std::size_t kKeyTextSize = 43;  // base64url of 32 bytes

// "FILE cannot be read: Permission denied"
std::string failed(const path& file, std::string_view what, int reason) {
  return file.string() + " " + std::string(what) + ": " + std::generic_category().message(reason);
}

bool write_all(int descriptor, std::string_view content) {
  while (!content.empty()) {
    const auto written = write(descriptor, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

// At most `max` bytes; a longer file shows by one byte more. Nothing on an error, see errno.
std::optional<std::string> read_up_to(int descriptor, std::size_t max) {
  std::string content(max + 1, '\0');
  std::size_t size = 0;
  while (size < content.size()) {
    const auto got = read(descriptor, content.data() + size, content.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return {};
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  content.resize(size);
  return content;
}

void wipe_text(std::string& text) {
  wire::wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
}

std::string octal(mode_t mode) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "%04o", mode & 07777u);
  return text.data();
}

}  // namespace

path config_file(const path& directory) {
  return directory / "relay.toml";
}
path key_file(const path& directory) {
  return directory / "key";
}
path lock_file(const path& directory) {
  return directory / "lock";
}
path admin_socket(const path& directory) {
  return directory / "admin.sock";
}

File::File(File&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

File::~File() {
  if (is_open()) close(descriptor_);
}

tl::expected<void, std::string> prepare_directory(const path& directory) {
  std::error_code error;
  if (std::filesystem::is_directory(directory, error)) return {};
  const auto parent = std::filesystem::absolute(directory, error).parent_path();
  if (!error && parent != directory && !std::filesystem::exists(parent, error)) {
    if (auto made = prepare_directory(parent); !made) return made;
  }
  if (mkdir(directory.c_str(), S_IRWXU) != 0 && errno != EEXIST) {
    return tl::unexpected(failed(directory, "cannot be created", errno));
  }
  if (!std::filesystem::is_directory(directory, error)) {
    return tl::unexpected(directory.string() + " is a file; name a directory");
  }
  return {};
}

tl::expected<void, std::string> write_atomically(const path& file, std::string_view content,
                                                 mode_t mode) {
  const path beside = file.string() + ".new";
  // What a crash left there; O_EXCL below then makes the file with our mode or not at all.
  unlink(beside.c_str());
  const auto fail = [&] {
    const int reason = errno;
    unlink(beside.c_str());
    return tl::unexpected(failed(file, "cannot be written", reason));
  };
  {
    const File out(open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
    if (!out.is_open() || fchmod(out.get(), mode) != 0 || !write_all(out.get(), content) ||
        fsync(out.get()) != 0) {
      return fail();
    }
  }
  if (rename(beside.c_str(), file.c_str()) != 0) return fail();
  const auto parent = file.has_parent_path() ? file.parent_path() : path(".");
  const File directory(open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.is_open() || fsync(directory.get()) != 0) return fail();
  return {};
}

tl::expected<void, std::string> write_key(const path& directory, const wire::SecretKey& secret) {
  auto text = wire::base64url(secret.view()) + "\n";
  auto written = write_atomically(key_file(directory), text, kOwnerOnly);
  wipe_text(text);
  return written;
}

tl::expected<wire::KeyPair, std::string> read_key(const path& directory) {
  const auto file = key_file(directory);
  // O_NONBLOCK: a pipe of that name must not hold up the start.
  const File in(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (!in.is_open() || fstat(in.get(), &status) != 0) {
    const int reason = errno;
    auto what = failed(file, "cannot be read", reason);
    if (reason == ENOENT) {
      what += "; restore it from a backup (with a new key, it is another relay to every client)";
    }
    return tl::unexpected(std::move(what));
  }
  if (!S_ISREG(status.st_mode)) return tl::unexpected(file.string() + " is not a file");
  if ((status.st_mode & kOthers) != 0) {
    return tl::unexpected(file.string() + " may be read by others (mode " + octal(status.st_mode) +
                          "); run: chmod 600 " + file.string());
  }
  auto text = read_up_to(in.get(), kKeyTextSize + 1);
  if (!text) return tl::unexpected(failed(file, "cannot be read", errno));
  if (text->ends_with('\n')) text->pop_back();
  auto bytes = wire::parse_base64url(*text);
  wipe_text(*text);
  if (!bytes || bytes->size() != wire::SecretKey::kSize) {
    return tl::unexpected(file.string() +
                          " is damaged: it must hold 43 characters of base64url; restore it from "
                          "a backup");
  }
  auto secret = wire::SecretKey::copy_of(*bytes);
  const auto pair = wire::key_pair_of(secret);
  wire::wipe(*bytes);
  wire::wipe(secret.bytes);
  return pair;
}

tl::expected<DirectoryLock, std::string> DirectoryLock::acquire(const path& directory) {
  const auto name = lock_file(directory);
  File file(open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kOwnerOnly));
  if (!file.is_open()) return tl::unexpected(failed(name, "cannot be opened", errno));
  if (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return tl::unexpected(failed(name, "cannot be locked", errno));
    constexpr std::size_t kPidSizeMax = 20;
    auto holder = read_up_to(file.get(), kPidSizeMax).value_or("");
    if (holder.ends_with('\n')) holder.pop_back();
    // Empty in the instant between the other's lock and its writing.
    if (holder.find_first_not_of("0123456789") != std::string::npos || holder.empty()) {
      holder = "unknown";
    }
    return tl::unexpected("another relay runs on " + directory.string() + " (pid " + holder +
                          "); stop it or use another directory");
  }
  // For the message above. A full disk has no room for it, and a relay there has to be drained; the
  // old one stays until the new one is written, since what it frees somebody else may take.
  const auto pid = std::to_string(getpid()) + "\n";
  if (write_all(file.get(), pid)) {
    static_cast<void>(!ftruncate(file.get(), static_cast<off_t>(pid.size())));
  }
  return DirectoryLock(std::move(file));
}

}  // namespace godwit::relay::ops
