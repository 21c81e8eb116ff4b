// wire/messages: every request, reply and event as a plain value. The codec alone turns them into
// FlatBuffers and back; nobody else includes the generated headers.
// Views (ByteView, string_view) point into the frame they were read from and die with it.
// Spec: schema/README.md, "Requests", "Replies", "Events"; the .fbs files beside this folder.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "schema/wire/identity.hpp"
#include "schema/wire/types.hpp"

namespace godwit::wire {

// One value per line of schema/error.fbs; the codec asserts that the two agree.
enum class ErrorCode : std::uint8_t {
  ok = 0,
  bad_request = 1,
  out_of_state = 2,
  version_unsupported = 3,
  unknown_device = 4,
  unauthorized = 5,
  too_large = 6,
  mailbox_full = 7,
  store_full = 8,
  rate_limited = 9,
  busy = 10,
  stale_list = 11,
  conflict = 12,
  name_taken = 13,
  name_invalid = 14,
  not_found = 15,
  replaced = 16,
  removed = 17,
  timeout = 18,
  internal = 19,
};
inline constexpr std::uint8_t kErrorCodeMax = 19;
[[nodiscard]] std::string_view name_of(ErrorCode code);

// ---- Requests -----------------------------------------------------------------------------------

struct Login {
  std::uint16_t version = 0;
  UserId user;
  DeviceId device;
};

struct Register {
  std::uint16_t version = 0;
  DeviceId device;
  SignedListView list;
  SignedKey seal_key;
  SignedKey signed_prekey;
  std::optional<std::string_view> name;
};

struct PutDevices {
  SignedListView list;
  ListVersion expected;
};

struct PutKeys {
  std::optional<SignedKey> seal_key;
  std::optional<SignedKey> signed_prekey;
  std::vector<OneTimeKey> one_time;  // at most kOneTimeKeysPerRequestMax
};

struct GetUser {  // exactly one is set
  std::optional<UserId> user;
  std::optional<std::string_view> name;
};

struct GetPrekeys {
  UserId user;
  std::vector<DeviceId> devices;  // empty: all; at most kDevicesMax
};

struct SetName {
  std::optional<std::string_view> name;  // absent: release
};

struct Recipient {
  UserId user;
  DeviceId device;
  ListVersion list;
  std::uint32_t body = 0;  // index into Submit::bodies
};

struct Submit {
  RequestId request_id;
  std::uint32_t ttl_s = 0;            // 0: the relay's default
  std::vector<Recipient> recipients;  // 1 to kRecipientsMax, strictly ascending by device
  std::vector<ByteView> bodies;       // 1 to kBodiesMax, none empty, each used by a recipient
};

struct Ack {
  std::uint32_t upto = 0;              // 0: none
  std::vector<std::uint32_t> numbers;  // at most kAckNumbersMax
};

struct Ping {};

struct Request {
  std::uint32_t id = 0;
  std::variant<Login, Register, PutDevices, PutKeys, GetUser, GetPrekeys, SetName, Submit, Ack,
               Ping>
      body;
};

// ---- Replies ------------------------------------------------------------------------------------

struct Refused {
  ErrorCode code = ErrorCode::bad_request;
  std::uint32_t retry_after_ms = 0;  // 0: retrying unchanged is of no use
};

struct Limits {
  std::uint32_t frame_size_max = 0;
  std::uint32_t envelope_size_max = 0;
  std::uint32_t text_size_max = 0;
  std::uint32_t media_size_max = 0;
  std::uint32_t group_members_max = 0;
  std::uint32_t devices_max = 0;
  std::uint32_t ttl_default_s = 0;
  std::uint32_t ttl_max_s = 0;
  std::uint32_t mailbox_envelopes_max = 0;
  std::uint64_t mailbox_bytes_max = 0;
  std::uint32_t window_envelopes = 0;
  std::uint32_t window_bytes = 0;
  std::uint32_t submits_in_flight_max = 0;
  std::uint32_t submits_per_s = 0;
  std::uint32_t submits_burst = 0;
  std::uint32_t one_time_keys_max = 0;
};

struct Welcome {
  std::uint16_t version = 0;
  StoreId store_id;
  std::uint64_t store_generation = 0;
  std::uint64_t relay_time_ms = 0;
  ListVersion list;
  std::uint32_t one_time_keys_left = 0;
  ErrorCode name = ErrorCode::ok;
  Limits limits;
  bool replaced = false;  // this login ended another live session of this device
  std::string own_name;   // that the user holds, folded; empty: none. Owned: a Welcome is kept
};

struct Done {};

struct User {
  SignedListView list;
};

struct Bundle {
  DeviceId device;
  SignedKey seal_key;
  SignedKey signed_prekey;
  std::optional<OneTimeKey> one_time;
};

struct Prekeys {
  SignedListView list;
  std::vector<Bundle> bundles;  // at most kDevicesMax
};

struct Outcome {
  ErrorCode code = ErrorCode::ok;
  std::uint16_t list = kNoList;  // index into Submitted::lists when code is stale_list
  std::uint32_t retry_after_ms = 0;
};

struct Submitted {
  std::vector<Outcome> outcomes;      // in the order of the recipients
  std::vector<SignedListView> lists;  // at most kListsPerReplyMax
};

// ---- Events -------------------------------------------------------------------------------------

struct Deliver {
  std::uint32_t number = 0;
  ByteView envelope;
};

struct CaughtUp {};

struct KeysLow {
  std::uint32_t one_time_keys_left = 0;
};

struct Closing {
  ErrorCode code = ErrorCode::busy;
  std::uint32_t retry_after_ms = 0;
};

struct RelayFrame {
  std::uint32_t request = 0;  // 0 in events
  std::variant<Refused, Welcome, Done, User, Prekeys, Submitted, Deliver, CaughtUp, KeysLow,
               Closing>
      body;
};

}  // namespace godwit::wire
