#include "schema/wire/codec.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "schema/wire/limits.hpp"
#include "tests/golden/dump.hpp"
#include "tests/golden/samples.hpp"
#include "tests/unit/wire/codec_support.hpp"

namespace godwit::test {
namespace {

using wire::CodecError;

[[nodiscard]] auto parse(const wire::Request*, wire::ByteView body) {
  return wire::parse_request(body);
}
[[nodiscard]] auto parse(const wire::RelayFrame*, wire::ByteView body) {
  return wire::parse_relay_frame(body);
}

// Calls `check(name, encoded frame, the frame's type as a null pointer)` for every sample.
template <class Check>
void for_every_frame(Check check) {
  wire::Encoder encoder;
  for (const auto& sample : request_samples()) {
    CAPTURE(sample.name);
    check(FrameCopy(encoder.encode(sample.frame)), static_cast<const wire::Request*>(nullptr));
  }
  for (const auto& sample : relay_samples()) {
    CAPTURE(sample.name);
    check(FrameCopy(encoder.encode(sample.frame)), static_cast<const wire::RelayFrame*>(nullptr));
  }
}

template <class Frame>
void check_round_trip(const Sample<Frame>& sample) {
  CAPTURE(sample.name);
  wire::Encoder encoder;
  const FrameCopy first(encoder.encode(sample.frame));
  const auto parsed = parse(&sample.frame, first.view());
  REQUIRE(parsed.has_value());
  CHECK(text_of(*parsed) == text_of(sample.frame));
  const wire::ByteView again = encoder.encode(*parsed);
  CHECK(std::equal(again.begin(), again.end(), first.view().begin(), first.view().end()));
}

// The frame with `more` put behind its end.
[[nodiscard]] FrameCopy extended(wire::ByteView frame, std::size_t more) {
  wire::Bytes bytes(frame.size() + more);
  std::copy(frame.begin(), frame.end(), bytes.begin());
  return FrameCopy(bytes);
}

}  // namespace

TEST_SUITE("schema/wire/codec") {
  TEST_CASE("every kind of frame comes back as the value that was sent") {
    for (const auto& sample : request_samples()) check_round_trip(sample);
    for (const auto& sample : relay_samples()) check_round_trip(sample);
  }

  TEST_CASE("a frame's bytes do not depend on what the encoder said before") {
    wire::Encoder used;
    for (const auto& sample : relay_samples()) static_cast<void>(used.encode(sample.frame));
    for (const auto& sample : request_samples()) {
      wire::Encoder fresh;
      const wire::ByteView expected = fresh.encode(sample.frame);
      const wire::ByteView found = used.encode(sample.frame);
      CHECK(std::equal(found.begin(), found.end(), expected.begin(), expected.end()));
    }
  }

  TEST_CASE("an encoder reuses its buffer") {
    wire::Encoder encoder;
    const wire::Bytes envelope(wire::kEnvelopeSizeMax, 0x77);
    const wire::RelayFrame frame{0, wire::Deliver{.number = 1, .envelope = envelope}};
    const auto* first = encoder.encode(frame).data();
    CHECK(encoder.encode(frame).data() == first);
    const wire::Request ping{1, wire::Ping{}};
    static_cast<void>(encoder.encode(ping));
    CHECK(encoder.encode(frame).data() == first);
  }

  TEST_CASE("a moved encoder goes on") {
    wire::Encoder encoder;
    const wire::Request ping{9, wire::Ping{}};
    const FrameCopy before(encoder.encode(ping));
    wire::Encoder moved(std::move(encoder));
    const wire::ByteView after = moved.encode(ping);
    CHECK(std::equal(after.begin(), after.end(), before.view().begin(), before.view().end()));
  }

  TEST_CASE("views of a parsed frame point into the frame") {
    wire::Encoder encoder;
    const wire::Bytes envelope{1, 2, 3};
    const FrameCopy frame(
        encoder.encode(wire::RelayFrame{0, wire::Deliver{.number = 1, .envelope = envelope}}));
    const auto parsed = wire::parse_relay_frame(frame.view());
    REQUIRE(parsed.has_value());
    const wire::ByteView found = std::get<wire::Deliver>(parsed->body).envelope;
    CHECK(found.data() >= frame.view().data());
    CHECK(found.data() + found.size() <= frame.view().data() + frame.view().size());
  }

  TEST_CASE("a frame that is cut short anywhere is refused") {
    for_every_frame([](const FrameCopy& whole, const auto* type) {
      for (std::size_t size = 0; size < whole.view().size(); ++size) {
        CAPTURE(size);
        const FrameCopy cut(whole.view().first(size));
        CHECK_FALSE(parse(type, cut.view()).has_value());
        static_cast<void>(wire::request_id_of(cut.view()));
      }
    });
  }

  TEST_CASE("a frame with bytes behind its end is malformed") {
    for_every_frame([](const FrameCopy& whole, const auto* type) {
      for (std::size_t more = 1; more <= 64; ++more) {
        CAPTURE(more);
        const FrameCopy longer = extended(whole.view(), more);
        CHECK(refusal(parse(type, longer.view())) == CodecError::malformed);
      }
    });
  }

  TEST_CASE("a part at the end of a frame that nothing leads to is malformed") {
    Builder builder;
    static_cast<void>(forged_list(builder));
    CHECK(request_refusal(forged_request(builder, fb::CreatePing(builder))) ==
          CodecError::malformed);
  }

  TEST_CASE("a frame at an address that is not a multiple of 8 is refused as unaligned") {
    for_every_frame([](const FrameCopy& whole, const auto* type) {
      for (std::size_t offset = 1; offset < wire::kFrameAlignment; ++offset) {
        wire::Bytes storage(offset + whole.view().size());
        std::copy(whole.view().begin(), whole.view().end(),
                  storage.begin() + static_cast<std::ptrdiff_t>(offset));
        const auto body = wire::ByteView(storage).subspan(offset);
        CHECK(refusal(parse(type, body)) == CodecError::unaligned);
        CHECK(wire::request_id_of(body) == 0);
      }
    });
  }

  // What is accepted must also be sayable: the encoder asserts every bound that parsing promises.
  TEST_CASE("a frame with a changed byte is refused or is another frame that holds together") {
    constexpr int kMutations = 20'000;
    std::mt19937 random(1);
    wire::Encoder encoder;
    for_every_frame([&](const FrameCopy& whole, const auto* type) {
      FrameCopy frame(whole.view());
      int accepted = 0;
      int broken = 0;
      for (int i = 0; i < kMutations; ++i) {
        const std::size_t at = random() % frame.view().size();
        const auto change = static_cast<std::uint8_t>(1 + random() % 255);
        frame[at] ^= change;
        static_cast<void>(wire::request_id_of(frame.view()));
        if (const auto parsed = parse(type, frame.view())) {
          ++accepted;
          const FrameCopy again(encoder.encode(*parsed));
          const auto reparsed = parse(type, again.view());
          if (!reparsed || text_of(*reparsed) != text_of(*parsed)) ++broken;
        }
        frame[at] ^= change;
      }
      CHECK(broken == 0);
      // The request number alone gives values that are accepted and bytes that are not.
      CHECK(accepted > 0);
      CHECK(accepted < kMutations);
    });
  }

  TEST_CASE("random bytes are refused") {
    std::mt19937 random(2);
    for (int i = 0; i < 20'000; ++i) {
      wire::Bytes bytes(random() % 256);
      for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
      const FrameCopy frame(bytes);
      CHECK_FALSE(wire::parse_request(frame.view()).has_value());
      CHECK_FALSE(wire::parse_relay_frame(frame.view()).has_value());
      static_cast<void>(wire::request_id_of(frame.view()));
    }
  }

  TEST_CASE("a body of a kind that this version does not know is refused, and its id is read") {
    for (const int kind : {0, int(fb::RequestBody::MAX) + 1, 200, 255}) {
      CAPTURE(kind);
      Builder builder;
      const auto body = fb::CreatePing(builder).Union();
      builder.Finish(fb::CreateRequest(builder, 77, static_cast<fb::RequestBody>(kind), body));
      const FrameCopy frame({builder.GetBufferPointer(), builder.GetSize()});
      CHECK(request_refusal(frame) == CodecError::unknown_body);
      CHECK(wire::request_id_of(frame.view()) == 77);
    }
    for (const int kind : {0, int(fb::RelayBody::MAX) + 1, 255}) {
      CAPTURE(kind);
      Builder builder;
      const auto body = fb::CreateDone(builder).Union();
      builder.Finish(fb::CreateRelayFrame(builder, 77, static_cast<fb::RelayBody>(kind), body));
      CHECK(relay_refusal(FrameCopy({builder.GetBufferPointer(), builder.GetSize()})) ==
            CodecError::unknown_body);
    }
  }

  TEST_CASE("the id of a request with forbidden or damaged content is still read") {
    Builder builder;
    const std::vector<std::uint32_t> numbers(wire::kAckNumbersMax + 1);
    const auto ack = fb::CreateAckDirect(builder, 0, &numbers);
    FrameCopy frame = forged_request(builder, ack, 4'321);
    REQUIRE(request_refusal(frame) == CodecError::out_of_bounds);
    CHECK(wire::request_id_of(frame.view()) == 4'321);

    // The vector of numbers now claims to reach far behind the frame.
    const std::uint32_t count = wire::kAckNumbersMax + 1;
    const auto* raw = reinterpret_cast<const std::uint8_t*>(&count);
    const auto found =
        std::search(frame.view().begin(), frame.view().end(), raw, raw + sizeof count);
    REQUIRE(found != frame.view().end());
    frame[static_cast<std::size_t>(found - frame.view().begin()) + 3] = 0x3f;
    CHECK(request_refusal(frame) == CodecError::malformed);
    CHECK(wire::request_id_of(frame.view()) == 4'321);
  }

  TEST_CASE("no id is read where there is no request") {
    CHECK(wire::request_id_of({}) == 0);
    CHECK(wire::request_id_of(FrameCopy(wire::Bytes(64, 0xff)).view()) == 0);
    CHECK(wire::request_id_of(FrameCopy(wire::Bytes(64, 0)).view()) == 0);
  }

  TEST_CASE("a frame that lacks a required part is malformed") {
    Builder no_body;
    // The checks of the generated helpers would stop us, so the tables are built by hand.
    const auto root = no_body.StartTable();
    no_body.AddElement<std::uint32_t>(fb::Request::VT_ID, 6, 0);
    no_body.AddElement<std::uint8_t>(fb::Request::VT_BODY_TYPE,
                                     static_cast<std::uint8_t>(fb::RequestBody::Ping), 0);
    no_body.Finish(flatbuffers::Offset<fb::Request>(no_body.EndTable(root)));
    const FrameCopy frame({no_body.GetBufferPointer(), no_body.GetSize()});
    CHECK(refusal(wire::parse_request(frame.view())) == CodecError::malformed);
    CHECK(wire::request_id_of(frame.view()) == 6);

    Builder builder;
    const flatbuffers::Offset<fb::Login> empty_login(builder.EndTable(builder.StartTable()));
    CHECK(request_refusal(forged_request(builder, empty_login)) == CodecError::malformed);
  }

  TEST_CASE("every error code has a name, and no other value has") {
    CHECK(wire::name_of(wire::ErrorCode::ok) == "ok");
    CHECK(wire::name_of(wire::ErrorCode::stale_list) == "stale_list");
    CHECK(wire::name_of(wire::ErrorCode::internal) == "internal");
    for (int code = 0; code <= 255; ++code) {
      CHECK(wire::name_of(static_cast<wire::ErrorCode>(code)).empty() ==
            (code > wire::kErrorCodeMax));
    }
  }
}

}  // namespace godwit::test
