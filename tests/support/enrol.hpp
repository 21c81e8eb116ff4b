// support/enrol: accounts that a relay knows, and a login as it is on the wire. What fails is
// thrown as a RelayFailure.
// Thread: the fleet's.
#pragma once

#include "tests/support/raw_device.hpp"

namespace godwit::support {

// The account of `seed`, registered.
[[nodiscard]] Account enrolled(Fleet& fleet, std::uint64_t seed);

// A real device's handshake and login. Nothing else is sent, so that is all there is to record.
[[nodiscard]] wire::Bytes record_login(const wire::RelayAddress& relay, const Account& account);

}  // namespace godwit::support
