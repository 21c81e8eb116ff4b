// load/tally: what one part of a load has counted, and how a part in a process of its own says so.
//
// The encoding, all numbers little-endian and unsigned; a text is its size (u32) and its bytes:
//   size u32, of all that follows
//   kind u8; phase u8; phase_seconds u64, the bits of a double
//   each of kCounts u64, in that order; in_flight u64; connections u64; cpu_s u64, bits of a double
//   delivery, accepted: max_ns u64, buckets u32, and for each: index u32, count u64
//   refused, logins_refused: codes u32, and for each: text, count u64
//   events u32, and for each: nanoseconds of the steady clock u64, text
//   faults u32, and for each: text
//
// Owns:    plain values.
// Thread:  one owner.
// Trust:   a child may have been killed or run over: what does not parse to its last byte is
// refused.
#pragma once

#include "schema/wire/types.hpp"
#include "tools/load/judge.hpp"

namespace godwit::load {

// What a part does, in this order; it leaves out what its scenario does not have.
enum class Phase : std::uint8_t { enroll, log_in, warm_up, measure, drain, settle };
[[nodiscard]] std::string_view name_of(Phase phase);

struct Tally {
  struct Happened {
    Clock::time_point at;  // of the steady clock, which all processes of a machine share
    std::string what;
  };

  Counts counts;  // so far, as the two below
  ByCode refused;
  ByCode logins_refused;
  std::uint64_t in_flight = 0;
  std::uint64_t connections = 0;
  double cpu_s = 0;              // of its process, so far; 0 when that is the reader's own
  Histogram delivery, accepted;  // since they were taken
  std::vector<Happened> events;  // likewise

  void event(std::string what) { events.push_back({Clock::now(), std::move(what)}); }
  // What has happened since the last take(): histograms and events are empty afterwards.
  [[nodiscard]] Tally take();
  // The newest of the same part: counts are replaced, histograms and events added.
  void follow(Tally&& newer);
};

// What a part in a process of its own tells.
struct Word {
  enum class Kind : std::uint8_t {
    counted,  // it was asked
    arrived,  // it waits for `phase`
    ended,    // it has played all, and this is its last word
  };
  Kind kind = Kind::counted;
  Phase phase = Phase::enroll;
  double phase_seconds = 0;
  Tally tally;
  std::vector<std::string> faults;
};

inline constexpr std::size_t kWordSizeMax = 1 << 20;

[[nodiscard]] wire::Bytes encode(const Word& word);

enum class WordError : std::uint8_t {
  incomplete,  // more bytes are to come
  broken,      // no bytes that follow can make it one
};
// The word that `bytes` begin with, and how many they are.
[[nodiscard]] tl::expected<std::pair<Word, std::size_t>, WordError> parse_word(
    wire::ByteView bytes);

}  // namespace godwit::load
