// power/daemon_check: opens a disk image with the real daemon and judges it by the notes that were
// made before the power went. What is broken is a failed REQUIRE.
//
// The people come back as they would: each sender sends again what has no outcome, each receiver
// takes what is there. In the end everything that was submitted has arrived:
//   I1  once, unless the receiver had begun to acknowledge it; then once or not at all
//   I2  not at all, where the ack had been confirmed
//   I3  in the order of its sender
//   I4  with the bytes that were submitted, and nothing else
//   I5  the relay's figures are what was counted here, and zero at the end
//   I6  (thorough) another start finds the same
// Who was registered is, and has the name that was confirmed last, or the one asked for since.
//
// Thread: the caller's.
#pragma once

#include "tests/power/disk.hpp"

namespace godwit::power {

void check_daemon(const std::filesystem::path& image, Notes notes, bool thorough);

}  // namespace godwit::power
