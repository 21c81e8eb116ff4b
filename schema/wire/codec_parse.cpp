// Happy path: alignment, size, the FlatBuffers verifier (which bounds every offset and every
// vector, and stops at kVerifierTablesMax), then one read() per kind of body, which checks what
// the verifier does not: counts, sizes, enums, union members, orders and names.
// Failure: the first check that fails is the answer; nothing of the frame is used.
// Allocation: counts are checked before a vector is made, so that a frame costs at most a small
// multiple of kRecipientsMax in memory, whatever its sizes claim.

#include <bit>
#include <bitset>
#include <utility>

#include "schema/godwit_generated.h"
#include "schema/wire/codec.hpp"
#include "schema/wire/limits.hpp"

// Set for every user of the generated header (schema/wire/meson.build): without it the verifier
// cannot say how far into the buffer it has looked.
#ifndef FLATBUFFERS_TRACK_VERIFIER_BUFFER_SIZE
#error "build with the dependency wire_schema"
#endif

namespace godwit::wire {
namespace {

using tl::unexpected;

template <class T>
using Parsed = tl::expected<T, CodecError>;

[[nodiscard]] tl::unexpected<CodecError> out_of_bounds() {
  return unexpected(CodecError::out_of_bounds);
}

[[nodiscard]] bool within(std::size_t size, std::size_t least, std::size_t most) {
  return size >= least && size <= most;
}

[[nodiscard]] bool is_aligned(ByteView body) {
  return reinterpret_cast<std::uintptr_t>(body.data()) % kFrameAlignment == 0;
}

[[nodiscard]] flatbuffers::Verifier verifier_of(ByteView body) {
  return {body.data(), body.size(), kVerifierDepthMax, kVerifierTablesMax};
}

template <class Root>
[[nodiscard]] Parsed<const Root*> verified_root(ByteView body) {
  if (!is_aligned(body)) return unexpected(CodecError::unaligned);
  if (!within(body.size(), kFrameSizeMin, kFrameSizeMax)) return out_of_bounds();
  auto verifier = verifier_of(body);
  if (!verifier.VerifyBuffer<Root>() || verifier.GetComputedSize() != body.size()) {
    return unexpected(CodecError::malformed);
  }
  return flatbuffers::GetRoot<Root>(body.data());
}

// ---- Values shared by several bodies ------------------------------------------------------------

[[nodiscard]] ByteView view_of(const flatbuffers::Vector<std::uint8_t>& from) {
  return {from.data(), from.size()};
}

[[nodiscard]] Parsed<ErrorCode> read_code(std::uint8_t code) {
  if (code > kErrorCodeMax) return out_of_bounds();
  return static_cast<ErrorCode>(code);
}

// In a refusal or a closing, where `ok` would contradict the frame.
[[nodiscard]] Parsed<ErrorCode> read_failure(fb::ErrorCode from) {
  auto code = read_code(static_cast<std::uint8_t>(from));
  if (code && *code == ErrorCode::ok) return out_of_bounds();
  return code;
}

[[nodiscard]] Parsed<std::optional<std::string_view>> read_name(const flatbuffers::String* from) {
  if (from == nullptr) return std::nullopt;
  if (!within(from->size(), 1, kRawNameSizeMax)) return out_of_bounds();
  return std::string_view(from->c_str(), from->size());
}

// What a relay calls a name was folded when it was claimed.
[[nodiscard]] Parsed<std::string> read_own_name(const flatbuffers::String* from) {
  if (from == nullptr) return std::string();
  auto folded = fold_name(from->string_view());
  if (!folded || *folded != from->string_view()) return out_of_bounds();
  return *std::move(folded);
}

[[nodiscard]] Parsed<SignedListView> read_list(const fb::DeviceList& from) {
  if (!within(from.body()->size(), 1, kListBodySizeMax)) return out_of_bounds();
  return SignedListView{.root = std::bit_cast<Key>(*from.root()),
                        .list_key = std::bit_cast<Key>(*from.list_key()),
                        .delegation = std::bit_cast<Signature>(*from.delegation()),
                        .body = view_of(*from.body()),
                        .signature = std::bit_cast<Signature>(*from.signature())};
}

[[nodiscard]] SignedKey read_key(const fb::SignedKey& from) {
  return {.id = from.id(),
          .created = from.created(),
          .expires = from.expires(),
          .key = std::bit_cast<Key>(*from.key()),
          .signature = std::bit_cast<Signature>(*from.signature())};
}

[[nodiscard]] std::optional<SignedKey> read_key(const fb::SignedKey* from) {
  if (from == nullptr) return {};
  return read_key(*from);
}

[[nodiscard]] OneTimeKey read_key(const fb::OneTimeKey& from) {
  return {.id = from.id(), .key = std::bit_cast<Key>(from.key())};
}

// ---- Requests -----------------------------------------------------------------------------------

[[nodiscard]] Parsed<Login> read(const fb::Login& from) {
  return Login{.version = from.version(),
               .user = std::bit_cast<UserId>(*from.user()),
               .device = std::bit_cast<DeviceId>(*from.device())};
}

[[nodiscard]] Parsed<Register> read(const fb::Register& from) {
  const auto list = read_list(*from.list());
  const auto name = read_name(from.name());
  if (!list || !name) return out_of_bounds();
  return Register{.version = from.version(),
                  .device = std::bit_cast<DeviceId>(*from.device()),
                  .list = *list,
                  .seal_key = read_key(*from.seal_key()),
                  .signed_prekey = read_key(*from.signed_prekey()),
                  .name = *name};
}

[[nodiscard]] Parsed<PutDevices> read(const fb::PutDevices& from) {
  const auto list = read_list(*from.list());
  if (!list) return out_of_bounds();
  return PutDevices{.list = *list, .expected = {from.expected_gen(), from.expected_seq()}};
}

[[nodiscard]] Parsed<PutKeys> read(const fb::PutKeys& from) {
  PutKeys to{.seal_key = read_key(from.seal_key()),
             .signed_prekey = read_key(from.signed_prekey()),
             .one_time = {}};
  if (const auto* keys = from.one_time()) {
    if (keys->size() > kOneTimeKeysPerRequestMax) return out_of_bounds();
    to.one_time.reserve(keys->size());
    std::uint32_t last = 0;  // ids rise from 1; kNoOneTimeKey means "none" in a prekey header
    for (const auto* key : *keys) {
      if (key->id() <= last || key->id() == kNoOneTimeKey) return out_of_bounds();
      last = key->id();
      to.one_time.push_back(read_key(*key));
    }
  }
  return to;
}

[[nodiscard]] Parsed<GetUser> read(const fb::GetUser& from) {
  const auto name = read_name(from.name());
  if (!name || (from.user() != nullptr) == name->has_value()) return out_of_bounds();
  GetUser to{.user = {}, .name = *name};
  if (from.user() != nullptr) to.user = std::bit_cast<UserId>(*from.user());
  return to;
}

[[nodiscard]] Parsed<GetPrekeys> read(const fb::GetPrekeys& from) {
  GetPrekeys to{.user = std::bit_cast<UserId>(*from.user()), .devices = {}};
  if (const auto* devices = from.devices()) {
    if (devices->size() > kDevicesMax) return out_of_bounds();
    to.devices.reserve(devices->size());
    for (const auto* device : *devices) to.devices.push_back(std::bit_cast<DeviceId>(*device));
  }
  return to;
}

[[nodiscard]] Parsed<SetName> read(const fb::SetName& from) {
  const auto name = read_name(from.name());
  if (!name) return out_of_bounds();
  return SetName{.name = *name};
}

// Cuts `all` at `sizes`, which must cover it exactly.
[[nodiscard]] Parsed<std::vector<ByteView>> read_bodies(
    const flatbuffers::Vector<std::uint32_t>& sizes, ByteView all) {
  if (!within(sizes.size(), 1, kBodiesMax)) return out_of_bounds();
  std::vector<ByteView> bodies;
  bodies.reserve(sizes.size());
  for (const std::uint32_t size : sizes) {
    if (!within(size, 1, kEnvelopeSizeMax) || size > all.size()) return out_of_bounds();
    bodies.push_back(all.first(size));
    all = all.subspan(size);
  }
  if (!all.empty()) return out_of_bounds();
  return bodies;
}

[[nodiscard]] Recipient read_recipient(const fb::Recipient& from) {
  const std::uint64_t seq =
      (std::uint64_t{from.list_seq_high()} << 32) | std::uint64_t{from.list_seq_low()};
  return {.user = std::bit_cast<UserId>(from.user()),
          .device = std::bit_cast<DeviceId>(from.device()),
          .list = {from.list_gen(), seq},
          .body = from.body()};
}

[[nodiscard]] Parsed<std::vector<Recipient>> read_recipients(
    const flatbuffers::Vector<const fb::Recipient*>& from, std::size_t bodies) {
  if (!within(from.size(), 1, kRecipientsMax)) return out_of_bounds();
  std::vector<Recipient> recipients;
  recipients.reserve(from.size());
  std::bitset<kBodiesMax> used;
  std::size_t used_count = 0;
  for (const auto* entry : from) {
    const Recipient recipient = read_recipient(*entry);
    const bool ascending = recipients.empty() || recipients.back().device < recipient.device;
    if (!ascending || recipient.body >= bodies) return out_of_bounds();
    if (!used[recipient.body]) ++used_count;
    used.set(recipient.body);
    recipients.push_back(recipient);
  }
  if (used_count != bodies) return out_of_bounds();
  return recipients;
}

[[nodiscard]] Parsed<Submit> read(const fb::Submit& from) {
  auto bodies = read_bodies(*from.body_sizes(), view_of(*from.bodies()));
  if (!bodies) return out_of_bounds();
  auto recipients = read_recipients(*from.recipients(), bodies->size());
  if (!recipients) return out_of_bounds();
  return Submit{.request_id = std::bit_cast<RequestId>(*from.request_id()),
                .ttl_s = from.ttl_s(),
                .recipients = std::move(*recipients),
                .bodies = std::move(*bodies)};
}

[[nodiscard]] Parsed<Ack> read(const fb::Ack& from) {
  Ack to{.upto = from.upto(), .numbers = {}};
  if (const auto* numbers = from.numbers()) {
    if (numbers->size() > kAckNumbersMax) return out_of_bounds();
    to.numbers.assign(numbers->begin(), numbers->end());
  }
  return to;
}

[[nodiscard]] Parsed<Ping> read(const fb::Ping&) {
  return Ping{};
}

// ---- Replies ------------------------------------------------------------------------------------

[[nodiscard]] Parsed<Refused> read(const fb::Refused& from) {
  const auto code = read_failure(from.code());
  if (!code) return out_of_bounds();
  return Refused{.code = *code, .retry_after_ms = from.retry_after_ms()};
}

[[nodiscard]] Limits read_limits(const fb::Limits& from) {
  return {.frame_size_max = from.frame_size_max(),
          .envelope_size_max = from.envelope_size_max(),
          .text_size_max = from.text_size_max(),
          .media_size_max = from.media_size_max(),
          .group_members_max = from.group_members_max(),
          .devices_max = from.devices_max(),
          .ttl_default_s = from.ttl_default_s(),
          .ttl_max_s = from.ttl_max_s(),
          .mailbox_envelopes_max = from.mailbox_envelopes_max(),
          .mailbox_bytes_max = from.mailbox_bytes_max(),
          .window_envelopes = from.window_envelopes(),
          .window_bytes = from.window_bytes(),
          .submits_in_flight_max = from.submits_in_flight_max(),
          .submits_per_s = from.submits_per_s(),
          .submits_burst = from.submits_burst(),
          .one_time_keys_max = from.one_time_keys_max()};
}

[[nodiscard]] Parsed<Welcome> read(const fb::Welcome& from) {
  const auto name = read_code(static_cast<std::uint8_t>(from.name()));
  auto own_name = read_own_name(from.own_name());
  if (!name || !own_name) return out_of_bounds();
  return Welcome{.version = from.version(),
                 .store_id = std::bit_cast<StoreId>(*from.store_id()),
                 .store_generation = from.store_generation(),
                 .relay_time_ms = from.relay_time_ms(),
                 .list = {from.list_gen(), from.list_seq()},
                 .one_time_keys_left = from.one_time_keys_left(),
                 .name = *name,
                 .limits = read_limits(*from.limits()),
                 .replaced = from.replaced(),
                 .own_name = *std::move(own_name)};
}

[[nodiscard]] Parsed<Done> read(const fb::Done&) {
  return Done{};
}

[[nodiscard]] Parsed<User> read(const fb::User& from) {
  const auto list = read_list(*from.list());
  if (!list) return out_of_bounds();
  return User{.list = *list};
}

[[nodiscard]] Parsed<Bundle> read_bundle(const fb::Bundle& from) {
  Bundle to{.device = std::bit_cast<DeviceId>(*from.device()),
            .seal_key = read_key(*from.seal_key()),
            .signed_prekey = read_key(*from.signed_prekey()),
            .one_time = {}};
  if (const auto* key = from.one_time()) {
    if (key->id() == 0 || key->id() == kNoOneTimeKey) return out_of_bounds();  // as PutKeys has it
    to.one_time = read_key(*key);
  }
  return to;
}

[[nodiscard]] Parsed<Prekeys> read(const fb::Prekeys& from) {
  const auto list = read_list(*from.list());
  if (!list || from.bundles()->size() > kDevicesMax) return out_of_bounds();
  Prekeys to{.list = *list, .bundles = {}};
  to.bundles.reserve(from.bundles()->size());
  for (const auto* bundle : *from.bundles()) {
    const auto read = read_bundle(*bundle);
    if (!read) return out_of_bounds();
    to.bundles.push_back(*read);
  }
  return to;
}

// A stale list comes along when it is among the first kListsPerReplyMax of the reply; only an
// outcome that says so may name one.
[[nodiscard]] Parsed<Outcome> read_outcome(const fb::Outcome& from, std::size_t lists) {
  const auto code = read_code(from.code());
  if (!code) return out_of_bounds();
  const bool names_list = *code == ErrorCode::stale_list && from.list() < lists;
  if (!names_list && from.list() != kNoList) return out_of_bounds();
  return Outcome{.code = *code, .list = from.list(), .retry_after_ms = from.retry_after_ms()};
}

[[nodiscard]] Parsed<Submitted> read(const fb::Submitted& from) {
  if (!within(from.outcomes()->size(), 1, kRecipientsMax)) return out_of_bounds();
  Submitted to;
  if (const auto* lists = from.lists()) {
    if (lists->size() > kListsPerReplyMax) return out_of_bounds();
    to.lists.reserve(lists->size());
    for (const auto* entry : *lists) {
      const auto list = read_list(*entry);
      if (!list) return out_of_bounds();
      to.lists.push_back(*list);
    }
  }
  to.outcomes.reserve(from.outcomes()->size());
  for (const auto* entry : *from.outcomes()) {
    const auto outcome = read_outcome(*entry, to.lists.size());
    if (!outcome) return out_of_bounds();
    to.outcomes.push_back(*outcome);
  }
  return to;
}

// ---- Events -------------------------------------------------------------------------------------

[[nodiscard]] Parsed<Deliver> read(const fb::Deliver& from) {
  const ByteView envelope = view_of(*from.envelope());
  if (from.number() == 0 || !within(envelope.size(), 1, kEnvelopeSizeMax)) return out_of_bounds();
  return Deliver{.number = from.number(), .envelope = envelope};
}

[[nodiscard]] Parsed<CaughtUp> read(const fb::CaughtUp&) {
  return CaughtUp{};
}

[[nodiscard]] Parsed<KeysLow> read(const fb::KeysLow& from) {
  return KeysLow{.one_time_keys_left = from.one_time_keys_left()};
}

[[nodiscard]] Parsed<Closing> read(const fb::Closing& from) {
  const auto code = read_failure(from.code());
  if (!code) return out_of_bounds();
  return Closing{.code = *code, .retry_after_ms = from.retry_after_ms()};
}

// ---- Frames -------------------------------------------------------------------------------------

template <class Body>
[[nodiscard]] Parsed<Request> in_request(const fb::Request& from) {
  auto body = read(*static_cast<const Body*>(from.body()));
  if (!body) return unexpected(body.error());
  return Request{.id = from.id(), .body = std::move(*body)};
}

template <class Body>
[[nodiscard]] Parsed<RelayFrame> in_reply(const fb::RelayFrame& from) {
  auto body = read(*static_cast<const Body*>(from.body()));
  if (!body) return unexpected(body.error());
  return RelayFrame{.request = from.request(), .body = std::move(*body)};
}

// An event answers nothing, so it names no request.
template <class Body>
[[nodiscard]] Parsed<RelayFrame> in_event(const fb::RelayFrame& from) {
  if (from.request() != 0) return out_of_bounds();
  return in_reply<Body>(from);
}

}  // namespace

tl::expected<Request, CodecError> parse_request(ByteView body) {
  const auto root = verified_root<fb::Request>(body);
  if (!root) return unexpected(root.error());
  const fb::Request& from = **root;
  using Kind = fb::RequestBody;
  switch (from.body_type()) {
    case Kind::Login:
      return in_request<fb::Login>(from);
    case Kind::Register:
      return in_request<fb::Register>(from);
    case Kind::PutDevices:
      return in_request<fb::PutDevices>(from);
    case Kind::PutKeys:
      return in_request<fb::PutKeys>(from);
    case Kind::GetUser:
      return in_request<fb::GetUser>(from);
    case Kind::GetPrekeys:
      return in_request<fb::GetPrekeys>(from);
    case Kind::SetName:
      return in_request<fb::SetName>(from);
    case Kind::Submit:
      return in_request<fb::Submit>(from);
    case Kind::Ack:
      return in_request<fb::Ack>(from);
    case Kind::Ping:
      return in_request<fb::Ping>(from);
    case Kind::NONE:
      break;
  }
  return unexpected(CodecError::unknown_body);
}

tl::expected<RelayFrame, CodecError> parse_relay_frame(ByteView body) {
  const auto root = verified_root<fb::RelayFrame>(body);
  if (!root) return unexpected(root.error());
  const fb::RelayFrame& from = **root;
  using Kind = fb::RelayBody;
  switch (from.body_type()) {
    case Kind::Refused:
      return in_reply<fb::Refused>(from);
    case Kind::Welcome:
      return in_reply<fb::Welcome>(from);
    case Kind::Done:
      return in_reply<fb::Done>(from);
    case Kind::User:
      return in_reply<fb::User>(from);
    case Kind::Prekeys:
      return in_reply<fb::Prekeys>(from);
    case Kind::Submitted:
      return in_reply<fb::Submitted>(from);
    case Kind::Deliver:
      return in_event<fb::Deliver>(from);
    case Kind::CaughtUp:
      return in_event<fb::CaughtUp>(from);
    case Kind::KeysLow:
      return in_event<fb::KeysLow>(from);
    case Kind::Closing:
      return in_event<fb::Closing>(from);
    case Kind::NONE:
      break;
  }
  return unexpected(CodecError::unknown_body);
}

std::uint32_t request_id_of(ByteView body) {
  if (!is_aligned(body) || !within(body.size(), kFrameSizeMin, kFrameSizeMax)) return 0;
  // Verifies the root table and its id alone: the rest may be what was refused.
  auto verifier = verifier_of(body);
  if (verifier.VerifyOffset(0) == 0) return 0;
  const auto& root = *flatbuffers::GetRoot<flatbuffers::Table>(body.data());
  const bool readable =
      root.VerifyTableStart(verifier) &&
      root.VerifyField<std::uint32_t>(verifier, fb::Request::VT_ID, alignof(std::uint32_t));
  return readable ? root.GetField<std::uint32_t>(fb::Request::VT_ID, 0) : 0;
}

}  // namespace godwit::wire
