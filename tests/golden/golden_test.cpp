// The bytes of every kind of frame, kept in files. When the encoding of a frame changes, this
// test fails, and the change is either a defect or a new protocol version.
// With GODWIT_REWRITE_GOLDEN=1 in the environment it writes the files anew first.

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "schema/wire/codec.hpp"
#include "tests/golden/dump.hpp"
#include "tests/golden/samples.hpp"

namespace godwit::test {
namespace {

[[nodiscard]] std::filesystem::path golden_file(std::string_view name) {
  return std::filesystem::path(GODWIT_GOLDEN_DIR) / (std::string(name) + ".bin");
}

[[nodiscard]] bool rewriting() {
  const char* asked = std::getenv("GODWIT_REWRITE_GOLDEN");
  return asked != nullptr && std::string_view(asked) == "1";
}

[[nodiscard]] wire::Bytes read_golden(std::string_view name) {
  std::ifstream file(golden_file(name), std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void write_golden(std::string_view name, wire::ByteView bytes) {
  std::ofstream file(golden_file(name), std::ios::binary | std::ios::trunc);
  std::copy(bytes.begin(), bytes.end(), std::ostreambuf_iterator<char>(file));
  REQUIRE(file.flush().good());
}

template <class Frame, class Parse>
void check(const Sample<Frame>& sample, Parse parse) {
  CAPTURE(sample.name);
  wire::Encoder encoder;
  const wire::ByteView encoded = encoder.encode(sample.frame);
  if (rewriting()) write_golden(sample.name, encoded);

  const wire::Bytes golden = read_golden(sample.name);  // operator new aligns it well enough
  CHECK(golden == wire::Bytes(encoded.begin(), encoded.end()));
  const auto parsed = parse(golden);
  REQUIRE(parsed.has_value());
  CHECK(text_of(*parsed) == text_of(sample.frame));
}

}  // namespace

TEST_SUITE("tests/golden") {
  TEST_CASE("a request is encoded as its golden bytes and read back from them") {
    for (const auto& sample : request_samples()) check(sample, wire::parse_request);
  }

  TEST_CASE("a reply or an event is encoded as its golden bytes and read back from them") {
    for (const auto& sample : relay_samples()) check(sample, wire::parse_relay_frame);
  }

  TEST_CASE("every kind of frame has a golden file, and every golden file a frame") {
    std::set<std::string> expected;
    std::set<std::size_t> requests;
    std::set<std::size_t> replies;
    for (const auto& sample : request_samples()) {
      expected.insert(golden_file(sample.name).filename());
      requests.insert(sample.frame.body.index());
    }
    for (const auto& sample : relay_samples()) {
      expected.insert(golden_file(sample.name).filename());
      replies.insert(sample.frame.body.index());
    }
    CHECK(requests.size() == std::variant_size_v<decltype(wire::Request::body)>);
    CHECK(replies.size() == std::variant_size_v<decltype(wire::RelayFrame::body)>);

    std::set<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(GODWIT_GOLDEN_DIR)) {
      if (entry.path().extension() == ".bin") found.insert(entry.path().filename());
    }
    CHECK(found == expected);
  }
}

}  // namespace godwit::test
