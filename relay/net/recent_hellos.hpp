// net/recent_hellos: the hellos that came lately, so that one that is played again costs no
// arithmetic. A device draws new keys for each; who recorded one can send it as often as he likes.
//
// A hello is known by the end of its tag. An older one may be forgotten for a newer, and is then
// answered once more: to somebody who cannot read the answer.
//
// Thread: one.
#pragma once

#include <vector>

#include "schema/wire/hash.hpp"

namespace godwit::relay::net {

using HelloMark = std::array<std::uint8_t, 8>;  // its last bytes

class RecentHellos {
 public:
  // `places`: a power of two, of 8 bytes each; taken at once. `hash_key`: random, so that nobody
  // chooses whom to push out.
  RecentHellos(std::size_t places, const wire::SipKey& hash_key)
      : hash_key_(hash_key), places_(places) {}

  // True when it is known; else it is from now on.
  [[nodiscard]] bool seen(const HelloMark& mark) {
    HelloMark& place = places_[wire::siphash(hash_key_, mark) & (places_.size() - 1)];
    if (place == mark) return true;
    place = mark;
    return false;
  }

 private:
  const wire::SipKey hash_key_;
  std::vector<HelloMark> places_;
};

}  // namespace godwit::relay::net
