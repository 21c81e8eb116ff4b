#include "tools/load/tally.hpp"

#include <doctest/doctest.h>

#include "schema/wire/bytes.hpp"

namespace godwit::load {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kHeader = 4;

Word example_word() {
  Word word;
  word.kind = Word::Kind::arrived;
  word.phase = Phase::measure;
  word.phase_seconds = 2.5;
  std::uint64_t next = 1;
  for (const auto count : kCounts) word.tally.counts.*count = (next++) << 33;
  word.tally.in_flight = 77;
  word.tally.connections = 88;
  word.tally.cpu_s = 0.125;
  for (int i = 1; i < 300; ++i) word.tally.delivery.record(i * 17us);
  word.tally.accepted.record(3h);  // beyond the last bucket
  word.tally.refused = {{"mailbox_full", 7}, {"busy", 8}};
  word.tally.logins_refused = {{"rate_limited", 9}};
  word.tally.events = {{Clock::time_point(5s), "it rained"}, {Clock::time_point(6s), ""}};
  word.faults = {"a fault", "another"};
  return word;
}

WordError refusal(wire::ByteView bytes) {
  const auto word = parse_word(bytes);
  REQUIRE(!word.has_value());
  return word.error();
}

// The size in front made that of the bytes behind it.
wire::Bytes sized(wire::Bytes bytes) {
  wire::store_le(bytes.data(), static_cast<std::uint32_t>(bytes.size() - kHeader));
  return bytes;
}

}  // namespace

TEST_SUITE("tools/load/tally") {
  TEST_CASE("a word comes back as it was said") {
    const Word word = example_word();
    wire::Bytes bytes = encode(word);
    const std::size_t size = bytes.size();
    bytes.push_back(9);  // of the next word
    const auto parsed = parse_word(bytes);
    REQUIRE(parsed.has_value());
    CHECK(parsed->second == size);
    const Word& again = parsed->first;
    CHECK(encode(again) == encode(word));
    CHECK(again.kind == Word::Kind::arrived);
    CHECK(again.phase == Phase::measure);
    CHECK(again.phase_seconds == 2.5);
    for (const auto count : kCounts) {
      CHECK(again.tally.counts.*count == word.tally.counts.*count);
    }
    CHECK(again.tally.in_flight == 77);
    CHECK(again.tally.connections == 88);
    CHECK(again.tally.cpu_s == 0.125);
    CHECK(again.tally.delivery.count() == 299);
    CHECK(again.tally.delivery.quantile_us(0.5) == word.tally.delivery.quantile_us(0.5));
    CHECK(again.tally.accepted.max_us() == word.tally.accepted.max_us());
    CHECK(again.tally.refused == word.tally.refused);
    CHECK(again.tally.logins_refused == word.tally.logins_refused);
    REQUIRE(again.tally.events.size() == 2);
    CHECK(again.tally.events[0].at == Clock::time_point(5s));
    CHECK(again.tally.events[0].what == "it rained");
    CHECK(again.faults == word.faults);
  }

  TEST_CASE("a word that is cut waits for its rest, and is refused when it says it has none") {
    const wire::Bytes whole = encode(example_word());
    for (std::size_t size = 0; size < whole.size(); ++size) {
      CAPTURE(size);
      const wire::Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      CHECK(refusal(cut) == WordError::incomplete);
      if (size >= kHeader) CHECK(refusal(sized(cut)) == WordError::broken);
    }
  }

  TEST_CASE("bytes that are no word are refused") {
    const wire::Bytes whole = encode(example_word());
    wire::Bytes longer = whole;
    longer.push_back(0);
    CHECK(refusal(sized(longer)) == WordError::broken);
    wire::Bytes kind = whole;
    kind[kHeader] = 3;
    CHECK(refusal(kind) == WordError::broken);
    wire::Bytes phase = whole;
    phase[kHeader + 1] = 6;
    CHECK(refusal(phase) == WordError::broken);
    wire::Bytes huge = whole;
    wire::store_le(huge.data(), static_cast<std::uint32_t>(kWordSizeMax + 1));
    CHECK(refusal(huge) == WordError::broken);
    // The first bucket of the first histogram: kind, phase, seconds, counts and three figures
    // stand before it, and its maximum and size.
    wire::Bytes bucket = whole;
    const std::size_t at = kHeader + 2 + 8 + 8 * std::size(kCounts) + 3 * 8 + 8 + 4;
    REQUIRE(parse_word(bucket).has_value());
    wire::store_le(bucket.data() + at, std::uint32_t{1'000'000});
    CHECK(refusal(bucket) == WordError::broken);
  }

  TEST_CASE("what is taken again and again adds up to what was counted") {
    Tally part;
    Tally known;
    for (int i = 1; i <= 3; ++i) {
      part.counts.accepted += 10;
      part.in_flight = static_cast<std::uint64_t>(i);
      part.delivery.record(std::chrono::milliseconds(i));
      part.accepted.record(1ms);
      part.event("event " + std::to_string(i));
      known.follow(part.take());
      CHECK(part.delivery.count() == 0);
      CHECK(part.events.empty());
    }
    CHECK(known.counts.accepted == 30);
    CHECK(known.in_flight == 3);
    CHECK(known.delivery.count() == 3);
    CHECK(known.delivery.max_us() == 3'000);
    CHECK(known.accepted.count() == 3);
    REQUIRE(known.events.size() == 3);
    CHECK(known.events.front().what == "event 1");
    CHECK(known.events.back().what == "event 3");
  }
}

}  // namespace godwit::load
