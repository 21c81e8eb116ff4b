// functions_of: comments and literals are blanked -> braces are matched -> a block counts when
// every block around it is a namespace or a type. The words before a brace say which it is.
#include "tests/unit/house/source_tree.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <iterator>
#include <regex>

namespace godwit::house {
namespace {

namespace fs = std::filesystem;

std::string content_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// The end of the literal or comment that begins at `at`, or `at` itself when none does.
std::size_t skip_text(std::string_view text, std::size_t at) {
  const auto past = [&](std::string_view end, std::size_t from) {
    const auto found = text.find(end, from);
    return found == std::string_view::npos ? text.size() : found + end.size();
  };
  const auto rest = text.substr(at);
  if (rest.starts_with("//")) return std::min(text.find('\n', at), text.size());
  if (rest.starts_with("/*")) return past("*/", at + 2);
  if (rest.starts_with("R\"")) {
    const auto open = rest.find('(');
    return past(")" + std::string(rest.substr(2, open - 2)) + "\"", at + open);
  }
  const bool separates_digits =
      rest.front() == '\'' && at > 0 && std::isalnum(static_cast<unsigned char>(text[at - 1])) != 0;
  if ((rest.front() != '"' && rest.front() != '\'') || separates_digits) return at;
  for (std::size_t i = at + 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == rest.front()) {
      return i + 1;
    }
  }
  return text.size();
}

// The same text, line by line, with comments, literals and preprocessor lines as spaces.
std::string code_only(std::string_view text) {
  std::string code(text);
  const auto blank = [&](std::size_t from, std::size_t to) {
    std::replace_if(
        code.begin() + static_cast<std::ptrdiff_t>(from),
        code.begin() + static_cast<std::ptrdiff_t>(to), [](char c) { return c != '\n'; }, ' ');
  };
  for (std::size_t at = 0; at < text.size();) {
    const bool at_line_start = at == 0 || text[at - 1] == '\n';
    const std::size_t end = at_line_start && text[at] == '#'
                                ? std::min(text.find('\n', at), text.size())
                                : skip_text(text, at);
    blank(at, end);
    at = std::max(end, at + 1);
  }
  return code;
}

// Of the words between the last `;`, `{` or `}` and a brace.
bool opens_namespace_or_type(std::string_view head) {
  static const std::regex kScope(R"(\b(namespace|class|struct|union|enum|extern|TEST_SUITE)\b)");
  static const std::regex kCall(R"([)]\s*(const|noexcept|override|mutable|->|:|$))");
  const std::string words(head);
  if (words.find("TEST_SUITE") != std::string::npos) return true;
  return std::regex_search(words, kScope) && !std::regex_search(words, kCall);
}

}  // namespace

bool is_cpp(std::string_view path) {
  return path.ends_with(".cpp") || path.ends_with(".hpp");
}

SourceTree read_source_tree(const fs::path& root) {
  SourceTree tree;
  for (const char* folder : {"relay", "schema", "client-sdk", "tests", "tools"}) {
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string path = fs::relative(entry.path(), root).generic_string();
      if (!entry.is_regular_file()) continue;
      if (is_cpp(path) || path == "relay/README.md") tree[path] = content_of(entry.path());
    }
  }
  return tree;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const auto end = text.find('\n');
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

std::vector<Include> includes_of(std::string_view text) {
  static const std::regex kInclude(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"])");
  std::vector<Include> includes;
  std::size_t number = 0;
  for (const auto line : lines_of(text)) {
    ++number;
    if (line.find('#') == std::string_view::npos) continue;
    std::match_results<std::string_view::const_iterator> match;
    if (!std::regex_search(line.begin(), line.end(), match, kInclude)) continue;
    includes.push_back({number, match[2].str(), match[1].str() == "\""});
  }
  return includes;
}

std::vector<Function> functions_of(std::string_view text) {
  struct Block {
    std::size_t line;
    bool scope;  // a namespace or a type
  };
  const std::string code = code_only(text);
  std::vector<Function> functions;
  std::vector<Block> open;
  std::size_t line = 1;
  std::size_t head = 0;
  for (std::size_t at = 0; at < code.size(); ++at) {
    const char c = code[at];
    const auto is_scope = [](const Block& block) { return block.scope; };
    if (c == '\n') {
      ++line;
    } else if (c == '{') {
      const auto words = std::string_view(code).substr(head, at - head);
      open.push_back({line, opens_namespace_or_type(words)});
    } else if (c == '}' && !open.empty()) {
      const Block block = open.back();
      open.pop_back();
      if (!block.scope && std::ranges::all_of(open, is_scope)) {
        functions.push_back({block.line, line - block.line + 1});
      }
    }
    if (c == ';' || c == '{' || c == '}') head = at + 1;
  }
  return functions;
}

}  // namespace godwit::house
