// support/fake_host: the world of one shard, as lists that a test reads: frames decoded, messages
// for other shards, batches, ended and paused connections.
// Owns:    everything that the shard said. Views in a frame live as long as the host.
// Thread:  one owner.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstring>
#include <map>
#include <set>

#include "relay/shard.hpp"

namespace godwit::test {

class FakeHost final : public relay::Host {
 public:
  using SessionId = relay::session::SessionId;

  struct Sent {
    SessionId session = 0;
    Leaves leaves = Leaves::soon;
    std::vector<std::uint64_t> storage;  // u64 for the alignment that the codec wants
    wire::RelayFrame frame;              // its views point into `storage`
  };
  struct Posted {
    std::uint32_t loop = 0;
    relay::Message message;
  };

  void send(SessionId session, wire::ByteView frame_body, Leaves leaves) override {
    assert(!closed.contains(session) && "nothing is sent to a connection that was closed");
    Sent& added = sent.emplace_back();
    added.session = session;
    added.leaves = leaves;
    added.storage.resize((frame_body.size() + 7) / 8);
    std::memcpy(added.storage.data(), frame_body.data(), frame_body.size());
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(added.storage.data());
    auto parsed = wire::parse_relay_frame({bytes, frame_body.size()});
    assert(parsed && "a relay sends what its own codec reads");
    added.frame = std::move(*parsed);
  }
  void lift_frame_limit(SessionId session) override { lifted.insert(session); }
  void close(SessionId session, wire::ErrorCode) override { closed.insert(session); }
  void pause(SessionId session, bool pause_it) override {
    pauses.emplace_back(session, pause_it);
    pause_it ? (void)paused.insert(session) : (void)paused.erase(session);
  }
  [[nodiscard]] bool post(std::uint32_t loop, relay::Message& message) override {
    if (room == 0) return false;
    --room;
    posted.push_back({loop, std::move(message)});
    return true;
  }
  void post_always(std::uint32_t loop, relay::Message message) override {
    posted.push_back({loop, std::move(message)});
  }
  void commit(std::unique_ptr<relay::store::Batch> batch) override {
    assert(!batch->empty() && "an empty batch is not worth a commit");
    batches.push_back(std::move(batch));
  }
  void wake_at(relay::Steady when) override { wake = wake ? std::min(*wake, when) : when; }
  [[nodiscard]] StoreIdentity store_identity() const override { return identity; }

  // The frames to one session since the last call, the oldest first.
  [[nodiscard]] std::vector<const wire::RelayFrame*> take_frames(SessionId session) {
    std::vector<const wire::RelayFrame*> frames;
    std::size_t& from = read_[session];
    for (; from < sent.size(); ++from) {
      if (sent[from].session == session) frames.push_back(&sent[from].frame);
    }
    return frames;
  }

  std::deque<Sent> sent;  // a deque: frames stay where they are
  std::set<SessionId> lifted;
  std::set<SessionId> closed;
  std::set<SessionId> paused;
  std::vector<std::pair<SessionId, bool>> pauses;
  std::deque<Posted> posted;
  std::deque<std::unique_ptr<relay::store::Batch>> batches;
  std::optional<relay::Steady> wake;
  std::size_t room = 1'000'000;  // how many more post() will take
  StoreIdentity identity{{}, 7, 3};

 private:
  std::map<SessionId, std::size_t> read_;
};

}  // namespace godwit::test
