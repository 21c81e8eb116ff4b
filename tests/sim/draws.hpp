// sim/draws: the randomness of a simulation: a small generator whose numbers are the same on every
// machine (SplitMix64), and what a simulation asks of it. Never for real keys.
// Thread:  one owner.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstring>
#include <span>

namespace godwit::sim {

class Draws {
 public:
  explicit Draws(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e37'79b9'7f4a'7c15;
    z = (z ^ (z >> 30)) * 0xbf58'476d'1ce4'e5b9;
    z = (z ^ (z >> 27)) * 0x94d0'49bb'1331'11eb;
    return z ^ (z >> 31);
  }
  // 0 to `below` - 1. The modulo's bias is of no account here.
  std::uint64_t below(std::uint64_t below) { return next() % below; }
  bool chance(unsigned percent) { return below(100) < percent; }
  template <class Duration>
  Duration between(Duration least, Duration most) {
    return least + Duration(static_cast<typename Duration::rep>(
                       below(static_cast<std::uint64_t>((most - least).count()) + 1)));
  }
  void fill(std::span<std::uint8_t> out) {
    while (!out.empty()) {
      const std::uint64_t number = next();
      const std::size_t size = out.size() < sizeof number ? out.size() : sizeof number;
      std::memcpy(out.data(), &number, size);
      out = out.subspan(size);
    }
  }
  // A generator of its own, so that what one part draws does not change what another gets.
  Draws split() { return Draws(next()); }

 private:
  std::uint64_t state_;
};

}  // namespace godwit::sim
