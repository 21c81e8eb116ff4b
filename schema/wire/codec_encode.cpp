// Values into frames. FlatBuffers are built back to front: what a table refers to is written
// before the table, and the buffer is kept from frame to frame, so that a frame no longer than
// the longest so far allocates nothing. Bodies and envelopes are copied once: into the buffer.

#include <array>
#include <bit>
#include <cassert>
#include <numeric>
#include <type_traits>

#include "schema/godwit_generated.h"
#include "schema/wire/codec.hpp"
#include "schema/wire/limits.hpp"

namespace godwit::wire {
namespace {

using Builder = flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;
template <class T>
using VectorOffset = Offset<flatbuffers::Vector<T>>;

constexpr std::size_t kFirstBufferSize = 1'024;  // holds all but lists, bundles and bodies

// ---- Values shared by several bodies ------------------------------------------------------------

[[nodiscard]] fb::OneTimeKey to_struct(const OneTimeKey& key) {
  return {key.id, std::bit_cast<fb::Key>(key.key)};
}

[[nodiscard]] fb::Id to_struct(const DeviceId& id) {
  return std::bit_cast<fb::Id>(id);
}

[[nodiscard]] fb::Recipient to_struct(const Recipient& recipient) {
  return {std::bit_cast<fb::Id>(recipient.user),
          std::bit_cast<fb::Id>(recipient.device),
          recipient.list.gen,
          static_cast<std::uint32_t>(recipient.list.seq),
          static_cast<std::uint32_t>(recipient.list.seq >> 32),
          recipient.body};
}

[[nodiscard]] fb::Outcome to_struct(const Outcome& outcome) {
  return {static_cast<std::uint8_t>(outcome.code), outcome.list, outcome.retry_after_ms};
}

[[nodiscard]] fb::ErrorCode to_enum(ErrorCode code) {
  return static_cast<fb::ErrorCode>(code);
}

// Fills the vector in place in the builder's buffer.
template <class To, class From>
[[nodiscard]] VectorOffset<const To*> write_structs(Builder& builder,
                                                    const std::vector<From>& from) {
  return builder.CreateVectorOfStructs<To>(
      from.size(),
      [](std::size_t i, To* to, const std::vector<From>* values) { *to = to_struct((*values)[i]); },
      &from);
}

// An empty optional vector is left out.
template <class To, class From>
[[nodiscard]] VectorOffset<const To*> write_optional_structs(Builder& builder,
                                                             const std::vector<From>& from) {
  if (from.empty()) return {};
  return write_structs<To>(builder, from);
}

[[nodiscard]] VectorOffset<std::uint8_t> write_bytes(Builder& builder, ByteView bytes) {
  return builder.CreateVector(bytes.data(), bytes.size());
}

[[nodiscard]] Offset<flatbuffers::String> write_name(Builder& builder,
                                                     const std::optional<std::string_view>& name) {
  if (!name) return {};
  assert(!name->empty() && name->size() <= kRawNameSizeMax);
  return builder.CreateString(name->data(), name->size());
}

[[nodiscard]] Offset<flatbuffers::String> write_own_name(Builder& builder,
                                                         const std::string& name) {
  if (name.empty()) return {};
  assert(name.size() <= kNameSizeMax);
  return builder.CreateString(name);
}

[[nodiscard]] Offset<fb::DeviceList> write_list(Builder& builder, const SignedListView& list) {
  assert(!list.body.empty() && list.body.size() <= kListBodySizeMax);
  const auto body = write_bytes(builder, list.body);
  const auto root = std::bit_cast<fb::Key>(list.root);
  const auto list_key = std::bit_cast<fb::Key>(list.list_key);
  const auto delegation = std::bit_cast<fb::Signature>(list.delegation);
  const auto signature = std::bit_cast<fb::Signature>(list.signature);
  return fb::CreateDeviceList(builder, &root, &list_key, &delegation, body, &signature);
}

[[nodiscard]] Offset<fb::SignedKey> write_key(Builder& builder, const SignedKey& key) {
  const auto public_key = std::bit_cast<fb::Key>(key.key);
  const auto signature = std::bit_cast<fb::Signature>(key.signature);
  return fb::CreateSignedKey(builder, key.id, key.created, key.expires, &public_key, &signature);
}

[[nodiscard]] Offset<fb::SignedKey> write_key(Builder& builder,
                                              const std::optional<SignedKey>& key) {
  if (!key) return {};
  return write_key(builder, *key);
}

// ---- Requests -----------------------------------------------------------------------------------

[[nodiscard]] Offset<fb::Login> write(Builder& builder, const Login& login) {
  const auto user = std::bit_cast<fb::Id>(login.user);
  const auto device = std::bit_cast<fb::Id>(login.device);
  return fb::CreateLogin(builder, login.version, &user, &device);
}

[[nodiscard]] Offset<fb::Register> write(Builder& builder, const Register& from) {
  const auto list = write_list(builder, from.list);
  const auto seal_key = write_key(builder, from.seal_key);
  const auto signed_prekey = write_key(builder, from.signed_prekey);
  const auto name = write_name(builder, from.name);
  const auto device = std::bit_cast<fb::Id>(from.device);
  return fb::CreateRegister(builder, from.version, &device, list, seal_key, signed_prekey, name);
}

[[nodiscard]] Offset<fb::PutDevices> write(Builder& builder, const PutDevices& from) {
  const auto list = write_list(builder, from.list);
  return fb::CreatePutDevices(builder, list, from.expected.gen, from.expected.seq);
}

[[nodiscard]] Offset<fb::PutKeys> write(Builder& builder, const PutKeys& from) {
  assert(from.one_time.size() <= kOneTimeKeysPerRequestMax);
  const auto seal_key = write_key(builder, from.seal_key);
  const auto signed_prekey = write_key(builder, from.signed_prekey);
  const auto one_time = write_optional_structs<fb::OneTimeKey>(builder, from.one_time);
  return fb::CreatePutKeys(builder, seal_key, signed_prekey, one_time);
}

[[nodiscard]] Offset<fb::GetUser> write(Builder& builder, const GetUser& from) {
  assert(from.user.has_value() != from.name.has_value());
  if (from.name) return fb::CreateGetUser(builder, nullptr, write_name(builder, from.name));
  const auto user = std::bit_cast<fb::Id>(*from.user);
  return fb::CreateGetUser(builder, &user);
}

[[nodiscard]] Offset<fb::GetPrekeys> write(Builder& builder, const GetPrekeys& from) {
  assert(from.devices.size() <= kDevicesMax);
  const auto devices = write_optional_structs<fb::Id>(builder, from.devices);
  const auto user = std::bit_cast<fb::Id>(from.user);
  return fb::CreateGetPrekeys(builder, &user, devices);
}

[[nodiscard]] Offset<fb::SetName> write(Builder& builder, const SetName& from) {
  return fb::CreateSetName(builder, write_name(builder, from.name));
}

[[nodiscard]] VectorOffset<std::uint8_t> write_bodies(Builder& builder,
                                                      const std::vector<ByteView>& bodies) {
  const std::size_t size =
      std::accumulate(bodies.begin(), bodies.end(), std::size_t{0},
                      [](std::size_t sum, ByteView body) { return sum + body.size(); });
  std::uint8_t* to = nullptr;
  const auto written = builder.CreateUninitializedVector(size, &to);
  for (const ByteView body : bodies) {
    assert(!body.empty() && body.size() <= kEnvelopeSizeMax);
    std::memcpy(to, body.data(), body.size());
    to += body.size();
  }
  return written;
}

[[nodiscard]] VectorOffset<std::uint32_t> write_sizes(Builder& builder,
                                                      const std::vector<ByteView>& bodies) {
  std::uint32_t* to = nullptr;
  const auto written = builder.CreateUninitializedVector(bodies.size(), &to);
  for (const ByteView body : bodies) *to++ = static_cast<std::uint32_t>(body.size());
  return written;
}

[[nodiscard]] Offset<fb::Submit> write(Builder& builder, const Submit& from) {
  assert(!from.recipients.empty() && from.recipients.size() <= kRecipientsMax);
  assert(!from.bodies.empty() && from.bodies.size() <= kBodiesMax);
  const auto bodies = write_bodies(builder, from.bodies);
  const auto sizes = write_sizes(builder, from.bodies);
  const auto recipients = write_structs<fb::Recipient>(builder, from.recipients);
  const auto request_id = std::bit_cast<fb::Id>(from.request_id);
  return fb::CreateSubmit(builder, &request_id, from.ttl_s, recipients, sizes, bodies);
}

[[nodiscard]] Offset<fb::Ack> write(Builder& builder, const Ack& from) {
  assert(from.numbers.size() <= kAckNumbersMax);
  if (from.numbers.empty()) return fb::CreateAck(builder, from.upto);
  return fb::CreateAck(builder, from.upto, builder.CreateVector(from.numbers));
}

[[nodiscard]] Offset<fb::Ping> write(Builder& builder, const Ping&) {
  return fb::CreatePing(builder);
}

// ---- Replies ------------------------------------------------------------------------------------

[[nodiscard]] Offset<fb::Refused> write(Builder& builder, const Refused& from) {
  assert(from.code != ErrorCode::ok);
  return fb::CreateRefused(builder, to_enum(from.code), from.retry_after_ms);
}

[[nodiscard]] Offset<fb::Limits> write_limits(Builder& builder, const Limits& from) {
  return fb::CreateLimits(
      builder, from.frame_size_max, from.envelope_size_max, from.text_size_max, from.media_size_max,
      from.group_members_max, from.devices_max, from.ttl_default_s, from.ttl_max_s,
      from.mailbox_envelopes_max, from.mailbox_bytes_max, from.window_envelopes, from.window_bytes,
      from.submits_in_flight_max, from.submits_per_s, from.submits_burst, from.one_time_keys_max);
}

[[nodiscard]] Offset<fb::Welcome> write(Builder& builder, const Welcome& from) {
  const auto own_name = write_own_name(builder, from.own_name);
  const auto limits = write_limits(builder, from.limits);
  const auto store_id = std::bit_cast<fb::Id>(from.store_id);
  return fb::CreateWelcome(
      builder, from.version, &store_id, from.store_generation, from.relay_time_ms, from.list.gen,
      from.list.seq, from.one_time_keys_left, to_enum(from.name), limits, from.replaced, own_name);
}

[[nodiscard]] Offset<fb::Done> write(Builder& builder, const Done&) {
  return fb::CreateDone(builder);
}

[[nodiscard]] Offset<fb::User> write(Builder& builder, const User& from) {
  return fb::CreateUser(builder, write_list(builder, from.list));
}

[[nodiscard]] Offset<fb::Bundle> write_bundle(Builder& builder, const Bundle& from) {
  const auto seal_key = write_key(builder, from.seal_key);
  const auto signed_prekey = write_key(builder, from.signed_prekey);
  const auto device = std::bit_cast<fb::Id>(from.device);
  if (!from.one_time) return fb::CreateBundle(builder, &device, seal_key, signed_prekey);
  const auto one_time = to_struct(*from.one_time);
  return fb::CreateBundle(builder, &device, seal_key, signed_prekey, &one_time);
}

[[nodiscard]] Offset<fb::Prekeys> write(Builder& builder, const Prekeys& from) {
  assert(from.bundles.size() <= kDevicesMax);
  const auto list = write_list(builder, from.list);
  std::array<Offset<fb::Bundle>, kDevicesMax> bundles;
  for (std::size_t i = 0; i < from.bundles.size(); ++i) {
    bundles[i] = write_bundle(builder, from.bundles[i]);
  }
  const auto written = builder.CreateVector(bundles.data(), from.bundles.size());
  return fb::CreatePrekeys(builder, list, written);
}

[[nodiscard]] Offset<fb::Submitted> write(Builder& builder, const Submitted& from) {
  assert(!from.outcomes.empty() && from.outcomes.size() <= kRecipientsMax);
  assert(from.lists.size() <= kListsPerReplyMax);
  std::array<Offset<fb::DeviceList>, kListsPerReplyMax> lists;
  for (std::size_t i = 0; i < from.lists.size(); ++i) {
    lists[i] = write_list(builder, from.lists[i]);
  }
  const auto outcomes = write_structs<fb::Outcome>(builder, from.outcomes);
  if (from.lists.empty()) return fb::CreateSubmitted(builder, outcomes);
  const auto written = builder.CreateVector(lists.data(), from.lists.size());
  return fb::CreateSubmitted(builder, outcomes, written);
}

// ---- Events -------------------------------------------------------------------------------------

[[nodiscard]] Offset<fb::Deliver> write(Builder& builder, const Deliver& from) {
  assert(from.number != 0);
  assert(!from.envelope.empty() && from.envelope.size() <= kEnvelopeSizeMax);
  return fb::CreateDeliver(builder, from.number, write_bytes(builder, from.envelope));
}

[[nodiscard]] Offset<fb::CaughtUp> write(Builder& builder, const CaughtUp&) {
  return fb::CreateCaughtUp(builder);
}

[[nodiscard]] Offset<fb::KeysLow> write(Builder& builder, const KeysLow& from) {
  return fb::CreateKeysLow(builder, from.one_time_keys_left);
}

[[nodiscard]] Offset<fb::Closing> write(Builder& builder, const Closing& from) {
  assert(from.code != ErrorCode::ok);
  return fb::CreateClosing(builder, to_enum(from.code), from.retry_after_ms);
}

template <class Body>
constexpr bool kIsEvent = std::is_same_v<Body, Deliver> || std::is_same_v<Body, CaughtUp> ||
                          std::is_same_v<Body, KeysLow> || std::is_same_v<Body, Closing>;

// The member of the union that a written table is.
template <class Table>
[[nodiscard]] constexpr fb::RequestBody request_kind(Offset<Table>) {
  return fb::RequestBodyTraits<Table>::enum_value;
}
template <class Table>
[[nodiscard]] constexpr fb::RelayBody relay_kind(Offset<Table>) {
  return fb::RelayBodyTraits<Table>::enum_value;
}

[[nodiscard]] ByteView finished(const Builder& builder) {
  assert(builder.GetSize() <= kFrameSizeMax);
  return {builder.GetBufferPointer(), builder.GetSize()};
}

}  // namespace

struct Encoder::State {
  Builder builder{kFirstBufferSize};
};

Encoder::Encoder() : state_(std::make_unique<State>()) {}
Encoder::~Encoder() = default;
Encoder::Encoder(Encoder&&) noexcept = default;
Encoder& Encoder::operator=(Encoder&&) noexcept = default;

ByteView Encoder::encode(const Request& request) {
  Builder& builder = state_->builder;
  builder.Clear();
  builder.Finish(std::visit(
      [&](const auto& body) {
        const auto written = write(builder, body);
        return fb::CreateRequest(builder, request.id, request_kind(written), written.Union());
      },
      request.body));
  return finished(builder);
}

ByteView Encoder::encode(const RelayFrame& frame) {
  Builder& builder = state_->builder;
  builder.Clear();
  builder.Finish(std::visit(
      [&](const auto& body) {
        assert(!kIsEvent<std::decay_t<decltype(body)>> || frame.request == 0);
        const auto written = write(builder, body);
        return fb::CreateRelayFrame(builder, frame.request, relay_kind(written), written.Union());
      },
      frame.body));
  return finished(builder);
}

}  // namespace godwit::wire
