// support/small_disk: a file system that is soon full, mounted over a directory while this lives.
#pragma once

#include <sys/mount.h>
#include <sched.h>
#include <unistd.h>

#include <filesystem>

namespace godwit::support {

// In a mount namespace of this process's own: nothing mounted in it outlives the process.
class SmallDisk {
 public:
  // `options`: of a tmpfs, such as "size=4m".
  SmallDisk(const std::filesystem::path& path, const char* options) : path_(path) {
    static const bool private_mounts =
        ::geteuid() == 0 && ::unshare(CLONE_NEWNS) == 0 &&
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    mounted_ = private_mounts && ::mount("tmpfs", path.c_str(), "tmpfs", 0, options) == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  // False where the system does not let us: there is nothing to test with then.
  [[nodiscard]] bool mounted() const { return mounted_; }

 private:
  std::filesystem::path path_;
  bool mounted_ = false;
};

}  // namespace godwit::support
