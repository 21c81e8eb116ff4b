// The other half of core/outbox: answers to look-ups, and news that change what entries wait for.
#include <algorithm>
#include <utility>

#include "client-sdk/src/core/outbox.hpp"

namespace godwit::core {
namespace {

constexpr std::uint64_t kSecond = 1000;
constexpr std::uint64_t kStaleMax_s = static_cast<std::uint64_t>(kStalePrekeyMax.count()) / kSecond;
constexpr std::uint64_t kUse_s = static_cast<std::uint64_t>(kSealKeyLife.count()) / kSecond;
constexpr Milliseconds kClockStep = 24 * 3600 * kSecond;  // that may be one of a right clock
constexpr milliseconds kNoKeysWait = std::chrono::minutes{1};

}  // namespace

// ---- Look-ups -----------------------------------------------------------------------------------

void Outbox::on_user(Round& round, const UserAsked& asked, const wire::User* user,
                     const wire::Refused* refused) {
  if (!asked.name.empty()) {
    if (user != nullptr) name_resolved(round, asked, *user);
    if (refused != nullptr) name_refused(round, asked, *refused);
    return;
  }
  if (asked.unheard) {
    if (refused == nullptr || refused->retry_after_ms == 0) return;
    const milliseconds told{refused->retry_after_ms};
    unheard_.push_back(*asked.user);
    unheard_at_ = round.now.steady + std::clamp(told, kRetryFirst, kRetryAfterMax);
    return;
  }
  const auto lane = lanes_.find(lane_of(*asked.user));
  if (lane == lanes_.end()) return;
  if (refused != nullptr) {
    hold(round, lane->second, milliseconds{refused->retry_after_ms},
         "the relay knows nothing of the recipient at the moment");
  } else if (!peers_.known(round, *asked.user)) {
    hold(round, lane->second, kRetryMax, "the relay gave a device list that does not hold");
  }
  set_asking(lane->second, false, std::move(lane->second.why));
}

// By its id: the way to it from the name may be damaged, or lead to another by now.
std::optional<LocalConversation> Outbox::conversation_of(Round& round,
                                                         const UserAsked& asked) const {
  if (lanes_.contains({true, asked.conversation.bytes})) return asked.conversation;
  return history::find(round, wire::as_bytes(asked.name));
}

void Outbox::name_resolved(Round& round, const UserAsked& asked, const wire::User& user) {
  const auto id = conversation_of(round, asked);
  if (!id) return;
  const wire::UserId who = wire::user_id_of(user.list.root);
  const auto lane = lanes_.find({true, id->bytes});
  const auto give_up = [&](const std::string& why) {
    if (lane != lanes_.end()) {
      hold(round, lane->second, kRetryMax, why);
      set_asking(lane->second, false, why);
    }
  };
  if (who == account_.record.user) {
    name_refused(round, asked, {wire::ErrorCode::not_found, 0});
    return;
  }
  // Somebody has come to be known by it since it was asked for: no later word of the relay counts.
  const auto holder = round.load<UserRef>(wire::as_bytes(asked.name));
  if (holder && holder->user != who) {
    give_up("the relay gives the name to somebody else than before");
    return;
  }
  const ListVerdict verdict = peers_.take_list(round, who, user.list);
  if (verdict == ListVerdict::refused) {
    give_up("the relay gave a device list that does not hold");
    return;
  }
  if (verdict == ListVerdict::newer) on_list_changed(round, who);
  auto contact = peers_.known(round, who);
  if (!contact) return;
  // Who took a name to which we wrote in vain, once, is a stranger as before.
  const bool writes = lane != lanes_.end();
  if (!writes && !peers_.contact(round, who)) return;  // another said that this was their name
  const bool added = writes && !contact->accepted && !contact->blocked;
  if (added) peers_.accept(round, *contact);
  const bool named = peers_.found_as(round, *contact, asked.name);
  if (added || named) round.tell(EventKind::contact_added, who, asked.name);
  const LocalConversation conversation =
      history::resolve(round, *id, asked.name, who, contact->accepted);
  if (!writes) return;
  const auto numbers = lane->second.entries;
  for (const std::uint64_t number : numbers) {
    auto record = entry(round, number);
    if (!record) continue;
    drop(round, number);
    record->resolved = true;
    record->user = who;
    record->message.conversation = conversation;
    store(round, *record);
    enlist(*record);
  }
}

void Outbox::name_refused(Round& round, const UserAsked& asked, const wire::Refused& refused) {
  const auto id = conversation_of(round, asked);
  if (!id) return;
  const auto lane = lanes_.find({true, id->bytes});
  if (lane == lanes_.end()) return;
  const bool nobody =
      refused.code == wire::ErrorCode::not_found || refused.code == wire::ErrorCode::name_invalid;
  if (!nobody) {
    hold(round, lane->second, milliseconds{refused.retry_after_ms},
         room_for(refused.code));
    set_asking(lane->second, false, std::move(lane->second.why));
    return;
  }
  const auto numbers = lane->second.entries;
  for (const std::uint64_t number : numbers) {
    const auto record = entry(round, number);
    if (record) history::fail(round, record->message, "nobody has the name " + asked.name);
    drop(round, number);
  }
}

void Outbox::on_prekeys(Round& round, const PrekeysAsked& asked, const wire::Prekeys* prekeys,
                        const wire::Refused* refused) {
  // What brings no usable bundle is not asked for again at once, or bad answers would make a loop.
  const milliseconds patience{refused != nullptr ? refused->retry_after_ms : 0};
  const bool patient = patience.count() > 0;
  const milliseconds wait = patient ? std::min(patience, kRetryAfterMax) : kNoKeysWait;
  for (const auto& device : asked.devices) {
    keys_asked_.erase(device);
    NoKeys& none = no_keys_[device];
    none.until = round.now.steady + wait;
    none.patience = patient;
  }
  if (prekeys != nullptr) {
    if (peers_.take_list(round, asked.user, prekeys->list) == ListVerdict::newer) {
      on_list_changed(round, asked.user);
    }
    if (const auto contact = peers_.known(round, asked.user)) {
      for (const auto& bundle : prekeys->bundles) {
        if (std::ranges::find(asked.devices, bundle.device) == asked.devices.end()) continue;
        if (take_bundle(round, *contact, bundle)) no_keys_.erase(bundle.device);
      }
    }
  }
  const auto lane = lanes_.find(lane_of(asked.user));
  if (lane == lanes_.end()) return;
  std::string why;
  if (refused != nullptr) {
    why = room_for(refused->code);
    hold(round, lane->second, patience, why);
  }
  set_asking(lane->second, false, why);
}

// Told once a login: it is asked for again every few minutes.
bool Outbox::refuse_bundle(Round& round, const ContactRecord& contact, const wire::Bundle& bundle,
                           std::string why) {
  if (!std::exchange(no_keys_[bundle.device].told, true)) {
    round.tell(EventKind::prekey_refused, contact.user, std::move(why));
  }
  return false;
}

// Checks everything that the device signed, and begins a session where one is wanted.
bool Outbox::take_bundle(Round& round, const ContactRecord& contact, const wire::Bundle& bundle) {
  const wire::DeviceList list = Peers::devices_of(contact);
  const wire::DeviceRecord* listed = list.find(bundle.device);
  Peer* peer = listed == nullptr ? nullptr : peers_.device(round, contact.user, *listed);
  if (peer == nullptr || peer->record.sent_seq == kNumbersLost) return false;
  const std::uint64_t now_s = round.wall() / kSecond;
  const auto holds = [&](wire::SignedKeyKind kind, const wire::SignedKey& key) {
    return wire::verify_signed_key(kind, contact.user, listed->identity, key).has_value();
  };
  if (!holds(wire::SignedKeyKind::seal, bundle.seal_key) ||
      !holds(wire::SignedKeyKind::prekey, bundle.signed_prekey)) {
    return refuse_bundle(round, contact, bundle, "a prekey or seal key does not verify");
  }
  const auto expires = std::min(bundle.seal_key.expires, bundle.signed_prekey.expires);
  if (expires + kStaleMax_s <= now_s) {
    return refuse_bundle(round, contact, bundle,
                         "a prekey or seal key is long expired: nobody was there for half a year, "
                         "or a clock is wrong, here or there");
  }
  if (expires < now_s) round.tell(EventKind::stale_prekey, contact.user);
  const bool reset = !peer->record.undecryptable.empty();
  // One that was never answered may have begun with a key that the relay had swapped: the other end
  // cannot open it, and says nothing to strangers.
  const crypto::Session* current = peer->sessions.current();
  if (current == nullptr || !current->answered() || reset) {
    auto session = crypto::Session::initiate(
        account_.device().identity(), account_.record.user, {contact.user, listed->identity},
        bundle.signed_prekey, bundle.one_time, peer->sessions.next_gen(), round.random);
    if (!session) return refuse_bundle(round, contact, bundle, "a prekey is of no use");
    peer->sessions.add(std::move(*session), now_s);
    peer->sessions_changed = true;
  }
  DeviceRecord& record = peer->change();
  record.seal_id = bundle.seal_key.id;
  record.seal_key = bundle.seal_key.key;
  // Used for a day at least, if it has expired already; and for no more, as long as the session is
  // unanswered: what is written then begins another one.
  const std::uint64_t day = now_s + 24 * 3600;
  const bool answered = peer->sessions.current()->answered();
  const std::uint64_t latest = now_s + kUse_s;
  const std::uint64_t until = answered ? std::max(bundle.seal_key.expires, day) : day;
  record.seal_expires = std::min(until, latest) * kSecond;
  if (reset) {
    wire::Reset notice{record.undecryptable};
    record.undecryptable.clear();
    record.reset_at = round.wall();
    add_control(round, *peer, sealer_.payload_of(std::move(notice)));
  }
  return true;
}

// ---- News ---------------------------------------------------------------------------------------

void Outbox::on_delivered(Round& round, const wire::DeviceId& device, std::uint64_t number) {
  auto record = entry(round, number);
  if (!record) return;
  bool all = true;
  for (auto& target : record->targets) {
    if (target.device == device) target.delivered = true;
    all &= target.delivered;
  }
  if (all) {
    drop(round, number);
  } else {
    store(round, *record);
  }
}

// What waits for them fails. What was taken for a device that is still theirs may be there by now:
// it rests, as if the relay had kept it too long.
void Outbox::give_up_on_blocked(Round& round, OutboxRecord& record) {
  if (record.kind != OutboxRecord::Kind::text) return drop(round, record.number);
  const auto message = history::load(round, record.message);
  const bool taken = message && message->accepted != 0 && message->status != Status::failed;
  if (!taken || record.targets.empty()) {
    return fail(round, record.number, "they are blocked; unblock them to write");
  }
  record.state = OutboxRecord::State::expired;
  store(round, record);
  Line& line = lines_[record.number];
  line.expires = 0;
  lanes_[line.lane].unsent.erase(record.number);
  lanes_[line.lane].expired.insert(record.number);
}

void Outbox::on_list_changed(Round& round, const wire::UserId& user) {
  const auto lane = lanes_.find(lane_of(user));
  const auto contact = peers_.contact(round, user);
  if (lane == lanes_.end() || !contact) return;
  release(lane->second);  // what held it was about the list before
  wake(lane->first);
  const wire::DeviceList list = Peers::devices_of(*contact);
  const auto numbers = lane->second.entries;
  for (const std::uint64_t number : numbers) {
    auto record = entry(round, number);
    if (!record || lines_[number].in_flight) continue;  // its answer will find the new list
    const bool left = follow_list(*record, list);
    if (record->kind != OutboxRecord::Kind::text) {
      if (record->targets.empty()) drop(round, number);
      continue;
    }
    const bool rests = record->state == OutboxRecord::State::accepted ||
                       record->state == OutboxRecord::State::expired;
    if (rests && !record->targets.empty()) {
      if (!left) continue;
      const bool done = std::ranges::all_of(record->targets, &OutboxRecord::Target::delivered);
      if (done) {
        drop(round, number);
      } else {
        store(round, *record);
      }
      continue;
    }
    record->state = OutboxRecord::State::waiting;
    store(round, *record);
    return_to_lane(number);
  }
}

void Outbox::on_lost(Round& round, const Peer& peer, std::uint64_t seq) {
  const auto lane = lanes_.find(lane_of(peer.record.user));
  if (lane == lanes_.end()) return;
  const auto numbers = lane->second.entries;
  for (const std::uint64_t number : numbers) {
    auto record = entry(round, number);
    if (!record || record->kind != OutboxRecord::Kind::text) continue;
    const auto found = std::erase_if(record->targets, [&](const auto& target) {
      return target.device == peer.record.device && target.seq == seq;
    });
    if (found == 0) continue;
    record->state = OutboxRecord::State::waiting;
    store(round, *record);
    if (!lines_[number].in_flight) return_to_lane(number);
  }
}

void Outbox::on_undecryptable(Round& round, const wire::UserId& user, const wire::DeviceId& device,
                              const std::vector<wire::EnvelopeHash>& hashes) {
  const auto lane = lanes_.find(lane_of(user));
  if (lane == lanes_.end() || hashes.empty()) return;
  const auto numbers = lane->second.entries;
  for (const std::uint64_t number : numbers) {
    auto record = entry(round, number);
    if (!record) continue;
    bool named = false;
    for (auto& target : record->targets) {
      if (target.device != device) continue;
      if (std::ranges::find(hashes, target.hash) == hashes.end()) continue;
      target.accepted = false;
      target.hash = {};
      named = true;
    }
    if (!named) continue;
    const bool in_flight = lines_[number].in_flight;
    if (record->kind != OutboxRecord::Kind::text) {
      if (!in_flight) drop(round, number);
      continue;
    }
    if (in_flight) {  // again: its answer finds what this says
      store(round, *record);
      continue;
    }
    record->state = OutboxRecord::State::waiting;
    store(round, *record);
    return_to_lane(number);
  }
}

void Outbox::expire(Round& round, Milliseconds relay_time) {
  // What is kept for longer than a relay keeps anything was accepted while our clock was ahead;
  // unless it is behind now, and will be set right.
  const Milliseconds now = std::max(round.wall(), relay_time);
  const Milliseconds latest = now + static_cast<Milliseconds>(kTtlMax.count()) + kClockStep;
  for (auto& [number, line] : lines_) {
    const bool ahead = line.expires > latest;
    if (line.expires == 0 || (line.expires > round.wall() && !ahead)) continue;
    auto record = entry(round, number);
    if (!record) continue;
    if (ahead) {
      line.expires = record->expires = now + Milliseconds{limits_.ttl_default_s} * kSecond;
      store(round, *record);
      continue;
    }
    line.expires = 0;
    record->state = OutboxRecord::State::expired;
    store(round, *record);
    lanes_[line.lane].expired.insert(number);
    history::tell_expired(round, record->message);
  }
}

void Outbox::on_heard(Round& round, const wire::UserId& user, const wire::DeviceId& device) {
  const auto lane = lanes_.find(lane_of(user));
  if (lane == lanes_.end() || lane->second.expired.empty()) return;
  const auto numbers = lane->second.expired;
  for (const std::uint64_t number : numbers) {
    auto record = entry(round, number);
    if (!record) continue;
    const auto target = std::ranges::find(record->targets, device, &OutboxRecord::Target::device);
    if (target == record->targets.end() || target->delivered) continue;
    target->accepted = false;
    record->request = {};  // it may have been fetched, and dropped: the relay remembers that
    record->state = OutboxRecord::State::waiting;  // what it was sealed for may be gone by now
    store(round, *record);
    return_to_lane(number);
  }
}

// When a device is replaced, the relay deletes what waits for it, and tells nobody: only who
// submits again hears of the new list.
void Outbox::look_after(Round& round) {
  if (!logged_in_ || round.now.steady < unheard_at_) return;
  if (unheard_.empty()) find_unheard(round);
  while (!unheard_.empty() && requests_.count<UserAsked>() < kLookUpsInFlightMax) {
    const wire::UserId user = unheard_.back();
    unheard_.pop_back();
    wire::GetUser ask;
    ask.user = user;
    requests_.ask(round, ask, UserAsked{user, {}, {}, {}, true});
  }
  if (unheard_.empty()) unheard_at_ = round.now.steady + kUnheardInterval;
}

void Outbox::find_unheard(Round& round) {
  for (const auto& [key, lane] : lanes_) {
    const auto record = lane.entries.empty() ? std::nullopt : entry(round, *lane.entries.begin());
    const bool rests = record && (record->state == OutboxRecord::State::accepted ||
                                  record->state == OutboxRecord::State::expired);
    if (!rests || !lane.unsent.empty()) continue;  // what is submitted brings the list
    const auto message = history::load(round, record->message);
    const auto contact = peers_.contact(round, record->user);
    if (!message || !contact || contact->blocked) continue;
    if (is_over(message->accepted, kUnheardAge, round.wall())) unheard_.push_back(record->user);
  }
}

void Outbox::resend_accepted(Round& round) {
  std::vector<std::uint64_t> numbers;
  for (const auto& [number, line] : lines_) {
    if (line.kind == OutboxRecord::Kind::text && !line.in_flight) numbers.push_back(number);
  }
  for (const std::uint64_t number : numbers) {
    auto record = entry(round, number);
    if (!record || record->state == OutboxRecord::State::waiting) continue;
    for (auto& target : record->targets) target.accepted = false;
    record->state = OutboxRecord::State::waiting;  // what it was sealed for may be gone by now
    store(round, *record);
    return_to_lane(number);
  }
}

}  // namespace godwit::core
