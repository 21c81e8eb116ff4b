// slot/directory: who exists: user id -> signed device list, username -> user id.
//
// A relay without a record of a user takes any validly signed list; with one, only a greater
// version that says which one it follows. Names are compare-and-set: one claim wins.
//
// Owns:    a bounded cache of what submits check (list version and device ids).
// Refuses: to verify signatures: the session did, before the operation was made.
// Thread:  the loop that owns the slots.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>

#include "relay/slot/journal.hpp"

namespace godwit::relay::slot {

// A user's record as it lies in the store.
struct UserRecord {
  wire::SignedList list;
  std::string name;  // empty: none
};
[[nodiscard]] wire::Bytes encode_user(const UserRecord& record);
[[nodiscard]] std::optional<UserRecord> decode_user(wire::ByteView bytes);
// How many devices are in the list of a record.
[[nodiscard]] std::size_t devices_of(wire::ByteView bytes);

class Directory {
 public:
  struct Device {
    wire::DeviceId id;
    wire::Key transport;
  };
  struct Known {  // what the hot path asks
    wire::ListVersion version;
    std::vector<Device> devices;
    [[nodiscard]] const Device* find(const wire::DeviceId& id) const;
  };
  struct Put {
    wire::ErrorCode code = wire::ErrorCode::ok;
    bool new_user = false;
    std::vector<wire::DeviceId> added;
    std::vector<wire::DeviceId> removed;
    std::vector<wire::DeviceId> rekeyed;  // still there, with another transport key
  };

  explicit Directory(Journal& journal) : journal_(journal) {}

  // Nothing when the user is not here. The pointer lives until the next call.
  [[nodiscard]] const Known* known(const wire::UserId& user);
  [[nodiscard]] std::optional<UserRecord> load(const wire::UserId& user);
  // True when what load() gives is not committed yet.
  [[nodiscard]] bool pending(const wire::UserId& user) const;

  [[nodiscard]] Put put(const PutUser& operation);

  // One change of a user's name at a time: false while another is under way.
  [[nodiscard]] bool begin_naming(const wire::UserId& user) { return naming_.insert(user).second; }
  void end_naming(const wire::UserId& user) { naming_.erase(user); }
  // Nothing when claimed, else who holds it.
  [[nodiscard]] std::optional<wire::UserId> claim_name(const ClaimName& operation);
  void release_name(const ReleaseName& operation);
  [[nodiscard]] std::optional<wire::UserId> resolve_name(const std::string& name);
  [[nodiscard]] bool name_pending(const std::string& name) const;
  // False when there is no such user.
  [[nodiscard]] bool set_user_name(const SetUserName& operation);

 private:
  void remember(const wire::UserId& user, const wire::DeviceList& list);

  Journal& journal_;
  std::unordered_map<wire::UserId, Known, wire::IdHash> cache_;
  std::unordered_set<wire::UserId, wire::IdHash> naming_;  // at most one a session
};

}  // namespace godwit::relay::slot
