// slot/records: what the slot engine may read of what is on disk. The store implements it; so does
// the simulator's disk.
// Thread: the loop that owns the slots.
#pragma once

#include <functional>
#include <optional>

#include "relay/store/batch.hpp"

namespace godwit::relay::slot {

class Records {
 public:
  enum class Found : std::uint8_t { yes, no, damaged };

  virtual ~Records() = default;

  // One small record as last committed.
  virtual Found get(store::Table table, wire::ByteView key, wire::Bytes& value) = 0;

  // Envelopes at `positions` (ascending). Views live during the call.
  virtual void envelopes(
      std::span<const std::uint64_t> positions,
      const std::function<void(std::size_t index, Found, const store::RequestTag& request,
                               wire::ByteView bytes)>& on_one) = 0;

  // The request tag of the log record at `position`; nothing when it is gone or damaged.
  virtual std::optional<store::RequestTag> request_at(std::uint64_t position) = 0;

  // True while the store refuses new envelopes.
  [[nodiscard]] virtual bool full() const = 0;
};

}  // namespace godwit::relay::slot
