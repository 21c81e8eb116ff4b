// Every limit of the codec, at the bound and one beyond, and the frames that are built to cost
// more than they weigh. Frames are forged: our own encoder asserts the same bounds.

#include <doctest/doctest.h>

#include <numeric>

#include "schema/wire/limits.hpp"
#include "tests/unit/wire/codec_support.hpp"

namespace godwit::test {
namespace {

using wire::CodecError;

constexpr std::optional<CodecError> kAccepted{};
constexpr std::optional<CodecError> kOutOfBounds{CodecError::out_of_bounds};
constexpr std::optional<CodecError> kMalformed{CodecError::malformed};

// An id whose order among others is that of `number`.
[[nodiscard]] fb::Id id_of(std::size_t number) {
  std::array<std::uint8_t, 16> bytes{};
  bytes[0] = static_cast<std::uint8_t>(number >> 8);
  bytes[1] = static_cast<std::uint8_t>(number);
  return fb::Id(bytes);
}

[[nodiscard]] fb::Recipient recipient(std::size_t device, std::uint32_t body) {
  return {id_of(1), id_of(device), 1, 2, 3, body};
}

[[nodiscard]] std::vector<fb::Recipient> recipients(std::size_t count) {
  std::vector<fb::Recipient> made;
  for (std::size_t i = 0; i < count; ++i) made.push_back(recipient(i, 0));
  return made;
}

[[nodiscard]] auto submit(const std::vector<fb::Recipient>& to,
                          const std::vector<std::uint32_t>& sizes, std::size_t bodies_size) {
  Builder builder;
  const fb::Id id;
  const std::vector<std::uint8_t> bodies(bodies_size, 0x42);
  const auto body = fb::CreateSubmitDirect(builder, &id, 0, &to, &sizes, &bodies);
  return request_refusal(forged_request(builder, body));
}

// One recipient for each of `sizes`.
[[nodiscard]] auto submit_sizes(const std::vector<std::uint32_t>& sizes, std::size_t bodies_size) {
  std::vector<fb::Recipient> to;
  for (std::uint32_t i = 0; i < sizes.size(); ++i) to.push_back(recipient(i, i));
  return submit(to, sizes, bodies_size);
}

[[nodiscard]] auto ack(std::size_t count) {
  Builder builder;
  const std::vector<std::uint32_t> numbers(count, 3);
  return request_refusal(forged_request(builder, fb::CreateAckDirect(builder, 1, &numbers)));
}

[[nodiscard]] auto put_key_ids(const std::vector<std::uint32_t>& ids) {
  Builder builder;
  std::vector<fb::OneTimeKey> keys;
  for (const std::uint32_t id : ids) keys.emplace_back(id, fb::Key());
  return request_refusal(forged_request(builder, fb::CreatePutKeysDirect(builder, 0, 0, &keys)));
}

[[nodiscard]] auto put_keys(std::size_t count) {
  std::vector<std::uint32_t> ids(count);
  std::iota(ids.begin(), ids.end(), 1U);
  return put_key_ids(ids);
}

[[nodiscard]] auto get_prekeys(std::size_t count) {
  Builder builder;
  const fb::Id user;
  const std::vector<fb::Id> devices(count);
  return request_refusal(
      forged_request(builder, fb::CreateGetPrekeysDirect(builder, &user, &devices)));
}

[[nodiscard]] auto put_devices(std::size_t body_size) {
  Builder builder;
  const auto list = forged_list(builder, body_size);
  return request_refusal(forged_request(builder, fb::CreatePutDevices(builder, list)));
}

[[nodiscard]] auto set_name(std::size_t size) {
  Builder builder;
  const std::string name(size, 'a');
  return request_refusal(
      forged_request(builder, fb::CreateSetName(builder, builder.CreateString(name))));
}

[[nodiscard]] auto register_name(std::size_t size) {
  Builder builder;
  const fb::Id device;
  const auto list = forged_list(builder);
  const auto seal = forged_key(builder);
  const auto prekey = forged_key(builder);
  const auto name = builder.CreateString(std::string(size, 'a'));
  return request_refusal(
      forged_request(builder, fb::CreateRegister(builder, 1, &device, list, seal, prekey, name)));
}

[[nodiscard]] auto prekeys(std::size_t count, bool shared) {
  Builder builder;
  const auto list = forged_list(builder);
  const fb::Id device;
  std::vector<flatbuffers::Offset<fb::Bundle>> bundles;
  for (std::size_t i = 0; i < count; ++i) {
    if (shared && i > 0) {
      bundles.push_back(bundles[0]);
      continue;
    }
    const auto seal = forged_key(builder);
    const auto prekey = forged_key(builder);
    bundles.push_back(fb::CreateBundle(builder, &device, seal, prekey));
  }
  return relay_refusal(
      forged_relay_frame(builder, fb::CreatePrekeysDirect(builder, list, &bundles), 5));
}

// `lists` times the same list.
[[nodiscard]] auto submitted(const std::vector<fb::Outcome>& outcomes, std::size_t lists) {
  Builder builder;
  std::vector<flatbuffers::Offset<fb::DeviceList>> shared;
  if (lists > 0) shared.assign(lists, forged_list(builder));
  return relay_refusal(
      forged_relay_frame(builder, fb::CreateSubmittedDirect(builder, &outcomes, &shared), 5));
}

[[nodiscard]] auto deliver(std::uint32_t number, std::size_t size) {
  Builder builder;
  const std::vector<std::uint8_t> envelope(size, 1);
  return relay_refusal(
      forged_relay_frame(builder, fb::CreateDeliverDirect(builder, number, &envelope)));
}

// A Welcome with this name, or with none.
[[nodiscard]] auto welcome_name(std::optional<std::string_view> name) {
  Builder builder;
  const fb::Id store;
  flatbuffers::Offset<flatbuffers::String> written;
  if (name) written = builder.CreateString(name->data(), name->size());
  const auto limits = fb::CreateLimits(builder);
  const auto body = fb::CreateWelcome(builder, 1, &store, 0, 0, 0, 0, 0, fb::ErrorCode::ok, limits,
                                      false, written);
  return relay_refusal(forged_relay_frame(builder, body, 1));
}

const fb::Outcome kOk{0, wire::kNoList, 0};
constexpr auto kStale = static_cast<std::uint8_t>(wire::ErrorCode::stale_list);

}  // namespace

TEST_SUITE("schema/wire/codec, bounds") {
  TEST_CASE("the ids of uploaded one-time keys rise from 1, and none is the one for none") {
    CHECK(put_key_ids({1, 2, 7}) == kAccepted);
    CHECK(put_key_ids({wire::kNoOneTimeKey - 1}) == kAccepted);
    CHECK(put_key_ids({0}) == kOutOfBounds);
    CHECK(put_key_ids({2, 2}) == kOutOfBounds);
    CHECK(put_key_ids({2, 1}) == kOutOfBounds);
    CHECK(put_key_ids({wire::kNoOneTimeKey}) == kOutOfBounds);
  }

  TEST_CASE("a submit has 1 to kRecipientsMax recipients") {
    CHECK(submit(recipients(0), {4}, 4) == kOutOfBounds);
    CHECK(submit(recipients(1), {4}, 4) == kAccepted);
    CHECK(submit(recipients(wire::kRecipientsMax), {4}, 4) == kAccepted);
    CHECK(submit(recipients(wire::kRecipientsMax + 1), {4}, 4) == kOutOfBounds);
  }

  TEST_CASE("a submit has 1 to kBodiesMax bodies") {
    CHECK(submit(recipients(1), {}, 0) == kOutOfBounds);
    const std::vector<std::uint32_t> most(wire::kBodiesMax, 2);
    CHECK(submit_sizes(most, 2 * most.size()) == kAccepted);
    const std::vector<std::uint32_t> too_many(wire::kBodiesMax + 1, 2);
    CHECK(submit_sizes(too_many, 2 * too_many.size()) == kOutOfBounds);
  }

  TEST_CASE("a body has 1 to kEnvelopeSizeMax bytes") {
    constexpr auto most = static_cast<std::uint32_t>(wire::kEnvelopeSizeMax);
    CHECK(submit_sizes({1, 0, 1}, 2) == kOutOfBounds);
    CHECK(submit_sizes({1}, 1) == kAccepted);
    CHECK(submit_sizes({most}, most) == kAccepted);
    CHECK(submit_sizes({most + 1}, most + 1) == kOutOfBounds);
  }

  TEST_CASE("the sizes of the bodies cover the bodies exactly") {
    CHECK(submit_sizes({3, 4}, 7) == kAccepted);
    CHECK(submit_sizes({3, 4}, 6) == kOutOfBounds);
    CHECK(submit_sizes({3, 4}, 8) == kOutOfBounds);
    // Sums that come out right only when they overflow.
    CHECK(submit_sizes({0xffff'ffff, 8}, 7) == kOutOfBounds);
    CHECK(submit_sizes({0x8000'0000, 0x8000'0007}, 7) == kOutOfBounds);
  }

  TEST_CASE("every recipient names a body, and every body has a recipient") {
    CHECK(submit({recipient(1, 1), recipient(2, 0)}, {3, 4}, 7) == kAccepted);
    CHECK(submit({recipient(1, 0), recipient(2, 2)}, {3, 4}, 7) == kOutOfBounds);
    CHECK(submit({recipient(1, 0), recipient(2, 0xffff'ffff)}, {3, 4}, 7) == kOutOfBounds);
    CHECK(submit({recipient(1, 0), recipient(2, 0)}, {3, 4}, 7) == kOutOfBounds);
    CHECK(submit({recipient(1, 1), recipient(2, 1)}, {3, 4}, 7) == kOutOfBounds);
  }

  TEST_CASE("recipients ascend strictly by the bytes of their device id") {
    CHECK(submit({recipient(0x7fff, 0), recipient(0x8000, 0)}, {4}, 4) == kAccepted);
    CHECK(submit({recipient(0x8000, 0), recipient(0x7fff, 0)}, {4}, 4) == kOutOfBounds);
    CHECK(submit({recipient(7, 0), recipient(7, 0)}, {4}, 4) == kOutOfBounds);
  }

  TEST_CASE("an ack lists at most kAckNumbersMax numbers") {
    CHECK(ack(0) == kAccepted);
    CHECK(ack(wire::kAckNumbersMax) == kAccepted);
    CHECK(ack(wire::kAckNumbersMax + 1) == kOutOfBounds);
  }

  TEST_CASE("a request brings at most kOneTimeKeysPerRequestMax one-time keys") {
    CHECK(put_keys(wire::kOneTimeKeysPerRequestMax) == kAccepted);
    CHECK(put_keys(wire::kOneTimeKeysPerRequestMax + 1) == kOutOfBounds);
  }

  TEST_CASE("a request for key bundles names at most kDevicesMax devices") {
    CHECK(get_prekeys(wire::kDevicesMax) == kAccepted);
    CHECK(get_prekeys(wire::kDevicesMax + 1) == kOutOfBounds);
  }

  TEST_CASE("a request for a user names an id or a name, not both and not none") {
    const fb::Id user;
    for (const bool by_id : {false, true}) {
      for (const bool by_name : {false, true}) {
        Builder builder;
        const auto body =
            fb::CreateGetUserDirect(builder, by_id ? &user : nullptr, by_name ? "ab" : nullptr);
        CHECK(request_refusal(forged_request(builder, body)) ==
              (by_id != by_name ? kAccepted : kOutOfBounds));
      }
    }
  }

  TEST_CASE("the body of a device list has 1 to kListBodySizeMax bytes") {
    CHECK(put_devices(0) == kOutOfBounds);
    CHECK(put_devices(1) == kAccepted);
    CHECK(put_devices(wire::kListBodySizeMax) == kAccepted);
    CHECK(put_devices(wire::kListBodySizeMax + 1) == kOutOfBounds);
  }

  TEST_CASE("a name has 1 to kRawNameSizeMax bytes") {
    for (const auto& named : {set_name, register_name}) {
      CHECK(named(0) == kOutOfBounds);
      CHECK(named(1) == kAccepted);
      CHECK(named(wire::kRawNameSizeMax) == kAccepted);
      CHECK(named(wire::kRawNameSizeMax + 1) == kOutOfBounds);
    }
    Builder builder;
    const auto body = fb::CreateGetUserDirect(builder, nullptr,
                                              std::string(wire::kRawNameSizeMax + 1, 'a').c_str());
    CHECK(request_refusal(forged_request(builder, body)) == kOutOfBounds);
  }

  TEST_CASE("a name may hold any byte; what is a username is judged later") {
    Builder builder;
    const std::string_view odd("\xff\0\n", 3);
    const auto name = builder.CreateString(odd.data(), odd.size());
    const FrameCopy frame = forged_request(builder, fb::CreateSetName(builder, name));
    const auto parsed = wire::parse_request(frame.view());
    REQUIRE(parsed.has_value());
    CHECK(std::get<wire::SetName>(parsed->body).name == odd);
  }

  TEST_CASE("the own name in a Welcome is a folded name, or absent") {
    CHECK(welcome_name({}) == kAccepted);
    CHECK(welcome_name("") == kOutOfBounds);
    CHECK(welcome_name(std::string(wire::kNameSizeMin - 1, 'a')) == kOutOfBounds);
    CHECK(welcome_name(std::string(wire::kNameSizeMin, 'a')) == kAccepted);
    CHECK(welcome_name(std::string(wire::kNameSizeMax, 'z')) == kAccepted);
    CHECK(welcome_name(std::string(wire::kNameSizeMax + 1, 'a')) == kOutOfBounds);
    CHECK(welcome_name("Anna") == kOutOfBounds);
    CHECK(welcome_name("an na") == kOutOfBounds);
    CHECK(welcome_name(std::string_view("an\0na", 5)) == kOutOfBounds);
  }

  TEST_CASE("a reply brings at most kDevicesMax key bundles") {
    CHECK(prekeys(0, false) == kAccepted);
    CHECK(prekeys(wire::kDevicesMax, false) == kAccepted);
    CHECK(prekeys(wire::kDevicesMax + 1, false) == kOutOfBounds);
  }

  TEST_CASE(
      "a reply to a submit has 1 to kRecipientsMax outcomes, at most kListsPerReplyMax lists") {
    using Outcomes = std::vector<fb::Outcome>;
    CHECK(submitted({}, 0) == kOutOfBounds);
    CHECK(submitted({kOk}, 0) == kAccepted);
    CHECK(submitted(Outcomes(wire::kRecipientsMax, kOk), 0) == kAccepted);
    CHECK(submitted(Outcomes(wire::kRecipientsMax + 1, kOk), 0) == kOutOfBounds);
    CHECK(submitted({kOk}, wire::kListsPerReplyMax) == kAccepted);
    CHECK(submitted({kOk}, wire::kListsPerReplyMax + 1) == kOutOfBounds);
  }

  TEST_CASE("only a stale outcome names a list, and one that came along") {
    CHECK(submitted({fb::Outcome{kStale, 1, 0}}, 2) == kAccepted);
    CHECK(submitted({fb::Outcome{kStale, 2, 0}}, 2) == kOutOfBounds);
    CHECK(submitted({fb::Outcome{kStale, wire::kNoList, 0}}, 2) == kAccepted);
    CHECK(submitted({fb::Outcome{0, 0, 0}}, 2) == kOutOfBounds);
  }

  TEST_CASE("an error code outside of the list is refused wherever it stands") {
    const fb::Id store;
    for (const int code : {0, 1, int{wire::kErrorCodeMax}, wire::kErrorCodeMax + 1, 255}) {
      CAPTURE(code);
      const auto raw = static_cast<fb::ErrorCode>(code);
      const auto known = code <= wire::kErrorCodeMax ? kAccepted : kOutOfBounds;
      // A refusal and a closing say what failed, so there `ok` is no answer.
      const auto failure = code == 0 ? kOutOfBounds : known;
      Builder refused;
      CHECK(relay_refusal(forged_relay_frame(refused, fb::CreateRefused(refused, raw), 1)) ==
            failure);
      Builder closing;
      CHECK(relay_refusal(forged_relay_frame(closing, fb::CreateClosing(closing, raw))) == failure);
      Builder welcome;
      const auto limits = fb::CreateLimits(welcome);
      const auto body = fb::CreateWelcome(welcome, 1, &store, 0, 0, 0, 0, 0, raw, limits);
      CHECK(relay_refusal(forged_relay_frame(welcome, body, 1)) == known);
      CHECK(submitted({fb::Outcome{static_cast<std::uint8_t>(code), wire::kNoList, 0}}, 0) ==
            known);
    }
  }

  TEST_CASE("deliveries are numbered from 1 and carry 1 to kEnvelopeSizeMax bytes") {
    CHECK(deliver(0, 8) == kOutOfBounds);
    CHECK(deliver(1, 8) == kAccepted);
    CHECK(deliver(1, 0) == kOutOfBounds);
    CHECK(deliver(1, wire::kEnvelopeSizeMax) == kAccepted);
    CHECK(deliver(1, wire::kEnvelopeSizeMax + 1) == kOutOfBounds);
  }

  TEST_CASE("an event names no request") {
    Builder caught_up;
    CHECK(relay_refusal(forged_relay_frame(caught_up, fb::CreateCaughtUp(caught_up), 1)) ==
          kOutOfBounds);
    Builder keys_low;
    CHECK(relay_refusal(forged_relay_frame(keys_low, fb::CreateKeysLow(keys_low, 3), 1)) ==
          kOutOfBounds);
    Builder closing;
    const auto body = fb::CreateClosing(closing, fb::ErrorCode::busy);
    CHECK(relay_refusal(forged_relay_frame(closing, body, 1)) == kOutOfBounds);
    Builder done;
    CHECK(relay_refusal(forged_relay_frame(done, fb::CreateDone(done), 1)) == kAccepted);
  }

  TEST_CASE("a frame over kFrameSizeMax is refused before it is verified") {
    CHECK(request_refusal(FrameCopy(wire::Bytes(wire::kFrameSizeMax))) == kMalformed);
    CHECK(request_refusal(FrameCopy(wire::Bytes(wire::kFrameSizeMax + 1))) == kOutOfBounds);
  }

  // FlatBuffers lets many offsets lead to one table, and its verifier walks each of them. The
  // limit of kVerifierTablesMax tables stops it: a malformed frame is one where it stopped, while
  // out_of_bounds would say that it walked all and only then the count was refused.
  TEST_CASE("tables that are shared are counted each time, up to kVerifierTablesMax") {
    // The frame and its body are two tables, a list is one.
    CHECK(submitted({kOk}, wire::kVerifierTablesMax - 2) == kOutOfBounds);
    CHECK(submitted({kOk}, wire::kVerifierTablesMax - 1) == kMalformed);
    CHECK(submitted({kOk}, 100'000) == kMalformed);
    // The frame, its body and the list are three, a bundle is three.
    CHECK(prekeys((wire::kVerifierTablesMax - 3) / 3, true) == kOutOfBounds);
    CHECK(prekeys((wire::kVerifierTablesMax - 3) / 3 + 1, true) == kMalformed);
    CHECK(prekeys(100'000, true) == kMalformed);
  }

  TEST_CASE("the largest honest frames stay under the verifier's limits") {
    static_assert(2 + 1 + 3 * wire::kDevicesMax <= wire::kVerifierTablesMax);
    CHECK(prekeys(wire::kDevicesMax, false) == kAccepted);
    const std::vector<std::uint32_t> bodies(6, std::uint32_t{wire::kEnvelopeSizeMax});
    auto to = recipients(wire::kRecipientsMax - bodies.size());
    for (std::uint32_t i = 0; i < bodies.size(); ++i) to.push_back(recipient(to.size(), i));
    CHECK(submit(to, bodies, bodies.size() * wire::kEnvelopeSizeMax) == kAccepted);
  }

  TEST_CASE("what passes before a Welcome fits its frames, also with the longest list") {
    const wire::Bytes body(wire::kListBodySizeMax, 0x5a);
    wire::Register registration;
    registration.list.body = body;
    const std::string name(wire::kRawNameSizeMax, 'a');
    registration.name = name;
    wire::Encoder encoder;
    CHECK(encoder.encode(wire::Request{1, registration}).size() <= wire::kFrameSizeMaxBeforeLogin);
    const wire::User held{registration.list};
    CHECK(encoder.encode(wire::RelayFrame{1, held}).size() <= wire::kFrameSizeMaxBeforeLogin);
  }

  TEST_CASE("vectors that fill the frame are refused by their count") {
    CHECK(ack(130'000) == kOutOfBounds);
    CHECK(put_keys(14'000) == kOutOfBounds);
    CHECK(get_prekeys(32'000) == kOutOfBounds);
    CHECK(submit(recipients(10'000), {4}, 4) == kOutOfBounds);
    CHECK(submit(recipients(1), std::vector<std::uint32_t>(120'000, 1), 8) == kOutOfBounds);
    CHECK(submitted(std::vector<fb::Outcome>(64'000, kOk), 0) == kOutOfBounds);
  }
}

}  // namespace godwit::test
