#include "tests/support/world.hpp"

#include <doctest/doctest.h>

#include "schema/wire/address.hpp"
#include "schema/wire/hash.hpp"
#include "schema/wire/x25519.hpp"

namespace godwit::test {
namespace {

// As aligned as the codec wants it.
struct Aligned {
  explicit Aligned(wire::ByteView bytes) : words((bytes.size() + 7) / 8), size(bytes.size()) {
    if (size != 0) std::memcpy(words.data(), bytes.data(), size);
  }
  [[nodiscard]] wire::ByteView view() const {
    return {reinterpret_cast<const std::uint8_t*>(words.data()), size};
  }
  std::vector<std::uint64_t> words;
  std::size_t size;
};

crypto::Random seeded(std::mt19937_64& draws) {
  return [&draws](std::span<std::uint8_t> out) {
    for (auto& byte : out) byte = static_cast<std::uint8_t>(draws());
  };
}

}  // namespace

// ---- SimDevice ----------------------------------------------------------------------------------

SimDevice::SimDevice(World& world_in, std::string label_in, std::uint64_t seed)
    : world(world_in),
      label(std::move(label_in)),
      draws(seed),
      disk(std::make_unique<MemoryBackend::Disk>()),
      random(seeded(draws)) {
  random(store_key.bytes);
}

void SimDevice::reopen() {
  core.reset();
  database.reset();
  const auto hook = [this](std::uint64_t commit) {
    const bool dies =
        crash_at && crash_at->when == Crash::When::before_commit && commit >= crash_at->commit;
    return !dies && (!commit_hook || commit_hook(commit));
  };
  auto opened =
      store::Database::over(std::make_unique<MemoryBackend>(*disk, hook), random, store_key);
  REQUIRE(opened);
  database = std::make_unique<store::Database>(std::move(*opened));
  if (auto made = core::Core::open(*database, random, world.now())) core = std::move(*made);
}

void SimDevice::create(const std::string& name) {
  reopen();
  const auto account = core::new_account(world.address(), name);
  REQUIRE(account.ok());
  REQUIRE(core::Core::make_account(*database, random, world.now(), *account).ok());
  reopen();
  REQUIRE(core);
}

void SimDevice::recover(const std::string& code) {
  reopen();
  const auto account = core::recovered_account(world.address(), code);
  REQUIRE(account.ok());
  REQUIRE(core::Core::make_account(*database, random, world.now(), *account).ok());
  reopen();
  REQUIRE(core);
}

void SimDevice::end_round() {
  const auto done = core->end_round(world.now());
  const bool dies = crash_at && disk->commits >= crash_at->commit;
  REQUIRE_MESSAGE((done.ok() || dies), label);
  if (!dies || crash_at->when == Crash::When::after_frames_left) {
    for (auto& frame : core->take_frames()) {
      if (world.watch) world.watch(*this, frame);
      if (session) to_relay.push_back(std::move(frame));
    }
  }
  if (dies) {
    crash_at.reset();
    ++crashes;
    crash();
    return;
  }
  for (auto& event : core->take_events()) events.push_back(std::move(event));
  if (core->link().close && session) {
    if (core->link().give_up) wants_connection = false;
    world.close_session(*this);
  }
}

void SimDevice::connect() {
  wants_connection = true;
  world.open_session(*this);
}

void SimDevice::disconnect() {
  wants_connection = false;
  world.close_session(*this);
}

void SimDevice::crash() {
  if (session) {
    to_relay.clear();
    to_device.clear();
    world.shard_->on_closed(*session, world.relay_now());
    session.reset();
  }
  reopen();
  REQUIRE(core);
}

void SimDevice::lose_sessions() {
  disk->tables[static_cast<std::size_t>(store::Table::sessions)] =
      std::make_shared<MemoryBackend::Records>();
  crash();
}

Sent SimDevice::send(const std::string& to, const std::string& text,
                     std::optional<std::string> key) {
  const Outgoing message{to, text, std::move(key)};
  auto sent = core->send(std::span(&message, 1), world.now());
  REQUIRE_MESSAGE(sent.ok(), (sent.ok() ? "" : sent.error().message));
  end_round();
  return sent->front();
}

Error SimDevice::send_fails(const std::string& to, const std::string& text,
                            std::optional<std::string> key) {
  const Outgoing message{to, text, std::move(key)};
  auto sent = core->send(std::span(&message, 1), world.now());
  REQUIRE(!sent.ok());
  end_round();
  return sent.error();
}

void SimDevice::read(const std::string& name) {
  const auto conversation = core->conversation_of(name);
  REQUIRE(conversation.ok());
  REQUIRE(core->mark_read(*conversation, Client::kLatest, world.now()).ok());
  end_round();
}

std::vector<Message> SimDevice::messages(const std::string& name) const {
  std::vector<Message> all;
  const auto conversation = core->conversation_of(name);
  if (!conversation) return all;
  PageRequest page{.limit = 1'000};
  for (bool end = false; !end;) {
    auto got = core->messages(*conversation, page);
    REQUIRE(got.ok());
    all.insert(all.end(), got->items.begin(), got->items.end());
    page.cursor = got->cursor;
    end = got->end;
  }
  return all;
}

std::vector<std::string> SimDevice::texts(const std::string& name) const {
  std::vector<std::string> all;
  for (const auto& message : messages(name)) all.push_back(message.text);
  return all;
}

Status SimDevice::status(const MessageId& id) const {
  const auto found = core->status(id);
  REQUIRE(found.ok());
  return found->status;
}

std::size_t SimDevice::count(EventKind kind) const {
  return static_cast<std::size_t>(
      std::ranges::count(events, kind, [](const Event& event) { return event.kind; }));
}

// ---- World --------------------------------------------------------------------------------------

World::World(std::uint64_t seed) : seeds_(seed) {
  wire::init_crypto();
  address_ =
      wire::format_address({wire::key_pair_of(wire::SecretKey{{7}}).public_key, "127.0.0.1:7700"});
  disk_ = std::make_unique<MemoryRecords>();
  host_ = std::make_unique<FakeHost>();
  host_->identity.id.bytes[0] = store_number_;
  make_shard();
}

World::~World() = default;

struct World::Snapshot {
  struct Device {
    std::string label;
    MemoryBackend::Disk disk;  // tables are shared until one of the worlds writes to them
    wire::SecretKey store_key;
  };
  MemoryRecords relay;
  std::vector<Device> devices;
  core::Now now;
};

std::shared_ptr<const World::Snapshot> World::snapshot() const {
  auto taken = std::make_shared<Snapshot>();
  taken->relay = *disk_;
  for (const auto& device : devices) {
    taken->devices.push_back({device.label, *device.disk, device.store_key});
  }
  taken->now = now_;
  return taken;
}

World::World(const Snapshot& from, std::uint64_t seed) : World(seed) {
  *disk_ = from.relay;
  now_ = from.now;
  make_shard();
  for (const auto& device : from.devices) {
    SimDevice& restored = add_blank(device.label);
    *restored.disk = device.disk;
    restored.store_key = device.store_key;
    restored.reopen();
  }
}

relay::Now World::relay_now() const {
  return {relay::Steady{} + now_.steady, static_cast<std::uint64_t>(now_.wall.count())};
}

void World::make_shard() {
  admission_ =
      std::make_unique<relay::policy::AddressAdmission>(config_, relay::policy::AddressSet{});
  shard_ = std::make_unique<relay::Shard>(relay::ShardOptions{0, 1, &config_, wire::SipKey{1}},
                                          *host_, *disk_, *admission_, counters_);
  disk_->restore_into(shard_->engine());
}

void World::restart_relay() {
  for (auto& device : devices) {
    if (device.session) close_session(device);
  }
  const auto identity = host_->identity;
  host_ = std::make_unique<FakeHost>();
  host_->identity = identity;
  ++host_->identity.boot;
  make_shard();
}

void World::restart_relay_without(relay::store::Table table) {
  restart_relay();
  disk_->lose(table);
  ++host_->identity.generation;
}

void World::wipe_relay() {
  for (auto& device : devices) {
    if (device.session) close_session(device);
  }
  disk_ = std::make_unique<MemoryRecords>();
  host_ = std::make_unique<FakeHost>();
  host_->identity.id.bytes[0] = ++store_number_;
  make_shard();
}

SimDevice& World::add_blank(const std::string& label) {
  return devices.emplace_back(*this, label, seeds_());
}

SimDevice& World::add(const std::string& name) {
  SimDevice& device = add_blank(name);
  device.create(name);
  device.connect();
  settle();
  REQUIRE(device.core->settled());
  return device;
}

void World::open_session(SimDevice& device) {
  if (device.session) return;
  auto keys = device.core->transport_keys();
  device.session = shard_->on_established(keys.public_key, "10.0.0.1", true, relay_now());
  wire::wipe(keys.secret.bytes);
  device.to_relay.clear();
  device.to_device.clear();
  device.round([&](core::Core& core) { core.on_connected(now_); });
}

void World::close_session(SimDevice& device) {
  if (!device.session) return;
  const auto session = *device.session;
  device.session.reset();
  device.to_relay.clear();
  device.to_device.clear();
  if (!host_->closed.contains(session)) shard_->on_closed(session, relay_now());
  device.round([&](core::Core& core) { core.on_disconnected(now_); });
}

void World::relay_round() {
  shard_->on_round_end(relay_now());
  while (!host_->batches.empty()) {
    auto batch = std::move(host_->batches.front());
    host_->batches.pop_front();
    disk_->apply(*batch);
    shard_->on_committed(std::move(batch), relay_now());
    shard_->on_round_end(relay_now());
  }
  take_from_relay();
}

void World::take_from_relay() {
  while (!host_->sent.empty()) {
    const FakeHost::Sent& sent = host_->sent.front();
    for (auto& device : devices) {
      if (device.session != sent.session) continue;
      wire::Encoder encoder;
      const wire::ByteView bytes = encoder.encode(sent.frame);
      if (tamper) {
        for (auto& frame : tamper(device, bytes)) device.to_device.push_back(std::move(frame));
      } else {
        device.to_device.emplace_back(bytes.begin(), bytes.end());
      }
    }
    host_->sent.pop_front();
  }
}

bool World::deliver_to_relay(SimDevice& device) {
  if (device.to_relay.empty() || !device.session) return false;
  const Aligned frame(device.to_relay.front());
  device.to_relay.pop_front();
  const bool passes = !upstream || upstream(device, frame.view());
  if (passes && !host_->closed.contains(*device.session)) {
    shard_->on_frame(*device.session, frame.view(), relay_now());
  }
  relay_round();
  return true;
}

bool World::deliver_to_device(SimDevice& device) {
  if (device.to_device.empty() || !device.session) return false;
  const Aligned bytes(device.to_device.front());
  device.to_device.pop_front();
  const auto frame = wire::parse_relay_frame(bytes.view());
  if (frame) {
    device.round([&](core::Core& core) { core.on_frame(*frame, now_); });
  } else {
    close_session(device);
  }
  if (device.session && host_->closed.contains(*device.session) && device.to_device.empty()) {
    close_session(device);
  }
  return true;
}

void World::settle() {
  relay_round();
  for (bool moved = true; moved;) {
    moved = false;
    for (auto& device : devices) {
      while (deliver_to_relay(device) || deliver_to_device(device)) moved = true;
    }
    if (moved) continue;
    // What the relay holds back for a few milliseconds only.
    now_.steady += std::chrono::milliseconds{25};
    now_.wall += std::chrono::milliseconds{25};
    relay_round();
    for (auto& device : devices) moved |= !device.to_device.empty();
  }
}

void World::exchange_texts(SimDevice& first, SimDevice& second) {
  first.send(second.label, "one");
  settle();
  second.send(first.label, "two");
  settle();
}

void World::pass(std::chrono::milliseconds time) {
  now_.steady += time;
  now_.wall += time;
  shard_->on_tick(relay_now());
  relay_round();
  for (auto& device : devices) {
    if (!device.core) continue;
    if (device.wants_connection && !device.session) open_session(device);
    const auto due = device.core->deadline();
    if (due && *due <= now_.steady) {
      device.round([&](core::Core& core) { core.on_time(now_); });
    }
  }
}

}  // namespace godwit::test
