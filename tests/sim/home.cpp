#include "tests/sim/home.hpp"

#include <cassert>

#include "tests/sim/world.hpp"

namespace godwit::sim {

using std::chrono::milliseconds;
using store::StoreError;

namespace {

constexpr milliseconds kBoot = std::chrono::hours{1};  // what a steady clock shows at the beginning

}  // namespace

Home::Home(World& world, std::string name, Draws draws)
    : world_(world), name_(std::move(name)), draws_(draws) {}

// ---- Platform -----------------------------------------------------------------------------------

class Home::Process final : public Platform {
 public:
  explicit Process(Home& home) : home_(home), life_(home.disk_.life) {}

  [[nodiscard]] core::Now now() const override { return home_.now(); }
  [[nodiscard]] crypto::Random random(const Options&) override {
    return [&home = home_](std::span<std::uint8_t> out) { home.draws_.fill(out); };
  }
  [[nodiscard]] store::Result<store::Database> create_database(const Options&,
                                                               crypto::Random random) override {
    if (dead()) return tl::unexpected(StoreError::io);
    if (home_.disk_.commits > 0) return tl::unexpected(StoreError::exists);
    return home_.database(random);
  }
  [[nodiscard]] store::Result<store::Database> open_database(const Options&,
                                                             crypto::Random random) override {
    if (dead()) return tl::unexpected(StoreError::io);
    if (home_.disk_.commits == 0) return tl::unexpected(StoreError::not_found);
    return home_.database(random);
  }
  [[nodiscard]] Result<std::unique_ptr<RelayLink>> link(const Options&, const wire::RelayAddress&,
                                                        Speaker& speaker) override {
    if (dead()) return Error{ErrorCode::offline, "this device has lost its power"};
    auto link = std::make_unique<Link>(home_, speaker);
    home_.link_ = link.get();
    home_.was_linked_ = false;
    return std::unique_ptr<RelayLink>(std::move(link));
  }
  // Time passes here while a client waits.
  [[nodiscard]] bool wait(std::unique_lock<std::mutex>& lock, std::condition_variable&,
                          milliseconds until) override {
    lock.unlock();
    ++home_.waits_;
    const bool more = home_.world_.agenda.step(until - kBoot);
    --home_.waits_;
    lock.lock();
    return more;
  }

 private:
  [[nodiscard]] bool dead() const { return home_.disk_.life != life_; }

  Home& home_;
  const std::uint64_t life_;
};

std::shared_ptr<Platform> Home::start_process() {
  down_ = false;
  return std::make_shared<Process>(*this);
}

core::Now Home::now() const {
  const auto passed = std::chrono::floor<milliseconds>(world_.agenda.now());
  return {world_.epoch + passed + ahead_, kBoot + passed};
}

store::Result<store::Database> Home::database(const crypto::Random& random) {
  if (!open_.expired()) return tl::unexpected(StoreError::in_use);
  auto open = std::make_shared<int>();
  open_ = open;
  auto backend = std::make_unique<test::MemoryBackend>(
      disk_, [this, open](std::uint64_t commit) { return may_commit(commit); });
  return keys().beside(std::move(backend), random);
}

const store::Database& Home::keys() {
  if (!keys_) {
    wire::SecretKey key;
    draws_.fill(key.bytes);
    auto made = store::Database::over(nullptr, {}, key);
    assert(made);
    keys_ = std::make_shared<const store::Database>(*std::move(made));
  }
  return *keys_;
}

bool Home::may_commit(std::uint64_t commit) {
  if (dying_) return false;
  if (dies_at_ && commit >= dies_at_->first) {
    const bool lands = dies_at_->second == Moment::after_commit;
    dies_at_.reset();
    dying_ = true;
    disk_.refusal = StoreError::io;
    world_.crash(*this, draws_.chance(50), draws_.between(milliseconds{100}, milliseconds{5'000}));
    return lands;
  }
  disk_.refusal = StoreError::disk_full;
  return !disk_full_;
}

// ---- What befalls it ----------------------------------------------------------------------------

void Home::lose_power(bool relay_notices) {
  ++disk_.life;
  down_ = true;
  dying_ = false;
  dies_at_.reset();
  open_.reset();
  if (link_ != nullptr) {
    was_linked_ = true;
    std::exchange(link_, nullptr)->crash(relay_notices);
  }
}

void Home::cut(bool at_once) {
  cut_ = true;
  if (link_ == nullptr) return;
  link_->cut();
  if (at_once) link_->reset("no network");
}

void Home::reset(const std::string& reason) {
  if (link_ != nullptr) link_->reset(reason);
}

void Home::inject(wire::Bytes frame) {
  if (link_ != nullptr) link_->inject(std::move(frame));
}

void Home::forge(wire::Bytes frame) {
  if (link_ != nullptr) link_->forge(std::move(frame));
}

Agenda::Time Home::latency() {
  return slow_ + draws_.between(world_.settings.latency_min, world_.settings.latency_max);
}

const store::Database& Home::look() {
  if (!look_ || look_->first != disk_.life) {
    auto backend = std::make_unique<test::MemoryBackend>(disk_);
    look_.emplace(disk_.life, keys().beside(std::move(backend), {}));  // it writes nothing
  }
  return look_->second;
}

void Home::put_back(const State& state) {
  disk_ = state.disk;
  keys_ = state.keys;
}

}  // namespace godwit::sim
