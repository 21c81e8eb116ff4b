// Transactions and records, over LMDB and over memory alike.

#include <algorithm>
#include <set>

#include "client-sdk/src/store/seal.hpp"
#include "tests/support/fixed_random.hpp"
#include "tests/support/memory_backend.hpp"
#include "tests/unit/client-sdk/store/store_support.hpp"

namespace godwit::store {
namespace {

using test::MemoryBackend;

const wire::SecretKey kKey{{1, 2, 3}};

Database in_memory(MemoryBackend::Disk& disk, MemoryBackend::CommitHook hook = {}) {
  auto made = Database::over(std::make_unique<MemoryBackend>(disk, std::move(hook)),
                             wire::random_bytes, kKey);
  REQUIRE(made);
  return std::move(*made);
}

// The test runs once over each backend.
template <class Test>
void over_both(const Test& test) {
  SUBCASE("over LMDB") {
    const TemporaryDirectory directory;
    auto database = Database::create(options_of(directory.path() / "db"));
    REQUIRE(database);
    test(*database);
  }
  SUBCASE("over memory") {
    MemoryBackend::Disk disk;
    auto database = in_memory(disk);
    test(database);
  }
}

void put(Database& database, Table table, ByteView name, ByteView suffix, ByteView value) {
  auto txn = database.write();
  REQUIRE(txn);
  REQUIRE(txn->put(table, name, suffix, value));
  REQUIRE(std::move(*txn).commit());
}

std::vector<std::uint64_t> scanned(const ReadTxn& txn, ByteView name, ByteView from, Order order,
                                   std::size_t most = 1000) {
  std::vector<std::uint64_t> out;
  REQUIRE(txn.scan(Table::messages, name, from, order, [&](ByteView suffix, auto value) {
    REQUIRE(suffix.size() == 8);
    const std::uint64_t number = suffix[7] + 256U * suffix[6];
    REQUIRE(value);
    CHECK(std::ranges::equal(*value, value_of(number)));
    out.push_back(number);
    return out.size() < most;
  }));
  return out;
}

// The tables of a disk, flat.
std::vector<std::pair<Table, std::pair<Bytes, Bytes>>> raw_records(
    const MemoryBackend::Disk& disk) {
  std::vector<std::pair<Table, std::pair<Bytes, Bytes>>> out;
  for (std::size_t table = 0; table < kTables; ++table) {
    for (const auto& record : *disk.tables[table]) {
      out.emplace_back(static_cast<Table>(table), record);
    }
  }
  return out;
}

}  // namespace

TEST_SUITE_BEGIN("client-sdk/store/transaction");

TEST_CASE("what was put comes back from every table, of any size, and is gone once erased") {
  over_both([](Database& database) {
    for (std::size_t i = 0; i < kTables; ++i) {
      const auto table = static_cast<Table>(i);
      for (const std::size_t size : {0U, 1U, 300U, 4096U, 70'000U}) {
        put(database, table, some_name(), suffix_of(size), value_of(i, size));
      }
    }
    for (std::size_t i = 0; i < kTables; ++i) {
      const auto table = static_cast<Table>(i);
      auto txn = database.write();
      REQUIRE(txn);
      for (const std::size_t size : {0U, 1U, 300U, 4096U, 70'000U}) {
        CHECK(txn->get(table, some_name(), suffix_of(size)).value() == value_of(i, size));
        CHECK(txn->contains(table, some_name(), suffix_of(size)).value());
        CHECK(txn->erase(table, some_name(), suffix_of(size)));
        CHECK(txn->get(table, some_name(), suffix_of(size)).value() == std::nullopt);
        CHECK_FALSE(txn->contains(table, some_name(), suffix_of(size)).value());
        CHECK(txn->erase(table, some_name(), suffix_of(size)));  // not there: fine
      }
      REQUIRE(std::move(*txn).commit());
    }
    CHECK(database.check()->records == 0);
  });
}

TEST_CASE("a scan passes over as many records as it is told to, the damaged ones among them") {
  MemoryBackend::Disk disk;
  auto database = in_memory(disk);
  for (const std::uint64_t i : {1U, 2U, 3U, 4U}) {
    put(database, Table::messages, some_name(), suffix_of(i), value_of(i));
  }
  disk.tables[static_cast<std::size_t>(Table::messages)]->begin()->second.back() ^= 1;  // the first
  const auto seen = [&](Order order, std::size_t skip) {
    std::vector<std::pair<int, bool>> out;  // the last byte of the suffix; whether it opened
    REQUIRE(database.read()->scan(
        Table::messages, some_name(), {}, order,
        [&](ByteView suffix, auto value) {
          out.emplace_back(suffix.back(), value.has_value());
          return true;
        },
        skip));
    return out;
  };
  using Seen = std::vector<std::pair<int, bool>>;
  CHECK(seen(Order::ascending, 0) == Seen{{1, false}, {2, true}, {3, true}, {4, true}});
  CHECK(seen(Order::ascending, 2) == Seen{{3, true}, {4, true}});
  CHECK(seen(Order::descending, 3) == Seen{{1, false}});
  CHECK(seen(Order::descending, 4).empty());
  CHECK(seen(Order::ascending, 5).empty());
}

TEST_CASE("a scan sees the records of one name in the order of their suffixes, both ways") {
  over_both([](Database& database) {
    const auto anna = wire::as_bytes("anna");
    auto txn = database.write();
    REQUIRE(txn);
    for (const std::uint64_t i : {300U, 2U, 9U, 255U, 256U}) {
      REQUIRE(txn->put(Table::messages, anna, suffix_of(i), value_of(i)));
      REQUIRE(txn->put(Table::messages, wire::as_bytes("berta"), suffix_of(i + 1), value_of(i)));
      REQUIRE(txn->put(Table::outbox, anna, suffix_of(i + 1), value_of(i)));
      REQUIRE(txn->put(Table::conversations, anna, suffix_of(i + 1), value_of(i)));
    }
    const auto check = [&](const ReadTxn& view) {
      using Numbers = std::vector<std::uint64_t>;
      const auto up = Order::ascending;
      const auto down = Order::descending;
      CHECK(scanned(view, anna, {}, up) == Numbers{2, 9, 255, 256, 300});
      CHECK(scanned(view, anna, {}, down) == Numbers{300, 256, 255, 9, 2});
      CHECK(scanned(view, anna, suffix_of(9), up) == Numbers{9, 255, 256, 300});
      CHECK(scanned(view, anna, suffix_of(10), up) == Numbers{255, 256, 300});
      CHECK(scanned(view, anna, suffix_of(9), down) == Numbers{9, 2});
      CHECK(scanned(view, anna, suffix_of(10), down) == Numbers{9, 2});
      CHECK(scanned(view, anna, suffix_of(1), down).empty());
      CHECK(scanned(view, anna, suffix_of(301), up).empty());
      CHECK(scanned(view, anna, {}, up, 2) == Numbers{2, 9});
      CHECK(scanned(view, anna, {}, down, 1) == Numbers{300});
      CHECK(scanned(view, wire::as_bytes("nobody"), {}, up).empty());
      CHECK(scanned(view, wire::as_bytes("nobody"), {}, down).empty());
    };
    check(*txn);
    REQUIRE(std::move(*txn).commit());
    check(*database.read());

    std::size_t all = 0;
    REQUIRE(database.read()->scan_all(Table::messages, [&](const auto& value) {
      CHECK(value.has_value());
      return ++all < 7;
    }));
    CHECK(all == 7);
    CHECK(database.check()->records == 20);
  });
}

TEST_CASE("a transaction reads its own writes, and nobody else does before the commit") {
  over_both([](Database& database) {
    put(database, Table::messages, some_name(), suffix_of(1), value_of(1));
    put(database, Table::messages, some_name(), suffix_of(2), value_of(2));
    {
      auto txn = database.write();
      REQUIRE(txn);
      REQUIRE(txn->put(Table::messages, some_name(), suffix_of(3), value_of(3)));
      REQUIRE(txn->erase(Table::messages, some_name(), suffix_of(1)));
      const std::vector<std::uint64_t> after{2, 3};
      const std::vector<std::uint64_t> before{1, 2};
      CHECK(scanned(*txn, some_name(), {}, Order::ascending) == after);
      CHECK(scanned(*database.read(), some_name(), {}, Order::ascending) == before);
    }
    // Dropped: nothing happened.
    const std::vector<std::uint64_t> before{1, 2};
    CHECK(scanned(*database.read(), some_name(), {}, Order::ascending) == before);
  });
}

TEST_CASE("a read sees the moment it began at, whatever is committed meanwhile") {
  over_both([](Database& database) {
    put(database, Table::messages, some_name(), suffix_of(1), value_of(1));
    const auto old = database.read();
    REQUIRE(old);
    put(database, Table::messages, some_name(), suffix_of(1), value_of(2));
    put(database, Table::messages, some_name(), suffix_of(2), value_of(2));
    CHECK(old->get(Table::messages, some_name(), suffix_of(1)).value() == value_of(1));
    CHECK_FALSE(old->contains(Table::messages, some_name(), suffix_of(2)).value());
    CHECK(database.read()->get(Table::messages, some_name(), suffix_of(1)).value() == value_of(2));
  });
}

TEST_CASE("after a commit that failed nothing of it is there, and the database takes no write") {
  MemoryBackend::Disk disk;
  {
    auto database = in_memory(disk, [](std::uint64_t number) { return number != 2; });
    put(database, Table::messages, some_name(), suffix_of(1), value_of(1));
    auto txn = database.write();
    REQUIRE(txn);
    REQUIRE(txn->put(Table::messages, some_name(), suffix_of(2), value_of(2)));
    CHECK(error_of(std::move(*txn).commit()) == StoreError::io);
    CHECK(error_of(database.write()) == StoreError::io);
    CHECK(error_of(database.rotate_session_key()) == StoreError::io);
    CHECK(database.check()->records == 1);  // reading goes on
  }
  auto reopened = in_memory(disk);
  put(reopened, Table::messages, some_name(), suffix_of(2), value_of(2));
  CHECK(reopened.check()->records == 2);
}

TEST_CASE("a value that stands under another key, or in another table, is damaged") {
  MemoryBackend::Disk disk;
  auto database = in_memory(disk);
  put(database, Table::messages, some_name(), suffix_of(1), value_of(1));
  put(database, Table::messages, some_name(), suffix_of(2), value_of(2));
  put(database, Table::messages, some_name(), suffix_of(3), value_of(3));
  put(database, Table::outbox, some_name(), suffix_of(1), value_of(1));
  auto& messages = *disk.tables[index_of(Table::messages)];
  const auto first = messages.begin();
  const auto second = std::next(first);
  const auto state = [&](std::uint64_t number) {
    return error_of(database.read()->get(Table::messages, some_name(), suffix_of(number)));
  };

  SUBCASE("two values swapped") {
    std::swap(first->second, second->second);
    CHECK(state(1) == StoreError::damaged);
    CHECK(state(2) == StoreError::damaged);
    CHECK(state(3) == std::nullopt);
    CHECK(database.check()->damaged == 2);
    std::size_t damaged = 0;
    REQUIRE(database.read()->scan(Table::messages, some_name(), {}, Order::ascending,
                                  [&](ByteView, const auto& value) {
                                    damaged += value ? 0 : 1;
                                    return true;
                                  }));
    CHECK(damaged == 2);
  }
  SUBCASE("one moved to another suffix") {
    Bytes key = first->first;
    key.back() = 77;
    messages[key] = first->second;
    CHECK(state(77) == StoreError::damaged);
    CHECK(database.check()->damaged == 1);
  }
  SUBCASE("one moved to another table") {
    first->second = disk.tables[index_of(Table::outbox)]->begin()->second;
    CHECK(state(1) == StoreError::damaged);
  }
  SUBCASE("one replaced by what stood there before is not seen: a rollback cannot be") {
    const Bytes old = first->second;
    put(database, Table::messages, some_name(), suffix_of(1), value_of(9));
    messages.begin()->second = old;
    CHECK(state(1) == std::nullopt);
  }
}

TEST_CASE("every byte of a sealed record counts") {
  MemoryBackend::Disk disk;
  auto database = in_memory(disk);
  put(database, Table::sessions, some_name(), {}, value_of(1));
  Bytes& record = disk.tables[index_of(Table::sessions)]->begin()->second;
  for (std::size_t i = 0; i < record.size(); ++i) {
    record[i] ^= 0x10;
    CHECK(database.check()->damaged == 1);
    record[i] ^= 0x10;
  }
  const Bytes whole = record;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    record.resize(size);
    CHECK(database.check()->damaged == 1);
    record = whole;
  }
  CHECK(database.check()->records == 1);
}

TEST_CASE("no nonce seals twice, wherever the device crashes") {
  constexpr std::uint64_t kCommits = 12;
  test::FixedRandom stream("the device's random source");
  std::set<Bytes> nonces;
  std::size_t drawn = 0;
  std::size_t puts = 0;
  const crypto::Random recording = [&](std::span<std::uint8_t> out) {
    stream(out);
    if (out.size() == crypto::kNonceSize) nonces.emplace(out.begin(), out.end());
    ++drawn;
  };
  for (std::uint64_t crash = 1; crash <= kCommits; ++crash) {
    MemoryBackend::Disk disk;
    for (std::uint64_t done = 0; done < kCommits;) {
      auto database = Database::over(
          std::make_unique<MemoryBackend>(disk, [&](std::uint64_t n) { return n != crash; }),
          recording, kKey);
      REQUIRE(database);
      for (bool alive = true; alive && done < kCommits;) {
        auto txn = database->write();
        REQUIRE(txn);
        for (std::uint64_t i = 0; i < 3; ++i, ++puts) {
          REQUIRE(txn->put(i == 0 ? Table::sessions : Table::messages, some_name(),
                           suffix_of(done % 4 + i), value_of(done)));
        }
        alive = std::move(*txn).commit().has_value();
        if (alive) ++done;
      }
    }
    for (const auto& [table, record] : raw_records(disk)) {
      const ByteView nonce = ByteView(record.second).subspan(5, crypto::kNonceSize);
      CHECK(nonces.contains(Bytes(nonce.begin(), nonce.end())));
    }
  }
  CHECK(puts == kCommits * (kCommits + 1) * 3);
  CHECK(drawn == puts);  // a fresh one each
  CHECK(nonces.size() == puts);
}

TEST_SUITE_END();

}  // namespace godwit::store
