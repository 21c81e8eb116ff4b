#include "tests/golden/samples.hpp"

namespace godwit::test {
namespace {

using namespace wire;  // the values below are all of its types

template <std::size_t Size>
[[nodiscard]] constexpr std::array<std::uint8_t, Size> counted(std::uint8_t first) {
  std::array<std::uint8_t, Size> bytes{};
  for (std::size_t i = 0; i < Size; ++i) bytes[i] = static_cast<std::uint8_t>(first + i);
  return bytes;
}

template <class Fixed>
[[nodiscard]] Fixed fixed(std::uint8_t first) {
  return {counted<Fixed::kSize>(first)};
}

constexpr auto kListBody = counted<61>(0x10);
constexpr auto kOtherListBody = counted<33>(0x11);
constexpr auto kFirstBody = counted<21>(0x12);
constexpr auto kSecondBody = counted<8>(0x13);
constexpr auto kEnvelope = counted<45>(0x14);

[[nodiscard]] SignedListView list_sample() {
  return {.root = fixed<Key>(0x20),
          .list_key = fixed<Key>(0x21),
          .delegation = fixed<Signature>(0x22),
          .body = kListBody,
          .signature = fixed<Signature>(0x23)};
}

[[nodiscard]] SignedListView other_list_sample() {
  return {.root = fixed<Key>(0x24),
          .list_key = fixed<Key>(0x25),
          .delegation = fixed<Signature>(0x26),
          .body = kOtherListBody,
          .signature = fixed<Signature>(0x27)};
}

[[nodiscard]] SignedKey seal_sample() {
  return {.id = 3,
          .created = 1'700'000'000,
          .expires = 1'702'592'000,
          .key = fixed<Key>(0x30),
          .signature = fixed<Signature>(0x31)};
}

[[nodiscard]] SignedKey prekey_sample() {
  return {.id = 7,
          .created = 1'700'000'001,
          .expires = 0x0102'0304'0506'0708,
          .key = fixed<Key>(0x32),
          .signature = fixed<Signature>(0x33)};
}

[[nodiscard]] Submit submit_sample() {
  const UserId user = fixed<UserId>(0x40);
  return {.request_id = fixed<RequestId>(0x41),
          .ttl_s = 86'400,
          .recipients = {{.user = user,
                          .device = fixed<DeviceId>(0x42),
                          .list = {1, 0x0102'0304'0506'0708},
                          .body = 1},
                         {.user = user, .device = fixed<DeviceId>(0x43), .list = {2, 5}, .body = 0},
                         {.user = fixed<UserId>(0x44),
                          .device = fixed<DeviceId>(0x80),
                          .list = {3, 6},
                          .body = 1}},
          .bodies = {kFirstBody, kSecondBody}};
}

[[nodiscard]] Limits limits_sample() {
  return {.frame_size_max = 524'288,
          .envelope_size_max = 73'728,
          .text_size_max = 65'536,
          .media_size_max = 16'777'216,
          .group_members_max = 1'024,
          .devices_max = 5,
          .ttl_default_s = 2'592'000,
          .ttl_max_s = 3'888'000,
          .mailbox_envelopes_max = 100'000,
          .mailbox_bytes_max = 0x1'0000'0001,
          .window_envelopes = 64,
          .window_bytes = 1'048'576,
          .submits_in_flight_max = 1'023,
          .submits_per_s = 100,
          .submits_burst = 1'000,
          .one_time_keys_max = 200};
}

[[nodiscard]] Welcome welcome_sample() {
  return {.version = 1,
          .store_id = fixed<StoreId>(0x50),
          .store_generation = 0x0203'0405'0607'0809,
          .relay_time_ms = 1'700'000'000'123,
          .list = {4, 9},
          .one_time_keys_left = 77,
          .name = ErrorCode::name_taken,
          .limits = limits_sample(),
          .replaced = true,
          .own_name = "limosa"};
}

[[nodiscard]] Prekeys prekeys_sample() {
  return {.list = list_sample(),
          .bundles = {{.device = fixed<DeviceId>(0x60),
                       .seal_key = seal_sample(),
                       .signed_prekey = prekey_sample(),
                       .one_time = OneTimeKey{.id = 9, .key = fixed<Key>(0x61)}},
                      {.device = fixed<DeviceId>(0x62),
                       .seal_key = seal_sample(),
                       .signed_prekey = prekey_sample(),
                       .one_time = {}}}};
}

[[nodiscard]] Submitted submitted_sample() {
  return {.outcomes = {{.code = ErrorCode::ok, .list = kNoList, .retry_after_ms = 0},
                       {.code = ErrorCode::stale_list, .list = 1, .retry_after_ms = 0},
                       {.code = ErrorCode::mailbox_full, .list = kNoList, .retry_after_ms = 5'000},
                       {.code = ErrorCode::stale_list, .list = 0, .retry_after_ms = 0}},
          .lists = {list_sample(), other_list_sample()}};
}

}  // namespace

std::vector<Sample<Request>> request_samples() {
  const UserId user = fixed<UserId>(0x70);
  const DeviceId device = fixed<DeviceId>(0x71);
  const std::vector<OneTimeKey> one_time{{.id = 11, .key = fixed<Key>(0x72)},
                                         {.id = 12, .key = fixed<Key>(0x73)}};
  return {
      {"login", {1, Login{.version = 1, .user = user, .device = device}}},
      {"register",
       {2, Register{.version = 1,
                    .device = device,
                    .list = list_sample(),
                    .seal_key = seal_sample(),
                    .signed_prekey = prekey_sample(),
                    .name = "limosa.lapponica"}}},
      {"put_devices", {3, PutDevices{.list = list_sample(), .expected = {1, 0x0a0b'0c0d}}}},
      {"put_keys",
       {4,
        PutKeys{
            .seal_key = seal_sample(), .signed_prekey = prekey_sample(), .one_time = one_time}}},
      {"put_keys_none", {5, PutKeys{}}},
      {"get_user", {6, GetUser{.user = user, .name = {}}}},
      {"get_user_by_name", {7, GetUser{.user = {}, .name = "bar-tailed"}}},
      {"get_prekeys", {8, GetPrekeys{.user = user, .devices = {device, fixed<DeviceId>(0x74)}}}},
      {"get_prekeys_all", {9, GetPrekeys{.user = user, .devices = {}}}},
      {"set_name", {10, SetName{.name = "godwit_1"}}},
      {"set_name_release", {11, SetName{.name = {}}}},
      {"submit", {12, submit_sample()}},
      {"ack", {13, Ack{.upto = 1'000, .numbers = {1'002, 1'005, 0xffff'ffff}}}},
      {"ack_upto", {14, Ack{.upto = 7, .numbers = {}}}},
      {"ping", {0xffff'ffff, Ping{}}},
  };
}

std::vector<Sample<RelayFrame>> relay_samples() {
  return {
      {"refused", {1, Refused{.code = ErrorCode::rate_limited, .retry_after_ms = 250}}},
      {"welcome", {2, welcome_sample()}},
      {"done", {3, Done{}}},
      {"user", {4, User{.list = list_sample()}}},
      {"prekeys", {5, prekeys_sample()}},
      {"submitted", {6, submitted_sample()}},
      {"deliver", {0, Deliver{.number = 41, .envelope = kEnvelope}}},
      {"caught_up", {0, CaughtUp{}}},
      {"keys_low", {0, KeysLow{.one_time_keys_left = 19}}},
      {"closing", {0, Closing{.code = ErrorCode::replaced, .retry_after_ms = 1'500}}},
  };
}

}  // namespace godwit::test
