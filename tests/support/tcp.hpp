// support/tcp: sockets without a loop, thousands of them.
// Thread: pure functions.
#pragma once

#include <string>

#include "schema/net/descriptor.hpp"

namespace godwit::support {

// A socket that connects to HOST:PORT and does not block. On the loopback the connection stands
// when this returns, unless the listener has no room. None when the system has no socket for it.
// `from`: the source address; empty: any. `receive_buffer`: in bytes; 0: as the system has it.
[[nodiscard]] net::Descriptor begin_tcp(const std::string& host_port, const std::string& from,
                                        int receive_buffer = 0);

// Ends it with RST.
void reset_tcp(net::Descriptor socket);

}  // namespace godwit::support
