// power/disk: what a disk may hold when the power goes at some moment of a recording.
//
// Durable is what a sync of its file came after, or what was written through O_DSYNC. Of the rest
// any part may be there: a device keeps the sectors of 512 bytes that it came to, in any order.
//
// Owns:    nothing; images are directories that the caller names.
// Trust:   one thing is assumed of a disk: it writes a sector whole or not at all.
#pragma once

#include <functional>
#include <span>

#include "tests/power/recording.hpp"

namespace godwit::power {

inline constexpr std::size_t kSectorSize = 512;

// Every note that was made before the power went, in order.
using Notes = std::span<const Note>;

// Of a store that is given one numbered commit after the other.
enum CommitNote : std::uint32_t { kBegun, kAcked };
struct Promised {
  std::uint64_t acked = 0;  // the last commit that was said to be durable; 0: none
  std::uint64_t begun = 0;  // the last one that the store was given
};
[[nodiscard]] Promised promised_by(Notes notes);

// Every write was heard: all operations, one after the other, make the files that are there.
[[nodiscard]] bool whole(const Recording& recording);

// Calls `check` for image after image, each a directory of its own in the place of the one before:
// at every operation of the recording, or at every n-th where that would be too many, from one that
// is drawn for each run, of GODWIT_POWER_SEED where it is set. About GODWIT_POWER_IMAGES of them,
// else `images`. GODWIT_POWER_REPLAY=CUT/SEED makes that one alone. Returns how many there were.
using Check = std::function<void(const std::filesystem::path& image, Notes notes)>;
[[nodiscard]] std::uint64_t cut_everywhere(const Recording& recording,
                                           const std::filesystem::path& image, std::uint64_t images,
                                           const Check& check);

}  // namespace godwit::power
