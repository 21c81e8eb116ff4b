// support/temporary_directory: a directory for one test, gone with all in it when the test ends;
// and what lies in one.
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <system_error>

namespace godwit::support {

enum class Medium {
  memory,  // a memory disk where there is one: some tests sync by the thousand
  disk,    // where the system has its temporary files: a real relay syncs as it does elsewhere
};

// What fails is thrown as a std::system_error.
class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(Medium medium = Medium::memory) {
    const std::filesystem::path memory = "/dev/shm";
    const bool in_memory = medium == Medium::memory && ::access(memory.c_str(), W_OK) == 0;
    std::error_code failed;
    const auto parent = in_memory ? memory : std::filesystem::temp_directory_path(failed);
    if (failed) throw std::system_error(failed, "TMPDIR names no directory for temporary files");
    auto name = (parent / "godwit-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
      throw std::system_error(errno, std::generic_category(), "no temporary directory " + name);
    }
    path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline std::string content_of(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

inline void put_file(const std::filesystem::path& file, std::string_view content) {
  std::ofstream stream(file, std::ios::binary);
  stream << content;
  if (!stream.flush()) {
    throw std::system_error(errno, std::generic_category(), "not written: " + file.string());
  }
}

inline unsigned mode_of(const std::filesystem::path& file) {
  return static_cast<unsigned>(std::filesystem::status(file).permissions());
}

}  // namespace godwit::support
