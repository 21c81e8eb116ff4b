// support/fixed_random: a reproducible stand-in for the system's random source. The i-th call,
// counted from 1, gives the first bytes of BLAKE2b-512(seed || i || 0) || BLAKE2b-512(seed || i ||
// 1) || ..., numbers as u32 little-endian: the rule of the design's test vectors.
// Copies share nothing; hand it over by std::ref where one stream is meant.
#pragma once

#include <algorithm>

#include "schema/wire/bytes.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::test {

class FixedRandom {
 public:
  explicit FixedRandom(wire::Bytes seed) : seed_(std::move(seed)) {}
  explicit FixedRandom(std::string_view seed)
      : FixedRandom(wire::Bytes(wire::as_bytes(seed).begin(), wire::as_bytes(seed).end())) {}

  void operator()(std::span<std::uint8_t> out) {
    ++calls_;
    for (std::uint32_t block = 0; !out.empty(); ++block) {
      wire::Bytes number;
      wire::append_le(number, calls_);
      wire::append_le(number, block);
      std::array<std::uint8_t, 64> drawn{};
      wire::blake2b(drawn, {seed_, number});
      const std::size_t size = std::min(out.size(), drawn.size());
      std::copy_n(drawn.begin(), size, out.begin());
      out = out.subspan(size);
    }
  }

 private:
  wire::Bytes seed_;
  std::uint32_t calls_ = 0;
};

}  // namespace godwit::test
