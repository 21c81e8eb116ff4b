#include "relay/slot/recent.hpp"

#include "relay/limits.hpp"

namespace godwit::relay::slot {

bool Recent::contains(std::uint64_t hash, const store::RequestTag& request) const {
  const auto part = static_cast<std::uint32_t>(hash);
  for (std::size_t at = part & mask(); index_[at].request != 0; at = (at + 1) & mask()) {
    if (index_[at].hash == part && ring_[index_[at].request - 1].tag == request) return true;
  }
  return false;
}

void Recent::add(std::uint64_t hash, const store::RequestTag& request) {
  if (contains(hash, request)) return;
  const auto part = static_cast<std::uint32_t>(hash);
  if (ring_.size() < kRecentRequestsMax) {
    ring_.push_back({request, part});
    if (2 * ring_.size() > index_.size()) return grow_index();
    return index(part, static_cast<std::uint32_t>(ring_.size()));
  }
  const auto place = static_cast<std::uint32_t>(oldest_ + 1);
  forget(ring_[oldest_].hash, place);
  ring_[oldest_] = {request, part};
  index(part, place);
  oldest_ = (oldest_ + 1) % kRecentRequestsMax;
}

void Recent::grow_index() {
  index_.assign(2 * index_.size(), {});
  for (std::size_t i = 0; i < ring_.size(); ++i) {
    index(ring_[i].hash, static_cast<std::uint32_t>(i + 1));
  }
}

void Recent::index(std::uint32_t hash, std::uint32_t request) {
  std::size_t at = hash & mask();
  while (index_[at].request != 0) at = (at + 1) & mask();
  index_[at] = {hash, request};
}

// What stands behind the gap moves into it where that brings it no further than its own place: so
// a search may still end at the first place where nothing stands.
void Recent::forget(std::uint32_t hash, std::uint32_t request) {
  std::size_t gap = hash & mask();
  while (index_[gap].request != request) gap = (gap + 1) & mask();
  for (std::size_t at = (gap + 1) & mask(); index_[at].request != 0; at = (at + 1) & mask()) {
    const std::size_t home = index_[at].hash & mask();
    if (((at - home) & mask()) < ((at - gap) & mask())) continue;
    index_[gap] = index_[at];
    gap = at;
  }
  index_[gap] = {};
}

}  // namespace godwit::relay::slot
