#include "tests/secrets/memory.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <fstream>
#include <sstream>
#include <unordered_map>

#include "schema/net/descriptor.hpp"

namespace godwit::secrets {
namespace {

// All pieces of all secrets, found by the eight bytes that each begins with.
class Search {
 public:
  explicit Search(const std::vector<Secret>& secrets) : begins_(std::size_t{1} << 16) {
    for (const Secret& secret : secrets) {
      assert(secret.bytes.size() >= kPieceSize);
      for (std::size_t at = 0; at + kPieceSize <= secret.bytes.size(); at += kPieceSize) {
        const std::uint8_t* const piece = secret.bytes.data() + at;
        begins_[first_two(piece)] = true;
        pieces_.emplace(first_eight(piece), Piece{piece, &secret.name});
      }
    }
  }

  void look_through(wire::ByteView bytes) {
    for (std::size_t at = 0; at + kPieceSize <= bytes.size(); ++at) {
      const std::uint8_t* const here = bytes.data() + at;
      if (!begins_[first_two(here)]) continue;
      const auto [first, last] = pieces_.equal_range(first_eight(here));
      for (auto one = first; one != last; ++one) {
        if (std::memcmp(one->second.bytes, here, kPieceSize) == 0) {
          found.insert(*one->second.name);
        }
      }
    }
  }

  std::set<std::string> found;

 private:
  struct Piece {
    const std::uint8_t* bytes;
    const std::string* name;
  };
  static std::uint16_t first_two(const std::uint8_t* from) {
    std::uint16_t value = 0;
    std::memcpy(&value, from, sizeof value);
    return value;
  }
  static std::uint64_t first_eight(const std::uint8_t* from) {
    std::uint64_t value = 0;
    std::memcpy(&value, from, sizeof value);
    return value;
  }

  std::vector<bool> begins_;
  std::unordered_multimap<std::uint64_t, Piece> pieces_;
};

struct Mapping {
  std::size_t begin = 0, end = 0;
  bool writable = false, dumped = true;
};

// From smaps: a line with the addresses, then lines "Name: value", of which VmFlags is the last.
std::vector<Mapping> mappings_of(pid_t process) {
  std::ifstream in("/proc/" + std::to_string(process) + "/smaps");
  std::vector<Mapping> mappings;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("VmFlags:")) {
      mappings.back().dumped = line.find(" dd") == std::string::npos;
    } else if (std::isxdigit(static_cast<unsigned char>(line[0])) != 0 &&
               line.find('-') < line.find(' ')) {
      Mapping& mapping = mappings.emplace_back();
      char dash = 0;
      std::string rights;
      std::istringstream(line) >> std::hex >> mapping.begin >> dash >> mapping.end >> rights;
      // A database is mapped to be read; found_in_files() looks at it.
      mapping.writable = rights.starts_with("rw");
    }
  }
  return mappings;
}

}  // namespace

std::set<std::string> found_in_memory(pid_t process, Pages pages,
                                      const std::vector<Secret>& secrets) {
  Search search(secrets);
  ::kill(process, SIGSTOP);
  const net::Descriptor memory(
      ::open(("/proc/" + std::to_string(process) + "/mem").c_str(), O_RDONLY | O_CLOEXEC));
  std::size_t looked_at = 0;
  for (const Mapping& mapping : mappings_of(process)) {
    if (!mapping.writable || (pages == Pages::dumped && !mapping.dumped)) continue;
    wire::Bytes bytes(mapping.end - mapping.begin);
    const ssize_t size =
        ::pread(memory.get(), bytes.data(), bytes.size(), static_cast<off_t>(mapping.begin));
    if (size <= 0) continue;  // such as a guard page
    looked_at += static_cast<std::size_t>(size);
    search.look_through(wire::ByteView(bytes).first(static_cast<std::size_t>(size)));
  }
  ::kill(process, SIGCONT);
  if (looked_at == 0) search.found.insert("nothing could be read");
  return search.found;
}

std::set<std::string> found_in_files(const std::filesystem::path& where,
                                     const std::vector<Secret>& secrets) {
  Search search(secrets);
  const auto look = [&](const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    search.look_through(wire::as_bytes(bytes));
  };
  if (std::filesystem::is_regular_file(where)) look(where);
  if (!std::filesystem::is_directory(where)) return search.found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(where)) {
    if (entry.is_regular_file()) look(entry.path());
  }
  return search.found;
}

}  // namespace godwit::secrets
