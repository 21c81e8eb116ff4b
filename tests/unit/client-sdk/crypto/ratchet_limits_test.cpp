// What a peer that means harm, or a long loss, can make a session store and compute.
#include <doctest/doctest.h>

#include "client-sdk/src/crypto/ratchet.hpp"
#include "tests/unit/client-sdk/crypto/forged.hpp"

namespace godwit::crypto {
namespace {

// Alice answers nothing unless asked; Bob is where keys are skipped.
struct Losses {
  Losses() {
    const wire::Bytes first = send();
    bob.emplace(other.accept_session(one, first));
    CHECK(receive(first).has_value());
    step();
  }

  wire::Bytes send() { return alice.encrypt(wire::as_bytes("a"), std::ref(one.random)); }
  tl::expected<wire::Bytes, SessionError> receive(const wire::Bytes& inner) {
    return bob->decrypt(parse_inner(inner)->ratchet, std::ref(other.random));
  }
  // Bob answers, so that Alice's next message begins a chain.
  void step() {
    const wire::Bytes reply = bob->encrypt(wire::as_bytes("b"), std::ref(other.random));
    CHECK(alice.decrypt(reply, std::ref(one.random)).has_value());
  }
  // Alice sends `count` messages that Bob does not get, and one that he does.
  std::vector<wire::Bytes> skip(std::size_t count) {
    std::vector<wire::Bytes> lost;
    for (std::size_t i = 0; i < count; ++i) lost.push_back(send());
    CHECK(receive(send()).has_value());
    return lost;
  }

  Peer one{"one"};
  Peer other{"other"};
  Session alice{one.begin_session(other, 1)};
  std::optional<Session> bob;
};

}  // namespace

TEST_SUITE("client-sdk/src/crypto/ratchet: limits") {
  TEST_CASE("a thousand lost messages of a chain are skipped, one more is refused") {
    Losses ends;
    std::vector<wire::Bytes> lost = ends.skip(kSkippedPerChainMax);
    CHECK(ends.bob->skipped() == kSkippedPerChainMax);
    CHECK(ends.receive(lost.front()).has_value());
    CHECK(ends.receive(lost.back()).has_value());
    CHECK(ends.bob->skipped() == kSkippedPerChainMax - 2);

    for (std::uint32_t i = 0; i < kSkippedPerChainMax + 1; ++i) static_cast<void>(ends.send());
    const wire::Bytes before = packed(*ends.bob);
    CHECK(ends.receive(ends.send()).error() == SessionError::too_many_skipped);
    CHECK(packed(*ends.bob) == before);
  }

  TEST_CASE("a number far ahead is refused before any key is derived") {
    Losses ends;
    CHECK(ends.receive(ends.send()).has_value());  // the chain runs
    const wire::Bytes running = packed(*ends.bob);
    // If each took its billion derivations, this would not end.
    for (int i = 0; i < 1'000; ++i) {
      CHECK(ends.receive(forged(ends.alice, {.previous_count = 0, .number = 1U << 30})).error() ==
            SessionError::too_many_skipped);
    }
    CHECK(packed(*ends.bob) == running);
    ends.step();  // the next one begins a chain
    const wire::Bytes stepped = packed(*ends.bob);
    for (int i = 0; i < 1'000; ++i) {
      CHECK(ends.receive(forged(ends.alice, {.previous_count = 1, .number = 1U << 30})).error() ==
            SessionError::too_many_skipped);
      CHECK(ends.receive(forged(ends.alice, {.previous_count = 1U << 30, .number = 0})).error() ==
            SessionError::too_many_skipped);
    }
    CHECK(packed(*ends.bob) == stepped);
    CHECK(ends.receive(ends.send()).has_value());
  }

  TEST_CASE("numbers that no client writes are malformed") {
    Losses ends;
    CHECK(ends.receive(ends.send()).has_value());
    CHECK(ends.receive(ends.send()).has_value());
    CHECK(ends.receive(forged(ends.alice, {.previous_count = 0, .number = kMessageNumberMax}))
              .error() == SessionError::malformed);
    ends.step();
    // Bob has read two messages of the chain that this one says had one.
    CHECK(ends.receive(forged(ends.alice, {.previous_count = 1, .number = 0})).error() ==
          SessionError::malformed);
    CHECK(ends.receive(forged(ends.alice, {.previous_count = 2, .number = kMessageNumberMax}))
              .error() == SessionError::malformed);
    // Alice, who has read nothing of a fresh session, hears of a chain that was not there.
    Peer three("three");
    Session fresh = three.begin_session(ends.other, 1);
    const wire::Bytes first = fresh.encrypt({}, std::ref(three.random));
    Session answer = ends.other.accept_session(three, first);
    CHECK(answer.decrypt(parse_inner(first)->ratchet, std::ref(ends.other.random)).has_value());
    CHECK(fresh.decrypt(forged(answer, {.previous_count = 1, .number = 0}), std::ref(three.random))
              .error() == SessionError::malformed);
  }

  TEST_CASE("a session stores two thousand skipped keys, and the oldest leave") {
    Losses ends;
    constexpr std::size_t kLost = 300;
    constexpr std::size_t kChains = 10;
    std::vector<std::vector<wire::Bytes>> lost;
    for (std::size_t chain = 0; chain < kChains; ++chain) {
      lost.push_back(ends.skip(kLost));
      CHECK(ends.bob->skipped() <= kSkippedPerSessionMax);
      ends.step();
    }
    CHECK(ends.bob->skipped() == kSkippedPerSessionMax);
    // 3,000 were lost: the first three chains and a hundred of the fourth have left.
    CHECK(packed(*ends.bob).size() < kSkippedPerSessionMax * 36 + 1'000);
    CHECK(ends.receive(lost[2].back()).error() == SessionError::not_authentic);
    CHECK(ends.receive(lost[3][99]).error() == SessionError::replayed);
    CHECK(ends.receive(lost[3][100]).has_value());
    CHECK(ends.receive(lost[9].front()).has_value());
    CHECK(ends.bob->skipped() == kSkippedPerSessionMax - 2);
  }

  TEST_CASE("the newest thirty-two header keys are tried, and no older one") {
    Losses ends;
    constexpr std::size_t kChains = 40;
    std::vector<wire::Bytes> lost;
    for (std::size_t chain = 0; chain < kChains; ++chain) {
      lost.push_back(ends.skip(1).front());
      ends.step();
    }
    // The last chain is the current one and needs no header key of the old.
    const std::size_t oldest_tried = kChains - 1 - kSkippedHeaderKeysMax;
    for (std::size_t chain = 0; chain < kChains; ++chain) {
      INFO("chain: " << chain);
      Session copy = *ends.bob;
      const auto opened =
          copy.decrypt(parse_inner(lost[chain])->ratchet, std::ref(ends.other.random));
      CHECK(opened.has_value() == (chain >= oldest_tried));
    }
  }
}

}  // namespace godwit::crypto
