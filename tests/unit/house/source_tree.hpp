// house/source_tree: the sources of this repository as text, and what can be read off them without
// a compiler: includes and the sizes of functions.
// Refuses: to know any rule; house_rules does.
// Thread:  pure functions, but for read_source_tree.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace godwit::house {

// Path from the root -> content. A test may write one down by hand.
using SourceTree = std::map<std::string, std::string>;

// Every C++ file under relay/, schema/, client-sdk/, tests/ and tools/, and relay/README.md.
[[nodiscard]] SourceTree read_source_tree(const std::filesystem::path& root);

[[nodiscard]] bool is_cpp(std::string_view path);
[[nodiscard]] std::vector<std::string_view> lines_of(std::string_view text);

struct Include {
  std::size_t line;  // from 1
  std::string name;  // without quotes or brackets
  bool quoted;       // "name", not <name>
};
[[nodiscard]] std::vector<Include> includes_of(std::string_view text);

struct Function {
  std::size_t line;  // from 1: where its body opens
  std::size_t size;  // in lines, from there to its closing brace
};
// The outermost blocks that are neither namespaces nor types: functions, test cases, and
// initialisers, which a size is no harm to.
[[nodiscard]] std::vector<Function> functions_of(std::string_view text);

}  // namespace godwit::house
