// Frames on a live relay: two shards over one disk in memory, and what is sent to them by five
// devices of three users, some of it as no client would. The input says who sends what, what is
// sent again, when messages reach the other shard, when the disk commits, fails or rots, how time
// passes, and when the relay crashes.
//
// After each step: the counters are a recount (I5); each request has at most one reply, and there
// is no reply that nobody asked for; deliveries are numbered without holes, carry what was
// submitted for that device (I4), each once and in its sender's order (I2, I3), and nothing whose
// ack is done. What is accepted is on the disk or was acknowledged (I1), after each commit and
// crash. No one-time key is given away twice. At the end all is committed, and a relay that opens
// the disk counts the same (I6).
// About: relay/session relay/handlers relay/slot relay/delivery relay/shard.cpp
#include "relay/shard.hpp"
#include "relay/slot/slot_of.hpp"
#include "tests/fuzz/dispatch_requests.hpp"
#include "tests/support/fake_host.hpp"
#include "tests/support/memory_records.hpp"

namespace godwit::fuzz {
namespace {

using namespace std::chrono_literals;
using relay::session::SessionId;

constexpr int kStepsMax = 80;
constexpr std::size_t kSessionsMax = 8;
constexpr std::uint32_t kLoops = 2;

relay::Config small_config() {
  relay::Config config;
  config.mailbox_envelopes_max = 8;
  config.window_envelopes = 4;
  config.window_bytes = 1'024;  // in pieces of 64
  config.devices_max = 3;
  return config;
}

// A loop without a thread: its shard, and what the shard said.
struct Loop {
  Loop(std::uint32_t index, const relay::Config& config, test::MemoryRecords& disk,
       relay::policy::AddressAdmission& admission)
      : shard({index, kLoops, &config, wire::SipKey{1}}, host, disk, admission, counters) {}

  relay::ops::Counters counters;
  test::FakeHost host;
  relay::Shard shard;
  std::size_t seen = 0;  // of host.sent
};

class World {
 public:
  explicit World(Input& in) : in_(in), config_(small_config()) { start(); }

  void play() {
    for (int i = 0; i < kStepsMax && !in_.empty(); ++i) {
      step();
      if (flows_) carry_all();
      look();
    }
    end();
  }

 private:
  using Envelope = std::pair<wire::DeviceId, wire::Bytes>;  // for whom, and what
  struct Origin {
    std::size_t sender = 0;  // Peer::number
    std::size_t order = 0;   // among all that was submitted
    bool again = false;      // it was sent more than once
  };
  struct OpenSubmit {
    wire::RequestId id;
    std::vector<Envelope> envelopes;  // one a recipient
  };
  struct Peer {
    std::size_t number = 0;
    Loop* loop = nullptr;
    SessionId id = 0;
    const Account* account = nullptr;    // whose key it has proved: it can be nobody else
    std::multiset<std::uint32_t> asked;  // requests without a reply
    std::map<std::uint32_t, OpenSubmit> submits;
    std::map<std::uint32_t, std::vector<Envelope>> acks;
    std::vector<Envelope> delivered;               // by number - 1
    std::map<std::size_t, std::size_t> last_from;  // sender -> order of what came last
  };

  // ---- What happens -----------------------------------------------------------------------------

  void step() {
    switch (in_.below(16)) {
      case 0:
      case 1:
        return join();
      case 2:
        return connect(requests_.someone());
      case 3:
        return close();
      case 4: {
        wire::Bytes frame = copy_of(requests_.some_frame());
        static_cast<void>(mutate(in_, frame));
        return send(frame);
      }
      case 5:
        return send(in_.bytes(512));
      case 6:
        return commit_all();
      case 7:
        return some_loop().shard.on_round_end(now_);
      case 8:
        if (in_.chance(128)) return finish_one(some_loop());
        if (in_.chance(128)) return carry_one(some_loop());
        flows_ = !flows_;
        return;
      case 9:
        return pass();
      case 10:
        return disturb();
      default:
        return send(requests_.some_frame());
    }
  }

  void start() {
    loops_.clear();
    peers_.clear();
    ++boot_;
    for (std::uint32_t i = 0; i < kLoops; ++i) {
      loops_.push_back(std::make_unique<Loop>(i, config_, disk_, admission_));
      loops_.back()->host.identity.boot = boot_;
    }
    disk_.restore_into([this](std::uint16_t slot) -> relay::slot::Engine& {
      return loops_[relay::slot::loop_of(slot, kLoops)]->shard.engine();
    });
    check_accepted();
  }

  Loop& home_of(const wire::UserId& user) {
    return *loops_[relay::slot::loop_of(relay::slot::slot_of(user), kLoops)];
  }
  Loop& some_loop() { return *loops_[in_.below(kLoops)]; }

  void connect(const Account& account) {
    if (peers_.size() == kSessionsMax) return;
    Peer peer;
    peer.number = ++peers_made_;
    peer.loop = &some_loop();
    peer.id = peer.loop->shard.on_established(account.transport.public_key, "10.0.0.1",
                                              in_.chance(200), now_);
    peer.account = &account;
    peers_.push_back(std::move(peer));
  }

  // Most inputs should reach a live session.
  void join() {
    if (peers_.size() == kSessionsMax) return;
    const Account& account = requests_.someone();
    // A few claim a device with another's key.
    connect(in_.chance(16) ? requests_.someone() : account);
    const wire::Register registration{
        1, account.device, account.list.view(), account.seal_key, account.signed_prekey, {}};
    send(peers_.back(), copy_of(requests_.frame_of(registration)));
    if (in_.chance(200)) commit_all();
  }

  void close() {
    if (peers_.empty()) return;
    const auto peer = peers_.begin() + static_cast<std::ptrdiff_t>(in_.below(peers_.size()));
    if (!peer->loop->host.closed.contains(peer->id)) peer->loop->shard.on_closed(peer->id, now_);
    look();  // what was said before counts
    peers_.erase(peer);
  }

  // Until nothing is on its way.
  void commit_all() {
    for (bool moved = true; moved;) {
      moved = false;
      for (const auto& loop : loops_) {
        loop->shard.on_round_end(now_);
        moved = moved || !loop->host.posted.empty() || !loop->host.batches.empty();
        carry_all();
        while (!loop->host.batches.empty()) finish_one(*loop);
      }
    }
  }

  void carry_all() {
    for (bool moved = true; moved;) {
      moved = false;
      for (const auto& loop : loops_) {
        moved = moved || !loop->host.posted.empty();
        while (!loop->host.posted.empty()) carry_one(*loop);
      }
    }
  }
  void carry_one(Loop& from) {
    if (from.host.posted.empty()) return;
    auto posted = std::move(from.host.posted.front());
    from.host.posted.pop_front();
    loops_[posted.loop]->shard.on_message(posted.message, now_);
  }

  void finish_one(Loop& loop) {
    if (loop.host.batches.empty()) return;
    auto batch = std::move(loop.host.batches.front());
    loop.host.batches.pop_front();
    disk_.apply(*batch);
    loop.shard.on_committed(std::move(batch), now_);
    look();
    check_accepted();
    loop.shard.on_round_end(now_);
  }

  void pass() {
    static constexpr std::array<std::chrono::milliseconds, 4> kTimes{1ms, 30ms, 1'000ms, 600'000ms};
    const auto time = kTimes[in_.below(kTimes.size())];
    now_.steady += time;
    now_.wall_ms += static_cast<std::uint64_t>(time.count());
    for (const auto& loop : loops_) loop->shard.on_tick(now_);
  }

  void disturb() {
    switch (in_.below(8)) {
      case 0:
        was_full_ = true;
        return disk_.set_room(false);
      case 1:
        return disk_.set_room(true);
      case 2: {  // crashes, and half of the time a batch under way lands
        look();
        auto& batches = some_loop().host.batches;
        if (!batches.empty() && in_.chance(128)) disk_.apply(*batches.front());
        return start();
      }
      case 3: {
        if (disk_.log().empty()) return;
        auto entry = disk_.log().begin();
        std::advance(entry, in_.below(disk_.log().size()));
        disturbed_ = true;
        return disk_.damage(entry->first);
      }
      case 4: {
        disturbed_ = true;
        return disk_.damage(relay::store::Table::users, requests_.someone().user.view());
      }
      case 5:  // the other loop reads nothing
        some_loop().host.room = in_.below(2);
        return;
      case 6:
        return make_room();
      default:
        commit_all();
        return start();
    }
  }
  void make_room() {
    for (const auto& loop : loops_) loop->host.room = 1'000'000;
  }

  // ---- What is asked ----------------------------------------------------------------------------

  void send(wire::ByteView frame) {
    if (!peers_.empty()) send(peers_[in_.below(peers_.size())], copy_of(frame));
  }
  // In a block of its own size, so that a sanitizer sees a read behind its end.
  void send(Peer& peer, const wire::Bytes& frame) {
    const auto& host = peer.loop->host;
    if (host.closed.contains(peer.id) || host.paused.contains(peer.id)) return;
    if (const auto request = wire::parse_request(frame)) {
      peer.asked.insert(request->id);
      std::visit([&](const auto& body) { note(peer, request->id, body); }, request->body);
    } else {
      peer.asked.insert(wire::request_id_of(frame));
    }
    peer.loop->shard.on_frame(peer.id, frame, now_);
  }

  template <class Request>
  void note(Peer&, std::uint32_t, const Request&) {}
  void note(Peer& peer, std::uint32_t request, const wire::Submit& submit) {
    OpenSubmit open{submit.request_id, {}};
    for (const wire::Recipient& to : submit.recipients) {
      const Envelope envelope{to.device, copy_of(submit.bodies[to.body])};
      const auto [origin, first] =
          submitted_.try_emplace(envelope, Origin{peer.number, submitted_.size(), false});
      if (!first) origin->second.again = true;
      // Under an id that another envelope has, it counts as that one.
      const auto [known, fresh] = ids_.try_emplace({to.device, submit.request_id}, envelope.second);
      if (!fresh && known->second != envelope.second) disturbed_ = true;
      if (submit.ttl_s != 0) may_expire_.insert(envelope);
      open.envelopes.push_back(envelope);
    }
    // Of two under one id the replies cannot be told apart.
    if (!peer.submits.emplace(request, std::move(open)).second) disturbed_ = true;
  }
  void note(Peer& peer, std::uint32_t request, const wire::Ack& ack) {
    std::vector<Envelope> envelopes;
    for (std::size_t i = 0; i < peer.delivered.size(); ++i) {
      const auto number = static_cast<std::uint32_t>(i + 1);
      const bool listed = std::ranges::find(ack.numbers, number) != ack.numbers.end();
      if (number <= ack.upto || listed) envelopes.push_back(peer.delivered[i]);
    }
    acked_.insert(envelopes.begin(), envelopes.end());
    // What is on its way from the other loop counts as delivered.
    const bool ahead = ack.upto > peer.delivered.size() ||
                       std::ranges::any_of(ack.numbers, [&](std::uint32_t number) {
                         return number > peer.delivered.size();
                       });
    if (ahead && peer.loop != &home_of(peer.account->user)) disturbed_ = true;
    if (!peer.acks.emplace(request, std::move(envelopes)).second) disturbed_ = true;
  }
  void note(Peer& peer, std::uint32_t, const wire::PutKeys& keys) {
    for (const auto& key : keys.one_time) ++one_time_put_[{peer.account->device, key.id}];
  }
  void note(Peer&, std::uint32_t, const wire::PutDevices& put) { note(put.list); }
  void note(Peer&, std::uint32_t, const wire::Register& put) { note(put.list); }
  // A device that leaves takes its mail along.
  void note(const wire::SignedListView& list) {
    const auto parsed = wire::parse_device_list(list.body);
    if (!parsed) return;
    for (const Account& one : people().accounts) {
      const bool stays = std::ranges::find(parsed->devices, one.device, &wire::DeviceRecord::id) !=
                         parsed->devices.end();
      if (one.user == parsed->user && !stays) dropped_.insert(one.device);
    }
  }

  // ---- What is said -----------------------------------------------------------------------------

  void look() {
    for (const auto& loop : loops_) {
      for (; loop->seen < loop->host.sent.size(); ++loop->seen) {
        const auto& sent = loop->host.sent[loop->seen];
        const auto peer = std::ranges::find_if(peers_, [&](const Peer& one) {
          return one.loop == loop.get() && one.id == sent.session;
        });
        if (peer == peers_.end()) continue;
        std::visit([&](const auto& body) { on(*peer, sent.frame.request, body); }, sent.frame.body);
      }
      const auto counted =
          std::pair(loop->counters.queued_envelopes.get(), loop->counters.queued_bytes.get());
      require(loop->shard.engine().recount() == counted, "the counters are a recount");
    }
  }

  template <class Reply>
  void on(Peer& peer, std::uint32_t request, const Reply&) {
    answered(peer, request);
  }
  void on(Peer& peer, std::uint32_t, const wire::Deliver& deliver) {
    const Envelope envelope{peer.account->device, copy_of(deliver.envelope)};
    const bool twice = std::ranges::find(peer.delivered, envelope) != peer.delivered.end();
    peer.delivered.push_back(envelope);
    require(deliver.number == peer.delivered.size(), "deliveries are numbered without holes");
    const auto found = submitted_.find(envelope);
    require(found != submitted_.end(), "what is delivered was submitted, for this device");
    const Origin& origin = found->second;
    require(!gone_.contains(envelope) || origin.again, "what was acknowledged is gone");
    if (disturbed_) return;
    // It may be sent anew once it was acknowledged, or refused after it was delivered.
    require(!twice || acked_.contains(envelope) || may_expire_.contains(envelope) || was_full_,
            "a session gets an envelope once");
    if (origin.again) return;
    std::size_t& last = peer.last_from[origin.sender];
    require(last <= origin.order, "what one session sent arrives in its order");
    last = origin.order;
  }
  void on(Peer&, std::uint32_t, const wire::CaughtUp&) {}
  void on(Peer&, std::uint32_t, const wire::KeysLow&) {}
  void on(Peer&, std::uint32_t, const wire::Closing&) {}
  void on(Peer& peer, std::uint32_t request, const wire::Done&) {
    answered(peer, request);
    const auto ack = peer.acks.extract(request);
    if (!ack.empty() && !disturbed_) gone_.insert(ack.mapped().begin(), ack.mapped().end());
  }
  void on(Peer& peer, std::uint32_t request, const wire::Refused&) {
    answered(peer, request);
    peer.acks.erase(request);
  }
  void on(Peer& peer, std::uint32_t request, const wire::Prekeys& prekeys) {
    answered(peer, request);
    for (const wire::Bundle& bundle : prekeys.bundles) {
      if (!bundle.one_time) continue;
      require(one_time_put_[{bundle.device, bundle.one_time->id}]-- > 0,
              "a one-time key is given away once");
    }
  }
  void on(Peer& peer, std::uint32_t request, const wire::Submitted& submitted) {
    answered(peer, request);
    require(peer.submits.contains(request), "only a submit is answered with outcomes");
    if (disturbed_) return;
    const OpenSubmit submit = std::move(peer.submits.extract(request).mapped());
    require(submitted.outcomes.size() == submit.envelopes.size(), "each recipient has an outcome");
    for (std::size_t i = 0; i < submitted.outcomes.size(); ++i) {
      if (submitted.outcomes[i].code != wire::ErrorCode::ok) continue;
      accepted_.emplace(submit.envelopes[i], submit.id);
      check_accepted(submit.envelopes[i], submit.id);
    }
  }
  void check_accepted(const Envelope& envelope, const wire::RequestId& id) const {
    require(disturbed_ || acked_.contains(envelope) || may_expire_.contains(envelope) ||
                dropped_.contains(envelope.first) || disk_.holds(envelope.first, id),
            "what is accepted is on the disk or was acknowledged");
  }
  void check_accepted() const {
    for (const auto& [envelope, id] : accepted_) check_accepted(envelope, id);
  }
  static void answered(Peer& peer, std::uint32_t request) {
    const auto asked = peer.asked.find(request);
    require(asked != peer.asked.end(), "a reply answers a request, once");
    peer.asked.erase(asked);
  }

  void end() {
    disk_.set_room(true);
    make_room();
    for (int i = 0; i < 4; ++i) {  // what gathers behind a hold
      now_.steady += 1s;
      now_.wall_ms += 1'000;
      for (const auto& loop : loops_) loop->shard.on_tick(now_);
      commit_all();
    }
    look();
    const auto before = recounted();
    for (const auto& loop : loops_) {
      require(loop->shard.idle(), "everything was committed or refused");
    }
    start();
    require(disk_.rotted() || recounted() == before, "opening changes nothing");
  }
  std::vector<std::pair<std::uint64_t, std::uint64_t>> recounted() const {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> counts;
    for (const auto& loop : loops_) counts.push_back(loop->shard.engine().recount());
    return counts;
  }

  Input& in_;
  Requests requests_{in_};
  relay::Config config_;
  test::MemoryRecords disk_;
  relay::policy::AddressAdmission admission_{config_, {}};
  std::vector<std::unique_ptr<Loop>> loops_;
  relay::Now now_{relay::Steady{} + 1h, 1'700'000'000'000};
  std::vector<Peer> peers_;
  std::size_t peers_made_ = 0;
  std::map<Envelope, Origin> submitted_;
  std::map<std::pair<wire::DeviceId, wire::RequestId>, wire::Bytes> ids_;
  std::map<Envelope, wire::RequestId> accepted_;
  std::set<Envelope> acked_;
  std::set<Envelope> may_expire_;  // all others live longer than a story lasts
  std::set<Envelope> gone_;  // whose ack is done
  std::set<wire::DeviceId> dropped_;
  std::map<std::pair<wire::DeviceId, std::uint32_t>, int> one_time_put_;
  std::uint32_t boot_ = 0;
  bool flows_ = true;  // messages reach the other loop at once
  bool was_full_ = false;
  bool disturbed_ = false;  // something happened that may undo what was accepted
};

}  // namespace
}  // namespace godwit::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace godwit::fuzz;
  Input in(data, size);
  World(in).play();
  return 0;
}
