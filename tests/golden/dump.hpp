// golden/dump: a frame as text, every field of it, so that two frames can be compared and the
// difference read. It touches every byte that a frame's views lead to.
#pragma once

#include <string>

#include "schema/wire/messages.hpp"

namespace godwit::test {

[[nodiscard]] std::string text_of(const wire::Request& request);
[[nodiscard]] std::string text_of(const wire::RelayFrame& frame);

}  // namespace godwit::test
