#include "tools/load/body.hpp"

#include <algorithm>
#include <random>

#include "schema/wire/bytes.hpp"
#include "schema/wire/limits.hpp"
#include "tools/load/scenario.hpp"

namespace godwit::load {
namespace {

constexpr std::size_t kHeader = 24;  // run, number, flow, size
static_assert(kHeader < kPayloadMin);
constexpr std::size_t kStarts = 4'093;  // a prime: neighbours begin elsewhere in the pattern

}  // namespace

Bodies::Bodies(std::uint64_t run) : run_(run), patterns_(wire::kEnvelopeSizeMax + kStarts) {
  std::mt19937_64 random(run);
  for (auto& byte : patterns_) byte = static_cast<std::uint8_t>(random());
}

wire::ByteView Bodies::pattern(const BodyName& name, std::size_t size) const {
  const std::size_t start = (name.number * 31 + name.flow * 7) % kStarts;
  return wire::ByteView(patterns_).subspan(start, size - kHeader);
}

wire::ByteView Bodies::make(std::uint32_t flow, std::uint64_t number, std::uint32_t size) {
  made_.resize(size);
  wire::store_le(made_.data(), run_);
  wire::store_le(made_.data() + 8, number);
  wire::store_le(made_.data() + 16, flow);
  wire::store_le(made_.data() + 20, size);
  std::ranges::copy(pattern({run_, flow, number}, size), made_.begin() + kHeader);
  return made_;
}

std::optional<BodyName> Bodies::name_of(wire::ByteView body) {
  if (body.size() < kHeader) return std::nullopt;
  return BodyName{wire::load_le<std::uint64_t>(body),
                  wire::load_le<std::uint32_t>(body.subspan(16)),
                  wire::load_le<std::uint64_t>(body.subspan(8))};
}

bool Bodies::intact(wire::ByteView body, const BodyName& name, std::uint32_t size) const {
  return name.run == run_ && body.size() == size && name_of(body) == name &&
         wire::load_le<std::uint32_t>(body.subspan(20)) == size &&
         std::ranges::equal(body.subspan(kHeader), pattern(name, size));
}

}  // namespace godwit::load
