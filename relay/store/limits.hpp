// store/limits: every bound of the store that no operator sets.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "schema/wire/limits.hpp"

namespace godwit::relay::store {

// --- Specification: what stands on the disk -----------------------------------------------------
inline constexpr std::uint32_t kDataVersion = 1;
inline constexpr std::size_t kKeySizeMax = 511;  // LMDB's own

// An envelope with what a log record has besides, which is the longest of all records.
inline constexpr std::size_t kValueSizeMax = wire::kEnvelopeSizeMax + 64;

// --- Implementation ------------------------------------------------------------------------------
// Damaged records kept for a look; further ones are only deleted.
inline constexpr std::size_t kQuarantineMax = 1'000;
// Appends stop when this much of the map is in use: LMDB needs free pages even to delete.
inline constexpr std::uint64_t kMapPercentMax = 80;
// The reserve is this part of the map at most: else a small store had no room for anything else.
inline constexpr std::uint64_t kReservePart = 10;
// Removals per transaction while the store is full, if so many fit.
inline constexpr std::size_t kRemovesWhileFullMax = 256;
// Records repaired or quarantined per transaction then.
inline constexpr std::size_t kRepairsPerCommitMax = 64;
// How often a full store asks the disk again.
inline constexpr std::chrono::seconds kRetryInterval{1};
// How often reader slots of processes that died are freed.
inline constexpr std::chrono::seconds kReaderCheckInterval{60};
// Reader slots beyond one per loop: the writer's own, start-up, a backup, the operator's tools.
inline constexpr std::uint32_t kSpareReaders = 16;

}  // namespace godwit::relay::store
