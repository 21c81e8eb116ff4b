#include "relay/delivery/deliver.hpp"

#include <algorithm>
#include <cassert>

#include "relay/limits.hpp"

namespace godwit::relay::delivery {

void Deliver::attach(slot::Mailbox& mailbox, std::uint32_t loop, std::uint64_t session) {
  assert(!mailbox.attachment);
  mailbox.attachment = std::make_unique<Attachment>();
  Attachment& attachment = *mailbox.attachment;
  attachment.loop = loop;
  attachment.session = session;
  attachment.cursor = mailbox.head;
  attachment.last_at_login = mailbox.tail;
}

bool Deliver::pump(slot::Mailbox& mailbox, Now now, slot::Effects& effects,
                   std::vector<NodeIndex>& dead) {
  Attachment& attachment = *mailbox.attachment;
  const bool more = choose(attachment);
  read_.assign(positions_.size(), {});
  if (!positions_.empty()) {
    records_.envelopes(positions_, [&](std::size_t index, slot::Records::Found found,
                                       const store::RequestTag& request, wire::ByteView view) {
      if (found != slot::Records::Found::yes) return;
      auto body = std::make_shared<store::Body>();
      body->bytes.assign(view.begin(), view.end());
      read_[index] = {request, std::move(body)};
    });
  }

  std::size_t read_index = 0;
  for (const NodeIndex at : next_) {
    const slot::Node& node = mailboxes_.node(at);
    Read read;
    if (node.stored()) {
      read = std::move(read_[read_index++]);
    } else {
      const Staged& staged = stage_.at(node.staged_index());
      read = {staged.request, staged.body};
    }
    attachment.cursor = node.next;
    if (attachment.last_at_login == at) attachment.last_at_login = kNoNode;
    if (!read.body || now.past(node.expires)) {
      dead.push_back(at);
      continue;
    }
    attachment.flight.push_back({at, node.size, now.steady, read.request});
    ++attachment.unacked;
    attachment.unacked_bytes += node.size;
    effects.push_back(slot::Push{attachment.loop, attachment.next_number++, attachment.session,
                                 std::move(read.body)});
  }
  if (!attachment.caught_up && attachment.last_at_login == kNoNode) {
    attachment.caught_up = true;
    effects.push_back(slot::Notice{attachment.loop, attachment.session, wire::CaughtUp{}});
  }
  return more;
}

// The next piece of what fits into the window, and what of it must be read from the log. True: the
// window has room for more.
bool Deliver::choose(const Attachment& attachment) {
  next_.clear();
  positions_.clear();
  std::uint64_t bytes = attachment.unacked_bytes;
  const std::uint64_t piece_end = bytes + window_.piece_bytes();
  for (NodeIndex at = attachment.cursor; at != kNoNode; at = mailboxes_.node(at).next) {
    const slot::Node& node = mailboxes_.node(at);
    const std::size_t unacked = attachment.unacked + next_.size();
    const std::size_t span = attachment.flight.size() - attachment.flight_head + next_.size();
    if (unacked >= window_.envelopes) return false;
    if (span >= kFlightSpanInWindows * window_.envelopes) return false;
    if (unacked > 0 && bytes + node.size > window_.bytes) return false;
    if (!next_.empty() && bytes + node.size > piece_end) return true;
    bytes += node.size;
    next_.push_back(at);
    if (node.stored()) positions_.push_back(node.place);
  }
  return false;
}

void Deliver::appended(slot::Mailbox& mailbox, NodeIndex node) {
  if (mailbox.attachment && mailbox.attachment->cursor == kNoNode) {
    mailbox.attachment->cursor = node;
  }
}

void Deliver::erased(slot::Mailbox& mailbox, NodeIndex node) {
  if (!mailbox.attachment) return;
  Attachment& attachment = *mailbox.attachment;
  for (std::size_t i = attachment.flight_head; i < attachment.flight.size(); ++i) {
    if (attachment.flight[i].node != node) continue;
    attachment.flight[i].node = kNoNode;
    --attachment.unacked;
    attachment.unacked_bytes -= attachment.flight[i].size;
    trim(attachment);
    return;
  }
  // Not pushed yet: what came before it is now the last of login time, if any of that is left.
  if (attachment.last_at_login == node) {
    attachment.last_at_login = attachment.cursor == node ? kNoNode : mailboxes_.node(node).prev;
  }
  if (attachment.cursor == node) attachment.cursor = mailboxes_.node(node).next;
}

bool Deliver::acknowledge(Attachment& attachment, std::uint32_t upto,
                          std::span<const std::uint32_t> numbers, Now now,
                          std::vector<InFlight>& done) {
  if (upto >= attachment.next_number) return false;
  for (const std::uint32_t number : numbers) {
    if (number == 0 || number >= attachment.next_number) return false;
  }
  for (std::uint32_t number = attachment.first_number(); number <= upto; ++number) {
    settle(attachment, number, now, done);
  }
  for (const std::uint32_t number : numbers) settle(attachment, number, now, done);
  trim(attachment);
  return true;
}

// Forgets what is done at the front of the flight.
void Deliver::trim(Attachment& attachment) {
  while (attachment.flight_head < attachment.flight.size() &&
         attachment.flight[attachment.flight_head].node == kNoNode) {
    ++attachment.flight_head;
  }
  if (attachment.flight_head == attachment.flight.size()) {
    attachment.flight.clear();
    attachment.flight_head = 0;
  } else if (attachment.flight_head > window_.envelopes) {
    attachment.flight.erase(attachment.flight.begin(),
                            attachment.flight.begin() + attachment.flight_head);
    attachment.flight_head = 0;
  }
}

void Deliver::settle(Attachment& attachment, std::uint32_t number, Now now,
                     std::vector<InFlight>& done) {
  const std::uint32_t first = attachment.first_number();
  if (number < first) return;  // acknowledged before
  InFlight& flight = attachment.flight[attachment.flight_head + (number - first)];
  if (flight.node == kNoNode) return;
  done.push_back(flight);
  flight.node = kNoNode;
  --attachment.unacked;
  attachment.unacked_bytes -= flight.size;
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(now.steady -
                                                                          flight.pushed);
  attachment.ack_time = (attachment.ack_time * 7 + took) / 8;
}

std::chrono::microseconds hold_of(const Attachment& attachment) {
  return std::clamp(2 * attachment.ack_time, kHoldMin, kHoldMax);
}

}  // namespace godwit::relay::delivery
