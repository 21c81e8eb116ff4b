// bench/directory_relay: a relay that knows many devices already, for a load program to be pointed
// at.
//
// Happy path: a relay is made and ended -> users are written into its store -> it starts again ->
// one line of JSON says where it is and what it took -> standard input ends -> the relay does, and
// its directory goes.
//
// The relay's own slot code makes the records and its own writer writes them, so they are what a
// registration leaves: a signed list of two devices, a name, and of each device two signed keys
// and 100 one-time keys. Nobody logs in as them, so keys and signatures are random bytes: they are
// verified when they come over the wire and never at rest. Users come in no order, as real ones do,
// and each transaction is a big one.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <semaphore>

#include "relay/slot/directory.hpp"
#include "relay/slot/prekeys.hpp"
#include "relay/store/store.hpp"
#include "tests/support/relay_process.hpp"

namespace {

using namespace godwit;
namespace slot = relay::slot;
namespace store = relay::store;
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kDevicesPerUser = 2;
constexpr std::uint32_t kOneTimeKeys = 100;  // what a client keeps there
constexpr std::uint64_t kUsersPerBatch = 5'000;
constexpr std::uint64_t kCreated = 1'700'000'000;
constexpr std::uint64_t kExpires = 4'000'000'000;

template <class T>
T required(tl::expected<T, store::Failure> result) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "bench_directory: %s\n", result.error().detail.c_str());
  std::exit(1);
}

class Random {
 public:
  template <class Value>
  [[nodiscard]] Value draw() {
    static_assert(Value::kSize % sizeof(std::uint64_t) == 0);
    Value value;
    for (std::size_t at = 0; at < Value::kSize; at += sizeof(std::uint64_t)) {
      const std::uint64_t word = engine_();
      std::memcpy(value.bytes.data() + at, &word, sizeof word);
    }
    return value;
  }
  [[nodiscard]] wire::SignedKey draw_signed_key() {
    return {1, kCreated, kExpires, draw<wire::Key>(), draw<wire::Signature>()};
  }

 private:
  std::mt19937_64 engine_{1};
};

// Nothing was there before: what the slot code reads back is what it has just put.
class NoRecords final : public slot::Records {
 public:
  Found get(store::Table, wire::ByteView, wire::Bytes&) override { return Found::no; }
  void envelopes(std::span<const std::uint64_t>,
                 const std::function<void(std::size_t, Found, const store::RequestTag&,
                                          wire::ByteView)>&) override {}
  std::optional<store::RequestTag> request_at(std::uint64_t) override { return std::nullopt; }
  [[nodiscard]] bool full() const override { return false; }
};

class Registry {
 public:
  void add_user(std::uint64_t number) {
    slot::PutUser put = draw_user();
    const wire::UserId user = put.parsed.user;
    const std::string name = "user-" + std::to_string(number);
    bool done = directory_.put(put).code == wire::ErrorCode::ok &&
                !directory_.claim_name({name, user, std::nullopt}) &&
                directory_.set_user_name({user, name});
    for (const wire::DeviceRecord& device : put.parsed.devices) {
      std::vector<wire::OneTimeKey> one_time;
      for (std::uint32_t id = 1; id <= kOneTimeKeys; ++id) {
        one_time.push_back({id, random_.draw<wire::Key>()});
      }
      done = done && prekeys_.put(user, device.id, random_.draw_signed_key(),
                                  random_.draw_signed_key(), one_time) == wire::ErrorCode::ok;
    }
    if (done) return;
    std::fprintf(stderr, "bench_directory: a drawn user was refused\n");
    std::exit(1);
  }

  [[nodiscard]] slot::Journal& journal() { return journal_; }

 private:
  slot::PutUser draw_user() {
    slot::PutUser put;
    put.list.root = random_.draw<wire::Key>();
    put.list.list_key = random_.draw<wire::Key>();
    put.list.delegation = random_.draw<wire::Signature>();
    put.list.signature = random_.draw<wire::Signature>();
    put.parsed.user = wire::user_id_of(put.list.root);
    put.parsed.version = {1, 1};
    std::vector<wire::Signature> signatures;
    for (std::uint64_t i = 0; i < kDevicesPerUser; ++i) {
      const auto identity = random_.draw<wire::Key>();
      put.parsed.devices.push_back({wire::device_id_of(identity), identity,
                                    random_.draw<wire::Key>(), kCreated, wire::Bytes{1}});
      signatures.push_back(random_.draw<wire::Signature>());
    }
    put.list.body = wire::list_body(put.parsed, signatures);
    return put;
  }

  Random random_;
  NoRecords nothing_;
  slot::Journal journal_{nothing_};
  slot::Directory directory_{journal_};
  slot::Prekeys prekeys_{journal_};
};

void fill(const std::filesystem::path& directory, std::uint64_t users) {
  store::Options options;
  options.directory = directory;
  const auto opened = required(store::Store::open(options));
  std::binary_semaphore committed(0);
  const auto writer = required(store::Writer::start(
      *opened,
      [&](std::uint32_t, const std::unique_ptr<store::Batch>&) { committed.release(); },
      [](const store::Failure& failure) {
        std::fprintf(stderr, "bench_directory: %s\n", failure.detail.c_str());
        std::exit(1);
      }));
  Registry registry;
  for (std::uint64_t user = 0; user < users;) {
    const std::uint64_t end = std::min(users, user + kUsersPerBatch);
    for (; user < end; ++user) registry.add_user(user);
    writer->submit(0, registry.journal().take());
    committed.acquire();
    slot::Effects none;
    registry.journal().committed(none);
  }
}

int run(std::uint64_t devices) {
  const support::TemporaryDirectory directory{support::Medium::disk};
  const auto place = directory.path() / "relay";
  support::RelayProcess relay(
      {.directory = place, .settings = {}, .binary = {}, .environment = {}});
  const auto empty = relay.private_bytes();
  if (relay.stop() != 0) return 1;
  const auto begun = Clock::now();
  fill(place, devices / kDevicesPerUser);
  const auto filled = Clock::now();
  relay.start();
  const auto started = Clock::now();
  const auto known = relay.private_bytes();
  const auto figures = relay.status();
  if (figures.devices != devices / kDevicesPerUser * kDevicesPerUser) {
    std::fprintf(stderr, "bench_directory: the relay does not know what was written\n");
    return 1;
  }
  const auto seconds = [](Clock::duration time) {
    return std::chrono::duration<double>(time).count();
  };
  const nlohmann::ordered_json said = {
      {"relay", wire::format_address(relay.address())},
      {"pid", relay.pid()},
      {"fill_s", seconds(filled - begun)},
      {"start_s", seconds(started - filled)},
      {"relay_private_bytes", known},
      {"relay_bytes_per_device",
       (static_cast<double>(known) - static_cast<double>(empty)) / static_cast<double>(devices)},
      {"relay_store_used_bytes", figures.store_used_bytes},
  };
  std::cout << said.dump() << std::endl;
  std::cin.ignore(std::numeric_limits<std::streamsize>::max());
  return relay.stop();
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t devices = 10'000;
  CLI::App app("A relay that knows many devices; it ends when standard input does.");
  app.add_option("--devices", devices, "Registered, two of each user.")
      ->check(CLI::Range(2, 100'000'000));
  CLI11_PARSE(app, argc, argv);
  try {
    return run(devices);
  } catch (const support::RelayFailure& failure) {
    std::fprintf(stderr, "bench_directory: %s\n", failure.what());
    return 1;
  }
}
