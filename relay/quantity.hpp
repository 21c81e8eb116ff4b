// quantity: numbers with units, as they stand in relay.toml: "256 MiB", "30 days".
// Thread: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace godwit::relay {

enum class Unit : std::uint8_t { none, bytes, seconds };

// `value` bytes, seconds or things, in the greatest unit that divides it: what parse_quantity()
// reads back.
[[nodiscard]] std::string format_number(std::uint64_t value, Unit unit);

// Nothing when the text is not a number with a name of that unit, or is beyond 64 bits.
[[nodiscard]] std::optional<std::uint64_t> parse_quantity(std::string_view text, Unit unit);

}  // namespace godwit::relay
