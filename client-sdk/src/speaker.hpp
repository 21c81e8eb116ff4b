// speaker: who speaks over a connection, and what the two hand each other: the seam between what a
// client decides and whatever carries its frames.
// Thread:  that of the connection.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "client-sdk/src/core/core.hpp"

namespace godwit {

// What has happened since the exchange before, in this order.
struct Received {
  bool connected = false;                    // the handshake is complete
  std::span<const wire::RelayFrame> frames;  // their views live during the exchange
  std::optional<std::string> ended;  // why the connection is gone, or an attempt came to nothing
  bool has_room = false;             // frames can be sent
};

struct ToSend {
  std::vector<wire::Bytes> frames;
  core::Core::Link link;
  std::optional<std::chrono::milliseconds> deadline;  // another exchange then; steady clock
};

class Speaker {
 public:
  virtual ~Speaker() = default;
  // The keys for a handshake; nothing when they cannot be had now. The caller wipes them.
  [[nodiscard]] virtual Result<wire::KeyPair> transport_keys() = 0;
  [[nodiscard]] virtual ToSend exchange(const Received& received) = 0;
};

}  // namespace godwit
