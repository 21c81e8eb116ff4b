// power/recording: what was done to the files of one directory, in order: writes, growth and syncs,
// and the promises made between them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "schema/wire/types.hpp"

namespace godwit::power {

// What somebody was told, or asked for, at this point. What it means is the test's business.
struct Note {
  std::uint32_t what = 0;
  std::uint64_t number = 0;
};

struct Operation {
  enum class Kind : std::uint8_t {
    write,
    grow,  // to `size` bytes
    sync,  // of one file; done when the operation is in the log
    note,
  };
  Kind kind{};
  bool durable = false;   // write: when it returned
  std::string file = {};  // its name in the directory
  std::uint64_t at = 0;   // write: bytes from the start of the file
  std::uint64_t size = 0;
  wire::Bytes bytes = {};
  Note note = {};
};

using Files = std::map<std::string, wire::Bytes>;

struct Recording {
  Files before;  // taken as durable
  std::vector<Operation> operations;
  Files after;
};

// Precondition: the file can be read.
[[nodiscard]] inline wire::Bytes content_of(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace godwit::power
