// handle_map: values that are found by a handle in two steps through memory: one per connection
// and session, looked up several times for each message.
//
// Owns:    the values. Each has an address that stays until it is erased.
// Thread:  one.
// Trust:   a handle of what was erased finds nothing, until its place has been used 2^32 times.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace godwit::relay {

using Handle = std::uint64_t;  // never 0: the generation of a place, then its number

// The number of its place: below the most that were there at once, and the same for no two values
// that are.
[[nodiscard]] inline std::uint32_t index_of(Handle handle) {
  return static_cast<std::uint32_t>(handle);
}

template <class T>
class HandleMap {
 public:
  Handle add(std::unique_ptr<T> value) {
    if (free_.empty()) {
      free_.push_back(static_cast<std::uint32_t>(places_.size()));
      places_.emplace_back();
    }
    const std::uint32_t index = free_.back();
    free_.pop_back();
    Place& place = places_[index];
    place.value = std::move(value);
    if (++place.generation == 0) ++place.generation;
    ++size_;
    return Handle{place.generation} << 32 | index;
  }
  [[nodiscard]] T* find(Handle handle) const {
    const std::uint32_t index = index_of(handle);
    if (index >= places_.size()) return nullptr;
    const Place& place = places_[index];
    return place.generation == handle >> 32 ? place.value.get() : nullptr;
  }
  // Whether there was one.
  bool erase(Handle handle) {
    if (find(handle) == nullptr) return false;
    places_[index_of(handle)].value.reset();
    free_.push_back(index_of(handle));
    --size_;
    return true;
  }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  // In no order. `visit` may neither add nor erase.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for_each_of(0, 1, visit);
  }
  // Part number `part` of so many parts that make up the whole.
  template <class Visit>
  void for_each_of(std::size_t part, std::size_t parts, Visit&& visit) const {
    for (std::size_t i = part; i < places_.size(); i += parts) {
      if (places_[i].value) visit(*places_[i].value);
    }
  }

 private:
  struct Place {
    std::unique_ptr<T> value;
    std::uint32_t generation = 0;
  };
  std::vector<Place> places_;
  std::vector<std::uint32_t> free_;
  std::size_t size_ = 0;
};

}  // namespace godwit::relay
