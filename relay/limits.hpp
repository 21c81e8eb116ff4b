// relay/limits: every queue and loop of the relay has its bound here. What an operator may change
// is in config.hpp; the protocol's own bounds are in schema/wire/limits.hpp.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace godwit::relay {

using namespace std::chrono_literals;

// --- Slots ---------------------------------------------------------------------------------------
inline constexpr std::uint16_t kSlots = 4'096;

// --- Delivery and staging ------------------------------------------------------------------------
inline constexpr std::chrono::microseconds kHoldMin = 2ms;   // a pushed envelope waits this long
inline constexpr std::chrono::microseconds kHoldMax = 20ms;  // and never longer, before the disk
inline constexpr std::size_t kStagedBytesMax = std::size_t{128} << 20;  // per loop, then `busy`
inline constexpr std::size_t kStagedOverhead = 256;  // of an envelope beside its bytes
inline constexpr std::size_t kRetriesWaitingMax = 16;  // of one request; then `busy`
inline constexpr std::size_t kRecentRequestsMax = 65'536;  // dedupe window per loop after the queue
inline constexpr std::size_t kSweepNodesPerTick = 20'000;  // expiry: bounded work per tick
inline constexpr std::chrono::minutes kClockJumpMin{5};  // of the wall clock: then nothing expires
// From the oldest number that is not acknowledged to the newest lie at most so many windows: a
// device that acknowledges all but the first cannot make the flight grow.
inline constexpr std::size_t kFlightSpanInWindows = 8;

// --- A mailbox that is half full -----------------------------------------------------------------
inline constexpr std::uint32_t kSharesOfMailbox = 8;  // one sender may add one of them

// --- What a refusal advises ----------------------------------------------------------------------
inline constexpr std::chrono::milliseconds kRetryMailboxFull = 60s;
inline constexpr std::chrono::milliseconds kRetryStoreFull = 5s;
inline constexpr std::chrono::milliseconds kRetryBusy = 200ms;
inline constexpr std::chrono::milliseconds kRetryUnknownDevice = 60s;

// --- Between loops -------------------------------------------------------------------------------
inline constexpr std::size_t kInboxMax = 65'536;  // messages; a full one parks the connection

// --- Connections ---------------------------------------------------------------------------------
inline constexpr std::uint64_t kOwnDescriptorsMax = 256;  // besides connections: store, log
inline constexpr std::uint64_t kDescriptorsPerLoop = 8;   // epoll, events, a signal's pipe
inline constexpr std::size_t kClosesAtOnce = 8;     // as long as a handshake, and less
inline constexpr std::chrono::microseconds kCanWaitMax = 5ms;  // of hellos and closes, a round
inline constexpr std::size_t kTicksPerSecond = 10;  // each looks at a part
inline constexpr std::chrono::seconds kHandshakeDeadline = 10s;  // until the first frame
inline constexpr std::chrono::seconds kLoginDeadline = 10s;      // until Welcome, from then on
inline constexpr std::chrono::seconds kCloseDeadline = 5s;       // until FIN, after Closing
inline constexpr std::chrono::seconds kIdleDeadline = 120s;      // silence of a live session
inline constexpr std::size_t kReadOfLimitedMax = 16 * 1024;  // of one connection, in a round
inline constexpr std::size_t kReadOfUnlimitedMax = 256 * 1024;  // likewise, from its first frame on
inline constexpr std::size_t kWriteQueuePauseBytes = 256 * 1024;  // and a window: not read above
inline constexpr std::size_t kWriteQueueMaxBytes = 4 << 20;       // and a window: it ends above
inline constexpr std::chrono::milliseconds kFrameWaitMax = 10ms;  // of a frame nobody waits for
inline constexpr std::size_t kWaitingBytesMax = 4 * 1024;  // per connection; more leave at once
inline constexpr std::size_t kSpareBuffersMax = 256;  // of written frames, kept; a loop
inline constexpr std::size_t kSpareBufferSizeMax = 16 * 1024;
inline constexpr std::size_t kCallsInFlightMax = 64;  // per session, other than submits
inline constexpr std::size_t kRecipientsPerToken = 16;  // of a Submit: more cost more tokens
inline constexpr std::chrono::milliseconds kRestAfterRefusal = 100ms;  // for its rate: not read
inline constexpr std::uint32_t kLoginAttemptsMax = 4;  // per session; with one more it ends
inline constexpr std::uint32_t kFramesBeforeLoginMax = 16;  // of any kind; likewise
inline constexpr std::uint32_t kAcksInFlightMax = 1'024;  // per session; then it is not read

// --- Stopping ------------------------------------------------------------------------------------
inline constexpr std::chrono::seconds kFarewellMax = 2s;   // for who is slow to read that we go
inline constexpr std::chrono::seconds kStopDeadline = 5s;  // for a disk: loops, then the writer

// --- Prekeys -------------------------------------------------------------------------------------
inline constexpr std::uint32_t kOneTimeKeysMax = 200;    // kept per device
inline constexpr std::uint32_t kOneTimeKeysLow = 20;     // KeysLow is sent at it, and at none
inline constexpr double kPrekeyFetchesPerSecond = 1.0;   // per requesting device
inline constexpr double kPrekeyFetchesBurst = 100;
inline constexpr double kPrekeyPopsPerSecond = 0.2;      // per target user; then signed prekey only
inline constexpr double kPrekeyPopsBurst = 150;
inline constexpr double kPrekeyPairPopsPerSecond = 1.0 / 600;  // per requesting device and target
inline constexpr double kPrekeyPairPopsBurst = 5;
inline constexpr double kLookupsPerSecond = 5;           // per requesting device
inline constexpr double kLookupsBurst = 200;
inline constexpr std::uint32_t kLookupsPerPutKeys = 4;      // as much work as so many look-ups
inline constexpr std::uint32_t kLookupsPerPutDevices = 20;

// --- In memory, bounded by eviction --------------------------------------------------------------
inline constexpr std::size_t kDirectoryCacheMax = 65'536;  // users per loop
inline constexpr std::size_t kStaticSecretsMax = 65'536;  // devices per loop; 4 MiB, at once
inline constexpr std::size_t kRecentHellosMax = 65'536;  // per loop; 512 KiB, at once
inline constexpr std::size_t kRateBucketsMax = 65'536;     // addresses or devices per table

}  // namespace godwit::relay
