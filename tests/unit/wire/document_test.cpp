// The protocol document against the code: the constants it lists, the names it must not leave out,
// and the bytes of its worked examples.
#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <vector>

#include "relay/limits.hpp"
#include "schema/wire/bytes.hpp"
#include "schema/wire/limits.hpp"
#include "schema/wire/messages.hpp"
#include "schema/wire/payload.hpp"

TEST_SUITE_BEGIN("schema/README.md");

namespace {

using namespace godwit::wire;
namespace relay = godwit::relay;

[[nodiscard]] std::string read_source(const std::string& path) {
  const auto file = std::filesystem::path(GODWIT_SOURCE_ROOT) / path;
  std::ifstream stream(file, std::ios::binary);
  REQUIRE_MESSAGE(stream.is_open(), file.string());
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

[[nodiscard]] std::string document() {
  return read_source("schema/README.md");
}

// The names of all test cases. A long one stands in the source as several literals.
[[nodiscard]] std::set<std::string> names_of_tests() {
  const std::filesystem::path root(GODWIT_SOURCE_ROOT);
  constexpr std::string_view kSpace = " \n";
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root / "tests")) {
    if (entry.path().extension() != ".cpp") continue;
    const std::string source = read_source(std::filesystem::relative(entry.path(), root).string());
    constexpr std::string_view kBegin = "TEST_CASE(";
    for (auto at = source.find(kBegin); at != std::string::npos; at = source.find(kBegin, at)) {
      std::string name;
      at = source.find_first_not_of(kSpace, at + kBegin.size());
      while (at != std::string::npos && source[at] == '"') {
        const auto end = source.find('"', at + 1);
        name += source.substr(at + 1, end - at - 1);
        at = source.find_first_not_of(kSpace, end + 1);
      }
      names.insert(name);
    }
  }
  return names;
}

using Rows = std::map<std::string, std::uint64_t>;

// The rows `| kName | value | meaning |` below a heading or a table's first line, up to the next
// heading.
[[nodiscard]] Rows rows_below(const std::string& text, const std::string& title) {
  const auto begin = text.find(title);
  REQUIRE_MESSAGE(begin != std::string::npos, title);
  const auto end = text.find("\n## ", begin + 1);
  std::istringstream lines(text.substr(begin, end - begin));
  const std::regex row(R"(\| (k\w+) \| (\d+) \| .+ \|)");
  Rows rows;
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (!std::regex_match(line, match, row)) continue;
    CHECK_MESSAGE(rows.emplace(match[1], std::stoull(match[2])).second, match[1].str());
  }
  return rows;
}

// Every constant that a header defines, by name.
[[nodiscard]] std::set<std::string> constants_of(const std::string& header) {
  const std::regex definition(R"(inline constexpr [\w:]+ (k\w+)\s*[={])");
  std::set<std::string> names;
  for (std::sregex_iterator at(header.begin(), header.end(), definition), end; at != end; ++at) {
    names.insert((*at)[1]);
  }
  return names;
}

[[nodiscard]] std::set<std::string> names_of(const Rows& rows) {
  std::set<std::string> names;
  for (const auto& [name, value] : rows) names.insert(name);
  return names;
}

// Whether `name` stands in the text as a word of its own.
[[nodiscard]] bool names(const std::string& text, const std::string& name) {
  return std::regex_search(text, std::regex("\\b" + name + "\\b"));
}

[[nodiscard]] Rows wire_constants() {
  return {
      {"kProtocolVersion", kProtocolVersion},
      {"kProtocolVersionMin", kProtocolVersionMin},
      {"kNoiseMessageSizeMax", kNoiseMessageSizeMax},
      {"kNoiseTagSize", kNoiseTagSize},
      {"kRecordHeaderSize", kRecordHeaderSize},
      {"kHelloSize", kHelloSize},
      {"kRecordPlaintextSizeMax", kRecordPlaintextSizeMax},
      {"kRekeyInterval", kRekeyInterval},
      {"kConnectionAgeMax", static_cast<std::uint64_t>(kConnectionAgeMax.count())},
      {"kFrameHeaderSize", kFrameHeaderSize},
      {"kFrameSizeMax", kFrameSizeMax},
      {"kFrameSizeMaxBeforeLogin", kFrameSizeMaxBeforeLogin},
      {"kFrameSizeMin", kFrameSizeMin},
      {"kVerifierTablesMax", kVerifierTablesMax},
      {"kVerifierDepthMax", kVerifierDepthMax},
      {"kEnvelopeSizeMax", kEnvelopeSizeMax},
      {"kRecipientsMax", kRecipientsMax},
      {"kBodiesMax", kBodiesMax},
      {"kAckNumbersMax", kAckNumbersMax},
      {"kDevicesMax", kDevicesMax},
      {"kSuitesMax", kSuitesMax},
      {"kOneTimeKeysPerRequestMax", kOneTimeKeysPerRequestMax},
      {"kListsPerReplyMax", kListsPerReplyMax},
      {"kNameSizeMin", kNameSizeMin},
      {"kNameSizeMax", kNameSizeMax},
      {"kDeviceRecordSizeMax", kDeviceRecordSizeMax},
      {"kListBodySizeMax", kListBodySizeMax},
      {"kNoOneTimeKey", kNoOneTimeKey},
      {"kNoList", kNoList},
  };
}

template <class Unit>
[[nodiscard]] std::uint64_t in(Unit value) {
  return static_cast<std::uint64_t>(value.count());
}

[[nodiscard]] Rows relay_constants() {
  using Seconds = std::chrono::seconds;
  return {
      {"kHandshakeDeadline", in(Seconds(relay::kHandshakeDeadline))},
      {"kLoginDeadline", in(Seconds(relay::kLoginDeadline))},
      {"kIdleDeadline", in(Seconds(relay::kIdleDeadline))},
      {"kWriteQueuePauseBytes", relay::kWriteQueuePauseBytes},
      {"kWriteQueueMaxBytes", relay::kWriteQueueMaxBytes},
      {"kCallsInFlightMax", relay::kCallsInFlightMax},
      {"kAcksInFlightMax", relay::kAcksInFlightMax},
      {"kFlightSpanInWindows", relay::kFlightSpanInWindows},
      {"kRecipientsPerToken", relay::kRecipientsPerToken},
      {"kLookupsPerPutKeys", relay::kLookupsPerPutKeys},
      {"kLookupsPerPutDevices", relay::kLookupsPerPutDevices},
      {"kRestAfterRefusal", in(relay::kRestAfterRefusal)},
      {"kLoginAttemptsMax", relay::kLoginAttemptsMax},
      {"kFramesBeforeLoginMax", relay::kFramesBeforeLoginMax},
      {"kOneTimeKeysMax", relay::kOneTimeKeysMax},
      {"kOneTimeKeysLow", relay::kOneTimeKeysLow},
      {"kRetryMailboxFull", in(relay::kRetryMailboxFull)},
      {"kRetryStoreFull", in(relay::kRetryStoreFull)},
      {"kRetryUnknownDevice", in(relay::kRetryUnknownDevice)},
      {"kRetryBusy", in(relay::kRetryBusy)},
  };
}

// The bytes of a worked example: each line is an offset in hexadecimal, bytes, and a remark. A
// line must continue where the one before it ended, so nothing can be left out.
[[nodiscard]] Bytes example_below(const std::string& text, const std::string& title) {
  const auto begin = text.find(title);
  REQUIRE_MESSAGE(begin != std::string::npos, title);
  std::istringstream lines(text.substr(begin + title.size()));
  const std::regex line_form(R"( {4}([0-9a-f]{2,3}) +((?:[0-9a-f]{2}(?: +|$))+).*)");
  Bytes bytes;
  for (std::string line; std::getline(lines, line) && !line.starts_with("**");) {
    std::smatch match;
    if (!std::regex_match(line, match, line_form)) continue;
    CHECK_MESSAGE(std::stoul(match[1], nullptr, 16) == bytes.size(), line);
    std::istringstream digits(match[2]);
    for (std::string byte; digits >> byte;) {
      bytes.push_back(static_cast<std::uint8_t>(std::stoul(byte, nullptr, 16)));
    }
  }
  return bytes;
}

[[nodiscard]] Bytes read_golden(const std::string& name) {
  const std::string content = read_source("tests/golden/" + name);
  return {content.begin(), content.end()};
}

}  // namespace

TEST_CASE("the table of limits has every constant of wire/limits with its value") {
  const Rows rows = rows_below(document(), "\n## Limits\n");
  CHECK(rows == wire_constants());
  CHECK(names_of(rows) == constants_of(read_source("schema/wire/limits.hpp")));
}

TEST_CASE("the numbers of the relay stand in the document as they are in its limits") {
  CHECK(rows_below(document(), "\n## Rates and timeouts\n") == relay_constants());
}

TEST_CASE("the bounds of payloads stand in ENVELOPE.md as they are in the code") {
  const std::string text = read_source("schema/ENVELOPE.md");
  const auto says = [&](const std::string& words) {
    CHECK_MESSAGE(text.find(words) != std::string::npos, words);
  };
  const auto thousands = std::to_string(kPayloadSizeMax / 1'000);
  const auto rest = std::to_string(1'000 + kPayloadSizeMax % 1'000).substr(1);
  says("\nA FlatBuffer of at most " + thousands + "," + rest + " bytes, root `Payload`");
  says("; text: UTF-8, 1 byte to " + std::to_string(kTextSizeMax / 1'024) + " KiB | receipt |\n");
  says("\n| Receipt | at most " + std::to_string(kReceiptRangesMax) + " ranges, ");
  says("\n| Repair | 1 to " + std::to_string(kRepairSeqsMax) + " numbers, ");
  says("\n| Reset | at most " + std::to_string(kResetHashesMax) + " hashes | ");
}

TEST_CASE("every table and struct of the schema is named in the document") {
  const std::string text = document();
  // Ids, keys and signatures are said in words.
  const std::set<std::string> said_in_words{"Id", "Key", "Signature"};
  std::size_t seen = 0;
  for (const char* file :
       {"common.fbs", "request.fbs", "reply.fbs", "event.fbs", "relay_frame.fbs"}) {
    const std::string schema = read_source(std::string("schema/") + file);
    const std::regex definition(R"((?:table|struct) (\w+) \{)");
    for (std::sregex_iterator at(schema.begin(), schema.end(), definition), end; at != end; ++at) {
      const std::string name = (*at)[1];
      if (said_in_words.contains(name)) continue;
      ++seen;
      CHECK_MESSAGE(names(text, name), name);
    }
  }
  CHECK(seen == 29);  // a new one is counted here on purpose
}

TEST_CASE("each request has its own section, and each reply and event an entry") {
  const std::string text = document();
  for (const char* name : {"Login", "Register", "PutDevices", "PutKeys", "GetUser", "GetPrekeys",
                           "SetName", "Submit", "Ack", "Ping"}) {
    CHECK_MESSAGE(text.find(std::string("\n### ") + name + "\n") != std::string::npos, name);
  }
  for (const char* name : {"Refused", "Welcome", "Done", "User", "Prekeys", "Submitted"}) {
    CHECK_MESSAGE(text.find(std::string("\n| ") + name + " | ") != std::string::npos, name);
  }
  for (const char* name : {"Deliver", "CaughtUp", "KeysLow", "Closing"}) {
    CHECK_MESSAGE(text.find(std::string("\n- **") + name + "**: ") != std::string::npos, name);
  }
}

TEST_CASE("the table of errors has every code with its number") {
  const std::string text = document();
  for (unsigned code = 0; code <= kErrorCodeMax; ++code) {
    const std::string name(name_of(static_cast<ErrorCode>(code)));
    const std::string row = "\n| " + std::to_string(code) + " | `" + name + "` | ";
    CHECK_MESSAGE(text.find(row) != std::string::npos, name);
  }
  const std::string next = "\n| " + std::to_string(kErrorCodeMax + 1U) + " | `";
  CHECK(text.find(next) == std::string::npos);
}

TEST_CASE("every limit that Welcome carries is explained") {
  const std::string schema = read_source("schema/reply.fbs");
  const auto begin = schema.find("table Limits {");
  REQUIRE(begin != std::string::npos);
  const std::string limits = schema.substr(begin, schema.find('}', begin) - begin);
  const std::string text = document();
  const std::regex field(R"(\n  (\w+):)");
  std::size_t seen = 0;
  for (std::sregex_iterator at(limits.begin(), limits.end(), field), end; at != end; ++at) {
    ++seen;
    const std::string name = (*at)[1];
    CHECK_MESSAGE(text.find("`" + name + "`") != std::string::npos, name);
  }
  CHECK(seen == 16);
}

TEST_CASE("the worked examples are the golden frames, byte for byte") {
  const std::string text = document();
  CHECK(to_hex(example_below(text, "**A Login**")) == to_hex(read_golden("login.bin")));
  CHECK(to_hex(example_below(text, "**A Submit**")) == to_hex(read_golden("submit.bin")));
}

TEST_CASE("each thing that nobody can do names tests, and they are there") {
  const std::string text = document();
  std::istringstream lines(text.substr(text.find("## Who can do what")));
  std::vector<std::string> claims;  // with what follows each, as one line
  bool cannot = false;
  for (std::string line; std::getline(lines, line);) {
    if (line == "Cannot:") {
      cannot = true;
    } else if (cannot && line.starts_with("- ")) {
      claims.push_back(line);
    } else if (cannot && line.starts_with("  ")) {
      claims.back() += line.substr(1);
    } else {
      cannot = cannot && line.empty();
    }
  }
  CHECK(claims.size() == 22);  // a new one is counted here on purpose
  const std::set<std::string> tests = names_of_tests();
  CHECK(tests.size() > 700);
  const std::regex quoted("\"([^\"]+)\"");
  for (const std::string& claim : claims) {
    const auto begin = claim.find(" Tests: ");
    CHECK_MESSAGE(begin != std::string::npos, claim);
    if (begin == std::string::npos) continue;
    const std::string named = claim.substr(begin);
    CHECK_MESSAGE(std::regex_search(named, quoted), claim);
    for (std::sregex_iterator at(named.begin(), named.end(), quoted), end; at != end; ++at) {
      CHECK_MESSAGE(tests.contains((*at)[1]), (*at)[1].str());
    }
  }
}

TEST_CASE("the protocol version of the code has its dated line in the list of changes") {
  const std::regex line("\n- " + std::to_string(kProtocolVersion) + R"(, \d{4}-\d{2}-\d{2}: )");
  CHECK(std::regex_search(read_source("schema/CHANGES.md"), line));
}

TEST_SUITE_END();
