// core/limits: every bound and interval of the client's core. Those of the protocol are in
// schema/wire/limits.hpp, those of sessions in crypto/session.hpp.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace godwit::core {

using std::chrono::milliseconds;

// --- Specification: what other clients rely on -------------------------------------------------
inline constexpr milliseconds kClockAheadMax = std::chrono::minutes{2};   // of the relay's clock
inline constexpr milliseconds kHlcAheadMax = std::chrono::minutes{5};     // of ours, before a mark
inline constexpr milliseconds kGapAge = std::chrono::seconds{5};          // before it is asked for
inline constexpr milliseconds kRepairInterval = std::chrono::seconds{5};  // a peer device
inline constexpr milliseconds kRepairIntervalMax = std::chrono::hours{1};
inline constexpr std::uint8_t kResendsMax = 3;  // of one payload to one device, in this time
inline constexpr milliseconds kResendsInterval = std::chrono::hours{1};
inline constexpr milliseconds kResetInterval = std::chrono::hours{1};  // a peer device
inline constexpr milliseconds kSignedPrekeyAge = std::chrono::hours{48};
inline constexpr milliseconds kSignedPrekeyLife = std::chrono::hours{24 * 30};
inline constexpr milliseconds kStalePrekeyMax = std::chrono::hours{24 * 180};
inline constexpr milliseconds kSealKeyAge = std::chrono::hours{24 * 15};
inline constexpr milliseconds kSealKeyLife = std::chrono::hours{24 * 30};
// A seal key that is to be used for longer was made or taken by a clock that was ahead.
inline constexpr milliseconds kSealKeyUseMax = kSealKeyLife + std::chrono::hours{24};
inline constexpr milliseconds kTtlMax = std::chrono::hours{24 * 45};    // at any relay
inline constexpr milliseconds kRetain = kTtlMax + std::chrono::hours{24 * 15};
inline constexpr milliseconds kSealedLife = std::chrono::hours{24};  // of what no relay has yet
inline constexpr milliseconds kSessionKeyAge = std::chrono::hours{24};  // of the store
inline constexpr std::uint32_t kOneTimeKeysFull = 100;
inline constexpr std::uint32_t kOneTimeKeysLow = 20;
inline constexpr std::chrono::seconds kTypingTtl{5};

// --- Implementation ----------------------------------------------------------------------------
inline constexpr std::size_t kOutboxMax = 1'000'000;  // messages that wait
inline constexpr std::size_t kSubmitsInFlightMax = 256;
inline constexpr std::size_t kSubmitBytesInFlightMax = 4 * 1024 * 1024;
inline constexpr std::size_t kLookUpsInFlightMax = 16;
inline constexpr std::size_t kRequestsInFlightMax = 4'096;  // more than an honest relay leaves open
// For which a device is heard that has left its user's list. Of the first one what came between the
// login and the list is no part.
inline constexpr std::uint32_t kCatchUpsHeard = 2;
inline constexpr std::size_t kStrangersMax = 64;  // device lists of people who are no contacts
inline constexpr std::size_t kStrangersParkedMax = 32;  // envelopes, while look-ups are refused
inline constexpr std::size_t kCachedDevicesMax = 256;
inline constexpr std::uint64_t kEarlyMax = 4'096;  // payloads of a device that wait behind a gap,
inline constexpr std::size_t kEarlyBytesMax = 4 * 1024 * 1024;  // and what they hold
inline constexpr std::uint64_t kUnreceiptedMax = 64;  // payloads that by themselves ask for none
inline constexpr milliseconds kSleepMax = std::chrono::hours{24 * 30};  // between two logins
inline constexpr milliseconds kPingInterval = std::chrono::seconds{45};
inline constexpr milliseconds kAnswerWait = std::chrono::seconds{30};  // while nothing else comes
inline constexpr milliseconds kAnswerWaitMax = std::chrono::minutes{2};
inline constexpr milliseconds kRetryFirst = std::chrono::seconds{1};
inline constexpr milliseconds kRetryMax = std::chrono::minutes{5};
inline constexpr milliseconds kRetryAfterMax = std::chrono::minutes{30};  // if a relay asks more
inline constexpr milliseconds kLoginLateMax = std::chrono::minutes{2};  // of one we gave up
inline constexpr milliseconds kAfterOvertaken = std::chrono::seconds{1};
inline constexpr int kLoginAttemptsMax = 4;               // Logins and Registers of a connection
inline constexpr std::uint32_t kOneTimeKeysKept = 5'000;  // secret halves; relays keep 200 at most
inline constexpr milliseconds kTopUpInterval = std::chrono::seconds{10};
inline constexpr milliseconds kUpkeepInterval = std::chrono::hours{1};
// Of a text that nobody has confirmed, before its reader's device list is asked for.
inline constexpr milliseconds kUnheardAge = std::chrono::hours{1};
inline constexpr milliseconds kUnheardInterval = std::chrono::hours{24};
inline constexpr milliseconds kSeenPeriod =
    std::chrono::hours{24 * 30};  // kept: this and two before
inline constexpr int kSortKeyTriesMax = 16;  // places side by side in a conversation
inline constexpr std::size_t kPageMax = 1'000;
inline constexpr std::size_t kKeySizeMax = 256;
inline constexpr std::size_t kPreviewSizeMax = 120;

}  // namespace godwit::core
