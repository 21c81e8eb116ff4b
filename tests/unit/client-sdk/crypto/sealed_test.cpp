#include "client-sdk/src/crypto/sealed.hpp"

#include <doctest/doctest.h>

#include "tests/support/fixed_random.hpp"
#include "tests/unit/client-sdk/crypto/peers.hpp"

namespace godwit::crypto {
namespace {

// The longest inner message that one Noise message holds.
constexpr std::size_t kOneMessageMax = wire::kNoiseMessageSizeMax - 96 - wire::UserId::kSize;
constexpr std::size_t kOneEnvelopeMax = 5 + wire::kNoiseMessageSizeMax;

struct Post {
  test::FixedRandom random{"post"};
  DhKey sender{dh_key_of(SigningKey::draw(std::ref(random)))};
  DhKey seal_key{DhKey::draw(std::ref(random))};
  wire::UserId user{{1, 2, 3}};
  wire::DeviceId device{{4, 5, 6}};
  StaticDh cache;

  [[nodiscard]] tl::expected<wire::Bytes, SealedError> send(wire::ByteView inner) {
    return seal({device, 9, seal_key.public_key()}, sender, user, inner, std::ref(random), cache);
  }
  [[nodiscard]] tl::expected<Unsealed, SealedError> receive(wire::ByteView envelope) {
    return unseal(envelope, device, seal_key, cache);
  }
};

}  // namespace

TEST_SUITE("client-sdk/src/crypto/sealed") {
  TEST_CASE("what was sealed opens at its recipient and says who wrote it") {
    Post post;
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kOneMessageMax - 1,
                                   kOneMessageMax, kOneMessageMax + 1, kSealedInnerMax}) {
      const wire::Bytes inner(size, 0x5a);
      const auto envelope = post.send(inner);
      REQUIRE(envelope.has_value());
      CHECK(seal_id_of(*envelope) == 9U);
      const auto opened = post.receive(*envelope);
      REQUIRE(opened.has_value());
      CHECK(opened->user == post.user);
      CHECK(opened->static_key == post.sender.public_key());
      CHECK(opened->inner == inner);
    }
  }

  TEST_CASE("no changed bit of an envelope passes") {
    Post post;
    wire::Bytes envelope = *post.send(text_bytes("inner"));
    for (std::size_t bit = 0; bit < envelope.size() * 8; ++bit) {
      INFO("bit: " << bit);
      const auto mask = static_cast<std::uint8_t>(1U << (bit % 8));
      envelope[bit / 8] ^= mask;
      CHECK_FALSE(post.receive(envelope));
      envelope[bit / 8] ^= mask;
    }
    CHECK(post.receive(envelope).has_value());
  }

  TEST_CASE("an envelope opens for its own device and seal key alone") {
    Post post;
    const wire::Bytes envelope = *post.send(text_bytes("inner"));
    CHECK(unseal(envelope, wire::DeviceId{{7}}, post.seal_key, post.cache).error() ==
          SealedError::not_authentic);
    CHECK(unseal(envelope, post.device, DhKey::draw(std::ref(post.random)), post.cache).error() ==
          SealedError::not_authentic);
  }

  TEST_CASE("what is too short, too long or of another kind is malformed") {
    Post post;
    const wire::Bytes envelope = *post.send({});
    for (std::size_t size = 0; size < envelope.size(); ++size) {
      const wire::ByteView cut = wire::ByteView(envelope).first(size);
      CHECK_FALSE(seal_id_of(cut));
      CHECK(post.receive(cut).error() == SealedError::malformed);
    }
    wire::Bytes other_kind = envelope;
    other_kind[0] = 2;
    CHECK(post.receive(other_kind).error() == SealedError::malformed);
    wire::Bytes too_long = envelope;
    too_long.resize(wire::kEnvelopeSizeMax + 1);
    CHECK(post.receive(too_long).error() == SealedError::malformed);
  }

  TEST_CASE("an envelope of two Noise messages is as long as it may be, and holds together") {
    Post post;
    const wire::Bytes inner(kSealedInnerMax, 0x5a);
    wire::Bytes envelope = *post.send(inner);
    CHECK(envelope.size() == wire::kEnvelopeSizeMax);
    constexpr std::size_t kSecondAt = 5 + wire::kNoiseMessageSizeMax;
    for (const std::size_t at : {kSecondAt - 1, kSecondAt, envelope.size() - 1}) {
      envelope[at] ^= 1;
      CHECK(post.receive(envelope).error() == SealedError::not_authentic);
      envelope[at] ^= 1;
    }
    for (const std::size_t size :
         {kSecondAt - 1, kSecondAt, kSecondAt + 1, kSecondAt + 16, kSecondAt + 17}) {
      CHECK_FALSE(post.receive(wire::ByteView(envelope).first(size)));
    }
    CHECK(post.receive(envelope).has_value());
  }

  TEST_CASE("a message that is just full has another behind it, which cannot be cut off") {
    Post post;
    for (const auto& [size, whole] :
         {std::pair{kOneMessageMax - 1, kOneEnvelopeMax - 1},
          std::pair{kOneMessageMax, kOneEnvelopeMax + wire::kNoiseTagSize},
          std::pair{kOneMessageMax + 1, kOneEnvelopeMax + wire::kNoiseTagSize + 1}}) {
      CAPTURE(size);
      const wire::Bytes inner(size, 0x5a);
      const wire::Bytes envelope = *post.send(inner);
      CHECK(envelope.size() == whole);
      const auto opened = post.receive(envelope);
      REQUIRE(opened.has_value());
      CHECK(opened->inner == inner);
      for (std::size_t cut = 1; cut <= wire::kNoiseTagSize + 1; ++cut) {
        CHECK_FALSE(post.receive(wire::ByteView(envelope).first(whole - cut)));
      }
    }
  }

  TEST_CASE("keys of small order are refused at both ends") {
    Post post;
    CHECK(seal({post.device, 9, wire::Key{}}, post.sender, post.user, {}, std::ref(post.random),
               post.cache)
              .error() == SealedError::bad_key);
    wire::Bytes envelope = *post.send({});
    std::fill_n(envelope.begin() + 5, wire::Key::kSize, std::uint8_t{0});
    CHECK(post.receive(envelope).error() == SealedError::bad_key);
    CHECK_FALSE(post.cache.of(post.sender, wire::Key{}));
    CHECK_FALSE(dh_public_of(wire::Key{}));
  }

  TEST_CASE("a kept static secret is the one that would be computed, however many there were") {
    Post post;
    const auto kept = post.cache.of(post.sender, post.seal_key.public_key());
    REQUIRE(kept.has_value());
    CHECK(post.cache.of(post.sender, post.seal_key.public_key()) == kept);
    CHECK(post.cache.of(post.seal_key, post.sender.public_key()) == kept);
    for (std::size_t i = 0; i < StaticDh::kPairsMax + 10; ++i) {
      const DhKey other = DhKey::draw(std::ref(post.random));
      CHECK(post.cache.of(post.sender, other.public_key()).has_value());
    }
    CHECK(post.cache.of(post.sender, post.seal_key.public_key()) == kept);
  }

  TEST_CASE("an identity key becomes the same X25519 key for its owner and for others") {
    Post post;
    const SigningKey identity = SigningKey::draw(std::ref(post.random));
    CHECK(dh_public_of(identity.public_key()) == dh_key_of(identity).public_key());
  }
}

}  // namespace godwit::crypto
