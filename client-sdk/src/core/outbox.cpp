// An entry goes: add_text -> pump -> step -> (ask_name, reach) -> seal -> submit -> on_submitted ->
// landed -> on_delivered. A refusal sends it back into its lane, which waits; a new device list
// sends it back to be sealed anew.
#include "client-sdk/src/core/outbox.hpp"

#include <algorithm>

namespace godwit::core {
namespace {

constexpr int kEntriesPerTurn = 16;  // of a lane, before the next one has its turn
constexpr Milliseconds kSecond = 1000;
constexpr std::size_t kSubmitOverheadMax = 4'096;  // of its frame, besides the bodies

milliseconds delay_after(milliseconds before) {
  return before.count() == 0 ? kRetryFirst : std::min(before * 2, kRetryMax);
}

milliseconds told(std::uint32_t retry_after_ms) {
  return milliseconds{retry_after_ms};
}

}  // namespace

// ---- Entries and lanes --------------------------------------------------------------------------

Outbox::LaneKey Outbox::lane_key(const OutboxRecord& entry) {
  if (entry.resolved) return lane_of(entry.user);
  return {true, entry.message.conversation.bytes};
}

std::optional<OutboxRecord> Outbox::entry(const View& view, std::uint64_t number) {
  return view.load<OutboxRecord>({}, order_bytes(number));
}

void Outbox::store(Round& round, const OutboxRecord& record) {
  round.save({}, order_bytes(record.number), record);
}

void Outbox::enlist(const OutboxRecord& record) {
  const LaneKey key = lane_key(record);
  Line line{key, record.kind, false, 0, {}};
  if (record.kind == OutboxRecord::Kind::control && !record.targets.empty()) {
    line.control = record.targets.front().device;
    controls_.insert(*line.control);
  }
  if (record.state == OutboxRecord::State::accepted) line.expires = record.expires;
  lines_[record.number] = line;
  Lane& lane = lanes_[key];
  lane.key = key;
  lane.entries.insert(record.number);
  if (record.state == OutboxRecord::State::accepted) return;
  if (record.state == OutboxRecord::State::expired) {
    lane.expired.insert(record.number);
    return;
  }
  lane.unsent.insert(record.number);
  wake(key);
}

void Outbox::load(const View& view) {
  view.each<OutboxRecord>([&](OutboxRecord& record) { enlist(record); });
}

void Outbox::insert(Round& round, OutboxRecord& record) {
  record.number = ++round.count().outbox;
  store(round, record);
  enlist(record);
}

void Outbox::drop(Round& round, std::uint64_t number) {
  round.erase(Table::outbox, {}, order_bytes(number));
  const auto line = lines_.find(number);
  if (line == lines_.end()) return;
  if (line->second.control) controls_.erase(controls_.find(*line->second.control));
  const auto lane = lanes_.find(line->second.lane);
  lane->second.entries.erase(number);
  lane->second.unsent.erase(number);
  lane->second.expired.erase(number);
  if (lane->second.entries.empty()) {
    set_asking(lane->second, false);
    release(lane->second);
    ready_.erase(lane->first);
    lanes_.erase(lane);
  }
  lines_.erase(line);
}

void Outbox::wake(const LaneKey& key) {
  const auto lane = lanes_.find(key);
  if (lane == lanes_.end() || lane->second.asking || lane->second.retry_at.count() != 0) return;
  if (!lane->second.unsent.empty()) ready_.insert(key);
}

void Outbox::set_asking(Lane& lane, bool asking, std::string why) {
  if (lane.asking != asking) asking_ += asking ? 1 : std::size_t{0} - 1;
  lane.asking = asking;
  lane.why = std::move(why);
  if (!asking) wake(lane.key);
}

void Outbox::release(Lane& lane) {
  held_.erase({lane.retry_at, lane.key});
  lane.retry_at = {};
}

void Outbox::hold(Round& round, Lane& lane, milliseconds least, std::string why) {
  // What was in flight together is refused together: that is one step, not one an entry.
  if (lane.retry_at.count() == 0) lane.delay = delay_after(lane.delay);
  release(lane);
  lane.retry_at = round.now.steady + std::max(std::min(least, kRetryAfterMax), lane.delay);
  held_.emplace(lane.retry_at, lane.key);
  ready_.erase(lane.key);
  lane.why = std::move(why);
}

void Outbox::return_to_lane(std::uint64_t number) {
  const auto line = lines_.find(number);
  if (line == lines_.end()) return;
  line->second.in_flight = false;
  line->second.expires = 0;
  Lane& lane = lanes_[line->second.lane];
  lane.expired.erase(number);
  lane.unsent.insert(number);
  wake(lane.key);
}

// ---- What goes in -------------------------------------------------------------------------------

std::string Outbox::too_long(std::string_view text) const {
  if (text.size() <= text_size_max_) return {};
  return "the text has " + std::to_string(text.size()) + " bytes, and the relay takes " +
         std::to_string(text_size_max_) + " at most";
}

void Outbox::add_text(Round& round, const ConversationRecord& conversation,
                      const MessagePlace& place) {
  OutboxRecord record;
  record.kind = OutboxRecord::Kind::text;
  record.resolved = conversation.resolved;
  record.user = conversation.user;
  record.message = place;
  insert(round, record);
}

void Outbox::add_to_device(Round& round, const Peer& peer, OutboxRecord record, std::uint64_t seq) {
  record.resolved = true;
  record.user = peer.record.user;
  record.targets.emplace_back();
  record.targets.back().device = peer.record.device;
  record.targets.back().seq = seq;
  insert(round, record);
}

void Outbox::add_control(Round& round, const Peer& peer, wire::Bytes payload) {
  OutboxRecord record;
  record.kind = OutboxRecord::Kind::control;
  record.payload = std::move(payload);
  add_to_device(round, peer, std::move(record), 0);
}

void Outbox::add_resend(Round& round, const Peer& peer, std::uint64_t seq) {
  OutboxRecord record;
  record.kind = OutboxRecord::Kind::resend;
  add_to_device(round, peer, std::move(record), seq);
}

// ---- The connection -----------------------------------------------------------------------------

void Outbox::on_login(const wire::Limits& limits) {
  logged_in_ = true;
  limits_ = limits;
  const bool said = limits.text_size_max != 0;  // else the relay leaves it out
  text_size_max_ = said ? std::min<std::size_t>(limits.text_size_max, wire::kTextSizeMax)
                        : wire::kTextSizeMax;
  no_keys_.clear();
  unheard_.clear();
  unheard_at_ = {};
  held_.clear();
  for (auto& [key, lane] : lanes_) {
    lane.retry_at = {};
    lane.delay = {};
    lane.why.clear();
    wake(key);
  }
}

void Outbox::on_disconnected() {
  logged_in_ = false;
  keys_asked_.clear();
  in_flight_ = 0;
  bytes_in_flight_ = 0;
  for (auto& [key, lane] : lanes_) set_asking(lane, false);
  for (auto& [number, line] : lines_) {
    if (line.in_flight) return_to_lane(number);
  }
}

void Outbox::pump(Round& round) {
  if (!logged_in_) return;
  while (!held_.empty() && held_.begin()->first <= round.now.steady) {
    const LaneKey key = held_.begin()->second;
    release(lanes_.at(key));
    wake(key);
  }
  while (!ready_.empty()) {
    auto turn = ready_.upper_bound(last_);
    if (turn == ready_.end()) turn = ready_.begin();
    const LaneKey key = last_ = *turn;
    for (int i = 0; i < kEntriesPerTurn; ++i) {
      const auto lane = lanes_.find(key);
      if (lane == lanes_.end() || lane->second.unsent.empty()) {
        ready_.erase(key);
        break;
      }
      const Step done = step(round, key, lane->second);
      if (done == Step::full) return;
      if (done == Step::waits) {
        ready_.erase(key);
        break;
      }
    }
  }
}

Outbox::Step Outbox::step(Round& round, const LaneKey& key, Lane& lane) {
  if (lane.asking || lane.retry_at.count() != 0) return Step::waits;
  if (in_flight_ >= std::min<std::size_t>(kSubmitsInFlightMax, limits_.submits_in_flight_max) ||
      bytes_in_flight_ >= kSubmitBytesInFlightMax) {
    return Step::full;
  }
  const std::uint64_t number = *lane.unsent.begin();
  auto record = entry(round, number);
  if (!record) {  // damaged: nothing of it can be sent
    if (!round.failed()) drop(round, number);
    return round.failed() ? Step::full : Step::went_on;
  }
  if (!record->resolved) return ask_name(round, lane, *record) ? Step::waits : Step::full;
  auto contact = peers_.known(round, record->user);
  if (!contact) {  // its record is damaged: the relay has the list that it held
    if (round.failed() || requests_.count<UserAsked>() >= kLookUpsInFlightMax) return Step::full;
    ask_list(round, lane, record->user);
    return Step::waits;
  }
  if (contact->blocked) {
    give_up_on_blocked(round, *record);
    return Step::went_on;
  }
  if (!contact->accepted) peers_.accept(round, *contact);  // we write to them
  if (contact->frozen) {
    hold(round, lane, kRetryMax, "the contact's device lists contradict each other");
    return Step::waits;
  }
  if (record->state == OutboxRecord::State::sealed && record->expires <= round.wall()) {
    record->state = OutboxRecord::State::waiting;
  }
  if (record->state == OutboxRecord::State::waiting && !seal(round, lane, *contact, *record)) {
    return lanes_.contains(key) && lanes_[key].unsent.contains(number) ? Step::waits
                                                                       : Step::went_on;
  }
  return submit(round, *contact, *record);
}

bool Outbox::ask_name(Round& round, Lane& lane, const OutboxRecord& record) {
  if (requests_.count<UserAsked>() >= kLookUpsInFlightMax) return false;
  const auto conversation = history::load_conversation(round, record.message.conversation);
  if (round.failed()) return false;
  if (!conversation || conversation->name.empty()) {  // damaged: the name stood nowhere else
    const auto numbers = lane.entries;                // the lane goes with the last of them
    for (const std::uint64_t each : numbers) fail(round, each, "the name it goes to is damaged");
    return true;
  }
  set_asking(lane, true, "the look-up of the name");
  wire::GetUser ask;
  ask.name = conversation->name;
  requests_.ask(round, ask, UserAsked{{}, conversation->name, {}, conversation->id});
  return true;
}

void Outbox::ask_list(Round& round, Lane& lane, const wire::UserId& user) {
  wire::GetUser ask;
  ask.user = user;
  if (!lane.asking) requests_.ask(round, ask, UserAsked{user, {}, {}});
  set_asking(lane, true, "the device list of the recipient");
}

// ---- Submitting ---------------------------------------------------------------------------------

// What does not go into one frame goes with the next Submit of the same request id: to the relay
// each recipient of it is a submit of its own.
Outbox::Step Outbox::submit(Round& round, const ContactRecord& contact, OutboxRecord& record) {
  const wire::DeviceList list = Peers::devices_of(contact);
  if (follow_list(record, list)) store(round, record);
  wire::Submit submit;
  submit.request_id = record.request;
  SubmitAsked asked{record.number, {}, 0};
  const auto frame_max = std::min<std::size_t>(limits_.frame_size_max, wire::kFrameSizeMax);
  for (const auto& target : record.targets) {
    if (target.accepted || target.delivered) continue;
    const bool fits = asked.bytes + target.body.size() + kSubmitOverheadMax <= frame_max;
    if (!fits && !submit.recipients.empty()) break;
    submit.recipients.push_back({record.user, target.device, list.version,
                                 static_cast<std::uint32_t>(submit.bodies.size())});
    submit.bodies.push_back(target.body);
    asked.devices.push_back(target.device);
    asked.bytes += target.body.size();
  }
  if (submit.recipients.empty()) {
    landed(round, record);
    return Step::went_on;
  }
  Line& line = lines_[record.number];
  line.in_flight = true;
  lanes_[line.lane].unsent.erase(record.number);
  ++in_flight_;
  bytes_in_flight_ += asked.bytes;
  requests_.ask(round, std::move(submit), std::move(asked));
  return Step::went_on;
}

bool Outbox::follow_list(OutboxRecord& record, const wire::DeviceList& list) {
  const auto left = std::erase_if(
      record.targets, [&](const auto& target) { return list.find(target.device) == nullptr; });
  return left > 0;
}

// Every target has what it gets from us for now.
void Outbox::landed(Round& round, OutboxRecord& record) {
  if (record.kind != OutboxRecord::Kind::text) {
    drop(round, record.number);
    return;
  }
  if (record.targets.empty()) {  // every device it was made for has left: for those there are now
    record.state = OutboxRecord::State::waiting;
    store(round, record);
    return_to_lane(record.number);
    return;
  }
  history::raise_status(round, record.message, Status::sent);
  const bool done = std::ranges::all_of(record.targets, &OutboxRecord::Target::delivered);
  if (done) {
    drop(round, record.number);
    return;
  }
  record.state = OutboxRecord::State::accepted;
  record.expires = round.wall() + Milliseconds{limits_.ttl_default_s} * kSecond;
  store(round, record);
  Line& line = lines_[record.number];
  line.expires = record.expires;
  lanes_[line.lane].unsent.erase(record.number);
}

void Outbox::apply_outcome(Round& round, Lane& lane, OutboxRecord& record,
                           const wire::DeviceId& device, const wire::Outcome& outcome,
                           const wire::Submitted& submitted) {
  using wire::ErrorCode;
  const auto target = std::ranges::find(record.targets, device, &OutboxRecord::Target::device);
  if (target == record.targets.end()) return;
  if (outcome.code == ErrorCode::ok) {
    target->accepted = target->hash != wire::EnvelopeHash{};
    if (!target->accepted) record.state = OutboxRecord::State::waiting;
    return;
  }
  const bool list_is_old =
      outcome.code == ErrorCode::stale_list || outcome.code == ErrorCode::unknown_device;
  if (list_is_old && record.kind == OutboxRecord::Kind::text) {
    record.state = OutboxRecord::State::waiting;  // sealed anew for the list that comes
  }
  if (outcome.code == ErrorCode::stale_list && outcome.list < submitted.lists.size()) {
    const auto verdict = peers_.take_list(round, record.user, submitted.lists[outcome.list]);
    if (verdict == ListVerdict::newer) {
      list_changed_ = true;
      return;
    }
  }
  if (list_is_old) ask_list(round, lane, record.user);
  hold(round, lane, told(outcome.retry_after_ms),
       room_for(outcome.code));
  if (record.kind != OutboxRecord::Kind::text) return;
  if (auto message = history::load(round, record.message)) {
    message->refusal = static_cast<std::uint8_t>(outcome.code);
    ++message->attempts;
    message->refused = round.wall();
    history::save(round, record.message, *message);
  }
}

void Outbox::on_submitted(Round& round, const SubmitAsked& asked,
                          const wire::Submitted& submitted) {
  if (asked.number == 0) return;
  --in_flight_;
  bytes_in_flight_ -= asked.bytes;
  const auto line = lines_.find(asked.number);
  if (line == lines_.end()) return;  // delivered before it was accepted
  line->second.in_flight = false;
  auto record = entry(round, asked.number);
  Lane& lane = lanes_[line->second.lane];
  if (!record || submitted.outcomes.size() != asked.devices.size()) {
    hold(round, lane, {}, "the relay's answer did not fit");
    return_to_lane(asked.number);
    return;
  }
  for (std::size_t i = 0; i < asked.devices.size(); ++i) {
    apply_outcome(round, lane, *record, asked.devices[i], submitted.outcomes[i], submitted);
  }
  if (const auto contact = peers_.contact(round, record->user)) {
    (void)follow_list(*record, Peers::devices_of(*contact));
  }
  const bool all = std::ranges::all_of(
      record->targets, [](const auto& target) { return target.accepted || target.delivered; });
  if (all && record->state != OutboxRecord::State::waiting) {
    lane.delay = {};
    landed(round, *record);
  } else {
    store(round, *record);
    return_to_lane(asked.number);
  }
  if (std::exchange(list_changed_, false)) on_list_changed(round, record->user);
}

// A text may have arrived all the same, when an answer was lost or a relay lost what it had taken:
// its number is made good by a tombstone only when the peer asks for it, or nothing behind it would
// ever count as read.
void Outbox::fail(Round& round, std::uint64_t number, const std::string& why) {
  const auto record = entry(round, number);
  drop(round, number);
  if (!record) return;
  if (record->kind == OutboxRecord::Kind::text) history::fail(round, record->message, why);
  if (record->kind != OutboxRecord::Kind::resend) return;
  const auto& target = record->targets.front();
  auto sent = round.load<SentRecord>(target.device.view(), order_bytes(target.seq));
  Peer* const peer = peers_.device(round, target.device);
  if (!sent || sent->payload.empty() || peer == nullptr) return;
  if (sent->text) {
    history::fail(round, sent->message, why);
    on_delivered(round, target.device, sent->outbox);  // as a text it goes out no more
  }
  make_tombstone(*peer, target.seq, *sent);
  round.save(target.device.view(), order_bytes(target.seq), *sent);
  add_resend(round, *peer, target.seq);
}

void Outbox::make_tombstone(Peer& peer, std::uint64_t seq, SentRecord& sent) {
  if (peer.record.name_sent == seq) peer.change().name_sent = 0;  // it was not told
  sent.payload.clear();
  sent.text = false;
}

void Outbox::on_submit_refused(Round& round, const SubmitAsked& asked,
                               const wire::Refused& refused) {
  if (asked.number == 0) return;
  --in_flight_;
  bytes_in_flight_ -= asked.bytes;
  const auto line = lines_.find(asked.number);
  if (line == lines_.end()) return;
  line->second.in_flight = false;
  const bool never =
      refused.code == wire::ErrorCode::too_large || refused.code == wire::ErrorCode::bad_request;
  if (never) {
    fail(round, asked.number, "the relay refused it: " + std::string(wire::name_of(refused.code)));
    return;
  }
  hold(round, lanes_[line->second.lane], told(refused.retry_after_ms),
       room_for(refused.code));
  return_to_lane(asked.number);
}

// ---- For a person -------------------------------------------------------------------------------

bool Outbox::idle(milliseconds now, milliseconds horizon) const {
  return in_flight_ == 0 && asking_ == 0 && ready_.empty() &&
         (held_.empty() || held_.begin()->first > now + horizon);
}

std::optional<milliseconds> Outbox::deadline() const {
  if (!logged_in_ || held_.empty()) return std::nullopt;
  return held_.begin()->first;
}

std::string Outbox::waits_on(std::uint64_t number, wire::ErrorCode refusal) const {
  const auto line = lines_.find(number);
  if (line == lines_.end()) return {};
  if (line->second.in_flight) return "the relay to accept it";
  const auto lane = lanes_.find(line->second.lane);
  if (lane->second.expired.contains(number)) {
    return "a sign of the recipient's device: it did not fetch it while the relay kept it";
  }
  if (!lane->second.unsent.contains(number)) return "the recipient's device to fetch it";
  if (!logged_in_) {
    return "a connection to the relay" +
           (refusal == wire::ErrorCode::ok ? "" : ", and then on " + room_for(refusal));
  }
  if (*lane->second.unsent.begin() != number) return "earlier messages to the same recipient";
  return lane->second.why.empty() ? "its turn" : lane->second.why;
}

}  // namespace godwit::core
