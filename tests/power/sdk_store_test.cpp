// The power goes while a device's database works, a rotation of its keys among it: whatever the
// disk then holds, it opens and has every commit that returned, or these and the one that was
// under way, whole.
#include <map>

#include "tests/power/disk.hpp"
#include "tests/power/recorder.hpp"
#include "tests/support/fixed_random.hpp"
#include "tests/unit/client-sdk/store/store_support.hpp"

namespace godwit::store {
namespace {

using power::Promised;

constexpr std::uint64_t kCommits = 60;
constexpr std::uint64_t kCommitsPerOpening = 23;
constexpr std::uint64_t kCommitsPerRotation = 17;
constexpr std::uint64_t kSuffixes = 12;  // of records in each table
constexpr std::uint64_t kImages = 2'400;

using Content = std::map<std::pair<Table, std::uint64_t>, Bytes>;  // by table and suffix

OpenOptions repeatable_options(const std::filesystem::path& directory) {
  return {directory, {}, test::FixedRandom("the device's random source")};
}

void put(WriteTxn& txn, Content& content, Table table, std::uint64_t number, std::size_t size) {
  const std::uint64_t suffix = number % kSuffixes;
  const Bytes value = value_of(number, size);
  REQUIRE(txn.put(table, some_name(), suffix_of(suffix), value));
  content[{table, suffix}] = value;
}

void erase(WriteTxn& txn, Content& content, Table table, std::uint64_t number) {
  const std::uint64_t suffix = number % kSuffixes;
  REQUIRE(txn.erase(table, some_name(), suffix_of(suffix)));
  content.erase({table, suffix});
}

// As a round of the client does: something of each table, some of it long, some of it gone.
[[nodiscard]] Result<void> commit(Database& database, std::uint64_t number, Content& content) {
  auto txn = database.write();
  REQUIRE(txn);
  for (const Table table : kTablesUsed) {
    put(*txn, content, table, number, 60 + 5 * number);
    if (number % 3 == 0) put(*txn, content, table, number + 1, 3'000);
    if (number % 4 == 0) erase(*txn, content, table, number + 5);
  }
  if (number % 5 == 0) put(*txn, content, Table::messages, number + 2, 9'000);
  return std::move(*txn).commit();
}

// What the database must hold after each commit; [0] is before the first.
struct Play {
  power::Recording recording;
  std::vector<Content> after{1};
};

Play play() {
  const TemporaryDirectory directory;
  const OpenOptions options = repeatable_options(directory.path());
  REQUIRE(Database::create(options));
  Play out;
  power::begin(directory.path());
  std::optional<Database> database;
  for (std::uint64_t number = 1; number <= kCommits; ++number) {
    if (number % kCommitsPerOpening == 1) {
      database.reset();
      auto opened = Database::open(options);
      REQUIRE(opened);
      database.emplace(std::move(*opened));
    }
    if (number % kCommitsPerRotation == 0) REQUIRE(database->rotate_session_key());
    Content content = out.after.back();
    power::note({power::kBegun, number});
    REQUIRE(commit(*database, number, content));
    power::note({power::kAcked, number});
    out.after.push_back(std::move(content));
  }
  database.reset();
  out.recording = power::end();
  return out;
}

Content content_of(const Database& database) {
  Content content;
  const auto txn = database.read();
  REQUIRE(txn);
  for (const Table table : kTablesUsed) {
    for (std::uint64_t suffix = 0; suffix < kSuffixes; ++suffix) {
      const auto value = txn->get(table, some_name(), suffix_of(suffix));
      REQUIRE(value);  // sound
      if (*value) content[{table, suffix}] = **value;
    }
  }
  const auto check = database.check();
  REQUIRE(check);
  REQUIRE(check->damaged == 0);
  REQUIRE(check->records == content.size());
  return content;
}

Database opened(const std::filesystem::path& image) {
  auto database = Database::open(options_of(image));
  CAPTURE(database ? "" : describe(database.error()));
  REQUIRE(database);
  return std::move(*database);
}

void check_image(const Play& play, const std::filesystem::path& image, power::Notes notes) {
  const Promised promised = power::promised_by(notes);
  CAPTURE(promised.acked);
  CAPTURE(promised.begun);
  Content content = content_of(opened(image));
  const bool as_acked = content == play.after[promised.acked];
  REQUIRE((as_acked || content == play.after[promised.begun]));
  {
    Database database = opened(image);
    REQUIRE((content_of(database) == content));
    REQUIRE(commit(database, kCommits + 12, content));
  }
  REQUIRE((content_of(opened(image)) == content));
}

}  // namespace

TEST_SUITE("client-sdk/store/power") {
  TEST_CASE("whatever a power loss leaves, a device has every commit that returned") {
    const Play played = play();
    REQUIRE(power::whole(played.recording));
    const TemporaryDirectory temporary;
    const auto made =
        power::cut_everywhere(played.recording, temporary.path() / "image", kImages,
                              [&](const std::filesystem::path& image, power::Notes notes) {
                                check_image(played, image, notes);
                              });
    CHECK(made > 0);
  }
}

}  // namespace godwit::store
