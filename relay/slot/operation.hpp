// slot/operation: all that can be asked of a slot, and all that it can answer. The same values
// travel inside a loop, from loop to loop, and later from relay to relay.
//
// Every operation but Detach gets exactly one answer, at once or after a commit; the answer goes
// to `Origin`. Besides answers a slot produces pushes and notices to attached sessions; the
// effects of one slot reach one session in the order they were made.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "relay/store/batch.hpp"
#include "schema/wire/messages.hpp"

namespace godwit::relay::slot {

// Who asked: a session, and the session's own mark for the question.
struct Origin {
  enum class Kind : std::uint8_t {
    call,    // `mark` is the session's call
    submit,  // `mark` is the session's pending submit
    ack,     // `mark` is the request to answer: acks keep no state
    task,    // `mark` is the shard's task, which outlives the session
  };
  std::uint64_t session = 0;
  std::uint32_t loop = 0;
  std::uint32_t mark = 0;
  Kind kind = Kind::call;
};

// ---- Operations ---------------------------------------------------------------------------------

struct Attach {  // a session becomes the device's one live session
  wire::UserId user;
  wire::DeviceId device;
  wire::Key transport;  // proven by the handshake; must be the listed one
};

struct Detach {  // the session ended; no answer
  wire::DeviceId device;
};

struct DeviceKeys {
  wire::SignedKey seal_key;
  wire::SignedKey signed_prekey;
};

// Compare-and-set of a user's device list. Signatures were verified before it got here. Answers
// ok, or conflict; a registration is answered FoundUser instead: the list that it must follow.
struct PutUser {
  wire::SignedList list;
  wire::DeviceList parsed;
  std::optional<wire::ListVersion> expected;  // nothing: a registration
  wire::DeviceId device;                      // who does it
  std::optional<DeviceKeys> keys;             // of that device, with a registration
};

struct PutKeys {
  wire::UserId user;
  wire::DeviceId device;
  std::optional<wire::SignedKey> seal_key;
  std::optional<wire::SignedKey> signed_prekey;
  std::vector<wire::OneTimeKey> one_time;
};

struct GetUser {
  wire::UserId user;
};

struct GetPrekeys {
  wire::UserId user;
  std::vector<wire::DeviceId> devices;  // empty: all
  wire::DeviceId requester;
  bool limited = true;  // the requester is under a rate
};

// A change of name passes through three slots: the name's decides the claim, the user's remembers
// it, the old name's lets go. The user's slot lets one change in at a time. A name counts as held
// only while its owner's record says so: what a crash left in between is void. Who takes a void
// claim over keeps its owner from a change of name meanwhile, or both would have the name.
struct BeginNaming {  // answers busy; else it has begun, with PreviousName or not_found
  wire::UserId user;
};

struct ClaimName {  // compare-and-set; answers ok, or FoundName with the holder
  std::string name;
  wire::UserId user;
  std::optional<wire::UserId> void_holder;  // whose claim was found to be void
};

struct SetUserName {  // the user's own record of the name it holds
  wire::UserId user;
  std::string name;  // empty: none
};

struct ReleaseName {
  std::string name;
  wire::UserId user;
};

struct EndNaming {
  wire::UserId user;
};

struct ResolveName {
  std::string name;
};

struct Enqueue {
  wire::UserId sender;
  wire::UserId user;
  wire::DeviceId device;
  wire::ListVersion list;
  wire::RequestId request_id;
  std::uint32_t ttl_s = 0;     // at least 1; counted from when the slot takes it in
  std::uint16_t recipient = 0; // index in the submit, for the answer
  bool limited = true;         // the sender gets a fair share of a mailbox, not all of it
  std::shared_ptr<const store::Body> body;
};

struct Ack {
  wire::DeviceId device;
  std::uint32_t upto = 0;
  std::vector<std::uint32_t> numbers;
};

using Operation = std::variant<Enqueue, Ack, Attach, Detach, std::unique_ptr<PutUser>, PutKeys,
                               GetUser, GetPrekeys, BeginNaming, ClaimName, SetUserName,
                               ReleaseName, EndNaming, ResolveName>;

// ---- Answers ------------------------------------------------------------------------------------

struct Simple {  // done, with nothing else to say; and every refusal
  wire::ErrorCode code = wire::ErrorCode::ok;
  std::uint32_t retry_after_ms = 0;
};

struct AttachedAs {
  wire::ListVersion list;
  std::uint32_t one_time_keys_left = 0;
  bool replaced = false;  // another live session of this device was ended
  std::string name;       // that the user's record holds; empty: none
};

struct FoundUser {
  std::shared_ptr<const wire::SignedList> list;
  std::string name;  // empty: none
};

struct FoundPrekeys {
  std::shared_ptr<const wire::SignedList> list;
  std::vector<wire::Bundle> bundles;
};

struct FoundName {
  wire::UserId user;
};

struct PreviousName {
  std::string name;  // empty: none
};

struct Enqueued {
  std::uint16_t recipient = 0;
  wire::ErrorCode code = wire::ErrorCode::ok;
  std::uint32_t retry_after_ms = 0;
  std::shared_ptr<const wire::SignedList> newer;  // with stale_list
};

using Answer = std::variant<Enqueued, Simple, AttachedAs, FoundUser, FoundPrekeys, FoundName,
                            PreviousName>;

// ---- Effects ------------------------------------------------------------------------------------

struct AnswerTo {
  Origin origin;
  Answer answer;
};

struct Push {
  std::uint32_t loop = 0;
  std::uint32_t number = 0;
  std::uint64_t session = 0;
  std::shared_ptr<const store::Body> body;
};

struct Notice {
  std::uint32_t loop = 0;
  std::uint64_t session = 0;
  std::variant<wire::CaughtUp, wire::KeysLow, wire::Closing> what;
};

using Effect = std::variant<AnswerTo, Push, Notice>;
using Effects = std::vector<Effect>;

}  // namespace godwit::relay::slot
