#include "tests/sim/relay.hpp"

#include <cassert>

#include "relay/slot/slot_of.hpp"

namespace godwit::sim {

using namespace std::chrono_literals;
using relay::session::SessionId;

struct Relay::Connection {
  ConnectionId id = 0;
  std::shared_ptr<Peer> peer;
  Loop* loop = nullptr;
  SessionId session = 0;
  bool paused = false;
  std::deque<wire::Bytes> unread;    // while paused
  std::vector<wire::Bytes> waiting;  // to leave with the next frame

  void flush() {
    for (auto& frame : std::exchange(waiting, {})) peer->on_relay_frame(std::move(frame));
  }
};

// A loop as the shard sees it: the daemon's Worker, without its libuv.
class Relay::Loop final : public relay::Host {
 public:
  Loop(Relay& relay, std::uint32_t index)
      : relay_(relay),
        index_(index),
        shard_({index, relay.options_.loops, &relay.options_.config, wire::SipKey{1}}, *this,
               relay.disk_, *relay.admission_, counters_) {}

  // One thing happens to the shard; the round may end at once, or with what comes next.
  template <class Event>
  void run(const Event& event) {
    event(shard_);
    if (relay_.draws_.chance(50)) return end_round();
    if (std::exchange(round_due_, true)) return;
    relay_.in(relay_.draws_.between(0us, 100us), [this] { end_round(); });
  }
  void end_round() {
    round_due_ = false;
    shard_.on_round_end(relay_.now());
  }
  void accept(Connection& connection, const wire::Key& transport) {
    connection.loop = this;
    connection.session =
        shard_.on_established(transport, "192.0.2.7", !relay_.options_.limits_rates, relay_.now());
    by_session_[connection.session] = &connection;
  }
  void forget(const Connection& connection) { by_session_.erase(connection.session); }
  [[nodiscard]] bool knows(const Connection& connection) const {
    return by_session_.contains(connection.session);
  }
  [[nodiscard]] relay::Shard& shard() { return shard_; }
  [[nodiscard]] const relay::ops::Counters& counters() const { return counters_; }

  // ---- Host
  void send(SessionId session, wire::ByteView frame, Leaves leaves) override {
    Connection* const connection = find(session);
    if (connection == nullptr) return;
    connection->waiting.emplace_back(frame.begin(), frame.end());
    if (leaves == Leaves::soon) return connection->flush();
    if (connection->waiting.size() > 1) return;
    relay_.in(relay::kFrameWaitMax, [&relay = relay_, id = connection->id] {
      const auto found = relay.connections_.find(id);
      if (found != relay.connections_.end()) found->second->flush();
    });
  }
  void lift_frame_limit(SessionId) override {}
  void close(SessionId session, wire::ErrorCode) override {
    Connection* const connection = find(session);
    if (connection == nullptr) return;
    by_session_.erase(session);
    connection->peer->on_relay_closed();
    relay_.in(0us, [&relay = relay_, id = connection->id] { relay.connections_.erase(id); });
  }
  void pause(SessionId session, bool paused) override {
    Connection* const connection = find(session);
    if (connection == nullptr) return;
    connection->paused = paused;
    if (paused || connection->unread.empty()) return;
    relay_.in(0us, [&relay = relay_, id = connection->id] {
      const auto found = relay.connections_.find(id);
      if (found == relay.connections_.end()) return;
      auto unread = std::exchange(found->second->unread, {});
      for (auto& frame : unread) relay.receive(id, std::move(frame));
    });
  }
  [[nodiscard]] bool post(std::uint32_t loop, relay::Message& message) override {
    Loop& other = *relay_.loops_[loop];
    if (other.inbox_.size() >= kInboxMax) return false;
    other.take(std::move(message));
    return true;
  }
  void post_always(std::uint32_t loop, relay::Message message) override {
    relay_.loops_[loop]->take(std::move(message));
  }
  void commit(std::unique_ptr<relay::store::Batch> batch) override {
    relay_.waiting_.emplace_back(index_, std::move(batch));
    relay_.commit_soon();
  }
  void wake_at(relay::Steady when) override {
    if (waking_at_ && *waking_at_ <= when && *waking_at_ > relay_.now().steady) return;
    waking_at_ = when;
    const auto delay = std::chrono::ceil<Agenda::Time>(when - relay_.now().steady);
    relay_.in(std::max<Agenda::Time>(delay, 1us), [this] { end_round(); });
  }
  [[nodiscard]] StoreIdentity store_identity() const override { return relay_.identity_; }

 private:
  static constexpr std::size_t kInboxMax = 16;  // small, so that a full one is met

  [[nodiscard]] Connection* find(SessionId session) const {
    const auto found = by_session_.find(session);
    return found == by_session_.end() ? nullptr : found->second;
  }
  // In the order in which they came.
  void take(relay::Message message) {
    inbox_.push_back(std::move(message));
    if (inbox_.size() > 1) return;
    relay_.in(relay_.draws_.between(0us, 300us), [this] { read_inbox(); });
  }
  void read_inbox() {
    auto messages = std::exchange(inbox_, {});
    for (relay::Message& message : messages) {
      run([&](relay::Shard& shard) { shard.on_message(message, relay_.now()); });
    }
  }

  Relay& relay_;
  const std::uint32_t index_;
  relay::ops::Counters counters_;
  relay::Shard shard_;
  std::unordered_map<SessionId, Connection*> by_session_;
  std::deque<relay::Message> inbox_;
  std::optional<relay::Steady> waking_at_;
  bool round_due_ = false;
};

Relay::Relay(Agenda& agenda, std::chrono::milliseconds epoch, Options options, Draws draws)
    : agenda_(agenda), epoch_(epoch), options_(options), draws_(draws) {
  draws_.fill(identity_.id.bytes);
  identity_.generation = 1;
}

Relay::~Relay() = default;

relay::Now Relay::now() const {
  const auto wall = epoch_ + ahead_ + std::chrono::floor<std::chrono::milliseconds>(agenda_.now());
  return {relay::Steady{} + 1h + agenda_.now(), static_cast<std::uint64_t>(wall.count())};
}

void Relay::in(Agenda::Time delay, Agenda::Action action) {
  agenda_.in(delay, [this, life = life_, action = std::move(action)] {
    if (life == life_) action();
  });
}

// ---- Connections --------------------------------------------------------------------------------

std::optional<Relay::ConnectionId> Relay::connect(const wire::Key& transport,
                                                  std::shared_ptr<Peer> peer) {
  if (!up()) return std::nullopt;
  ++frames_;
  const ConnectionId id = next_connection_++;
  auto connection = std::make_unique<Connection>();
  connection->id = id;
  connection->peer = std::move(peer);
  loops_[draws_.below(loops_.size())]->accept(*connection, transport);
  connections_.emplace(id, std::move(connection));
  return id;
}

void Relay::receive(ConnectionId id, wire::Bytes frame) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  Connection& connection = *found->second;
  if (!connection.loop->knows(connection)) return;  // the relay has closed it
  ++frames_;
  if (connection.paused) {
    connection.unread.push_back(std::move(frame));
    return;
  }
  connection.loop->run(
      [&](relay::Shard& shard) { shard.on_frame(connection.session, frame, now()); });
}

void Relay::close(ConnectionId id) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  const auto connection = std::move(found->second);
  connections_.erase(found);
  if (!connection->loop->knows(*connection)) return;
  connection->loop->forget(*connection);
  connection->loop->run([&](relay::Shard& shard) { shard.on_closed(connection->session, now()); });
}

void Relay::forget_connections() {
  auto connections = std::exchange(connections_, {});
  // In the order of their numbers, whatever the table makes of them.
  std::map<ConnectionId, Peer*> peers;
  for (const auto& [id, connection] : connections) peers.emplace(id, connection->peer.get());
  for (const auto& [id, peer] : peers) peer->on_relay_closed();
}

// ---- The writer ---------------------------------------------------------------------------------

void Relay::commit_soon() {
  if (std::exchange(committing_, true)) return;
  in(draws_.between(options_.commit_min, options_.commit_max), [this] { commit(); });
}

void Relay::commit() {
  const auto dies = std::exchange(crash_at_, std::nullopt);
  if (dies == Moment::before_commit) return crash();
  auto group = std::exchange(waiting_, {});
  for (auto& [loop, batch] : group) disk_.apply(*batch);
  if (disk_.quarantined().size() > quarantined_) {
    quarantined_ = disk_.quarantined().size();
    ++identity_.generation;  // what the store does when something accepted is lost
  }
  if (dies == Moment::after_commit) return crash();
  committing_ = false;
  for (auto& [index, batch] : group) {
    Loop& loop = *loops_[index];
    auto shared = std::make_shared<std::unique_ptr<relay::store::Batch>>(std::move(batch));
    in(draws_.between(0us, 200us), [this, &loop, shared] {
      loop.run([&](relay::Shard& shard) { shard.on_committed(std::move(*shared), now()); });
    });
  }
}

// ---- Life and death -----------------------------------------------------------------------------

void Relay::start() {
  assert(!up());
  ++identity_.boot;
  ++life_;
  committing_ = false;
  waiting_.clear();
  admission_ = std::make_unique<relay::policy::AddressAdmission>(options_.config,
                                                                 relay::policy::AddressSet{});
  for (std::uint32_t i = 0; i < options_.loops; ++i) {
    loops_.push_back(std::make_unique<Loop>(*this, i));
  }
  disk_.restore_into([this](std::uint16_t slot) -> relay::slot::Engine& {
    return loops_[relay::slot::loop_of(slot, options_.loops)]->shard().engine();
  });
  tick_interval_ = 1s;
  in(1s, [this] { tick(); });
}

void Relay::crash() {
  if (!up()) return;
  ++crashes_;
  end_life();
}

void Relay::end_life() {
  expired_ = expired();
  ++life_;
  crash_at_.reset();
  // The peers' ends of the connections notice by themselves.
  forget_connections();
  loops_.clear();
  waiting_.clear();
}

void Relay::shut_down() {
  if (!up()) return;
  for (auto& loop : loops_) loop->run([&](relay::Shard& shard) { shard.on_shutdown(now()); });
  const Agenda::Time until = agenda_.now() + 5s;
  const std::uint64_t life = life_;
  while (life == life_ && !idle() && agenda_.step(until)) {
  }
  if (life == life_) end_life();
}

void Relay::wipe() {
  assert(!up());
  disk_ = {};
  quarantined_ = 0;
  draws_.fill(identity_.id.bytes);
  identity_.generation = 1;
}

void Relay::put_back(const Saved& saved) {
  assert(!up());
  disk_ = saved.records;
  identity_ = saved.identity;
  quarantined_ = disk_.quarantined().size();
}

void Relay::set_full(bool full) {
  disk_.set_room(!full);
}

// Once a second, and more rarely when nothing has happened for longer than a login may take: so an
// idle week is cheap. Only expiry, and the end of a silent session, come a little later then.
void Relay::tick() {
  if (std::exchange(ticked_at_, frames_) != frames_) quiet_since_ = agenda_.now();
  const bool quiet = agenda_.now() - quiet_since_ > 2 * relay::kLoginDeadline;
  tick_interval_ = quiet ? std::min<std::chrono::seconds>(tick_interval_ * 2, 16s) : 1s;
  for (auto& loop : loops_) loop->run([&](relay::Shard& shard) { shard.on_tick(now()); });
  in(tick_interval_, [this] { tick(); });
}

// ---- Figures ------------------------------------------------------------------------------------

Relay::Count Relay::counted() const {
  Count sum;
  for (const auto& loop : loops_) {
    sum.envelopes += loop->counters().queued_envelopes.get();
    sum.bytes += loop->counters().queued_bytes.get();
  }
  return sum;
}

Relay::Count Relay::recounted() const {
  Count sum;
  for (const auto& loop : loops_) {
    const auto [envelopes, bytes] = loop->shard().engine().recount();
    sum.envelopes += envelopes;
    sum.bytes += bytes;
  }
  return sum;
}

std::uint64_t Relay::expired() const {
  std::uint64_t sum = expired_;
  for (const auto& loop : loops_) sum += loop->counters().expired_total.get();
  return sum;
}

bool Relay::idle() const {
  if (!waiting_.empty() || committing_) return false;
  for (const auto& loop : loops_) {
    if (!loop->shard().idle()) return false;
  }
  return true;
}

}  // namespace godwit::sim
