// load/body: the bytes of an envelope that nobody encrypts: which run, flow and number it is, and
// then a pattern that depends on them, so that every changed, cut or swapped byte shows.
// Thread:  one owner.
#pragma once

#include <cstdint>
#include <optional>

#include "schema/wire/types.hpp"

namespace godwit::load {

struct BodyName {
  std::uint64_t run = 0;
  std::uint32_t flow = 0;
  std::uint64_t number = 0;
  friend bool operator==(const BodyName&, const BodyName&) = default;
};

class Bodies {
 public:
  explicit Bodies(std::uint64_t run);

  // Lives until the next call. `size`: at least kPayloadMin.
  [[nodiscard]] wire::ByteView make(std::uint32_t flow, std::uint64_t number, std::uint32_t size);

  // What an envelope says that it is; nothing when it is too short to say so.
  [[nodiscard]] static std::optional<BodyName> name_of(wire::ByteView body);
  // Whether it is byte for byte what make() made.
  [[nodiscard]] bool intact(wire::ByteView body, const BodyName& name, std::uint32_t size) const;

 private:
  [[nodiscard]] wire::ByteView pattern(const BodyName& name, std::size_t size) const;

  std::uint64_t run_;
  wire::Bytes patterns_;
  wire::Bytes made_;
};

}  // namespace godwit::load
