// power/recorder: notes what this process does to the files of one directory, in order: writes,
// growth and syncs, and the promises made between them.
//
// It stands in the place of the C library's calls, for the program and the libraries that it
// loads, and so hears LMDB too. LMDB writes its meta page through a second descriptor with
// O_DSYNC: such a write is durable when it returns. What a map changes is not heard, nor any call
// that no store makes; whole() tells when something was missed.
//
// Thread: all of it from any thread; one recording at a time.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "schema/wire/types.hpp"

namespace godwit::power {

// LMDB makes it anew at each start, from nothing or from whatever is there.
inline constexpr std::string_view kNotDurable = "lock.mdb";

struct Operation {
  enum class Kind : std::uint8_t {
    write,
    grow,   // to `number` bytes
    sync,   // of one file; done when the operation is in the log
    begun,  // commit `number` was handed to the store
    acked,  // the store said that commit `number` is durable
  };
  Kind kind{};
  bool durable = false;   // write: when it returned
  std::string file = {};  // its name in the directory
  std::uint64_t at = 0;   // write: bytes from the start of the file
  wire::Bytes bytes = {};
  std::uint64_t number = 0;
};

using Files = std::map<std::string, wire::Bytes>;

struct Recording {
  Files before;  // taken as durable
  std::vector<Operation> operations;
  Files after;
};

void begin(const std::filesystem::path& directory);
[[nodiscard]] Recording end();

// Between the two:
void note_begun(std::uint64_t commit);
void note_acked(std::uint64_t commit);

}  // namespace godwit::power
