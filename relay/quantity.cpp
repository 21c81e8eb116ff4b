#include "relay/quantity.hpp"

#include <charconv>
#include <vector>

namespace godwit::relay {
namespace {

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;
constexpr std::uint64_t kGiB = 1024 * kMiB;
constexpr std::uint64_t kTiB = 1024 * kGiB;

struct UnitName {
  std::string_view name;
  std::string_view singular;  // also read
  std::uint64_t factor;
};

// Greatest first: writing takes the first that divides.
std::vector<UnitName> unit_names(Unit unit) {
  switch (unit) {
    case Unit::bytes:
      return {{"TiB", "TiB", kTiB},
              {"GiB", "GiB", kGiB},
              {"MiB", "MiB", kMiB},
              {"KiB", "KiB", kKiB},
              {"bytes", "byte", 1}};
    case Unit::seconds:
      return {{"days", "day", 86'400},
              {"hours", "hour", 3'600},
              {"minutes", "minute", 60},
              {"seconds", "second", 1}};
    case Unit::none:
      break;
  }
  return {};
}

}  // namespace

std::string format_number(std::uint64_t value, Unit unit) {
  for (const auto& name : unit_names(unit)) {
    if (value % name.factor != 0 || (value == 0 && name.factor != 1)) continue;
    const auto count = value / name.factor;
    return std::to_string(count) + " " + std::string(count == 1 ? name.singular : name.name);
  }
  return std::to_string(value);
}

std::optional<std::uint64_t> parse_quantity(std::string_view text, Unit unit) {
  std::uint64_t count = 0;
  const auto* const text_end = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), text_end, count);
  if (error != std::errc{}) return {};
  std::string_view name(end, static_cast<std::size_t>(text_end - end));
  if (name.starts_with(' ')) name.remove_prefix(1);
  for (const auto& known : unit_names(unit)) {
    if (name != known.name && name != known.singular) continue;
    if (count > UINT64_MAX / known.factor) return {};
    return count * known.factor;
  }
  return {};
}

}  // namespace godwit::relay
