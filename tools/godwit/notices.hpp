// notices: what somebody should know of an event that is no message, and whose it is. The library
// is never silent about a changed device or a list that contradicts another, and neither are the
// commands that connect: all of them tell through here.
// Thread: the main one.
// Trust:  names and details are other people's; what comes from here is one safe line.
#pragma once

#include <optional>
#include <string>

#include "tools/godwit/output.hpp"

namespace godwit::cli {

// "bob: devices changed: device left 3a..."; nothing for what is no news. `offline` is none: who
// waits for the relay is told the reason, and at the end it is we who disconnect.
[[nodiscard]] std::optional<std::string> notice_of(const Event& event, const Client& client);
// The same on stderr.
void tell(const Event& event, const Client& client, const Output& out);

// What came while a command was connected is kept and acknowledged, so that no sync shows it any
// more. Ends the connection, for nothing to come after this. `own`: the message that the command
// sends, and of which it says itself whether it failed.
void tell_of_arrivals(Client& client, const std::optional<MessageId>& own, const Output& out);

}  // namespace godwit::cli
