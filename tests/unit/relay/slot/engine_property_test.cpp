// Random schedules over the slot engine, judged by a model that stands outside it: it knows what
// the senders sent, what they and the devices were told, and what lies on the disk.
//
//   I1  an envelope answered ok is acknowledged by its device or on the disk, at that moment, and
//       is acknowledged or delivered in the end
//   I2  what a device acknowledged is not pushed again; after a crash only when the ack was not
//       done, or for a retry that came later
//   I3  pushes follow the order in which the envelopes were taken in, in each session and over all
//   I4  nothing is pushed that was not sent, to another device, or with other bytes
//   I5  the counters are a recount
//   and every submit and ack is answered exactly once; caught up comes exactly once, after all that
//   was queued at login; the window holds; in the end nothing is left, in memory or on the disk.
//
// The seed of a schedule is its number: a failure names it.
#include <random>

#include "tests/unit/relay/slot/engine_fixture.hpp"

namespace godwit::relay::slot::testing {
namespace {

using namespace std::chrono_literals;
#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
constexpr std::uint64_t kSchedules = 500;  // sanitizers: as many as the time allows
#else
constexpr std::uint64_t kSchedules = 10'000;
#endif
constexpr int kSteps = 120;
constexpr std::size_t kDevices = 3;
constexpr std::uint32_t kSenders = 3;

// One envelope for one device, as its sender sees it.
struct Sent {
  std::uint32_t number = 0;
  std::size_t device = 0;
  std::uint32_t sender = 0;
  std::shared_ptr<const store::Body> body;
  bool accepted = false;         // the sender was told ok
  bool queued = false;           // by what the senders were told and what the disk holds
  std::uint64_t place = 0;       // among all that were ever queued
  bool delivered = false;        // at least once
  bool acked = false;            // the device has it and said so
  bool ack_done = false;         // and was answered
  std::uint64_t acked_life = 0;  // the life of the engine in which it said so
};

struct Pushed {
  std::size_t which = 0;  // of all that was sent
  bool acked = false;
  bool refused = false;  // the store had no room: the relay forgot it, the device may not know
};

struct DeviceSession {
  bool live = false;
  std::uint64_t id = 0;
  std::vector<Pushed> pushed;  // by number - 1
  std::uint64_t last_place = 0;
  bool caught_up = false;
  std::set<std::size_t> due_before_caught_up;
};

class Schedule {
 public:
  explicit Schedule(std::uint64_t seed) : random_(seed) {
    limits_.window = {pick(4) + 1, pick(2) == 0 ? 200u : 100'000u};
    limits_.mailbox.envelopes = 5 + pick(20);
    bob_ = make_user(1, {0, 1});
    eve_ = make_user(2, {0});
    for (const TestUser* user : {&bob_, &eve_}) {
      store::Batch batch;
      batch.puts.push_back({store::Table::users,
                            {user->id.bytes.begin(), user->id.bytes.end()},
                            encode_user({user->list, ""})});
      disk_.apply(batch);
    }
    begin_life();
  }

  // The first fault; empty when there is none.
  std::string run() {
    for (int i = 0; i < kSteps && fault_.empty(); ++i) step();
    settle();
    return fault_;
  }

 private:
  // ---- What happens ---------------------------------------------------------------------------

  void step() {
    switch (pick(20)) {
      case 0: case 1: case 2: case 3: case 4:
        send_new();
        break;
      case 5: case 6:
        retry();
        break;
      case 7: case 8:
        attach(pick(kDevices));
        break;
      case 9:
        detach(pick(kDevices));
        break;
      case 10: case 11: case 12: case 13:
        ack_some(pick(kDevices));
        break;
      case 14: case 15:
        pass();
        break;
      case 16: case 17:
        finish();
        break;
      case 18:
        if (pick(3) == 0) disk_.set_room(pick(2) == 0);
        break;
      default:
        if (pick(4) == 0) crash();
    }
    if (pick(2) == 0) flush();
    check_counts();
  }

  void begin_life() {
    ++life_;
    counters_ = std::make_unique<ops::Counters>();
    engine_ = std::make_unique<Engine>(disk_, *counters_, limits_, wire::SipKey{7});
    disk_.restore_into(*engine_);
  }

  void crash() {
    if (batch_ && pick(2) == 0) disk_.apply(*batch_);  // durable, and nobody was told
    batch_.reset();
    open_submits_.clear();
    open_acks_.clear();
    for (DeviceSession& session : sessions_) session = {};
    for (Sent& sent : sent_) {
      sent.queued = disk_.holds(device_id(sent.device), request_id(sent.number));
    }
    begin_life();
  }

  void send_new() {
    const std::uint32_t number = ++numbers_;
    const std::size_t size = pick(5) == 0 ? 150 + pick(200) : 10 + pick(30);
    const bool both = pick(4) == 0;  // one body, two devices
    const auto body = body_of(number, size, both ? number : 0);
    const std::size_t first = pick(kDevices);
    const std::uint32_t sender = pick(kSenders);
    for (std::size_t i = 0; i < (both ? 2u : 1u); ++i) {
      Sent sent;
      sent.number = number;
      sent.device = (first + i) % kDevices;
      sent.sender = sender;
      sent.body = body;
      sent_.push_back(sent);
      submit(sent_.size() - 1);
    }
  }

  void retry() {
    std::vector<std::size_t> open;
    for (std::size_t i = 0; i < sent_.size(); ++i) {
      if (!sent_[i].accepted) open.push_back(i);
    }
    if (!open.empty()) submit(open[pick(open.size())]);
  }

  void submit(std::size_t which) {
    Sent& sent = sent_[which];
    const bool known_as_acked = sent.acked && sent.acked_life == life_;
    if (!sent.queued && !known_as_acked) {
      // After a crash a retry may be a new envelope: it lives and is acknowledged once more.
      sent.queued = true;
      sent.acked = false;
      sent.ack_done = false;
      sent.place = ++places_;
    }
    const std::uint32_t mark = ++marks_;
    open_submits_.emplace(mark, which);
    Enqueue operation;
    operation.sender.bytes[0] = static_cast<std::uint8_t>(sent.sender);
    operation.user = user(sent.device).id;
    operation.device = device_id(sent.device);
    operation.list = user(sent.device).parsed.version;
    operation.request_id = request_id(sent.number);
    operation.ttl_s = 1'000'000;
    operation.body = sent.body;
    apply({100 + sent.sender, 0, mark, Origin::Kind::submit}, std::move(operation));
  }

  void attach(std::size_t device) {
    sessions_[device] = {};
    DeviceSession& session = sessions_[device];
    session.id = ++session_ids_;
    session.live = true;
    for (std::size_t i = 0; i < sent_.size(); ++i) {
      if (sent_[i].device == device && sent_[i].queued) session.due_before_caught_up.insert(i);
    }
    const TestUser& owner = user(device);
    apply({session.id, 0, 1, Origin::Kind::call},
          Attach{owner.id, device_id(device), owner.transport(device % 2)});
  }

  void detach(std::size_t device) {
    if (!sessions_[device].live) return;
    const std::uint64_t id = sessions_[device].id;
    sessions_[device] = {};
    apply({id, 0, 0, Origin::Kind::call}, Detach{device_id(device)});
  }

  void ack_some(std::size_t device) {
    DeviceSession& session = sessions_[device];
    if (!session.live || session.pushed.empty()) return;
    Ack operation;
    operation.device = device_id(device);
    const auto count = static_cast<std::uint32_t>(session.pushed.size());
    if (pick(2) == 0) operation.upto = pick(count + 1);
    for (std::uint32_t i = pick(4); i > 0; --i) operation.numbers.push_back(pick(count) + 1);
    ack(device, std::move(operation));
  }

  void ack(std::size_t device, Ack operation) {
    DeviceSession& session = sessions_[device];
    std::set<std::size_t> covered;
    for (std::uint32_t number = 1; number <= session.pushed.size(); ++number) {
      const auto& listed = operation.numbers;
      const bool named = std::find(listed.begin(), listed.end(), number) != listed.end();
      if (number > operation.upto && !named) continue;
      Pushed& pushed = session.pushed[number - 1];
      if (pushed.refused) continue;
      pushed.acked = true;
      Sent& sent = sent_[pushed.which];
      sent.acked = true;
      sent.acked_life = life_;
      sent.queued = false;
      covered.insert(pushed.which);
    }
    const std::uint32_t mark = ++marks_;
    open_acks_.emplace(mark, std::move(covered));
    apply({session.id, 0, mark, Origin::Kind::ack}, std::move(operation));
  }

  void pass() {
    static constexpr std::array<std::chrono::milliseconds, 4> kTimes{1ms, 3ms, 25ms, 1000ms};
    const auto time = kTimes[pick(kTimes.size())];
    now_.steady += time;
    now_.wall_ms += static_cast<std::uint64_t>(time.count());
    Effects effects;
    engine_->sweep(now_, effects);
    engine_->deliver_more(now_, effects);
    take(effects);
  }

  void flush() {
    if (!batch_) batch_ = engine_->flush(now_);
  }

  void finish() {
    if (!batch_) return;
    disk_.apply(*batch_);
    Effects effects;
    engine_->committed(std::move(batch_), now_, effects);
    take(effects);
  }

  void apply(Origin origin, Operation operation) {
    Effects effects;
    engine_->apply(origin, operation, now_, effects);
    take(effects);
  }

  // ---- What is said ---------------------------------------------------------------------------

  void take(const Effects& effects) {
    for (const Effect& effect : effects) {
      std::visit([this](const auto& one) { on(one); }, effect);
    }
  }

  void on(const AnswerTo& answer) {
    if (answer.origin.kind == Origin::Kind::submit) return on_outcome(answer);
    if (answer.origin.kind == Origin::Kind::ack) return on_ack_done(answer);
    if (!std::holds_alternative<AttachedAs>(answer.answer)) fail("an attach was refused");
  }

  void on_outcome(const AnswerTo& answer) {
    const auto open = open_submits_.find(answer.origin.mark);
    if (open == open_submits_.end()) return fail("a submit was answered twice");
    const std::size_t which = open->second;
    open_submits_.erase(open);
    Sent& sent = sent_[which];
    const auto code = std::get<Enqueued>(answer.answer).code;
    if (code == wire::ErrorCode::ok) {
      const bool safe = sent.acked || disk_.holds(device_id(sent.device), request_id(sent.number));
      if (!safe) fail("I1: accepted, and neither on the disk nor acknowledged", sent);
      sent.accepted = true;
      return;
    }
    if (code != wire::ErrorCode::store_full && code != wire::ErrorCode::mailbox_full) {
      fail("a refusal without a reason", sent);
    }
    if (sent.accepted) fail("accepted and then refused", sent);
    sent.queued = false;
    DeviceSession& session = sessions_[sent.device];
    session.due_before_caught_up.erase(which);
    for (Pushed& pushed : session.pushed) {
      if (pushed.which == which) pushed.refused = true;
    }
  }

  void on_ack_done(const AnswerTo& answer) {
    const auto open = open_acks_.find(answer.origin.mark);
    if (open == open_acks_.end()) return fail("an ack was answered twice");
    if (std::get<Simple>(answer.answer).code != wire::ErrorCode::ok) fail("an ack was refused");
    for (const std::size_t which : open->second) {
      sent_[which].ack_done = true;
      if (disk_.holds(device_id(sent_[which].device), request_id(sent_[which].number))) {
        fail("P4: the ack is done and the record is still there", sent_[which]);
      }
    }
    open_acks_.erase(open);
  }

  void on(const Push& push) {
    DeviceSession* session = find(push.session);
    if (session == nullptr) return fail("a push to a session that is not attached");
    const auto device = static_cast<std::size_t>(session - sessions_.data());
    if (push.number != session->pushed.size() + 1) return fail("a push out of number");
    std::size_t which = 0;
    while (which < sent_.size() && (sent_[which].device != device ||
                                    sent_[which].body->bytes != push.body->bytes)) {
      ++which;
    }
    if (which == sent_.size()) return fail("I4: pushed what nobody sent to this device");
    Sent& sent = sent_[which];
    check_repeat(sent);
    check_order(*session, sent);
    sent.delivered = true;
    session->pushed.push_back({which});
    session->due_before_caught_up.erase(which);
    check_window(*session);
  }

  void check_repeat(const Sent& sent) {
    if (!sent.acked) return;
    if (sent.acked_life == life_) fail("I2: pushed again after its ack", sent);
    if (sent.ack_done) fail("I2: pushed again after its ack was done, and not sent again", sent);
  }

  void check_order(DeviceSession& session, const Sent& sent) {
    if (sent.place <= session.last_place) fail("I3: out of order in one session", sent);
    session.last_place = sent.place;
    if (sent.delivered) return;
    std::uint64_t& last = last_first_delivery_[{sent.sender, sent.device}];
    if (sent.place <= last) fail("I3: first deliveries out of order", sent);
    last = sent.place;
  }

  void check_window(const DeviceSession& session) {
    std::size_t count = 0;
    std::size_t bytes = 0;
    for (const Pushed& pushed : session.pushed) {
      if (pushed.acked || pushed.refused) continue;
      ++count;
      bytes += sent_[pushed.which].body->bytes.size();
    }
    if (count > limits_.window.envelopes) fail("more in flight than the window allows");
    if (count > 1 && bytes > limits_.window.bytes) fail("more bytes in flight than allowed");
  }

  void on(const Notice& notice) {
    if (const auto* closing = std::get_if<wire::Closing>(&notice.what)) {
      if (closing->code != wire::ErrorCode::replaced) fail("a session was ended for no reason");
      if (find(notice.session) != nullptr) fail("the newer session was ended");
      return;
    }
    if (!std::holds_alternative<wire::CaughtUp>(notice.what)) return fail("an odd notice");
    DeviceSession* session = find(notice.session);
    if (session == nullptr) return fail("caught up, and nobody is attached");
    if (session->caught_up) return fail("caught up twice");
    session->caught_up = true;
    for (const std::size_t which : session->due_before_caught_up) {
      if (sent_[which].queued) fail("caught up before all of login time was pushed", sent_[which]);
    }
  }

  void check_counts() {
    const auto counted = engine_->recount();
    if (counters_->queued_envelopes.get() != counted.first ||
        counters_->queued_bytes.get() != counted.second) {
      fail("I5: the counters are not a recount");
    }
    std::uint64_t live = 0;
    for (const DeviceSession& session : sessions_) live += session.live ? 1 : 0;
    if (counters_->sessions.get() != live) fail("I5: the count of sessions is wrong");
    std::uint64_t queued = 0;
    for (const Sent& sent : sent_) queued += sent.queued ? 1 : 0;
    if (counted.first != queued) fail("I5: another number is queued than the model says");
  }

  // ---- The end --------------------------------------------------------------------------------

  // Everybody comes back, sends again what was not accepted, and acknowledges everything.
  void settle() {
    disk_.set_room(true);
    for (std::size_t device = 0; device < kDevices && fault_.empty(); ++device) attach(device);
    for (int turn = 0; turn < 2'000 && fault_.empty() && !settled(); ++turn) {
      if (open_submits_.empty()) {
        for (std::size_t i = 0; i < sent_.size(); ++i) {
          if (!sent_[i].accepted) submit(i);
        }
      }
      for (std::size_t device = 0; device < kDevices; ++device) {
        const auto all = static_cast<std::uint32_t>(sessions_[device].pushed.size());
        if (all > 0) ack(device, Ack{device_id(device), all, {}});
      }
      pass();
      flush();
      finish();
      check_counts();
    }
    if (!settled()) return fail("it never comes to rest");
    for (const Sent& sent : sent_) {
      if (!sent.acked) fail("I1: accepted, and never acknowledged by its device", sent);
    }
    for (const DeviceSession& session : sessions_) {
      if (!session.caught_up) fail("never caught up");
    }
    if (engine_->recount().first != 0) fail("something is left in memory");
    if (!disk_.log().empty() || disk_.bodies() != 0) fail("something is left on the disk");
    if (!engine_->idle()) fail("it is at rest and not idle");
  }

  [[nodiscard]] bool settled() const {
    return std::ranges::all_of(sent_, [](const Sent& sent) { return sent.accepted; }) &&
           open_submits_.empty() && open_acks_.empty() && !batch_ && engine_->idle() &&
           engine_->recount().first == 0;
  }

  [[nodiscard]] const TestUser& user(std::size_t device) const {
    return device < 2 ? bob_ : eve_;
  }
  [[nodiscard]] const wire::DeviceId& device_id(std::size_t device) const {
    return user(device).device(device % 2);
  }
  [[nodiscard]] DeviceSession* find(std::uint64_t id) {
    for (DeviceSession& session : sessions_) {
      if (session.live && session.id == id) return &session;
    }
    return nullptr;
  }
  std::uint32_t pick(std::size_t below) { return static_cast<std::uint32_t>(random_() % below); }
  void fail(const std::string& what) {
    if (fault_.empty()) fault_ = what;
  }
  void fail(const std::string& what, const Sent& sent) {
    fail(what + ": m" + std::to_string(sent.number) + " for device " +
         std::to_string(sent.device));
  }

  std::mt19937_64 random_;
  EngineLimits limits_;
  TestUser bob_;
  TestUser eve_;
  test::MemoryRecords disk_;
  std::unique_ptr<ops::Counters> counters_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<store::Batch> batch_;
  Now now_{Steady{} + 1h, 1'700'000'000'000};

  std::vector<Sent> sent_;
  std::array<DeviceSession, kDevices> sessions_;
  std::map<std::uint32_t, std::size_t> open_submits_;         // mark -> which Sent
  std::map<std::uint32_t, std::set<std::size_t>> open_acks_;  // mark -> what it covers
  std::map<std::pair<std::uint32_t, std::size_t>, std::uint64_t> last_first_delivery_;
  std::uint64_t life_ = 0;
  std::uint64_t places_ = 0;
  std::uint32_t numbers_ = 0;
  std::uint32_t marks_ = 0;
  std::uint64_t session_ids_ = 1'000;
  std::string fault_;
};

TEST_SUITE_BEGIN("relay/slot/engine");

TEST_CASE("under any schedule nothing accepted is lost, repeated, reordered or made up") {
  for (std::uint64_t seed = 1; seed <= kSchedules; ++seed) {
    CAPTURE(seed);
    const std::string fault = Schedule(seed).run();
    REQUIRE(fault == "");
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace godwit::relay::slot::testing
