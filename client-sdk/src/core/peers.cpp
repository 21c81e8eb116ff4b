#include "client-sdk/src/core/peers.hpp"

#include <algorithm>

#include "client-sdk/src/core/history.hpp"
#include "client-sdk/src/core/sequence.hpp"
#include "client-sdk/src/crypto/sealed.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::core {

std::optional<ContactRecord> Peers::contact(const View& view, const wire::UserId& user) {
  return view.load<ContactRecord>(user.view());
}

void Peers::save(Round& round, const ContactRecord& contact) {
  std::erase_if(strangers_, [&](const auto& stranger) { return stranger.user == contact.user; });
  round.save(contact.user.view(), contact);
}

std::optional<ContactRecord> Peers::known(const View& view, const wire::UserId& user) {
  if (auto found = contact(view, user)) return found;
  const auto stranger =
      std::ranges::find_if(strangers_, [&](const auto& one) { return one.user == user; });
  if (stranger == strangers_.end()) return std::nullopt;
  return *stranger;
}

void Peers::accept(Round& round, ContactRecord& contact) {
  contact.accepted = true;
  save(round, contact);
  history::let_in(round, contact.user);
  owe_all(round, contact);
}

// It stands twice, and the second time a record's mere being there counts: no damage to the disk
// lets those be heard again who are not to be.
void Peers::block(Round& round, ContactRecord& contact) {
  contact.blocked = true;
  save(round, contact);
  round.put(Table::blocked, contact.user.view(), {}, {});
  std::vector<wire::DeviceId> theirs;
  round.each<DeviceRecord>([&](DeviceRecord& record) {
    if (record.user == contact.user) theirs.push_back(record.device);
  });
  for (const auto& id : theirs) {
    if (Peer* peer = device(round, id)) drop_early(round, *peer);
  }
}

// What waits behind a gap goes, but for where the chain stands at the end of each range: a number
// that was confirmed does not come again.
void Peers::drop_early(Round& round, Peer& peer) {
  const wire::DeviceId id = peer.record.device;
  std::vector<std::pair<std::uint64_t, std::optional<EarlyRecord>>> all;
  round.scan(Table::early, id.view(), {}, store::ReadTxn::Order::ascending,
             [&](wire::ByteView suffix, std::optional<wire::ByteView> value) {
               auto early = value ? View::parse<EarlyRecord>(*value) : std::nullopt;
               if (early) early->payload.clear();
               all.emplace_back(order_number(suffix), std::move(early));
               return true;
             });
  for (auto& [seq, early] : all) {
    const bool ends = std::ranges::find(peer.record.ranges, seq, &wire::SeqRange::last) !=
                      peer.record.ranges.end();
    if (early && ends) {
      early->tombstone = true;  // its `h` is taken as it is
      round.save(id.view(), order_bytes(seq), *early);
    } else {
      round.erase(Table::early, id.view(), order_bytes(seq));
    }
  }
  peer.early_bytes = 0;
}

void Peers::unblock(Round& round, ContactRecord& contact) {
  contact.blocked = false;
  save(round, contact);
  round.erase(Table::blocked, contact.user.view());
  if (contact.accepted) owe_all(round, contact);
}

void Peers::owe_all(Round& round, const ContactRecord& contact) {
  for (const auto& listed : devices_of(contact).devices) {
    Peer* peer = device(round, listed.id);
    if (peer != nullptr) owe(peer->change(), round.wall());
  }
}

void Peers::set_name(Round& round, ContactRecord& contact, const std::string& name) {
  if (!contact.name.empty()) round.erase(Table::names, wire::as_bytes(contact.name));
  for (const auto& other : contact.other_names) round.erase(Table::names, wire::as_bytes(other));
  contact.other_names.clear();
  contact.name = name;
  contact.claimed_name.clear();
  if (!name.empty()) round.save(wire::as_bytes(name), UserRef{contact.user});
  save(round, contact);
}

// Nobody is called else by the word of a relay alone: the name that became free so would be
// whoever's the relay says next.
bool Peers::found_as(Round& round, ContactRecord& contact, const std::string& name) {
  if (contact.name.empty() || contact.name == name) {
    const bool news = contact.name.empty();
    set_name(round, contact, name);
    return news;
  }
  round.save(wire::as_bytes(name), UserRef{contact.user});
  if (std::ranges::find(contact.other_names, name) != contact.other_names.end()) return false;
  contact.other_names.push_back(name);
  save(round, contact);
  return true;
}

wire::DeviceList Peers::devices_of(const ContactRecord& contact) {
  auto list = wire::parse_device_list(contact.list.body);
  assert(list);  // verified before it was kept
  return std::move(*list);
}

ListVerdict Peers::take_list(Round& round, const wire::UserId& user,
                             const wire::SignedListView& list) {
  auto before = known(round, user);
  if (before && std::ranges::equal(before->list.body, list.body)) return ListVerdict::same;
  const auto refuse = [&](const char* why) {
    round.tell(EventKind::list_refused, user, why);
    return ListVerdict::refused;
  };
  const auto verified = wire::verify_device_list(list);
  if (!verified) return refuse("the device list does not verify");
  if (verified->user != user) return refuse("the device list is another user's");
  if (!before) {
    ContactRecord stranger;
    stranger.user = user;
    stranger.list = wire::SignedList::copy_of(list);
    if (round.contains(Table::blocked, user.view())) {  // the contact's record was damaged
      block(round, stranger);
      return ListVerdict::newer;
    }
    strangers_.push_front(std::move(stranger));
    if (strangers_.size() > kStrangersMax) strangers_.pop_back();
    return ListVerdict::newer;
  }
  const wire::DeviceList old = devices_of(*before);
  if (verified->version < old.version) return refuse("the device list was rolled back");
  const bool follows =
      verified->version.gen == old.version.gen && verified->version.seq == old.version.seq + 1;
  const bool contradicts = verified->version == old.version ||
                           (follows && verified->previous != wire::sha512_32(before->list.body));
  if (contradicts) {
    before->frozen = true;
    if (contact(round, user)) save(round, *before);
    round.tell(EventKind::equivocation, user, "two device lists contradict each other");
    return ListVerdict::refused;
  }
  // A generation begins with the recovery code: who holds that says which list holds.
  if (verified->version.gen > old.version.gen) before->frozen = false;
  before->list = wire::SignedList::copy_of(list);
  if (contact(round, user)) {
    save(round, *before);
    tell_changes(round, user, old, *verified);
    for (const auto& listed : old.devices) {
      if (verified->find(listed.id) != nullptr) continue;
      if (Peer* left = device(round, listed.id)) left->change().heard = kCatchUpsHeard;
    }
  } else {
    std::ranges::find_if(strangers_, [&](const auto& one) { return one.user == user; })->list =
        before->list;
  }
  return ListVerdict::newer;
}

void Peers::tell_changes(Round& round, const wire::UserId& user, const wire::DeviceList& before,
                         const wire::DeviceList& after) {
  for (const auto& device : after.devices) {
    if (before.find(device.id) == nullptr) {
      round.tell(EventKind::devices_changed, user, "new device " + wire::to_hex(device.id.view()));
    }
  }
  for (const auto& device : before.devices) {
    if (after.find(device.id) == nullptr) {
      round.tell(EventKind::devices_changed, user, "device left " + wire::to_hex(device.id.view()));
    }
  }
}

// ---- Devices ------------------------------------------------------------------------------------

Peer* Peers::device(Round& round, const wire::DeviceId& id) {
  if (const auto cached = devices_.find(id); cached != devices_.end()) return &cached->second;
  auto record = round.load<DeviceRecord>(id.view());
  if (!record) return nullptr;
  Peer& peer = devices_[id];
  peer.record = std::move(*record);
  (void)load_sessions(round, peer);
  return &peer;
}

// Nothing when there is no record, or it is damaged.
std::optional<SessionsRecord> Peers::load_sessions(Round& round, Peer& peer) {
  auto record = round.load<SessionsRecord>(peer.record.device.view());
  auto sessions = record ? crypto::SessionSet::unpack(record->packed) : std::nullopt;
  peer.sessions = sessions ? std::move(*sessions) : crypto::SessionSet(peer.record.gen);
  return record;
}

// Its record is damaged. Both directions go on where the sessions say. If they say nothing, what
// comes from it begins where the next one says, and nothing goes to it: a number that is used twice
// counts as a duplicate there, and what it carried would never be shown.
void Peers::restore(Round& round, Peer& peer) {
  copy_numbers(load_sessions(round, peer).value_or(SessionsRecord{}), peer.change());
  owe(peer.record, round.wall());
}

Peer* Peers::device(Round& round, const wire::UserId& user, const wire::DeviceRecord& listed) {
  if (Peer* found = device(round, listed.id)) return found;
  const auto dh = crypto::dh_public_of(listed.identity);
  if (!dh) return nullptr;
  // Not saved before something is known of it: junk leaves no record.
  Peer& peer = devices_[listed.id];
  DeviceRecord& record = peer.record;
  record.device = listed.id;
  record.user = user;
  record.identity = listed.identity;
  record.dh = *dh;
  if (round.contains(Table::devices, listed.id.view())) restore(round, peer);
  return &peer;
}

Peer* Peers::device_of_key(Round& round, const ContactRecord& contact,
                           const wire::Key& static_key) {
  for (const auto& listed : devices_of(contact).devices) {
    Peer* known_device = device(round, listed.id);
    const auto dh =
        known_device != nullptr ? known_device->record.dh : crypto::dh_public_of(listed.identity);
    if (dh != static_key) continue;
    return known_device != nullptr ? known_device : device(round, contact.user, listed);
  }
  // The relay takes nothing from a device that has left, but what it took before is still to come.
  for (const auto& id : attention()) {
    Peer* former = device(round, id);
    if (former == nullptr || former->record.heard == 0) continue;
    if (former->record.user == contact.user && former->record.dh == static_key) return former;
  }
  return nullptr;
}

void Peers::on_caught_up(Round& round) {
  for (const auto& id : attention()) {
    Peer* former = device(round, id);
    if (former != nullptr && former->record.heard > 0) --former->change().heard;
  }
}

std::size_t& Peers::early_bytes(const View& view, Peer& peer) {
  if (peer.early_bytes) return *peer.early_bytes;
  std::size_t bytes = 0;
  view.scan(Table::early, peer.record.device.view(), {}, store::ReadTxn::Order::ascending,
            [&](wire::ByteView, std::optional<wire::ByteView> value) {
              const auto early = value ? View::parse<EarlyRecord>(*value) : std::nullopt;
              bytes += early ? early->payload.size() : 0;
              return true;
            });
  return peer.early_bytes.emplace(bytes);
}

bool Peers::needs_attention(const Peer& peer) const {
  return peer.record.receipt_owed || peer.record.gap_since != 0 ||
         !peer.record.undecryptable.empty() || peer.record.name_to_check || peer.record.heard > 0;
}

std::vector<wire::DeviceId> Peers::attention() const {
  std::set<wire::DeviceId> ids = attention_;
  for (const auto& [id, peer] : devices_) {
    if (peer.record_changed && needs_attention(peer)) ids.insert(id);
  }
  return {ids.begin(), ids.end()};
}

void Peers::load_attention(const View& view) {
  view.each<DeviceRef>([&](DeviceRef& ref) { attention_.insert(ref.device); });
}

void Peers::forget_attention(Round& round, const wire::DeviceId& id) {
  round.erase(Table::attention, id.view());
  attention_.erase(id);
}

void Peers::flush(Round& round) {
  for (auto& [id, peer] : devices_) {
    if (peer.sessions_changed) {
      if (peer.record.gen != peer.sessions.highest_gen()) {
        peer.change().gen = peer.sessions.highest_gen();
      }
      SessionsRecord record;
      peer.sessions.pack(record.packed);
      copy_numbers(peer.record, record);
      round.save(id.view(), record);
      peer.sessions_changed = false;
    }
    if (!peer.record_changed) continue;
    round.save(id.view(), peer.record);
    peer.record_changed = false;
    const bool needed = needs_attention(peer);
    if (needed == attention_.contains(id)) continue;
    if (needed) {
      round.save(id.view(), DeviceRef{id});
      attention_.insert(id);
    } else {
      forget_attention(round, id);
    }
  }
  if (devices_.size() > kCachedDevicesMax) devices_.clear();
}

}  // namespace godwit::core
