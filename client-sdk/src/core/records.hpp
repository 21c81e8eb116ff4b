// core/records: what the database holds, one struct a table, and how each lies in its bytes.
// Refuses: to know how records depend on each other.
// Trust:   the bytes authenticated; unpack still checks every length, since a later version may
//          have written them.
#pragma once

#include <vector>

#include "client-sdk/src/core/pack.hpp"
#include "client-sdk/src/store/database.hpp"
#include "godwit/types.hpp"
#include "schema/wire/identity.hpp"
#include "schema/wire/payload.hpp"

namespace godwit::core {

using store::Table;
using Milliseconds = std::uint64_t;  // since 1970, as records keep it; 0: never

// Who we are. One record.
struct AccountRecord {
  static constexpr Table kTable = Table::account;
  wire::UserId user;
  wire::DeviceId device;
  std::string relay;
  std::string name;  // the one that holds, or is to be claimed with the registration
  bool registered = false;
  bool recovering = false;  // the next registration builds on the list the relay holds
  bool requests = false;    // contact policy: strangers are held apart
  wire::SignedList list;    // empty body: not made yet
  wire::StoreId store_id;   // of the relay, at the last login
  std::uint64_t store_generation = 0;
  std::string wanted_name;  // asked for, and neither given nor refused yet
  void pack(Packer& to) const;
  void unpack(Unpacker& from);
};

// Our secret keys. One record.
struct SecretsRecord {
  static constexpr Table kTable = Table::secrets;
  bool has_root = false;
  wire::SecretKey root;
  wire::SecretKey list;
  wire::SecretKey identity;
  wire::SecretKey transport;
  wire::SecretKey idempotency;  // makes message ids of the app's keys
  void pack(Packer& to) const;
  void unpack(Unpacker& from);
  ~SecretsRecord();
};

// What only ever grows. One record, written with every round that used one.
struct CountersRecord {
  static constexpr Table kTable = Table::account;
  std::uint64_t hlc = 0;       // the last one used or seen
  std::uint64_t outbox = 0;    // the last number
  std::uint64_t activity = 0;  // of conversations
  std::uint64_t arrival = 0;   // of messages
  std::uint64_t notices = 0;   // the last number
  void pack(Packer& to) const;
  void unpack(Unpacker& from);
};

// Which prekeys stand. One record; the secret halves are PrekeyRecords.
struct UpkeepRecord {
  static constexpr Table kTable = Table::account;
  wire::SignedKey signed_prekey;
  wire::SignedKey seal_key;
  bool put = false;                 // both have reached the relay
  std::uint32_t one_time_last = 0;  // the last id that was made
  std::uint32_t one_time_put = 0;   // the last id that reached the relay
  Milliseconds session_key_at = 0;  // when the store's session key was last replaced
  void pack(Packer& to) const;
  void unpack(Unpacker& from);
};

enum class PrekeyKind : std::uint8_t { signed_prekey = 1, seal = 2, one_time = 3 };

// A secret half: name = kind, suffix = id.
struct PrekeyRecord {
  static constexpr Table kTable = Table::prekeys;
  wire::SecretKey secret;
  wire::Key key;
  Milliseconds created = 0;
  Milliseconds replaced = 0;  // 0: it stands
  void pack(Packer& to) const;
  void unpack(Unpacker& from);
  ~PrekeyRecord();
};

// A user whose device list we have verified. Name = user id.
struct ContactRecord {
  static constexpr Table kTable = Table::contacts;
  wire::UserId user;
  std::string name;          // as the relay claims it; empty: unknown
  std::string claimed_name;  // as the user says; to be looked up
  bool accepted = false;
  bool blocked = false;
  bool frozen = false;  // two lists of one version were seen
  wire::SignedList list;
  std::vector<std::string> other_names;  // as the relay claimed beside `name`: ways to the user
  void pack(Packer& to) const;
  void unpack(Unpacker& from);
};

// A device of a contact. Name = device id.
struct DeviceRecord {
  static constexpr Table kTable = Table::devices;
  wire::DeviceId device;
  wire::UserId user;
  wire::Key identity;  // Ed25519
  wire::Key dh;        // the same as X25519: what an envelope proves

  // To it.
  std::uint32_t seal_id = 0;
  wire::Key seal_key;
  Milliseconds seal_expires = 0;  // 0: we have none
  std::uint64_t sent_seq = 0;     // the last one used
  wire::Hash32 sent_h;
  std::uint64_t their_delivered = 0;
  std::vector<wire::SeqRange> their_ranges;
  std::uint64_t their_read = 0;
  bool knows_name = false;      // it confirmed a payload that carried our name
  std::uint64_t name_sent = 0;  // the first payload that did

  // From it.
  std::uint64_t seq = 0;  // everything up to it has arrived
  wire::Hash32 h;
  std::vector<wire::SeqRange> ranges;  // what arrived beyond
  std::uint64_t beyond = 0;            // the highest that came and found no room among them
  bool begins_anew = false;            // where it stood is lost: the next one that comes says
  std::uint64_t text_top = 0;          // of the last text that has arrived, also beyond a gap
  std::uint64_t read_to = 0;           // texts up to it are read; those that arrive late lower it
  std::uint64_t receipted = 0;         // `seq` of our last receipt
  bool receipt_owed = false;
  Milliseconds receipted_at = 0;

  Milliseconds gap_since = 0;  // 0: none
  Milliseconds asked_at = 0;
  std::uint32_t asked = 0;        // how often since the gap opened, or all that was asked for came
  std::uint64_t asked_to = 0;     // the last number that was asked for
  Milliseconds was_asked_at = 0;  // its last repair request that we answered
  Milliseconds reset_at = 0;
  std::vector<wire::EnvelopeHash> undecryptable;  // not empty: a reset is due
  bool name_to_check = false;                     // its user's claimed name is to be looked up
  std::uint32_t gen = 0;  // the highest of its sessions: the next goes on from it, were they lost
  std::uint32_t heard = 0;  // it has left the list, and is heard for so many catch-ups yet
  bool ask_dropped = false;  // what came while they were blocked, with the next receipt
  void pack(Packer& to) const;
  void unpack(Unpacker& from);
};

// As DeviceRecord::sent_seq: nothing can be sent to it any more.
inline constexpr std::uint64_t kNumbersLost = ~std::uint64_t{0};

// The sessions with a device, as crypto/session_set packs them. Name = device id.
struct SessionsRecord {
  static constexpr Table kTable = Table::sessions;
  wire::Bytes packed;
  // Those of the DeviceRecord again: were that one damaged, numbers would be used twice, and those
  // that never came would be confirmed. The values here stand for what an earlier version left out.
  std::uint64_t sent_seq = kNumbersLost;
  wire::Hash32 sent_h;
  std::uint64_t seq = 0;
  wire::Hash32 h;
  std::vector<wire::SeqRange> ranges;
  std::uint64_t beyond = 0;
  bool begins_anew = true;
  void pack(Packer& to) const;
  void unpack(Unpacker& from);
  ~SessionsRecord();
};

// Name = conversation id.
struct ConversationRecord {
  static constexpr Table kTable = Table::conversations;
  wire::FixedBytes<struct ConversationIdTag, 16> id;
  bool resolved = false;
  wire::UserId user;  // when resolved
  std::string name;   // what the app called it, until resolved
  std::uint32_t unread = 0;
  bool request = false;
  std::uint64_t activity = 0;
  std::uint64_t read_arrival = 0;  // arrivals up to it are read
  std::uint64_t read_hlc = 0;      // the newest message that was read
  std::uint64_t last_hlc = 0;
  std::string last_text;
  bool last_outgoing = false;
  Milliseconds last_time = 0;
  void pack(Packer& to) const;
  void unpack(Unpacker& from);
};
using LocalConversation = decltype(ConversationRecord::id);

// Where a message lies: conversation, and the suffix hlc u64 | device 4 | id 4, big-endian.
struct MessagePlace {
  static constexpr Table kTable = Table::message_ids;  // name = message id, suffix = sender tag
  LocalConversation conversation;
  wire::FixedBytes<struct SortKeyTag, 16> key;
  wire::UserId sender;
  friend bool operator==(const MessagePlace&, const MessagePlace&) = default;
  void pack(Packer& to) const;
  void unpack(Unpacker& from);
};
using SortKey = decltype(MessagePlace::key);

// Name = conversation, suffix = SortKey.
struct MessageRecord {
  static constexpr Table kTable = Table::messages;
  wire::MessageId id;
  bool outgoing = false;
  wire::UserId sender;
  wire::DeviceId device;
  std::uint64_t hlc = 0;
  std::uint64_t arrival = 0;
  std::uint64_t seq = 0;  // of one that came in, among those of its device
  std::string text;
  std::string key;        // the app's; empty: none
  std::string recipient;  // with a key: what the app called them, who may be called else by now
  Status status = Status::queued;
  bool late = false;
  std::uint64_t outbox = 0;  // its number while it is there
  std::uint32_t attempts = 0;
  std::uint8_t refusal = 0;  // wire::ErrorCode of the last refusal; 0: none
  std::string failure;
  Milliseconds created = 0, sealed = 0, refused = 0, accepted = 0, delivered = 0, read = 0;
  Milliseconds failed = 0;
  void pack(Packer& to) const;
  void unpack(Unpacker& from);
};

// What waits to be accepted or delivered. Name = nothing, suffix = number.
struct OutboxRecord {
  static constexpr Table kTable = Table::outbox;
  enum class Kind : std::uint8_t {
    text = 1,     // ends when delivered
    control = 2,  // a receipt, repair request, reset: ends when accepted
    resend = 3,   // a payload under its old seq, again: ends when accepted
  };
  enum class State : std::uint8_t {
    waiting = 1,   // not encrypted yet, or to be encrypted anew
    sealed = 2,    // the bodies stand
    accepted = 3,  // by the relay, for every target
    expired = 4,   // and the relay has let go of what was not fetched
  };
  struct Target {
    wire::DeviceId device;
    std::uint64_t seq = 0;
    bool accepted = false;
    bool delivered = false;
    wire::EnvelopeHash hash;  // of the body; zeros: the device could not read it
    wire::Bytes body;
  };
  std::uint64_t number = 0;
  Kind kind = Kind::text;
  State state = State::waiting;
  bool resolved = false;
  wire::UserId user;            // when resolved
  MessagePlace message;         // of a text
  wire::Bytes payload;          // of a control that is waiting
  wire::RequestId request;      // of the sealed bodies
  std::vector<Target> targets;  // ascending by device
  Milliseconds expires = 0;     // accepted: the relay keeps it so long; sealed: it is submitted
  void pack(Packer& to) const;
  void unpack(Unpacker& from);
};

// What was sent under a seq. Name = peer device, suffix = seq.
struct SentRecord {
  static constexpr Table kTable = Table::sent;
  wire::Hash32 h;
  wire::Bytes payload;  // empty once delivered, or for a tombstone
  bool text = false;
  MessagePlace message;  // of a text
  std::uint64_t outbox = 0;
  std::uint8_t resends = 0;
  Milliseconds resent_at = 0;  // the first of these; wall clock
  void pack(Packer& to) const;
  void unpack(Unpacker& from);
};

// A payload that arrived before its predecessor. Name = peer device, suffix = seq.
struct EarlyRecord {
  static constexpr Table kTable = Table::early;
  wire::Hash32 h;
  bool tombstone = false;
  wire::Bytes payload;
  void pack(Packer& to) const;
  void unpack(Unpacker& from);
};

// Who sent an envelope that we have dealt with; zeros: nobody we know. Suffix: period, hash.
struct SeenRecord {
  static constexpr Table kTable = Table::seen;
  wire::DeviceId device;
  void pack(Packer& to) const;
  void unpack(Unpacker& from);
};

// An event that nothing else would tell, until the app has taken it. Name = its kind's, which never
// changes; suffix = number.
struct NoticeRecord {
  static constexpr Table kTable = Table::notices;
  Milliseconds time = 0;
  LocalConversation conversation;
  wire::MessageId message;
  wire::UserId user;
  Status status{};
  std::string detail;
  void pack(Packer& to) const;
  void unpack(Unpacker& from);
};

// A device id or a conversation id, in an index.
struct DeviceRef {
  static constexpr Table kTable = Table::attention;
  wire::DeviceId device;
  void pack(Packer& to) const { to.fixed(device); }
  void unpack(Unpacker& from) { from.fixed(device); }
};
// The message that an idempotency key of the app stands for. Name = the key.
struct KeyRef {
  static constexpr Table kTable = Table::message_ids;
  wire::MessageId message;
  void pack(Packer& to) const { to.fixed(message); }
  void unpack(Unpacker& from) { from.fixed(message); }
};
inline constexpr std::array<std::uint8_t, 1> kKeyRefSuffix{0};  // no sender's tag is as short

struct UserRef {
  static constexpr Table kTable = Table::names;
  wire::UserId user;
  void pack(Packer& to) const { to.fixed(user); }
  void unpack(Unpacker& from) { from.fixed(user); }
};
template <Table kWhere>
struct ConversationRef {
  static constexpr Table kTable = kWhere;
  LocalConversation id;
  void pack(Packer& to) const { to.fixed(id); }
  void unpack(Unpacker& from) { from.fixed(id); }
};
using ConversationOf = ConversationRef<Table::conversation_of>;
using Recent = ConversationRef<Table::recent>;

}  // namespace godwit::core
