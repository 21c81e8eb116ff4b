// delivery/stage: envelopes that were taken in and are not yet on the disk.
//
// An envelope that was pushed waits here for a short hold: if the device acknowledges it first, it
// never touches the disk (it is elided). When the hold ends it goes into the next batch, in the
// order of its mailbox; when that batch is committed its senders get their answer.
//
// Owns:    the bytes of every envelope that the log does not have, and who waits for its outcome.
// Refuses: to know mailboxes or sessions.
// Thread:  the loop's.
#pragma once

#include <unordered_map>

#include "relay/delivery/attachment.hpp"
#include "relay/slot/operation.hpp"

namespace godwit::relay::delivery {

using StagedIndex = std::uint32_t;

struct Waiter {
  slot::Origin origin;
  std::uint16_t recipient = 0;
};

struct Staged {
  enum class State : std::uint8_t {
    free,
    held,      // the bytes are only here and, perhaps, on their way to the device
    handed,    // in the batch under way
    orphaned,  // in the batch under way, and acknowledged, expired or removed meanwhile
  };
  State state = State::free;
  std::uint16_t slot = 0;
  std::uint32_t expires = 0;
  NodeIndex node = kNoNode;
  wire::DeviceId device;
  store::RequestTag request;
  std::shared_ptr<const store::Body> body;
  Waiter waiter;
  std::vector<Waiter> more_waiters;  // retries of the same request
};

class Stage {
 public:
  // Takes the envelope in; it stays `held` until the hold set next ends.
  [[nodiscard]] StagedIndex add(Staged staged);
  // Sets or replaces the hold. Holds of one mailbox must not go back in its order.
  void hold(StagedIndex index, Steady until);
  [[nodiscard]] Staged& at(StagedIndex index) { return staged_[index]; }
  void free(StagedIndex index);

  // Everything whose hold has ended, in order; they become `handed`.
  void take_due(Steady now, std::vector<StagedIndex>& due);
  // When the next hold ends; nothing when none is held.
  [[nodiscard]] std::optional<Steady> next_due();

  // Of memory: kStagedOverhead for each beside its bytes, which several recipients may share.
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  // Holds that are kept: one for each that is held, and stale ones, which are at most as many again
  // and a thousand.
  [[nodiscard]] std::size_t holds() const { return holds_.size(); }

 private:
  struct Hold {
    Steady until;
    std::uint64_t order;  // equal deadlines keep the order of arrival
    StagedIndex index;
    std::uint32_t generation;
    bool operator>(const Hold& other) const {
      return until != other.until ? until > other.until : order > other.order;
    }
  };
  [[nodiscard]] bool stale(const Hold& hold) const;
  [[nodiscard]] Hold pop_hold();
  void count_in(const store::Body& body);
  void count_out(const store::Body& body);

  std::vector<Staged> staged_;
  std::vector<std::uint32_t> generations_;  // tells a reused place from the hold's own
  std::vector<StagedIndex> free_;
  std::vector<Hold> holds_;  // a heap, the first to end on top; some are stale
  std::size_t held_ = 0;     // envelopes in this state, of which each has one hold that is not
  std::unordered_map<std::uint64_t, std::uint32_t> shared_;  // body -> envelopes here that name it
  std::uint64_t order_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace godwit::relay::delivery
