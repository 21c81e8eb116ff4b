// session/session: one device's conversation with the relay, after the handshake.
//
//   greeting --Login/Register--> attaching --Welcome--> live --> closing
// Any other reply to Login or Register leads from attaching back to greeting.
// From greeting and attaching only Login, Register and Ping are answered; anything else ends it.
//
// Owns:    what is asked and not yet answered.
// Thread:  the loop that owns the connection.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "relay/handle_map.hpp"
#include "relay/policy/rate.hpp"
#include "relay/slot/operation.hpp"

namespace godwit::relay::session {

using SessionId = Handle;  // in its loop

struct Session;
using Continuation = std::function<void(Session&, slot::Answer&)>;

// A question to a slot that is not answered yet.
struct Call {
  std::uint32_t mark = 0;
  Continuation then;
};

// A submit whose recipients do not all have their outcome yet.
struct PendingSubmit {
  std::uint32_t request = 0;
  std::uint32_t left = 0;  // outcomes to come; 0: this place is free
  std::vector<wire::Outcome> outcomes;
  std::vector<std::shared_ptr<const wire::SignedList>> lists;
};

enum class State : std::uint8_t { greeting, attaching, live, closing };

// In an order without holes: there is one for each idle device.
struct Session {
  SessionId id = 0;
  State state = State::greeting;
  bool unlimited = false;  // its address is in unlimited_from
  bool resting = false;    // refused for its rate a moment ago: one of its `pauses`
  std::uint16_t slot = 0;  // of its user
  std::uint16_t version = 0;
  std::uint16_t attempts = 0;  // to log in or register
  std::uint16_t before_login = 0;  // frames that came before Welcome, of any kind
  std::uint32_t pauses = 0;    // reasons why it is not read now
  std::uint32_t acks = 0;      // asked and not yet answered
  std::string address;         // numeric, for the registration rate
  wire::Key transport;         // proven by the handshake
  wire::UserId user;
  wire::DeviceId device;
  Steady last_heard{};
  Steady established{};

  std::vector<PendingSubmit> submits;
  std::vector<std::uint32_t> free_submits;  // places in `submits`
  std::vector<Call> calls;  // at most kCallsInFlightMax and a few; no memory when there are none
  std::uint32_t next_call = 0;
};

}  // namespace godwit::relay::session
