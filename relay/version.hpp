// version: what this build calls itself. The number stands once, in the project's meson.build.
#pragma once

#include <string_view>

namespace godwit::relay {

[[nodiscard]] std::string_view version();

}  // namespace godwit::relay
