// secrets/memory: looks for known secrets in the memory of another process, and in files: what a
// core image, a swapped page or a log would give away.
// Thread: one.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "schema/wire/types.hpp"

namespace godwit::secrets {

struct Secret {
  std::string name;
  wire::Bytes bytes;  // at least kPieceSize
};

// A secret is found when any whole piece of it is: an allocator overwrites the beginning of what
// was given back to it.
inline constexpr std::size_t kPieceSize = 16;

enum class Pages : std::uint8_t {
  all,     // that can be written, of the program and its libraries
  dumped,  // those of them that a core image holds
};

// The names of those that were found. The process is stopped meanwhile.
[[nodiscard]] std::set<std::string> found_in_memory(pid_t process, Pages pages,
                                                    const std::vector<Secret>& secrets);
// In a file or, with all below it, a directory.
[[nodiscard]] std::set<std::string> found_in_files(const std::filesystem::path& where,
                                                   const std::vector<Secret>& secrets);

}  // namespace godwit::secrets
