// slot/recent: the requests that left their queues last, so that one that is sent again is answered
// and not delivered again.
//
// A ring of tags, the oldest overwritten first, and an index with open addressing that holds a
// part of each hash: to learn that a request is new, which is the rule, takes one look at memory.
//
// Owns:    the last kRecentRequestsMax tags: 36 to 52 bytes each, allocated as they come.
// Refuses: to know what became of a request.
// Thread:  the loop's.
// Trust:   request ids are the clients' choice, so the hash is a keyed one.
#pragma once

#include <vector>

#include "relay/store/batch.hpp"

namespace godwit::relay::slot {

class Recent {
 public:
  [[nodiscard]] bool contains(std::uint64_t hash, const store::RequestTag& request) const;
  void add(std::uint64_t hash, const store::RequestTag& request);

 private:
  struct Request {
    store::RequestTag tag;
    std::uint32_t hash = 0;
  };
  struct Place {
    std::uint32_t hash = 0;
    std::uint32_t request = 0;  // 1 + its index in the ring; 0: nothing stands here
  };

  void grow_index();
  void index(std::uint32_t hash, std::uint32_t request);
  void forget(std::uint32_t hash, std::uint32_t request);
  [[nodiscard]] std::size_t mask() const { return index_.size() - 1; }

  std::vector<Request> ring_;
  std::size_t oldest_ = 0;  // the next to be overwritten, once the ring is full
  std::vector<Place> index_ = std::vector<Place>(1'024);  // a power of two, at most half full
};

}  // namespace godwit::relay::slot
