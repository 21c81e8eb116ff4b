#include "tests/unit/house/house_rules.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <regex>
#include <set>

namespace godwit::house {
namespace {

constexpr std::array<std::string_view, 2> kGeneratedHeaders{"schema/godwit_generated.h",
                                                            "schema/payload_generated.h"};
constexpr std::string_view kReadme = "relay/README.md";

bool under(std::string_view path, std::initializer_list<std::string_view> folders) {
  return std::ranges::any_of(folders, [&](auto folder) { return path.starts_with(folder); });
}

bool in_folder_named(std::string_view path, std::string_view name) {
  return path.find("/" + std::string(name) + "/") != std::string_view::npos;
}

bool is_product(std::string_view path) {
  return under(path, {"relay/", "schema/", "client-sdk/", "tools/"});
}

bool is_installed(std::string_view path) {
  return under(path, {"relay/", "schema/", "client-sdk/"});
}

// A Client, down to the interface that stands for its machine.
bool is_client(std::string_view path) {
  return under(path,
               {"client-sdk/src/client.", "client-sdk/src/engine.", "client-sdk/src/event_queue.",
                "client-sdk/src/platform.", "client-sdk/src/speaker."});
}

bool is_codec(std::string_view path) {
  return path.starts_with("schema/wire/codec_") || path == "schema/wire/messages.cpp" ||
         path == "schema/wire/payload_codec.cpp";
}

bool is_generated(std::string_view name) {
  return std::ranges::find(kGeneratedHeaders, name) != kGeneratedHeaders.end();
}

// What decides, and so can be simulated: no socket, loop or store behind it.
bool is_relay_core(std::string_view path) {
  return under(path, {"relay/slot/", "relay/delivery/", "relay/policy/", "relay/handlers/",
                      "relay/session/"});
}

// Where an include lies in the tree: the SDK's public headers are named as an app names them.
std::string path_of(const std::string& included) {
  return included.starts_with("godwit/") ? "client-sdk/include/" + included : included;
}

struct Rule {
  std::string_view words;
  bool (*binds)(std::string_view file);
  bool (*forbids)(std::string_view included);
};

using View = std::string_view;
constexpr std::array kRules{
    Rule{"the relay does not know the SDK", [](View file) { return file.starts_with("relay/"); },
         [](View name) { return name.starts_with("client-sdk/"); }},
    Rule{"the SDK does not know the relay",
         [](View file) { return file.starts_with("client-sdk/"); },
         [](View name) { return name.starts_with("relay/"); }},
    Rule{"the contract knows neither end", [](View file) { return file.starts_with("schema/"); },
         [](View name) {
           return under(name, {"relay/", "client-sdk/"});
         }},
    Rule{"what is installed knows no test and no tool", is_installed,
         [](View name) {
           return under(name, {"tests/", "tools/", "doctest/"});
         }},
    Rule{"libuv has one door, schema/net/",
         [](View file) { return !file.starts_with("schema/net/"); },
         [](View name) { return name == "uv.h"; }},
    // A test may read the file past the store, as the thief of a disk would.
    Rule{"LMDB has one door, a store/ folder",
         [](View file) { return is_product(file) && !in_folder_named(file, "store"); },
         [](View name) { return name == "lmdb.h"; }},
    Rule{"libsodium is for schema/wire/ and crypto/ folders",
         [](View file) {
           return is_product(file) && !file.starts_with("schema/wire/") &&
                  !in_folder_named(file, "crypto");
         },
         [](View name) { return name == "sodium.h"; }},
    Rule{"FlatBuffers is for the codec",
         [](View file) { return is_product(file) && !is_codec(file); },
         [](View name) { return is_generated(name) || name.starts_with("flatbuffers/"); }},
    Rule{"what decides knows no socket, loop or store", is_relay_core,
         [](View name) {
           if (name.starts_with("relay/store/")) return name != "relay/store/batch.hpp";
           return under(name, {"schema/net/", "relay/net/", "relay/worker.", "relay/server.",
                               "relay/shard."});
         }},
    Rule{"an operation knows no session",
         [](View file) {
           return under(file, {"relay/slot/", "relay/delivery/", "relay/policy/"});
         },
         [](View name) {
           return under(name, {"relay/session/", "relay/handlers/"});
         }},
    Rule{"the store knows nothing of the relay around it",
         [](View file) { return file.starts_with("relay/store/"); },
         [](View name) { return name.starts_with("relay/") && !name.starts_with("relay/store/"); }},
    Rule{"the client's core knows no socket, loop or thread",
         [](View file) { return file.starts_with("client-sdk/src/core/"); },
         [](View name) {
           return under(name,
                        {"schema/net/", "client-sdk/src/connection.", "client-sdk/src/engine."});
         }},
    Rule{"a client knows its machine through the platform alone", is_client,
         [](View name) {
           return under(name, {"schema/net/", "client-sdk/src/connection."});
         }},
    Rule{"the device's store knows nothing of the client around it",
         [](View file) { return file.starts_with("client-sdk/src/store/"); },
         [](View name) { return name.starts_with("client-sdk/src/core/"); }},
    Rule{"cryptography knows neither store nor core",
         [](View file) { return file.starts_with("client-sdk/src/crypto/"); },
         [](View name) {
           return under(name, {"client-sdk/src/core/", "client-sdk/src/store/", "schema/net/"});
         }},
    Rule{"an app needs nothing but the public headers",
         [](View file) {
           return under(file, {"client-sdk/include/", "client-sdk/examples/", "tools/godwit/"});
         },
         [](View name) {
           return under(name, {"client-sdk/src/", "tl/"});
         }},
    Rule{"ops is called by anyone and calls no one",
         [](View file) { return file.starts_with("relay/ops/"); },
         [](View name) {
           return name.starts_with("relay/") && !name.starts_with("relay/ops/") &&
                  name != "relay/config.hpp";
         }},
};

// Walks all that a file includes, and keeps how it got there.
class Reach {
 public:
  Reach(const SourceTree& tree, const std::string& file) : tree_(tree) { visit(file, file); }

  // Name -> "file -> header -> name", without the file itself.
  [[nodiscard]] const std::map<std::string, std::string>& ways() const { return ways_; }

 private:
  void visit(const std::string& path, const std::string& way) {
    const auto file = tree_.find(path_of(path));
    if (file == tree_.end()) return;
    for (const Include& include : includes_of(file->second)) {
      const std::string further = way + " -> " + include.name;
      if (ways_.emplace(include.name, further).second) visit(include.name, further);
    }
  }

  const SourceTree& tree_;
  std::map<std::string, std::string> ways_;
};

std::string at(const std::string& path, std::size_t line) {
  return path + ":" + std::to_string(line) + ": ";
}

// "slot/engine" of "slot/engine.cpp".
std::string without_extension(const std::string& path) {
  return path.substr(0, path.rfind('.'));
}

// What stands in backticks in the section and looks like a path: it has a slash.
std::set<std::string> listed_paths(std::string_view readme) {
  static const std::regex kPath(R"(`([a-z_-]+/[a-z_/.-]*)`)");
  std::set<std::string> listed;
  bool inside = false;
  for (const auto line : lines_of(readme)) {
    if (line.starts_with("#")) inside = line.ends_with(" The path of a message");
    if (!inside) continue;
    const std::string text(line);
    for (std::sregex_iterator match(text.begin(), text.end(), kPath), end; match != end; ++match) {
      listed.insert((*match)[1].str());
    }
  }
  return listed;
}

// A folder ("ops/"), a file, or both files of a name.
bool is_there(const SourceTree& tree, const std::string& path) {
  if (path.ends_with("/")) {
    const auto first = tree.lower_bound(path);
    return first != tree.end() && first->first.starts_with(path);
  }
  return tree.contains(path) || tree.contains(path + ".cpp") || tree.contains(path + ".hpp");
}

// Characters, not bytes: a continuation byte of UTF-8 takes no column.
std::size_t columns_of(std::string_view line) {
  return static_cast<std::size_t>(std::ranges::count_if(
      line, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

Breaches check_includes(const SourceTree& tree) {
  Breaches breaches;
  for (const auto& [path, text] : tree) {
    if (!is_cpp(path)) continue;
    for (const Include& include : includes_of(text)) {
      if (!include.quoted || is_generated(include.name)) continue;
      if (!tree.contains(path_of(include.name))) {
        breaches.push_back(at(path, include.line) + include.name + " is no path from the root");
      }
    }
    const Reach reach(tree, path);
    for (const Rule& rule : kRules) {
      if (!rule.binds(path)) continue;
      for (const auto& [name, way] : reach.ways()) {
        if (rule.forbids(name)) breaches.push_back(way + ": " + std::string(rule.words));
      }
    }
  }
  return breaches;
}

Breaches check_path_of_a_message(const SourceTree& tree) {
  const auto readme = tree.find(std::string(kReadme));
  if (readme == tree.end()) return {std::string(kReadme) + " is not there"};
  const auto listed = listed_paths(readme->second);
  if (listed.empty()) return {std::string(kReadme) + ": \"The path of a message\" lists no file"};

  // The text names the relay's files from its own folder, others from the root.
  const std::string folder = "relay/";
  Breaches breaches;
  for (const std::string& path : listed) {
    if (!is_there(tree, folder + path) && !is_there(tree, path)) {
      breaches.push_back(std::string(kReadme) + ": no file " + path);
    }
  }
  for (const auto& [path, text] : tree) {
    if (!path.ends_with(".cpp")) continue;
    if (!under(path, {"relay/net/", "relay/session/", "relay/handlers/", "relay/slot/",
                      "relay/store/", "relay/delivery/"})) {
      continue;
    }
    const std::string name = path.substr(folder.size());
    if (!listed.contains(name) && !listed.contains(without_extension(name))) {
      breaches.push_back(path + ": not listed in " + std::string(kReadme));
    }
  }
  return breaches;
}

Breaches check_sizes(const SourceTree& tree) {
  Breaches breaches;
  const auto over = [](std::size_t size, const char* unit, std::size_t max) {
    return std::to_string(size) + ' ' + unit + ", more than " + std::to_string(max);
  };
  for (const auto& [path, text] : tree) {
    if (!is_cpp(path)) continue;
    const auto lines = lines_of(text);
    if (lines.size() > kFileLinesMax) {
      breaches.push_back(path + ": " + over(lines.size(), "lines", kFileLinesMax));
    }
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const std::size_t columns = columns_of(lines[i]);
      if (columns > kLineColumnsMax) {
        breaches.push_back(at(path, i + 1) + over(columns, "columns", kLineColumnsMax));
      }
    }
    for (const Function& function : functions_of(text)) {
      if (function.size > kFunctionLinesMax) {
        breaches.push_back(at(path, function.line) +
                           over(function.size, "lines in a function", kFunctionLinesMax));
      }
    }
  }
  return breaches;
}

}  // namespace godwit::house
