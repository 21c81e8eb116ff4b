#include <doctest/doctest.h>

#include "tests/unit/house/house_rules.hpp"

namespace godwit::house {
namespace {

// Defined by the build.
const SourceTree& this_tree() {
  static const SourceTree tree = read_source_tree(GODWIT_SOURCE_ROOT);
  return tree;
}

std::string joined(const Breaches& breaches) {
  std::string text;
  for (const std::string& breach : breaches) text += breach + '\n';
  return text;
}

// A file that includes one header, beside files that keep every rule.
Breaches planted(const std::string& path, const std::string& include) {
  return check_includes({
      {path, "#pragma once\n#include " + include + "\n"},
      {"client-sdk/include/godwit/client.hpp", ""},
      {"client-sdk/src/client.hpp", ""},
      {"client-sdk/src/core/core.hpp", ""},
      {"client-sdk/src/engine.hpp", ""},
      {"relay/config.hpp", ""},
      {"relay/server.hpp", ""},
      {"relay/session/session.hpp", "#include <vector>\n"},
      {"relay/slot/engine.hpp", ""},
      {"relay/store/batch.hpp", ""},
      {"relay/store/store.hpp", ""},
      {"relay/store/txn.hpp", "#include <lmdb.h>\n"},
      {"schema/net/handle.hpp", "#include <uv.h>\n"},
      {"schema/net/loop.hpp", ""},
      {"schema/wire/frame.hpp", ""},
      {"tests/support/devices.hpp", ""},
  });
}

std::string lines(std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += "int x;\n";
  return text;
}

std::string function_of(std::size_t size) {
  return "namespace a {\nstruct B {\nvoid f(int n) const {\n" + lines(size - 2) + "}\n};\n}\n";
}

}  // namespace

TEST_SUITE("house") {
  TEST_CASE("every file of this tree keeps the include rules") {
    CHECK(this_tree().size() > 100);
    CHECK(joined(check_includes(this_tree())) == "");
  }

  TEST_CASE("the numbered path of a message names every file it is made of, and no other") {
    CHECK(joined(check_path_of_a_message(this_tree())) == "");
  }

  TEST_CASE("files, lines and functions of this tree stay under their sizes") {
    CHECK(joined(check_sizes(this_tree())) == "");
  }

  TEST_CASE("a planted include that breaks a rule is reported") {
    struct Plant {
      const char* path;
      const char* include;
      const char* words;  // empty: it is allowed
    };
    const Plant plants[]{
        {"relay/main.cpp", "\"client-sdk/src/client.hpp\"", "the relay does not know the SDK"},
        {"client-sdk/src/a.cpp", "\"relay/config.hpp\"", "the SDK does not know the relay"},
        {"schema/wire/a.cpp", "\"relay/config.hpp\"", "the contract knows neither end"},
        {"schema/net/a.cpp", "\"client-sdk/src/client.hpp\"", "the contract knows neither end"},
        {"relay/a.cpp", "\"tests/support/devices.hpp\"", "knows no test and no tool"},
        {"relay/worker.cpp", "<uv.h>", "libuv has one door"},
        {"schema/net/a.cpp", "<uv.h>", ""},
        {"relay/slot/a.cpp", "<lmdb.h>", "LMDB has one door"},
        {"client-sdk/src/store/a.cpp", "<lmdb.h>", ""},
        {"relay/slot/a.cpp", "<sodium.h>", "libsodium is for"},
        {"client-sdk/src/crypto/a.cpp", "<sodium.h>", ""},
        {"relay/handlers/a.cpp", "\"schema/godwit_generated.h\"", "FlatBuffers is for the codec"},
        {"schema/wire/codec_parse.cpp", "\"schema/godwit_generated.h\"", ""},
        {"relay/slot/a.cpp", "\"relay/store/store.hpp\"", "what decides knows no"},
        {"relay/slot/a.cpp", "\"relay/store/batch.hpp\"", ""},
        {"relay/session/a.cpp", "\"schema/net/loop.hpp\"", "what decides knows no"},
        {"relay/policy/a.cpp", "\"relay/server.hpp\"", "what decides knows no"},
        {"relay/slot/a.cpp", "\"relay/session/session.hpp\"", "an operation knows no session"},
        {"relay/handlers/a.cpp", "\"relay/session/session.hpp\"", ""},
        {"relay/store/a.cpp", "\"relay/slot/engine.hpp\"", "the store knows nothing"},
        {"relay/ops/a.cpp", "\"relay/slot/engine.hpp\"", "ops is called by anyone"},
        {"relay/ops/a.cpp", "\"relay/config.hpp\"", ""},
        {"relay/ops/a.cpp", "\"schema/net/loop.hpp\"", ""},
        {"relay/ops/a.cpp", "\"log.hpp\"", "is no path from the root"},
        {"client-sdk/src/core/a.cpp", "\"schema/net/loop.hpp\"", "core knows no socket"},
        {"client-sdk/src/core/a.cpp", "\"client-sdk/src/engine.hpp\"", "core knows no socket"},
        {"client-sdk/src/engine.cpp", "\"schema/net/loop.hpp\"", "through the platform alone"},
        {"client-sdk/src/platform.hpp", "\"schema/net/loop.hpp\"", "through the platform alone"},
        {"client-sdk/src/native_platform.cpp", "\"schema/net/loop.hpp\"", ""},
        {"client-sdk/src/store/a.cpp", "\"client-sdk/src/core/core.hpp\"", "the device's store"},
        {"client-sdk/src/crypto/a.cpp", "\"client-sdk/src/core/core.hpp\"", "cryptography knows"},
        {"client-sdk/include/godwit/a.hpp", "\"tests/support/devices.hpp\"", "knows no test"},
        {"client-sdk/include/godwit/a.hpp", "\"client-sdk/src/core/core.hpp\"", "an app needs"},
        {"tools/godwit/a.cpp", "\"client-sdk/src/core/core.hpp\"", "an app needs"},
        {"tools/godwit/a.cpp", "\"godwit/client.hpp\"", ""},
    };
    for (const Plant& plant : plants) {
      const std::string found = joined(planted(plant.path, plant.include));
      INFO(plant.path, " includes ", plant.include, ": ", found);
      if (*plant.words == '\0') {
        CHECK(found == "");
      } else {
        CHECK(found.find(plant.words) != std::string::npos);
        CHECK(found.find(plant.path) != std::string::npos);
      }
    }
  }

  TEST_CASE("a rule that is broken through another header is reported with the way there") {
    const Breaches found = check_includes({
        {"relay/slot/a.cpp", "#include \"relay/time.hpp\"\n"},
        {"relay/time.hpp", "#include \"schema/net/loop.hpp\"\n"},
        {"schema/net/loop.hpp", ""},
    });
    REQUIRE(found.size() == 1);
    CHECK(found.front() ==
          "relay/slot/a.cpp -> relay/time.hpp -> schema/net/loop.hpp: "
          "what decides knows no socket, loop or store");
  }

  TEST_CASE("headers that include each other do not hang the check") {
    CHECK(check_includes({{"relay/a.hpp", "#include \"relay/b.hpp\"\n"},
                          {"relay/b.hpp", "#include \"relay/a.hpp\"\n"}})
              .empty());
  }

  TEST_CASE("a path that lists a file that is gone, or misses one, is reported") {
    const std::string readme =
        "# The relay\n`slot/before`\n## The path of a message\n1. `net/listener`, then\n"
        "   `schema/wire/frame.hpp` and `ops/`\n2. `net/gone` says `ready`\n## Threads\n"
        "`slot/after`\n";
    const Breaches found = check_path_of_a_message({
        {"relay/README.md", readme},
        {"relay/net/listener.cpp", ""},
        {"relay/slot/after.cpp", ""},
        {"relay/slot/only_a_header.hpp", ""},
        {"relay/ops/log.cpp", ""},
        {"schema/wire/frame.hpp", ""},
    });
    REQUIRE(found.size() == 2);
    CHECK(found[0] == "relay/README.md: no file net/gone");
    CHECK(found[1] == "relay/slot/after.cpp: not listed in relay/README.md");
    CHECK(check_path_of_a_message({}).size() == 1);
    CHECK(check_path_of_a_message({{"relay/README.md", "# The relay\n"}}).size() == 1);
  }

  TEST_CASE("a file, a line and a function may be as large as the bound, and no larger") {
    const auto sizes = [](std::string text) { return check_sizes({{"relay/a.cpp", text}}).size(); };
    CHECK(sizes(lines(kFileLinesMax)) == 0);
    CHECK(sizes(lines(kFileLinesMax + 1)) == 1);
    CHECK(sizes(std::string(kLineColumnsMax, 'x')) == 0);
    CHECK(sizes(std::string(kLineColumnsMax + 1, 'x')) == 1);
    CHECK(sizes("// " + std::string(kLineColumnsMax - 4, 'x') + "\u00e9") == 0);
    CHECK(sizes(function_of(kFunctionLinesMax)) == 0);
    CHECK(sizes(function_of(kFunctionLinesMax + 1)) == 1);
  }

  TEST_CASE("braces in comments and literals open no function") {
    const auto functions = functions_of(
        "// {\n/* { */\nconst char* a() {\n  return \"{\\\"\" R\"x({\")x\" + '{' + 1'000;\n}\n"
        "#define OPEN {\nenum class E { one };\nint b() { return 1; }\n");
    REQUIRE(functions.size() == 2);
    CHECK(functions[0].line == 3);
    CHECK(functions[0].size == 3);
    CHECK(functions[1].line == 8);
    CHECK(functions[1].size == 1);
  }
}

}  // namespace godwit::house
