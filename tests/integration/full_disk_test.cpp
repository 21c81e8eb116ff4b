// A relay whose disk or map is full refuses, goes on without help when there is room again, and
// loses nothing of what it accepted; one whose disk fails stops.
#include <lmdb.h>
#include <signal.h>

#include <fstream>
#include <iterator>

#include "tests/integration/story.hpp"
#include "tests/support/small_disk.hpp"

namespace godwit::integration {
namespace {

using support::SmallDisk;

constexpr std::size_t kEnvelopeSize = 60'000;
constexpr std::uint64_t kEnvelopesMax = 5'000;  // far more than the stores here can hold

std::string text_of(std::uint64_t number) {
  std::string text = std::to_string(number);
  return text + std::string(kEnvelopeSize - text.size(), 'x');
}

// A backup that goes on for long: while it reads, no page that it may still want is written over.
class LongBackup {
 public:
  explicit LongBackup(const std::filesystem::path& store) {
    REQUIRE(mdb_env_create(&env_) == 0);
    REQUIRE(mdb_env_open(env_, store.c_str(), MDB_RDONLY, 0600) == 0);
    REQUIRE(mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn_) == 0);
  }
  ~LongBackup() {
    mdb_txn_abort(txn_);
    mdb_env_close(env_);
  }
  LongBackup(const LongBackup&) = delete;
  LongBackup& operator=(const LongBackup&) = delete;

 private:
  MDB_env* env_ = nullptr;
  MDB_txn* txn_ = nullptr;
};

// How many envelopes from one to the other were accepted before the store was full.
std::uint64_t fill(Device& from, const Device& to) {
  std::uint64_t accepted = 0;
  Answer answer;
  for (; accepted < kEnvelopesMax; ++accepted) {
    answer = from.submit(to.account(), accepted, text_of(accepted));
    if (!answer.accepted()) break;
  }
  REQUIRE(answer.outcomes.size() == 1);
  CHECK(answer.outcomes[0].code == ErrorCode::store_full);
  CHECK(answer.outcomes[0].retry_after_ms > 0);
  CHECK(accepted > 10);
  return accepted;
}

// Fills the store, drains it, and fills it once more. `reached`: what it is that has no room.
void fill_and_drain(Story& story, const std::string& reached) {
  const pid_t pid = story.relay.pid();
  auto& anna = story.member(1);
  auto& berta = story.absent(2);
  const std::uint64_t accepted = fill(anna, berta);
  CHECK(story.relay.status().queued_envelopes == accepted);
  CHECK(story.relay.status().store_at_size_max == (reached == "size_max"));
  story.await_log("warning store_full reached=" + reached);

  berta.come_back();  // it acknowledges each
  berta.await_texts(accepted);
  for (std::uint64_t i = 0; i < accepted; ++i) REQUIRE(berta.inbox[i].text == text_of(i));
  story.await_status(
      [](const auto& figures) { return figures.queued_envelopes == 0 && !figures.store_full; });
  REQUIRE(anna.submit(berta.account(), accepted, text_of(accepted)).accepted());
  berta.await_texts(accepted + 1);
  CHECK(story.relay.pid() == pid);
  CHECK(story.relay.running());
  CHECK_FALSE(anna.closed);
  story.await_log("info store_has_room");
}

TEST_SUITE("tests/integration/full_disk") {
  TEST_CASE("a full disk is a refusal; acknowledging makes room, and submits are accepted again" *
            doctest::skip(!SmallDisk::allowed())) {
    const SmallDisk disk("24m");
    Story story(Settings{{"store.grow_step", "\"1 MiB\""}, {"store.reserve", "\"2 MiB\""}},
                disk.path() / "relay");
    fill_and_drain(story, "disk");
  }

  TEST_CASE("a full map is a refusal; acknowledging makes room, and submits are accepted again") {
    Story story(Settings{{"store.size_max", "\"16 MiB\""},
                         {"store.grow_step", "\"1 MiB\""},
                         {"store.reserve", "\"1 MiB\""}});
    fill_and_drain(story, "size_max");
  }

  TEST_CASE("a relay whose disk takes nothing stops when it is told to, and loses nothing" *
            doctest::skip(!SmallDisk::allowed())) {
    const SmallDisk disk("24m");
    Story story(Settings{{"store.grow_step", "\"1 MiB\""}, {"store.reserve", "\"1 MiB\""}},
                disk.path() / "relay");
    auto& anna = story.member(1);
    auto& berta = story.absent(2);
    const std::uint64_t accepted = fill(anna, berta);
    {
      const LongBackup backup(disk.path() / "relay");
      berta.acks = false;
      berta.connect();
      REQUIRE(berta.login().welcome);
      // One ack, one commit, until there is no page for it. On a machine that is slower than this
      // nothing may wait, and then the relay has an easy stop.
      std::uint64_t answers = 0;
      for (std::uint64_t n = 1; n <= accepted && answers == n - 1; ++n) {
        story.run_until([&] { return berta.inbox.size() >= n; });
        berta.raw().ack(berta.inbox[n - 1].number, [&](const auto&) { ++answers; });
        (void)story.fleet.run_until([&] { return answers == n; }, std::chrono::seconds(3));
      }
      berta.disconnect();
      ::kill(story.relay.pid(), SIGTERM);
      story.relay.await_end(std::chrono::seconds(20));
      CHECK(story.relay.last_status() == 0);
    }
    berta.acks = true;
    story.relay.start();
    const std::uint64_t left = story.relay.status().queued_envelopes;
    CHECK(left > 0);  // else nothing waited
    berta.connect();
    REQUIRE(berta.login().welcome);
    berta.await_texts(left);
    for (std::uint64_t i = 0; i < left; ++i) {
      REQUIRE(berta.inbox[i].text == text_of(accepted - left + i));
    }
  }

  TEST_CASE("a failed commit stops the relay, and what was accepted is there at its next start") {
    const support::TemporaryDirectory switches{support::Medium::disk};
    const auto fails = switches.path() / "fails";
    Story story({}, {},
                {{"LD_PRELOAD", GODWIT_FAILING_SYNC},
                 {"GODWIT_FAIL_SYNC", fails.string()},
                 // A sanitizer's runtime wants to be the first that is loaded.
                 {"ASAN_OPTIONS", "verify_asan_link_order=0"}});
    auto& anna = story.member(1);
    auto& berta = story.absent(2);
    constexpr std::uint64_t kAccepted = 20;
    for (std::uint64_t i = 0; i < kAccepted; ++i) {
      REQUIRE(anna.submit(berta.account(), i, text_of(i)).accepted());
    }
    std::ofstream(fails) << "from now on";
    bool answered = false;
    const std::string text = text_of(kAccepted);
    anna.raw().submit(berta.account(), request_id(kAccepted), wire::as_bytes(text),
                      [&](const wire::RelayFrame&) { answered = true; });
    anna.await_closed();
    CHECK_FALSE(answered);
    CHECK(story.relay.stop() == 1);  // its sockets close when it has already ended
    std::ifstream log(story.directory.path() / "relay" / "log");
    const std::string said{std::istreambuf_iterator<char>(log), {}};
    CHECK(said.find("the store cannot be written: ") != std::string::npos);
    CHECK(said.find("the relay has stopped so that nothing is accepted that is not on the disk") !=
          std::string::npos);

    std::filesystem::remove(fails);
    story.relay.start();
    berta.connect();
    REQUIRE(berta.login().welcome);
    berta.await_texts(kAccepted);
    for (std::uint64_t i = 0; i < kAccepted; ++i) CHECK(berta.inbox[i].text == text_of(i));
  }
}

}  // namespace
}  // namespace godwit::integration
