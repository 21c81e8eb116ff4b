// delivery/deliver: from the mailbox to the live session, in order, inside a window.
//
// Happy path: a login attaches the session; the cursor stands at the oldest envelope; pump() pushes
// a piece, from the stage or from the log, and is called again until the window is full or the
// mailbox is through; each ack opens the window again. What arrives later is pushed at once only
// when the cursor has reached it: so the order never breaks, and replay and live delivery are one
// thing.
// Failure: a record that does not read is quarantined and passed over; an expired one is left to
// the caller to drop.
//
// Owns:    nothing; the Attachment of a mailbox is its state.
// Refuses: to answer senders, count quotas or know a socket.
// Thread:  the loop that owns the slots.
#pragma once

#include "relay/delivery/stage.hpp"
#include "relay/slot/mailbox.hpp"
#include "relay/slot/records.hpp"

namespace godwit::relay::delivery {

struct Window {
  std::uint32_t envelopes = 64;
  std::uint32_t bytes = 1 << 20;
  // Of one pump(): a whole window of large envelopes would be milliseconds in front of others.
  [[nodiscard]] std::uint32_t piece_bytes() const { return bytes / 16; }
};

class Deliver {
 public:
  Deliver(slot::Mailboxes& mailboxes, Stage& stage, slot::Records& records, Window window)
      : mailboxes_(mailboxes), stage_(stage), records_(records), window_(window) {}

  // Begins at the oldest envelope. Precondition: no session is attached.
  void attach(slot::Mailbox& mailbox, std::uint32_t loop, std::uint64_t session);

  // Pushes a piece of what the window allows, one envelope at least, then CaughtUp when it is due.
  // Nodes that have expired, or whose record is gone or damaged, are passed over and put into
  // `dead`: the caller drops them. True: the window allows more.
  bool pump(slot::Mailbox& mailbox, Now now, slot::Effects& effects, std::vector<NodeIndex>& dead);

  // The node was just appended to the mailbox.
  void appended(slot::Mailbox& mailbox, NodeIndex node);
  // The node is about to be erased from the mailbox, and not because it was acknowledged.
  void erased(slot::Mailbox& mailbox, NodeIndex node);

  // Takes the acknowledged numbers out of the flight; what they stood for, in order, goes to
  // `done`. False: a number that was never pushed.
  [[nodiscard]] bool acknowledge(Attachment& attachment, std::uint32_t upto,
                                 std::span<const std::uint32_t> numbers, Now now,
                                 std::vector<InFlight>& done);

 private:
  bool choose(const Attachment& attachment);
  void trim(Attachment& attachment);
  void settle(Attachment& attachment, std::uint32_t number, Now now,
              std::vector<InFlight>& done);

  slot::Mailboxes& mailboxes_;
  Stage& stage_;
  slot::Records& records_;
  Window window_;
  // Scratch of pump(), kept so that a push allocates nothing.
  std::vector<NodeIndex> next_;
  std::vector<std::uint64_t> positions_;
  struct Read {
    store::RequestTag request;
    std::shared_ptr<const store::Body> body;
  };
  std::vector<Read> read_;
};

// How long a pushed envelope may wait for its ack before it goes to the disk.
[[nodiscard]] std::chrono::microseconds hold_of(const Attachment& attachment);

}  // namespace godwit::relay::delivery
