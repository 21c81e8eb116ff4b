// No key meets a nonce twice: one story of two people, played again for every commit of either
// device with a crash at that commit, while an observer collects what a thief of the disk or a
// tapper of the line would: records at rest, and every envelope that leaves, opened with its
// recipient's keys.
#include <doctest/doctest.h>

#include <unordered_map>

#include "client-sdk/src/core/account.hpp"
#include "client-sdk/src/crypto/sealed.hpp"
#include "client-sdk/src/crypto/session_set.hpp"
#include "schema/wire/codec.hpp"
#include "tests/support/world.hpp"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;
using When = SimDevice::Crash::When;

constexpr std::size_t kRecordHeadSize = 1 + 4 + 24;  // version, kid, nonce
constexpr std::size_t kNoiseKeyAt = 1 + 4;
constexpr std::size_t kNonceAt = 4;  // of a ratchet message
constexpr std::size_t kLatelySent = 12;

std::string text_of(wire::ByteView bytes) {
  return {bytes.begin(), bytes.end()};
}

class Observer {
 public:
  explicit Observer(World& world) : world_(world) {
    world.watch = [this](SimDevice&, wire::ByteView frame) { see_frame(frame); };
  }
  void watch_disk(SimDevice& device) {
    device.commit_hook = [this, &device](std::uint64_t) {
      see_disk(device);  // as the commit before this one left it
      return true;
    };
  }
  void see_disk(const SimDevice& device);

  std::size_t records = 0, envelopes = 0, opened = 0;  // what was looked at
  // Used twice:
  std::size_t record_nonces = 0, noise_keys = 0, ratchet_nonces = 0, message_keys = 0;

 private:
  void see_frame(wire::ByteView frame);
  void see_envelope(SimDevice& to, wire::ByteView envelope);
  void see_inner(SimDevice& to, const core::View& view, const crypto::Unsealed& unsealed);

  World& world_;
  std::unordered_map<std::string, std::string> at_rest_;  // device, table, kid, nonce -> record
  std::set<wire::EnvelopeHash> seen_;
  std::set<std::string> noise_keys_, ratchet_nonces_;
  std::map<const SimDevice*, std::deque<wire::Bytes>> inners_;
};

void Observer::see_disk(const SimDevice& device) {
  for (std::size_t table = 0; table < store::kTables; ++table) {
    for (const auto& [key, value] : *device.disk->tables[table]) {
      REQUIRE(value.size() > kRecordHeadSize);
      const std::string use = device.label + '/' + std::to_string(table) + '/' +
                              text_of(wire::ByteView(value).first(kRecordHeadSize));
      const std::string record = text_of(key) + text_of(value);
      const auto [before, fresh] = at_rest_.emplace(use, record);
      records += fresh;
      record_nonces += before->second != record;
    }
  }
}

void Observer::see_frame(wire::ByteView frame) {
  std::vector<std::uint64_t> aligned((frame.size() + 7) / 8);
  std::memcpy(aligned.data(), frame.data(), frame.size());
  const auto request =
      wire::parse_request({reinterpret_cast<const std::uint8_t*>(aligned.data()), frame.size()});
  REQUIRE(request);
  const auto* submit = std::get_if<wire::Submit>(&request->body);
  if (submit == nullptr) return;
  for (const auto& recipient : submit->recipients) {
    for (auto& device : world_.devices) {
      if (core::as_id<wire::DeviceId>(device.core->account().device) != recipient.device) continue;
      see_envelope(device, submit->bodies[recipient.body]);
    }
  }
}

void Observer::see_envelope(SimDevice& to, wire::ByteView envelope) {
  if (!seen_.insert(crypto::envelope_hash(envelope)).second) return;  // the same bytes again
  ++envelopes;
  noise_keys +=
      !noise_keys_.insert(text_of(envelope.subspan(kNoiseKeyAt, wire::Key::kSize))).second;
  const auto txn = to.database->read();
  REQUIRE(txn);
  const core::View view(*txn);
  const auto seal_id = crypto::seal_id_of(envelope);
  REQUIRE(seal_id);
  const std::array kind{static_cast<std::uint8_t>(core::PrekeyKind::seal)};
  const auto key = view.load<core::PrekeyRecord>(kind, core::order_bytes(*seal_id));
  REQUIRE(key);
  crypto::StaticDh kept;
  const auto unsealed =
      crypto::unseal(envelope, core::as_id<wire::DeviceId>(to.core->account().device),
                     crypto::DhKey::from_secret(key->secret), kept);
  REQUIRE(unsealed);
  see_inner(to, view, *unsealed);
}

// The recipient's sessions, as they stand, open what left lately and then this: a message key that
// was used before shows as a replay.
void Observer::see_inner(SimDevice& to, const core::View& view, const crypto::Unsealed& unsealed) {
  const auto message = crypto::parse_inner(unsealed.inner);
  REQUIRE(message);
  ratchet_nonces += !ratchet_nonces_.insert(text_of(message->ratchet.subspan(kNonceAt, 24))).second;

  const auto account = core::LocalAccount::load(view);
  REQUIRE(account);
  const SimDevice& from = &world_.devices[0] == &to ? world_.devices[1] : world_.devices[0];
  const auto sender = core::as_id<wire::DeviceId>(from.core->account().device);
  const auto packed = view.load<core::SessionsRecord>(sender.view());
  auto sessions = packed ? crypto::SessionSet::unpack(packed->packed) : crypto::SessionSet();
  REQUIRE(sessions);
  const auto sender_account = [&] {
    const auto txn = from.database->read();
    REQUIRE(txn);
    return core::LocalAccount::load(core::View(*txn));
  }();
  const auto secret = [&view](core::PrekeyKind kind) {
    return [&view, kind](std::uint32_t id) -> std::optional<crypto::DhKey> {
      const std::array name{static_cast<std::uint8_t>(kind)};
      const auto record = view.load<core::PrekeyRecord>(name, core::order_bytes(id));
      if (!record) return std::nullopt;
      return crypto::DhKey::from_secret(record->secret);
    };
  };
  const crypto::PrekeySource prekeys{
      secret(core::PrekeyKind::signed_prekey), secret(core::PrekeyKind::one_time), {}};
  const crypto::Ends ends{account->device().identity(),
                          account->record.user,
                          {unsealed.user, sender_account->device().identity().public_key()}};
  const crypto::Random none = [](std::span<std::uint8_t> out) { std::ranges::fill(out, 9); };
  auto& lately = inners_[&to];
  for (const auto& inner : lately) (void)sessions->open(ends, inner, prekeys, none, 0);
  const auto result = sessions->open(ends, unsealed.inner, prekeys, none, 0);
  opened += result.has_value();
  message_keys += !result && (result.error() == crypto::SessionError::replayed ||
                              result.error() == crypto::SessionError::base_key_used);
  lately.push_back(unsealed.inner);
  if (lately.size() > kLatelySent) lately.pop_front();
}

// ---- The story ----------------------------------------------------------------------------------

struct Crashing {
  std::size_t device = 0;
  SimDevice::Crash at;
};

class Story {
 public:
  explicit Story(std::optional<Crashing> crashing);
  void play();

  World world;
  Observer observer{world};
  SimDevice& alice;
  SimDevice& bob;
  std::array<std::uint64_t, 2> commits{};  // of each device, in the part with the crash

 private:
  void calm();
  void send(SimDevice& from, const std::string& to, const std::string& text);
};

Story::Story(std::optional<Crashing> crashing)
    : alice(world.add_blank("alice")), bob(world.add_blank("bob")) {
  for (SimDevice* device : {&alice, &bob}) {
    observer.watch_disk(*device);
    device->create(device->label);
  }
  if (crashing) world.devices[crashing->device].crash_at = crashing->at;
}

void Story::calm() {  // who has crashed comes back
  world.settle();
  world.pass(1s);
  world.settle();
}

void Story::send(SimDevice& from, const std::string& to, const std::string& text) {
  const std::size_t crashes = from.crashes;
  from.send(to, text, text);
  if (from.crashes != crashes) from.send(to, text, text);
}

void Story::play() {
  alice.connect();
  bob.connect();
  calm();
  send(alice, "bob", "one");
  send(alice, "bob", "two");
  calm();
  send(bob, "alice", "three");
  calm();
  send(alice, "bob", "four");
  send(bob, "alice", "five");
  calm();
  bob.read("alice");
  calm();
  observer.see_disk(alice);
  alice.lose_sessions();
  send(bob, "alice", "six");
  calm();
  world.pass(6s);
  calm();
  bob.disconnect();
  send(alice, "bob", "seven");
  calm();
  world.wipe_relay();
  bob.connect();
  calm();
  send(bob, "alice", "eight");
  calm();
  commits = {alice.disk->commits, bob.disk->commits};
  for (SimDevice* device : {&alice, &bob}) {  // the rest is for what the crash has delayed
    device->crash_at.reset();
    device->disconnect();
  }
  world.pass(61min);
  alice.connect();
  bob.connect();
  calm();
  world.pass(6s);
  calm();
  for (const SimDevice* device : {&alice, &bob}) observer.see_disk(*device);
}

// The i-th draw after an opening of the home is the same every time.
struct Repeating {
  SimDevice* device = nullptr;
  std::size_t crashes = 0;
  std::uint64_t calls = 0;

  void operator()(std::span<std::uint8_t> out) {
    if (device->crashes != crashes) calls = 0;
    crashes = device->crashes;
    std::mt19937_64 draws(++calls);
    for (auto& byte : out) byte = static_cast<std::uint8_t>(draws());
  }
};

const std::vector<std::string> kTexts{"one",  "two", "three", "four",
                                      "five", "six", "seven", "eight"};

}  // namespace

TEST_SUITE("client-sdk/src/core") {
  TEST_CASE("no key meets a nonce twice, wherever a device crashes") {
    std::array<std::uint64_t, 2> commits{};
    {
      Story story({});
      story.play();
      commits = story.commits;
      CHECK(story.observer.records > 500);
    }
    std::size_t envelopes = 0, opened = 0;
    for (std::size_t device = 0; device < 2; ++device) {
      for (std::uint64_t commit = 2; commit <= commits[device]; ++commit) {  // 1: the account
        for (const When when :
             {When::before_commit, When::before_frames_leave, When::after_frames_left}) {
          CAPTURE(device);
          CAPTURE(commit);
          CAPTURE(static_cast<int>(when));
          Story story(Crashing{device, {commit, when}});
          story.play();
          const Observer& saw = story.observer;
          CHECK(story.alice.crashes + story.bob.crashes == 1);
          CHECK(saw.record_nonces == 0);
          CHECK(saw.noise_keys == 0);
          CHECK(saw.ratchet_nonces == 0);
          CHECK(saw.message_keys == 0);
          auto texts = story.bob.texts("alice");
          std::ranges::sort(texts);
          auto expected = kTexts;
          std::ranges::sort(expected);
          CHECK(texts == expected);
          envelopes += saw.envelopes;
          opened += saw.opened;
        }
      }
    }
    CHECK(opened * 4 > envelopes * 3);  // those to a lost session are not; see that it is few
  }

  TEST_CASE("the observer sees randomness that repeats itself after a crash") {
    Story story(Crashing{0, {12, When::after_frames_left}});
    story.alice.random = [state = std::make_shared<Repeating>(Repeating{&story.alice})](
                             std::span<std::uint8_t> out) { (*state)(out); };
    story.alice.reopen();
    story.play();
    CHECK(story.observer.record_nonces > 0);
  }

  TEST_CASE("the observer sees a message key that a rolled-back session uses again") {
    Story story({});
    story.alice.connect();
    story.bob.connect();
    story.world.settle();
    story.alice.send("bob", "one");
    story.world.settle();
    constexpr auto kSessions = static_cast<std::size_t>(store::Table::sessions);
    const auto before =
        std::make_shared<MemoryBackend::Records>(*story.alice.disk->tables[kSessions]);
    story.bob.disconnect();  // its answer would turn the ratchet
    story.alice.send("bob", "two");
    story.alice.disk->tables[kSessions] = before;
    story.alice.crash();
    story.alice.connect();
    story.world.settle();
    story.alice.send("bob", "three");
    CHECK(story.observer.message_keys == 1);
    CHECK(story.observer.ratchet_nonces == 0);  // fresh randomness saved it from the worst
  }
}

}  // namespace godwit::test
