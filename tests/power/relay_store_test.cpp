// The power goes while the relay's store works: whatever the disk then holds, the store opens and
// has every commit that was acknowledged, or these and the one that was under way, whole.
#include <algorithm>

#include "tests/power/disk.hpp"
#include "tests/power/recorder.hpp"
#include "tests/unit/client-sdk/store/store_support.hpp"
#include "tests/unit/relay/store/store_fixture.hpp"

namespace godwit::relay::store::testing {
namespace {

using support::TemporaryDirectory;
using power::Promised;
using wire::Bytes;

constexpr std::uint64_t kCommits = 60;
constexpr std::uint64_t kCommitsPerBoot = 23;
constexpr std::uint64_t kImages = 2'400;

struct Envelope {
  std::uint16_t slot = 0;
  wire::DeviceId device;
  RequestTag request;
  std::uint32_t expires = 0;
  Bytes bytes;
  bool operator==(const Envelope&) const = default;
};

struct Content {
  std::map<std::uint64_t, Envelope> log;  // by position
  std::map<std::pair<Table, std::string>, Bytes> small;
  bool operator==(const Content&) const = default;

  void apply(const Batch& batch) {
    for (const Put& put : batch.puts) {
      const std::pair key(put.table, text_of(put.key));
      small.erase(key);
      if (put.value) small[key] = *put.value;
    }
    for (const Append& one : batch.appends) {
      REQUIRE(one.position != 0);
      log[one.position] = {one.slot, one.device, one.request, one.expires, one.body->bytes};
    }
    for (const std::uint64_t position : batch.removes) log.erase(position);
  }
};

Options options_of(const std::filesystem::path& directory) {
  Options options = small_options(directory);
  options.grow_step = 128 << 10;
  options.reserve = 256 << 10;
  return options;
}

constexpr std::array kTablesPut{Table::users, Table::device_keys, Table::one_time_keys,
                                Table::names};
constexpr std::uint64_t kKeys = 7;  // in each of these tables

Bytes small_key(std::uint64_t number) {
  return bytes_of("key " + std::to_string(number % kKeys));
}

void remove_oldest(const Content& content, std::size_t count, Batch& batch) {
  for (const auto& [position, envelope] : content.log) {
    if (batch.removes.size() == count) break;
    batch.removes.push_back(position);
  }
}

// Of every kind that a loop hands in: short, long and shared envelopes, records, removals.
Batch batch_of(std::uint64_t number, const Content& now) {
  Batch batch;
  switch (number % 6) {
    case 0:
      batch = appends_of(number * 100, 3, 100 + 10 * number);
      break;
    case 1:
      batch = fan_out(number, 5, 3'000);
      break;
    case 2:
      batch = appends_of(number * 100, 2, 9'000);
      remove_oldest(now, 2, batch);
      break;
    case 3:
      for (const Table table : kTablesPut) {
        batch.puts.push_back({table, small_key(number), envelope_bytes(number, 20 * number)});
        batch.puts.push_back({table, small_key(number + 2), {}});
      }
      break;
    case 4:
      batch = appends_of(number * 100, 20);
      batch.puts.push_back({Table::names, small_key(number), bytes_of("a name")});
      remove_oldest(now, 5, batch);
      break;
    default:
      remove_oldest(now, 11, batch);
  }
  return batch;
}

// What the store must hold after each commit; [0] is before the first.
struct Play {
  power::Recording recording;
  std::vector<Content> after{1};
  std::vector<std::uint32_t> boot{0};
  wire::StoreId id;
};

Batch commit_noted(Store& store, std::uint64_t number, Batch batch) {
  std::unique_ptr<Batch> done;
  {
    const auto writer = required(Writer::start(
        store,
        [&](std::uint32_t, std::unique_ptr<Batch> committed) {
          power::note({power::kAcked, number});
          done = std::move(committed);
        },
        [](const Failure&) {}));
    power::note({power::kBegun, number});
    writer->submit(0, std::make_unique<Batch>(std::move(batch)));
  }  // the writer joins
  REQUIRE(done != nullptr);
  return std::move(*done);
}

Play play() {
  const TemporaryDirectory directory;
  Play out;
  power::begin(directory.path());
  std::unique_ptr<Store> store;
  for (std::uint64_t number = 1; number <= kCommits; ++number) {
    if (number % kCommitsPerBoot == 1) {
      store.reset();
      store = open_store(options_of(directory.path()));
      recover(*store);
    }
    Content content = out.after.back();
    content.apply(commit_noted(*store, number, batch_of(number, content)));
    out.after.push_back(std::move(content));
    out.boot.push_back(store->identity().boot);
    out.id = store->identity().id;
  }
  store.reset();
  out.recording = power::end();
  return out;
}

// Fails when recovery had anything to repair.
Content content_of(Store& store) {
  const auto found = recover(store);
  REQUIRE(store.figures().commits == 1);  // that of this boot
  REQUIRE(store.figures().quarantined == 0);
  std::vector<std::uint64_t> positions;
  for (const Recovered& one : found) positions.push_back(one.position);

  Content content;
  const auto reader = required(Reader::open(store));
  reader->envelopes(positions, [&](std::size_t i, Reader::Found is, const auto& envelope) {
    REQUIRE(is == Reader::Found::yes);
    const Recovered& one = found[i];
    REQUIRE(one.request == envelope.request);
    content.log[one.position] = {one.slot,
                                 one.device,
                                 one.request,
                                 one.expires,
                                 {envelope.bytes.begin(), envelope.bytes.end()}};
  });
  std::uint64_t records = 0;
  for (const Table table : kTablesPut) {
    for (std::uint64_t number = 0; number < kKeys; ++number) {
      const Bytes key = small_key(number);
      Bytes value;
      const auto is = reader->get(table, key, value);
      REQUIRE(is != Reader::Found::damaged);
      if (is == Reader::Found::yes) content.small[{table, text_of(key)}] = value;
    }
    records += store.count(table);
  }
  REQUIRE(records == content.small.size());
  return content;
}

void check_image(const Play& play, const std::filesystem::path& image, power::Notes notes) {
  const Promised promised = power::promised_by(notes);
  CAPTURE(promised.acked);
  CAPTURE(promised.begun);
  const Options options = options_of(image);
  if (promised.begun == 0) {
    // The very first start: LMDB does not sync a new file's meta pages by themselves. Nothing was
    // promised, and the error says what to remove.
    const auto store = Store::open(options);
    if (!store) {
      REQUIRE(store.error().error == StoreError::not_a_store);
      return;
    }
  }
  Content content;
  {
    auto store = open_store(options);
    content = content_of(*store);
    const bool as_acked = content == play.after[promised.acked];
    REQUIRE((as_acked || content == play.after[promised.begun]));
    if (promised.acked > 0) REQUIRE(store->identity().id == play.id);
    REQUIRE(store->identity().generation == 1);
    REQUIRE(store->identity().boot > play.boot[promised.acked]);
  }
  auto store = open_store(options);
  REQUIRE((content_of(*store) == content));

  Batch batch = appends_of(9'000'000, 1);
  remove_oldest(content, 1, batch);
  batch = commit_noted(*store, 0, std::move(batch));
  for (const auto& [position, envelope] : play.after[promised.acked].log) {
    REQUIRE(batch.appends[0].position > position);
  }
  content.apply(batch);
  store = nullptr;
  store = open_store(options);
  REQUIRE((content_of(*store) == content));
}

}  // namespace

TEST_SUITE("relay/store/power") {
  TEST_CASE("whatever a power loss leaves, the relay has every commit that it acknowledged") {
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

}  // namespace godwit::relay::store::testing
