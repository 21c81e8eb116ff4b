// support/small_disk: a file system of its own for one test, which is soon full.
#pragma once

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include "tests/support/temporary_directory.hpp"

namespace godwit::support {

// A tmpfs in a mount namespace of this process's own: nothing mounted in it outlives the process
// and its children. Tests that need one are marked, so that they count as skipped elsewhere:
//   TEST_CASE("..." * doctest::skip(!SmallDisk::allowed()))
class SmallDisk {
 public:
  // Whether the system lets us mount, which takes root's rights.
  [[nodiscard]] static bool allowed() {
    static const bool own_mounts =
        ::geteuid() == 0 && ::unshare(CLONE_NEWNS) == 0 &&
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    return own_mounts;
  }

  // `size`: as tmpfs reads it, such as "4m". What fails is thrown as a std::system_error.
  explicit SmallDisk(const std::string& size) {
    const std::string option = "size=" + size;
    if (!allowed() || ::mount("tmpfs", path().c_str(), "tmpfs", 0, option.c_str()) != 0) {
      throw std::system_error(errno, std::generic_category(), "not mounted: " + path().string());
    }
  }
  ~SmallDisk() { ::umount2(path().c_str(), MNT_DETACH); }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return directory_.path(); }

  // Takes what is left of it but for so many pages, one by one at the end.
  void fill(std::uintmax_t pages_left = 0) const {
    std::ofstream stream(filler(), std::ios::binary);
    const std::string page(kPage, 'x');
    while (stream.write(page.data(), kPage).flush()) {
    }
    const std::uintmax_t taken = std::filesystem::file_size(filler());
    std::filesystem::resize_file(filler(), taken - std::min(taken, kPage * pages_left));
  }
  void make_room() const { std::filesystem::remove(filler()); }

 private:
  static constexpr std::uintmax_t kPage = 4'096;
  [[nodiscard]] std::filesystem::path filler() const { return path() / "filler"; }
  TemporaryDirectory directory_;
};

}  // namespace godwit::support
