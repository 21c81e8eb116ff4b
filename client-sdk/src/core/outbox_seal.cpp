// The middle of core/outbox: an entry's turn has come, and it is encrypted for every device of its
// recipient; where keys are missing they are fetched first.
#include <algorithm>

#include "client-sdk/src/core/outbox.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::core {

namespace {

constexpr auto kPatience = "the relay asks for patience about the keys of the recipient";

}  // namespace

const Outbox::NoKeys* Outbox::no_keys(const wire::DeviceId& device, milliseconds now) const {
  const auto none = no_keys_.find(device);
  return none == no_keys_.end() || none->second.until <= now ? nullptr : &none->second;
}

// True when at least one device can be reached, and none is being asked about.
bool Outbox::reach(Round& round, Lane& lane, const ContactRecord& contact) {
  std::vector<wire::DeviceId> unknown;
  bool some = false, coming = false, lost = false;
  milliseconds patience{};
  for (const auto& listed : Peers::devices_of(contact).devices) {
    const Peer* peer = peers_.device(round, contact.user, listed);
    if (peer == nullptr) continue;
    const NoKeys* const none = no_keys(listed.id, round.now.steady);
    if (peer->record.sent_seq == kNumbersLost) {
      lost = true;  // no keys would help
    } else if (Sealer::reachable(*peer) && Sealer::has_good_key(*peer, round.wall())) {
      some = true;
    } else if (keys_asked_.contains(listed.id)) {
      coming = true;
    } else if (none == nullptr) {
      unknown.push_back(listed.id);
    } else if (none->patience) {
      patience = std::max(patience, none->until - round.now.steady);
    } else {
      some |= Sealer::reachable(*peer);  // an expired seal key is better than none
    }
  }
  if (!unknown.empty()) get_prekeys(round, contact.user, unknown);
  if (!unknown.empty() || coming) {
    set_asking(lane, true, "the keys of the recipient");
    return false;
  }
  if (patience.count() > 0) {
    hold(round, lane, patience, kPatience);
    return false;
  }
  if (!some) {
    hold(round, lane, std::chrono::seconds{30},
         lost ? "another device of the contact: the numbers used towards this one are damaged"
              : "no device of the contact has keys to write to");
  }
  return some;
}

void Outbox::get_prekeys(Round& round, const wire::UserId& user,
                         const std::vector<wire::DeviceId>& devices) {
  keys_asked_.insert(devices.begin(), devices.end());
  requests_.ask(round, wire::GetPrekeys{user, devices}, PrekeysAsked{user, devices});
}

bool Outbox::ask_prekeys(Round& round, const wire::UserId& user, const wire::DeviceId& device) {
  if (no_keys(device, round.now.steady) != nullptr) return false;
  const bool can_ask = logged_in_ && keys_asked_.size() < kLookUpsInFlightMax;
  if (can_ask && !keys_asked_.contains(device)) get_prekeys(round, user, {device});
  return true;
}

bool Outbox::seal(Round& round, Lane& lane, const ContactRecord& contact, OutboxRecord& record) {
  const bool text = record.kind == OutboxRecord::Kind::text;
  const bool sealed =
      text ? seal_text(round, lane, contact, record) : seal_control(round, lane, record);
  if (!sealed) return false;
  record.state = OutboxRecord::State::sealed;
  if (record.request == wire::RequestId{}) round.random(record.request.bytes);
  store(round, record);
  return true;
}

bool Outbox::await_keys(Round& round, Lane& lane, const Peer& peer) {
  const wire::DeviceId& device = peer.record.device;
  if (!keys_asked_.contains(device)) {
    if (const NoKeys* const none = no_keys(device, round.now.steady)) {
      if (none->patience) hold(round, lane, none->until - round.now.steady, kPatience);
      return none->patience;
    }
    get_prekeys(round, peer.record.user, {device});
  }
  set_asking(lane, true, "the keys of the recipient");
  return true;
}

bool Outbox::seal_control(Round& round, Lane& lane, OutboxRecord& record) {
  OutboxRecord::Target& target = record.targets.front();
  Peer* peer = peers_.device(round, target.device);
  const bool reachable = peer != nullptr && Sealer::reachable(*peer);
  // Who only reads sends nothing else: sooner or later an old key would open none of it.
  const bool old = reachable && !Sealer::has_good_key(*peer, round.wall());
  if (old && await_keys(round, lane, *peer)) return false;
  std::optional<OutboxRecord::Target> sealed;
  if (reachable && target.seq != 0) {
    sealed = sealer_.seal_again(round, *peer, target.seq);
  } else if (reachable) {
    sealed = sealer_.seal(round, *peer, std::exchange(record.payload, {}), {});
  }
  if (!sealed) {
    drop(round, record.number);
    return false;
  }
  target = std::move(*sealed);
  record.request = {};
  record.expires = round.wall() + static_cast<Milliseconds>(kSealedLife.count());
  return true;
}

bool Outbox::seal_text(Round& round, Lane& lane, const ContactRecord& contact,
                       OutboxRecord& record) {
  auto message = history::load(round, record.message);
  if (!message) {
    if (!round.failed()) drop(round, record.number);
    return false;
  }
  if (const auto why = too_long(message->text); record.targets.empty() && !why.empty()) {
    fail(round, record.number, why);
    return false;
  }
  if (!reach(round, lane, contact)) return false;
  std::vector<Peer*> to;
  bool name_unknown = false;
  for (const auto& listed : Peers::devices_of(contact).devices) {
    Peer* peer = peers_.device(round, contact.user, listed);
    if (peer == nullptr || !Sealer::reachable(*peer)) continue;
    to.push_back(peer);
    name_unknown |= !peer->record.knows_name;
  }
  wire::Text text{message->id, message->hlc, message->text, {}};
  if (name_unknown && !account_.record.name.empty()) text.sender_name = account_.record.name;
  const wire::Bytes payload = sealer_.payload_of(text);
  SentRecord sent;
  sent.text = true;
  sent.message = record.message;
  sent.outbox = record.number;

  const bool young = !is_over(message->sealed, kSealedLife, round.wall());
  std::vector<OutboxRecord::Target> targets;
  for (Peer* peer : to) {
    const auto before =
        std::ranges::find(record.targets, peer->record.device, &OutboxRecord::Target::device);
    // A body is good for a day, unless the device could not read it. Were it encrypted anew with
    // each refusal, the ratchet would run away from the recipient's.
    const bool known = before != record.targets.end();
    const bool readable = known && before->hash != wire::EnvelopeHash{};
    if (known && (before->delivered || before->accepted || (readable && young))) {
      targets.push_back(std::move(*before));
      continue;
    }
    // To the relay other bytes under the same id are what it has already.
    record.request = {};
    std::optional<OutboxRecord::Target> target;
    if (known) target = sealer_.seal_again(round, *peer, before->seq);
    if (!target) {
      target = sealer_.seal(round, *peer, payload, sent);
      if (text.sender_name && peer->record.name_sent == 0) peer->change().name_sent = target->seq;
    }
    targets.push_back(std::move(*target));
  }
  std::ranges::sort(targets, {}, &OutboxRecord::Target::device);
  record.targets = std::move(targets);
  if (!young) {
    message->sealed = round.wall();
    history::save(round, record.message, *message);
  }
  record.expires = message->sealed + static_cast<Milliseconds>(kSealedLife.count());
  return true;
}

// ---- For a person -------------------------------------------------------------------------------

std::string Outbox::room_for(wire::ErrorCode refusal) {
  switch (refusal) {
    case wire::ErrorCode::mailbox_full:
      return "room in the recipient's mailbox at the relay";
    case wire::ErrorCode::store_full:
      return "room on the relay's disk";
    case wire::ErrorCode::rate_limited:
      return "the relay, which takes only so much of one sender at a time";
    case wire::ErrorCode::busy:
      return "the relay, which is busy";
    case wire::ErrorCode::unknown_device:
      return "the recipient's device, which the relay does not know";
    default:
      return "the relay, which answered " + std::string(wire::name_of(refusal));
  }
}

std::size_t Outbox::waiting() const {
  const auto waits = [this](const auto& entry) {
    const auto& [number, line] = entry;
    return line.kind == OutboxRecord::Kind::text &&
           (line.in_flight || lanes_.at(line.lane).unsent.contains(number));
  };
  return static_cast<std::size_t>(std::ranges::count_if(lines_, waits));
}

}  // namespace godwit::core
