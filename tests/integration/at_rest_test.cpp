// What stands on the relay's disk: nobody who sent, and nothing that decay could slip through.
#include <lmdb.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>

#include "relay/store/keys.hpp"
#include "schema/wire/bytes.hpp"
#include "tests/integration/story.hpp"

namespace godwit::integration {
namespace {

using relay::store::TableId;

constexpr std::uint64_t kEnvelopes = 1'000;
constexpr const char* kName = "quiet-sender";

// ---- Looking for somebody ----------------------------------------------------------------------

std::vector<std::string> ways_to_write(wire::ByteView bytes) {
  const std::string hex = wire::to_hex(bytes);
  std::string upper = hex;
  std::ranges::transform(upper, upper.begin(), [](char digit) {
    return digit >= 'a' ? static_cast<char>(digit - 'a' + 'A') : digit;
  });
  const std::string url = wire::base64url(bytes);
  std::string plain = url;
  std::ranges::replace(plain, '-', '+');
  std::ranges::replace(plain, '_', '/');
  return {{bytes.begin(), bytes.end()}, hex, upper, url, plain};
}

// What would name a sender.
std::vector<std::string> traces_of(const Account& account, const std::string& name) {
  const auto list = wire::parse_device_list(account.list.body);
  REQUIRE(list);
  std::vector<wire::ByteView> secrets{account.user.view(),
                                      account.device.view(),
                                      account.transport.public_key.view(),
                                      account.list.root.view(),
                                      account.list.list_key.view(),
                                      account.seal_key.key.view(),
                                      account.signed_prekey.key.view(),
                                      list->devices.front().identity.view(),
                                      wire::as_bytes(name)};
  std::vector<std::string> traces;
  for (const wire::ByteView bytes : secrets) {
    const auto ways = ways_to_write(bytes);
    traces.insert(traces.end(), ways.begin(), ways.end());
  }
  return traces;
}

bool holds(std::string_view bytes, const std::vector<std::string>& traces) {
  return std::ranges::any_of(traces, [&](const std::string& trace) {
    return bytes.find(trace) != std::string_view::npos;
  });
}

std::string_view view_of(const MDB_val& value) {
  return {static_cast<const char*>(value.mv_data), value.mv_size};
}

// A store that no relay has open.
class OpenedStore {
 public:
  explicit OpenedStore(const std::filesystem::path& directory) {
    REQUIRE(mdb_env_create(&env_) == 0);
    REQUIRE(mdb_env_set_maxdbs(env_, relay::store::kTableIdCount) == 0);
    REQUIRE(mdb_env_set_mapsize(env_, std::size_t{1} << 30) == 0);
    REQUIRE(mdb_env_open(env_, directory.c_str(), 0, 0600) == 0);
  }
  ~OpenedStore() { mdb_env_close(env_); }
  OpenedStore(const OpenedStore&) = delete;
  OpenedStore& operator=(const OpenedStore&) = delete;

  struct Found {
    std::size_t records = 0;
    std::set<std::string> in;  // tables with a trace in a key or a value
  };
  [[nodiscard]] Found look_for(const std::vector<std::string>& traces) {
    MDB_txn* txn = nullptr;
    REQUIRE(mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn) == 0);
    Found found;
    // The main table names the others: one that this test does not know is looked through too.
    for (const std::string& name : names(txn)) {
      MDB_dbi table = 0;
      REQUIRE(mdb_dbi_open(txn, name.c_str(), 0, &table) == 0);
      each(txn, table, [&](const MDB_val& key, const MDB_val& value) {
        ++found.records;
        if (holds(view_of(key), traces) || holds(view_of(value), traces)) found.in.insert(name);
      });
    }
    mdb_txn_abort(txn);
    return found;
  }

  void plant(const char* table, std::string text) {
    MDB_txn* txn = nullptr;
    MDB_dbi dbi = 0;
    REQUIRE(mdb_txn_begin(env_, nullptr, 0, &txn) == 0);
    REQUIRE(mdb_dbi_open(txn, table, 0, &dbi) == 0);
    std::uint64_t position = ~std::uint64_t{0};
    MDB_val key{sizeof position, &position};
    MDB_val value{text.size(), text.data()};
    REQUIRE(mdb_put(txn, dbi, &key, &value, 0) == 0);
    REQUIRE(mdb_txn_commit(txn) == 0);
  }

 private:
  static void each(MDB_txn* txn, MDB_dbi table,
                   const std::function<void(const MDB_val&, const MDB_val&)>& on_record) {
    MDB_cursor* cursor = nullptr;
    REQUIRE(mdb_cursor_open(txn, table, &cursor) == 0);
    MDB_val key{};
    MDB_val value{};
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) on_record(key, value);
    mdb_cursor_close(cursor);
  }
  static std::vector<std::string> names(MDB_txn* txn) {
    MDB_dbi main = 0;
    REQUIRE(mdb_dbi_open(txn, nullptr, 0, &main) == 0);
    std::vector<std::string> all;
    each(txn, main, [&](const MDB_val& key, const MDB_val&) { all.emplace_back(view_of(key)); });
    return all;
  }

  MDB_env* env_ = nullptr;
};

// ---- Damage ------------------------------------------------------------------------------------

// Flips a bit of `text` wherever it stands in the store's file: LMDB may have older copies.
void damage(const Story& story, const std::string& text) {
  const auto path = story.directory.path() / "relay" / "data.mdb";
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  file.clear();
  std::size_t copies = 0;
  for (auto at = bytes.find(text); at != std::string::npos; at = bytes.find(text, at + 1)) {
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(text.front() ^ 1));
    ++copies;
  }
  REQUIRE(file.flush().good());
  REQUIRE(copies > 0);
}

std::string text_of(std::uint64_t number) {
  return "envelope " + std::to_string(number) + " of the damaged store";
}

struct Stored {
  explicit Stored(Story& story) : anna(story.member(1)), berta(story.absent(2)) {
    for (std::uint64_t i = 0; i < 5; ++i) {
      REQUIRE(anna.submit(berta.account(), i, text_of(i)).accepted());
    }
  }
  Device& anna;
  Device& berta;
};

const std::vector<std::string>& all_but_the_third() {
  static const std::vector<std::string> texts{text_of(0), text_of(1), text_of(3), text_of(4)};
  return texts;
}

TEST_SUITE("tests/integration/at_rest") {
  TEST_CASE("no record of a queue, a retry or the quarantine names a sender") {
    Story story;
    auto& anna = story.device(Account::from_seed(1));
    anna.connect();
    REQUIRE(anna.register_user(kName).welcome);
    auto& berta = story.absent(2);
    for (std::uint64_t i = 0; i < kEnvelopes; ++i) {
      REQUIRE(anna.submit(berta.account(), i, std::to_string(i)).accepted());
    }
    REQUIRE(story.relay.stop() == 0);

    support::TemporaryDirectory copy{support::Medium::disk};
    const auto file = story.directory.path() / "relay" / "data.mdb";
    std::filesystem::copy_file(file, copy.path() / "data.mdb");
    const auto traces = traces_of(anna.account(), kName);
    OpenedStore store(copy.path());
    const auto found = store.look_for(traces);
    CHECK(found.records > kEnvelopes);
    // Who has an account stands in the directory, and only there.
    CHECK(found.in == std::set<std::string>{"device_keys", "names", "users"});

    // The check sees what it is there for, in each way of writing it.
    for (const std::string& trace : traces) {
      store.plant("log", "before " + trace + " behind");
      CHECK(store.look_for(traces).in.contains("log"));
    }
    store.plant("log", "nothing");
    CHECK_FALSE(store.look_for(traces).in.contains("log"));
  }
}

TEST_SUITE("tests/integration/at_rest") {
  TEST_CASE("no file of a relay holds a device's secret key") {
    Story story;
    auto& anna = story.member(1);
    auto& berta = story.member(2);
    REQUIRE(anna.submit(berta.account(), 1, "to write something").accepted());
    REQUIRE(story.relay.stop() == 0);
    std::size_t files = 0;
    const auto relay = story.directory.path() / "relay";
    for (const auto& entry : std::filesystem::directory_iterator(relay)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>(file), {}};
      for (const Account* account : {&anna.account(), &berta.account()}) {
        CHECK_FALSE(holds(bytes, ways_to_write(account->transport.secret.view())));
        if (entry.path().filename() != "data.mdb") continue;
        CHECK(holds(bytes, ways_to_write(account->transport.public_key.view())));
      }
      ++files;
    }
    CHECK(files >= 3);
  }
}

TEST_SUITE("tests/integration/quarantine") {
  TEST_CASE("a record that decayed while the relay was down is set aside, and all others come") {
    Story story;
    Stored stored(story);
    const auto generation = story.relay.status().store_generation;
    REQUIRE(story.relay.stop() == 0);
    damage(story, text_of(2));
    stored.anna.raw().reset();
    story.relay.start();
    CHECK(story.relay.status().quarantined_total == 1);
    stored.berta.connect();
    const auto welcome = stored.berta.login().welcome;
    REQUIRE(welcome);
    CHECK(welcome->store_generation > generation);
    stored.berta.await_texts(all_but_the_third().size());
    CHECK(stored.berta.texts() == all_but_the_third());
    story.await_status([](const auto& figures) { return figures.queued_envelopes == 0; });
  }

  TEST_CASE("a record that decays while the relay runs is set aside, and all others come") {
    Story story;
    Stored stored(story);
    damage(story, text_of(2));
    stored.berta.connect();
    REQUIRE(stored.berta.login().welcome);
    stored.berta.await_texts(all_but_the_third().size());
    CHECK(stored.berta.texts() == all_but_the_third());
    story.await_status([](const auto& figures) { return figures.quarantined_total == 1; });
    CHECK(stored.anna.submit(stored.berta.account(), 9, "after").accepted());
    story.await_status([](const auto& figures) { return figures.queued_envelopes == 0; });
  }
}

}  // namespace
}  // namespace godwit::integration
