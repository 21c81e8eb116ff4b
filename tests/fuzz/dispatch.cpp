// Frames on a live relay: one shard with its slot engine over a disk in memory, and what is sent to
// it by five devices of three users, some of it as no client would. The input says who sends what,
// when the disk commits, fails or rots, how time passes, and when the relay crashes.
//
// After each step: the counters are a recount (I5); each request has at most one reply, and there
// is no reply that nobody asked for; deliveries are numbered without holes and carry what was
// submitted for that device (I4); what is accepted is on the disk or was acknowledged (I1). At the
// end all is committed, and a relay that opens the disk counts the same (I6).
#include "relay/shard.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/support/fake_host.hpp"
#include "tests/support/memory_records.hpp"
#include "tests/support/raw_device.hpp"

namespace godwit::fuzz {
namespace {

using namespace std::chrono_literals;
using relay::session::SessionId;
using support::Account;

constexpr int kStepsMax = 80;
constexpr std::size_t kSessionsMax = 8;

// Users 1 to 3; the first has several devices over time, and the lists that say so.
struct People {
  std::vector<Account> accounts;
  std::vector<wire::SignedList> lists;
  std::array<std::string_view, 5> names{"anna", "Anna", "b.o_b", "x", "a name"};

  People() {
    accounts.push_back(Account::from_seed(1, 3));
    lists.push_back(accounts[0].list);
    lists.push_back(support::next_list(1, lists[0], std::array<std::uint32_t, 2>{0, 1}));
    lists.push_back(support::next_list(1, lists[1], std::array<std::uint32_t, 1>{0}));
    lists.push_back(support::recovered_list(1, &lists[1], 2));
    accounts.push_back(Account::of_device(1, 1, lists[1], 3));
    accounts.push_back(Account::of_device(1, 2, lists[3], 3));
    for (const std::uint64_t seed : {2U, 3U}) {
      accounts.push_back(Account::from_seed(seed, 3));
      lists.push_back(accounts.back().list);
    }
  }
};

const People& people() {
  static const People people;
  return people;
}

relay::Config small_config() {
  relay::Config config;
  config.mailbox_envelopes_max = 8;
  config.window_envelopes = 4;
  config.window_bytes = 1'024;  // in pieces of 64
  config.devices_max = 3;
  return config;
}

class World {
 public:
  explicit World(Input& in) : in_(in), config_(small_config()) { start(); }

  void play() {
    for (int i = 0; i < kStepsMax && !in_.empty(); ++i) {
      step();
      look();
    }
    end();
  }

 private:
  using Envelope = std::pair<wire::DeviceId, wire::Bytes>;  // for whom, and what
  struct OpenSubmit {
    wire::RequestId id;
    std::vector<Envelope> envelopes;  // one a recipient
  };
  struct Peer {
    SessionId id = 0;
    const Account* account = nullptr;  // whose key it has proved: it can be nobody else
    std::multiset<std::uint32_t> asked;  // requests without a reply
    std::map<std::uint32_t, OpenSubmit> submits;
    std::vector<wire::Bytes> delivered;  // by number - 1
  };

  // ---- What happens -----------------------------------------------------------------------------

  void step() {
    switch (in_.below(16)) {
      case 0:
      case 1:
        return join();
      case 2:
        static_cast<void>(connect());
        return;
      case 3:
        return close();
      case 4: {
        wire::Bytes frame = some_frame();
        static_cast<void>(mutate(in_, frame));
        return send(frame);
      }
      case 5:
        return send(in_.bytes(512));
      case 6:
        return commit_all();
      case 7:
        return shard_->on_round_end(now_);
      case 8:
        return finish_one();
      case 9:
        return pass();
      case 10:
        return disturb();
      default:
        return send(some_frame());
    }
  }

  void start() {
    shard_.reset();
    host_.emplace();
    counters_.emplace();
    peers_.clear();
    seen_ = 0;
    const relay::ShardOptions options{0, 1, &config_, wire::SipKey{1}};
    shard_.emplace(options, *host_, disk_, admission_, *counters_);
    disk_.restore_into(shard_->engine());
  }

  // Whom it claims to be; nobody when there are enough.
  const Account* connect() {
    if (peers_.size() == kSessionsMax) return nullptr;
    const Account& account = people().accounts[in_.below(people().accounts.size())];
    // A few claim a device with another's key.
    const Account& prover =
        in_.chance(16) ? people().accounts[in_.below(people().accounts.size())] : account;
    Peer peer;
    peer.id =
        shard_->on_established(prover.transport.public_key, "10.0.0.1", in_.chance(200), now_);
    peer.account = &prover;
    peers_.push_back(std::move(peer));
    return &account;
  }

  // Most inputs should reach a live session.
  void join() {
    const Account* const claims = connect();
    if (claims == nullptr) return;
    ask(peers_.back(),
        wire::Register{
            1, claims->device, claims->list.view(), claims->seal_key, claims->signed_prekey, {}});
    if (in_.chance(200)) commit_all();
  }

  void close() {
    if (peers_.empty()) return;
    const auto peer = peers_.begin() + static_cast<std::ptrdiff_t>(in_.below(peers_.size()));
    if (!host_->closed.contains(peer->id)) shard_->on_closed(peer->id, now_);
    look();  // what was said before counts
    peers_.erase(peer);
  }

  void commit_all() {
    shard_->on_round_end(now_);
    while (!host_->batches.empty()) finish_one();
  }

  void finish_one() {
    if (host_->batches.empty()) return;
    auto batch = std::move(host_->batches.front());
    host_->batches.pop_front();
    disk_.apply(*batch);
    shard_->on_committed(std::move(batch), now_);
    look();
    shard_->on_round_end(now_);
  }

  void pass() {
    static constexpr std::array<std::chrono::milliseconds, 4> kTimes{1ms, 30ms, 1'000ms, 600'000ms};
    const auto time = kTimes[in_.below(kTimes.size())];
    now_.steady += time;
    now_.wall_ms += static_cast<std::uint64_t>(time.count());
    if (time > 1s) disturbed_ = true;  // envelopes may expire
    shard_->on_tick(now_);
  }

  void disturb() {
    switch (in_.below(6)) {
      case 0:
        return disk_.set_room(false);
      case 1:
        return disk_.set_room(true);
      case 2:  // crashes, and half of the time the batch under way lands
        if (!host_->batches.empty() && in_.chance(128)) disk_.apply(*host_->batches.front());
        submitted_ids_.clear();
        return start();
      case 3: {
        if (disk_.log().empty()) return;
        auto entry = disk_.log().begin();
        std::advance(entry, in_.below(disk_.log().size()));
        disturbed_ = true;
        return disk_.damage(entry->first);
      }
      case 4: {
        disturbed_ = true;
        const Account& account = people().accounts[in_.below(people().accounts.size())];
        return disk_.damage(relay::store::Table::users, account.user.view());
      }
      default:
        commit_all();
        return start();
    }
  }

  // ---- What is asked
  // ------------------------------------------------------------------------------

  const Account& someone() { return people().accounts[in_.below(people().accounts.size())]; }
  wire::SignedListView some_list() {
    return people().lists[in_.below(people().lists.size())].view();
  }
  std::optional<std::string_view> some_name() {
    if (in_.chance(64)) return {};
    return people().names[in_.below(people().names.size())];
  }
  std::optional<wire::SignedKey> some_key(const wire::SignedKey& key) {
    if (in_.chance(128)) return {};
    wire::SignedKey some = key;
    if (in_.chance(32)) some.key.bytes[0] ^= 1;
    return some;
  }

  using Body = decltype(wire::Request::body);
  Body some_body() {
    const Account& one = someone();
    const Account& other = someone();
    switch (in_.below(12)) {
      case 0:
        return wire::Login{in_.number<std::uint8_t>(), one.user, one.device};
      case 1:
        return wire::Register{
            1, one.device, some_list(), one.seal_key, other.signed_prekey, some_name()};
      case 2:
        disturbed_ = true;  // a device that leaves takes its mail along
        return wire::PutDevices{some_list(), {in_.byte(), in_.byte()}};
      case 3: {
        wire::PutKeys keys{some_key(one.seal_key), some_key(one.signed_prekey), one.one_time};
        for (auto& key : keys.one_time) key.id += 3 * in_.byte();
        std::ranges::sort(keys.one_time, {}, &wire::OneTimeKey::id);
        const auto same_id = [](const auto& a, const auto& b) { return a.id == b.id; };
        keys.one_time.erase(std::unique(keys.one_time.begin(), keys.one_time.end(), same_id),
                            keys.one_time.end());
        return keys;
      }
      case 4: {
        const auto name = some_name();
        if (name) return wire::GetUser{{}, name};
        return wire::GetUser{one.user, {}};
      }
      case 5:
        if (in_.chance(128)) return wire::GetPrekeys{one.user, {}};
        return wire::GetPrekeys{one.user, {one.device, other.device}};
      case 6:
        return wire::SetName{some_name()};
      case 7:
      case 8:
        return some_ack();
      case 9:
        return wire::Ping{};
      default:
        return some_submit();
    }
  }

  wire::Ack some_ack() {
    wire::Ack ack;
    if (in_.chance(160)) ack.upto = in_.byte();
    for (std::size_t count = in_.below(4); count > 0; --count) ack.numbers.push_back(in_.byte());
    return ack;
  }

  wire::Submit some_submit() {
    wire::Submit submit;
    submit.request_id.bytes[0] = in_.byte();
    submit.ttl_s = in_.chance(32) ? in_.byte() : 0;
    if (submit.ttl_s != 0) disturbed_ = true;
    const std::size_t mask = 1 + in_.below(31);
    const std::size_t size = in_.chance(16) ? 4'000 : 1 + in_.below(64);
    bodies_.assign(1, wire::Bytes(size, submit.request_id.bytes[0]));
    submit.bodies = {bodies_[0]};
    for (std::size_t i = 0; i < people().accounts.size(); ++i) {
      if ((mask >> i & 1) == 0) continue;
      const Account& to = people().accounts[i];
      submit.recipients.push_back({to.user, to.device, to.version, 0});
      if (in_.chance(16)) submit.recipients.back().list.seq += 1 + in_.byte();
    }
    std::ranges::sort(submit.recipients, {}, &wire::Recipient::device);
    return submit;
  }

  wire::Bytes some_frame() {
    const Body body = some_body();
    return copy_of(encoder_.encode(wire::Request{in_.byte(), body}));
  }

  void ask(Peer& peer, const Body& body) {
    send(peer, copy_of(encoder_.encode(wire::Request{in_.byte(), body})));
  }
  void send(wire::ByteView frame) {
    if (!peers_.empty()) send(peers_[in_.below(peers_.size())], copy_of(frame));
  }
  // In a block of its own size, so that a sanitizer sees a read behind its end.
  void send(Peer& peer, const wire::Bytes& frame) {
    if (host_->closed.contains(peer.id) || host_->paused.contains(peer.id)) return;
    if (const auto request = wire::parse_request(frame)) {
      peer.asked.insert(request->id);
      if (const auto* submit = std::get_if<wire::Submit>(&request->body))
        note(peer, *request, *submit);
      if (const auto* ack = std::get_if<wire::Ack>(&request->body)) note(peer, *ack);
    } else {
      peer.asked.insert(wire::request_id_of(frame));
    }
    shard_->on_frame(peer.id, frame, now_);
  }

  void note(Peer& peer, const wire::Request& request, const wire::Submit& submit) {
    OpenSubmit open{submit.request_id, {}};
    for (const wire::Recipient& to : submit.recipients) {
      open.envelopes.push_back({to.device, copy_of(submit.bodies[to.body])});
      submitted_.insert(open.envelopes.back());
      // A retry may find that its envelope was accepted, and is gone.
      if (!submitted_ids_.insert({to.device, submit.request_id}).second) disturbed_ = true;
    }
    if (submit.ttl_s != 0) disturbed_ = true;
    // Of two under one id the replies cannot be told apart.
    if (!peer.submits.emplace(request.id, std::move(open)).second) disturbed_ = true;
  }

  void note(const Peer& peer, const wire::Ack& ack) {
    for (std::size_t i = 0; i < peer.delivered.size(); ++i) {
      const auto number = static_cast<std::uint32_t>(i + 1);
      const bool listed = std::ranges::find(ack.numbers, number) != ack.numbers.end();
      if (number <= ack.upto || listed) acked_.insert({peer.account->device, peer.delivered[i]});
    }
  }

  // ---- What is said
  // -------------------------------------------------------------------------------

  void look() {
    for (; seen_ < host_->sent.size(); ++seen_) {
      const auto& sent = host_->sent[seen_];
      const auto peer = std::ranges::find(peers_, sent.session, &Peer::id);
      if (peer == peers_.end()) continue;
      std::visit([&](const auto& body) { on(*peer, sent.frame.request, body); }, sent.frame.body);
    }
    const auto counted =
        std::pair(counters_->queued_envelopes.get(), counters_->queued_bytes.get());
    require(shard_->engine().recount() == counted, "the counters are a recount");
  }

  template <class Reply>
  void on(Peer& peer, std::uint32_t request, const Reply&) {
    answered(peer, request);
  }
  void on(Peer& peer, std::uint32_t, const wire::Deliver& deliver) {
    peer.delivered.push_back(copy_of(deliver.envelope));
    require(deliver.number == peer.delivered.size(), "deliveries are numbered without holes");
    require(submitted_.contains({peer.account->device, peer.delivered.back()}),
            "what is delivered was submitted, for this device");
  }
  void on(Peer&, std::uint32_t, const wire::CaughtUp&) {}
  void on(Peer&, std::uint32_t, const wire::KeysLow&) {}
  void on(Peer&, std::uint32_t, const wire::Closing&) {}
  void on(Peer& peer, std::uint32_t request, const wire::Submitted& submitted) {
    answered(peer, request);
    const auto found = peer.submits.find(request);
    require(found != peer.submits.end(), "only a submit is answered with outcomes");
    if (disturbed_) return;
    const OpenSubmit submit = std::move(found->second);
    peer.submits.erase(found);
    require(submitted.outcomes.size() == submit.envelopes.size(), "each recipient has an outcome");
    for (std::size_t i = 0; i < submitted.outcomes.size(); ++i) {
      if (submitted.outcomes[i].code != wire::ErrorCode::ok) continue;
      require(
          acked_.contains(submit.envelopes[i]) || disk_.holds(submit.envelopes[i].first, submit.id),
          "what is accepted is on the disk or was acknowledged");
    }
  }
  static void answered(Peer& peer, std::uint32_t request) {
    const auto asked = peer.asked.find(request);
    require(asked != peer.asked.end(), "a reply answers a request, once");
    peer.asked.erase(asked);
  }

  void end() {
    disk_.set_room(true);
    for (int i = 0; i < 4; ++i) {  // what gathers behind a hold
      now_.steady += 1s;
      now_.wall_ms += 1'000;
      shard_->on_tick(now_);
      commit_all();
    }
    look();
    require(shard_->idle(), "everything was committed or refused");
    const auto before = shard_->engine().recount();
    start();
    require(disk_.rotted() || shard_->engine().recount() == before, "opening changes nothing");
  }

  Input& in_;
  relay::Config config_;
  test::MemoryRecords disk_;
  relay::policy::AddressAdmission admission_{config_, {}};
  wire::Encoder encoder_;
  std::optional<relay::ops::Counters> counters_;
  std::optional<test::FakeHost> host_;
  std::optional<relay::Shard> shard_;
  relay::Now now_{relay::Steady{} + 1h, 1'700'000'000'000};
  std::vector<Peer> peers_;
  std::vector<wire::Bytes> bodies_;  // of the submit that is being made
  std::size_t seen_ = 0;             // of host_->sent
  std::set<Envelope> submitted_;
  std::set<std::pair<wire::DeviceId, wire::RequestId>> submitted_ids_;
  std::set<Envelope> acked_;
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
