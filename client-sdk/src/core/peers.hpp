// core/peers: the people we know, their device lists, and each of their devices with its sessions.
// Owns:    the devices used lately, in memory between rounds; their changes until flush().
// Refuses: to ask the relay; to accept a list that does not verify, is older, or contradicts.
// Trust:   lists and keys come from the relay, which may lie.
// Spec:    schema/README.md, "Identities".
#pragma once

#include <list>
#include <set>
#include <unordered_map>

#include "client-sdk/src/core/account.hpp"
#include "client-sdk/src/crypto/session_set.hpp"

namespace godwit::core {

struct Peer {
  DeviceRecord record;
  crypto::SessionSet sessions;
  bool record_changed = false;
  bool sessions_changed = false;
  std::optional<std::size_t> early_bytes;  // of its EarlyRecords' payloads; not counted yet

  // To write: the record will be saved.
  DeviceRecord& change() {
    record_changed = true;
    return record;
  }
};

enum class ListVerdict : std::uint8_t {
  same,     // the one we have
  newer,    // taken
  refused,  // told to the app; nothing was taken
};

class Peers {
 public:
  // ---- Contacts
  [[nodiscard]] std::optional<ContactRecord> contact(const View& view, const wire::UserId& user);
  void save(Round& round, const ContactRecord& contact);
  // A list from the relay about `user`. For a contact it becomes the contact's; for anybody else it
  // is kept for a while among the strangers.
  [[nodiscard]] ListVerdict take_list(Round& round, const wire::UserId& user,
                                      const wire::SignedListView& list);
  // The contact, or what a stranger's contact would be; nothing when no list is known.
  [[nodiscard]] std::optional<ContactRecord> known(const View& view, const wire::UserId& user);
  // From now on they are told what has arrived, and asked for what is missing; their conversation
  // is no request.
  void accept(Round& round, ContactRecord& contact);
  void block(Round& round, ContactRecord& contact);
  void unblock(Round& round, ContactRecord& contact);
  // Notes what a contact is called, as the contact and the relay say. All earlier names are free.
  void set_name(Round& round, ContactRecord& contact, const std::string& name);
  // The look-up of `name` has led to them. True: that is new.
  [[nodiscard]] bool found_as(Round& round, ContactRecord& contact, const std::string& name);

  // ---- Devices
  // Null when we have no record of it.
  [[nodiscard]] Peer* device(Round& round, const wire::DeviceId& id);
  // Makes the record when there is none; null when its key is of no use.
  [[nodiscard]] Peer* device(Round& round, const wire::UserId& user,
                             const wire::DeviceRecord& listed);
  // The device whose identity this X25519 key is, listed or still heard; null: none of them.
  [[nodiscard]] Peer* device_of_key(Round& round, const ContactRecord& contact,
                                    const wire::Key& static_key);
  [[nodiscard]] static wire::DeviceList devices_of(const ContactRecord& contact);

  // Payload bytes of what has come from it and waits behind a gap.
  [[nodiscard]] static std::size_t& early_bytes(const View& view, Peer& peer);

  // All that waited at the relay has come.
  void on_caught_up(Round& round);

  // Devices about which something is to be done: a receipt owed, a gap, a reset, a name, or one
  // that has left and is still heard.
  [[nodiscard]] std::vector<wire::DeviceId> attention() const;
  void load_attention(const View& view);
  void forget_attention(Round& round, const wire::DeviceId& id);

  // Writes what changed. Before the commit of a round.
  void flush(Round& round);

 private:
  std::optional<SessionsRecord> load_sessions(Round& round, Peer& peer);
  void restore(Round& round, Peer& peer);
  void owe_all(Round& round, const ContactRecord& contact);
  static void drop_early(Round& round, Peer& peer);
  [[nodiscard]] bool needs_attention(const Peer& peer) const;
  void tell_changes(Round& round, const wire::UserId& user, const wire::DeviceList& before,
                    const wire::DeviceList& after);

  std::unordered_map<wire::DeviceId, Peer, wire::IdHash> devices_;
  std::list<ContactRecord> strangers_;  // newest first
  std::set<wire::DeviceId> attention_;
};

}  // namespace godwit::core
