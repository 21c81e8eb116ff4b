#include "tests/vectors/vector_files.hpp"

#include <doctest/doctest.h>
#include <sodium.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>

namespace godwit::vectors {
namespace {

namespace fs = std::filesystem;

struct Tally {
  std::size_t checked = 0;
  std::size_t skipped = 0;
};

// doctest makes the listener below by itself, so the two can only meet here.
Tally& tally() {
  static Tally value;
  return value;
}

std::optional<fs::path> find_file(const std::string& name) {
  const fs::path root = GODWIT_SOURCE_ROOT;  // defined by the build
  const char* given = std::getenv("GODWIT_VECTORS");
  const fs::path directory = given ? fs::path(given) : root.parent_path() / "shared" / "vectors";
  for (const fs::path& path : {directory / name, root / "tests" / "vectors" / name}) {
    std::error_code ignored;
    if (fs::is_regular_file(path, ignored)) return path;
  }
  return {};
}

struct TallyListener : doctest::IReporter {
  explicit TallyListener(const doctest::ContextOptions&) {}
  void test_run_end(const doctest::TestRunStats&) override {
    std::cout << "vectors: checked " << tally().checked << ", skipped " << tally().skipped << '\n';
  }
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_case_start(const doctest::TestCaseData&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}
};

REGISTER_LISTENER("tally", 1, TallyListener);

}  // namespace

void check_file(const std::string& name, const CheckFile& check) {
  const std::optional<fs::path> path = find_file(name);
  if (!path) {
    std::cout << "vectors: skipped " << name << '\n';
    ++tally().skipped;
    return;
  }
  INFO("file: " << path->string());
  std::ifstream stream(*path);
  const std::size_t checked = check(Json::parse(stream));
  CHECK_MESSAGE(checked > 0, "no vector of this file applies");
  tally().checked += checked;
}

wire::Bytes from_hex(const Json& text) {
  const auto& digits = text.get_ref<const std::string&>();
  if (digits.empty()) return {};  // libsodium wants an address, even for nothing
  wire::Bytes bytes(digits.size() / 2);
  REQUIRE(sodium_hex2bin(bytes.data(), bytes.size(), digits.data(), digits.size(), nullptr, nullptr,
                         nullptr) == 0);
  REQUIRE(bytes.size() * 2 == digits.size());
  return bytes;
}

}  // namespace godwit::vectors
