// wire/limits: every bound of the protocol. What an operator may lower or raise is in
// relay/limits.hpp and travels in Welcome; what stands here never moves within version 1.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace godwit::wire {

inline constexpr std::uint16_t kProtocolVersion = 1;
inline constexpr std::uint16_t kProtocolVersionMin = 1;

// --- Specification: Noise and the record layer -------------------------------------------------
inline constexpr std::size_t kNoiseMessageSizeMax = 65'535;
inline constexpr std::size_t kNoiseTagSize = 16;
inline constexpr std::size_t kRecordHeaderSize = 2;
// The initiator's first message as a record: an ephemeral key, a sealed static key, no payload.
inline constexpr std::size_t kHelloSize = kRecordHeaderSize + 32 + 32 + 2 * kNoiseTagSize;
inline constexpr std::size_t kRecordPlaintextSizeMax = kNoiseMessageSizeMax - kNoiseTagSize;
inline constexpr std::uint64_t kRekeyInterval = std::uint64_t{1} << 20;  // records per direction
inline constexpr std::chrono::hours kConnectionAgeMax{24};

// --- Specification: frames ---------------------------------------------------------------------
inline constexpr std::size_t kFrameHeaderSize = 4;
inline constexpr std::size_t kFrameSizeMax = 512 * 1024;  // body, without the header
inline constexpr std::size_t kFrameSizeMaxBeforeLogin = 4 * 1024;
inline constexpr std::size_t kFrameSizeMin = 8;  // no FlatBuffer is shorter

// --- Specification: FlatBuffers verifier ---------------------------------------------------------
inline constexpr std::uint32_t kVerifierTablesMax = 64;
inline constexpr std::uint32_t kVerifierDepthMax = 8;

// --- Specification: content --------------------------------------------------------------------
inline constexpr std::size_t kEnvelopeSizeMax = 72 * 1024;
inline constexpr std::size_t kRecipientsMax = 1'024;
inline constexpr std::size_t kBodiesMax = kRecipientsMax;
inline constexpr std::size_t kAckNumbersMax = 1'024;
inline constexpr std::size_t kDevicesMax = 16;  // in one list; the relay's own limit is lower
inline constexpr std::size_t kSuitesMax = 8;
inline constexpr std::size_t kOneTimeKeysPerRequestMax = 200;
inline constexpr std::size_t kListsPerReplyMax = 8;
inline constexpr std::size_t kNameSizeMin = 2;
inline constexpr std::size_t kNameSizeMax = 32;
// The longest body of a list: label, user, gen, seq, hash, count, and every device at full size.
inline constexpr std::size_t kDeviceRecordSizeMax = 32 + 32 + 8 + 1 + kSuitesMax;
inline constexpr std::size_t kListBodySizeMax =
    13 + 16 + 4 + 8 + 32 + 1 + kDevicesMax * (2 + kDeviceRecordSizeMax + 64);
inline constexpr std::uint32_t kNoOneTimeKey = 0xffff'ffff;  // never the id of a one-time key
inline constexpr std::uint16_t kNoList = 0xffff;  // Outcome.list when there is none

}  // namespace godwit::wire
