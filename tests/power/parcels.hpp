// power/parcels: who sends what to whom while the daemon is recorded, and the notes that are made
// of it. Everything follows from numbers, so that an image can be judged from the notes alone.
#pragma once

#include "tests/power/recording.hpp"
#include "tests/support/raw_device.hpp"

namespace godwit::power {

inline constexpr std::uint32_t kSenders = 3;
inline constexpr std::uint32_t kReceivers = 4;
inline constexpr std::uint32_t kUsers = kSenders + kReceivers;

// One device each, the senders first; made once.
[[nodiscard]] const support::Account& account_of(std::uint32_t user);
[[nodiscard]] wire::Recipient recipient_of(std::uint32_t receiver);

// An envelope on its way to one of its receivers. Envelopes of one sender are numbered in the
// order in which they are submitted.
struct Parcel {
  std::uint64_t envelope = 0;
  std::uint32_t receiver = 0;

  [[nodiscard]] std::uint32_t sender() const {
    return static_cast<std::uint32_t>(envelope % kSenders);
  }
  friend auto operator<=>(const Parcel&, const Parcel&) = default;
};

// 100 bytes to 9 kB, most of them short; they begin with the number.
[[nodiscard]] wire::Bytes bytes_of(std::uint64_t envelope);
[[nodiscard]] wire::RequestId request_id_of(std::uint64_t envelope);
// Nothing when these are not the bytes of an envelope.
[[nodiscard]] std::optional<std::uint64_t> parse_envelope(wire::ByteView bytes);

[[nodiscard]] inline std::string name_of(std::uint64_t number) {
  return "name" + std::to_string(number);
}

// A request goes out; its answer was read, and it was good.
enum What : std::uint32_t {
  kRegistering,  // a user
  kRegistered,
  kNaming,  // a user and the number of a name
  kNamed,
  kSubmitting,  // a parcel
  kAccepted,
  kAcking,  // a parcel
  kAckDone,
};

[[nodiscard]] inline Note note_of(What what, std::uint64_t number, std::uint32_t of = 0) {
  return {what, number << 8 | of};
}
[[nodiscard]] inline Note note_of(What what, const Parcel& parcel) {
  return note_of(what, parcel.envelope, parcel.receiver);
}
[[nodiscard]] inline std::uint64_t number_in(const Note& note) {
  return note.number >> 8;
}
[[nodiscard]] inline std::uint32_t of_in(const Note& note) {
  return note.number & 0xff;
}
[[nodiscard]] inline Parcel parcel_in(const Note& note) {
  return {number_in(note), of_in(note)};
}

}  // namespace godwit::power
