// delivery/attachment: where the delivery to one live session stands.
//
// Envelopes are pushed in the order of the mailbox: `cursor` is the next one to push, everything
// before it is in flight. Each push has a number of this connection; the flight remembers which
// node a number stands for until the device acknowledges it.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "relay/store/batch.hpp"
#include "relay/time.hpp"

namespace godwit::relay::delivery {

using NodeIndex = std::uint32_t;
inline constexpr NodeIndex kNoNode = 0xffff'ffff;

struct InFlight {
  NodeIndex node = kNoNode;  // kNoNode: acknowledged or expired
  std::uint32_t size = 0;
  Steady pushed{};
  store::RequestTag request;
};

struct Attachment {
  std::uint32_t loop = 0;
  std::uint64_t session = 0;
  NodeIndex cursor = kNoNode;         // kNoNode: everything was pushed
  NodeIndex last_at_login = kNoNode;  // the newest envelope of login time that was not yet pushed
  bool caught_up = false;             // CaughtUp was sent
  bool in_line = false;               // for the next piece of its window
  std::uint32_t next_number = 1;      // of the next push
  std::uint32_t unacked = 0;          // envelopes in flight
  std::uint64_t unacked_bytes = 0;
  std::chrono::microseconds ack_time{1'000};  // a running mean of this device's acks
  Steady held_until{};  // no later envelope goes to the disk before this: the order would change

  // The journal's batch that removes what left the mailbox last, acknowledged or expired; 0: none
  // was needed. Until it is committed no ack of this session is done, or it would promise too much.
  std::uint64_t gone_in_batch = 0;

  // Numbers first_number() .. next_number - 1, the oldest first.
  std::vector<InFlight> flight;
  std::uint32_t flight_head = 0;  // entries before it are done

  [[nodiscard]] std::uint32_t first_number() const {
    return next_number - static_cast<std::uint32_t>(flight.size() - flight_head);
  }
};

}  // namespace godwit::relay::delivery
