// tests/vectors/vector_files: finds the files of public test vectors and keeps the tally.
//
// A file is looked for in the directory that GODWIT_VECTORS names, or without it in
// ../shared/vectors beside the source tree, and then beside this file. One that is nowhere is
// skipped and said to be; one that is there but holds nothing to check is a failure.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "schema/wire/types.hpp"

namespace godwit::vectors {

using Json = nlohmann::json;

// Checks every vector of the file that applies and returns how many those were.
using CheckFile = std::function<std::size_t(const Json& file)>;

// Reads the file and checks it within the running test case.
void check_file(const std::string& name, const CheckFile& check);

// The bytes of a string in hexadecimal. Fails the test case when it is none.
[[nodiscard]] wire::Bytes from_hex(const Json& text);

// The same for a value of fixed size.
template <class Fixed>
[[nodiscard]] Fixed fixed_from_hex(const Json& text) {
  const wire::Bytes bytes = from_hex(text);
  if (bytes.size() != Fixed::kSize) throw std::length_error(text.get<std::string>());
  return Fixed::copy_of(bytes);
}

}  // namespace godwit::vectors
