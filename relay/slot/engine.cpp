#include "relay/slot/engine.hpp"

#include <cassert>

#include "relay/slot/slot_of.hpp"

namespace godwit::relay::slot {
namespace {

using wire::ErrorCode;

std::uint32_t ms(std::chrono::milliseconds value) {
  return static_cast<std::uint32_t>(value.count());
}

// What senders hear who still wait when their envelope's time is up: it was never safe anywhere, so
// not that it was accepted.
constexpr ErrorCode kExpired = ErrorCode::busy;

}  // namespace

std::uint32_t Engine::retry_after_ms(ErrorCode code) {
  if (code == ErrorCode::store_full) return ms(kRetryStoreFull);
  if (code == ErrorCode::mailbox_full) return ms(kRetryMailboxFull);
  if (code == ErrorCode::unknown_device) return ms(kRetryUnknownDevice);
  if (code == ErrorCode::busy) return ms(kRetryBusy);
  return 0;
}

Engine::Engine(Records& records, ops::Counters& counters, const EngineLimits& limits,
               const wire::SipKey& hash_key)
    : records_(records),
      counters_(counters),
      limits_(limits),
      mailboxes_(hash_key),
      deliver_(mailboxes_, stage_, records, limits.window),
      journal_(records),
      directory_(journal_),
      prekeys_(journal_),
      prekey_pops_({kPrekeyPopsPerSecond, kPrekeyPopsBurst}),
      prekey_pair_pops_({kPrekeyPairPopsPerSecond, kPrekeyPairPopsBurst}) {}

void Engine::restore(const wire::DeviceId& device, const store::RequestTag& request,
                     std::uint64_t position, std::uint32_t size, std::uint32_t expires) {
  Node node;
  node.place = position;
  node.hash = mailboxes_.hash_of(request);
  node.size = size;
  node.expires = expires;
  mailboxes_.push_back(mailboxes_.at(device), node);
  counters_.queued_envelopes.add();
  counters_.queued_bytes.add(size);
}

void Engine::apply(const Origin& origin, Operation& operation, Now now, Effects& effects) {
  std::visit([&](auto& one) { on(origin, one, now, effects); }, operation);
}

// ---- Enqueue ------------------------------------------------------------------------------------

void Engine::on(const Origin& origin, Enqueue& operation, Now now, Effects& effects) {
  const store::RequestTag tag = request_tag(operation.device, operation.request_id);
  const Request request{mailboxes_.hash_of(tag), tag};
  if (answer_duplicate(origin, operation, request, now, effects)) return;
  Enqueued refusal = admit(operation);
  if (refusal.code != ErrorCode::ok) {
    // What it says of the device list is not to be taken back by a crash.
    return answer(origin, std::move(refusal), directory_.pending(operation.user), effects);
  }
  Mailbox& mailbox = mailboxes_.at(operation.device);
  Node node;
  node.hash = request.hash;
  node.size = static_cast<std::uint32_t>(operation.body->bytes.size());
  node.expires = now.wall_s() + operation.ttl_s;
  counters_.queued_envelopes.add();
  counters_.queued_bytes.add(node.size);

  delivery::Staged staged;
  staged.slot = slot_of(operation.user);
  staged.expires = node.expires;
  staged.device = operation.device;
  staged.request = tag;
  staged.body = std::move(operation.body);
  staged.waiter = {origin, operation.recipient};
  const delivery::StagedIndex index = stage_.add(std::move(staged));
  node.place = Node::kStagedBit | index;
  const NodeIndex at = mailboxes_.push_back(mailbox, node);
  stage_.at(index).node = at;

  if (!mailbox.attachment) {
    stage_.hold(index, now.steady);
    return;
  }
  deliver_.appended(mailbox, at);
  pump(mailbox, now, effects);
  // The newest envelope was pushed when the cursor has run through.
  delivery::Attachment& attachment = *mailbox.attachment;
  const bool pushed = attachment.cursor == kNoNode;
  const Steady until = pushed ? now.steady + delivery::hold_of(attachment) : now.steady;
  // Never before an older one of the same mailbox: the order on disk is the order of delivery.
  attachment.held_until = std::max(attachment.held_until, until);
  stage_.hold(index, attachment.held_until);
}

bool Engine::answer_duplicate(const Origin& origin, const Enqueue& operation,
                              const Request& request, Now now, Effects& effects) {
  const NodeIndex queued = mailboxes_.find_request(request.hash, [&](NodeIndex at) {
    const Node& node = mailboxes_.node(at);
    if (node.stored()) return records_.request_at(node.place) == request.tag;
    return stage_.at(node.staged_index()).request == request.tag;
  });
  if (queued == kNoNode && !recent_.contains(request.hash, request.tag)) return false;
  if (queued != kNoNode && now.past(mailboxes_.node(queued).expires)) {
    // Nobody will get it any more, though no sweep has come by: what is sent again is a new one.
    expire(*mailboxes_.find(operation.device), now, effects);
    return false;
  }
  counters_.duplicates_total.add();
  if (queued != kNoNode && !mailboxes_.node(queued).stored()) {
    auto& waiters = stage_.at(mailboxes_.node(queued).staged_index()).more_waiters;
    if (waiters.size() < kRetriesWaitingMax) {
      waiters.push_back({origin, operation.recipient});
    } else {
      constexpr ErrorCode kLater = ErrorCode::busy;
      effects.push_back(
          AnswerTo{origin, Enqueued{operation.recipient, kLater, retry_after_ms(kLater), {}}});
    }
  } else {
    effects.push_back(AnswerTo{origin, Enqueued{operation.recipient, ErrorCode::ok, 0, {}}});
  }
  return true;
}

Enqueued Engine::admit(const Enqueue& operation) {
  Enqueued refusal;
  refusal.recipient = operation.recipient;
  const auto refuse = [&](ErrorCode code) {
    refusal.code = code;
    refusal.retry_after_ms = retry_after_ms(code);
    return refusal;
  };
  const Directory::Known* user = directory_.known(operation.user);
  if (user == nullptr) return refuse(ErrorCode::unknown_device);
  if (operation.list < user->version) {
    const std::optional<UserRecord> record = directory_.load(operation.user);
    if (record) refusal.newer = std::make_shared<const wire::SignedList>(record->list);
    return refuse(ErrorCode::stale_list);
  }
  if (user->find(operation.device) == nullptr) return refuse(ErrorCode::unknown_device);
  if (journal_.full()) return refuse(ErrorCode::store_full);
  if (stage_.bytes() > kStagedBytesMax) return refuse(ErrorCode::busy);
  Mailbox* const mailbox = mailboxes_.find(operation.device);
  if (mailbox != nullptr && !has_room(*mailbox, operation)) {
    return refuse(ErrorCode::mailbox_full);
  }
  return refusal;
}

bool Engine::has_room(Mailbox& mailbox, const Enqueue& operation) {
  const std::size_t size = operation.body->bytes.size();
  if (mailbox.count >= limits_.mailbox.envelopes) return false;
  if (mailbox.bytes + size > limits_.mailbox.bytes) return false;
  if (!operation.limited || !half_full(mailbox.held(), limits_.mailbox)) return true;
  if (!mailbox.shares) mailbox.shares = std::make_unique<policy::FairShare>();
  return mailbox.shares->take(operation.sender, size, limits_.mailbox);
}

// ---- Delivery and acks --------------------------------------------------------------------------

void Engine::pump(Mailbox& mailbox, Now now, Effects& effects) {
  delivery::Attachment& attachment = *mailbox.attachment;
  if (attachment.in_line) return;
  bool more = false;
  do {
    const std::size_t before = effects.size();
    dead_.clear();
    more = deliver_.pump(mailbox, now, effects, dead_);
    for (std::size_t i = before; i < effects.size(); ++i) {
      if (std::holds_alternative<Push>(effects[i])) counters_.delivered_total.add();
    }
    for (const NodeIndex at : dead_) {
      if (now.past(mailboxes_.node(at).expires)) {
        counters_.expired_total.add();
        take_out(mailbox, at, kExpired, effects);
      } else {
        journal_.quarantine(mailboxes_.node(at).place);  // the operator can look at its bytes
        forget(mailbox, at);
      }
    }
  } while (!dead_.empty());  // what was passed over made room in the window
  if (more) stand_in_line(mailbox);
}

void Engine::stand_in_line(Mailbox& mailbox) {
  delivery::Attachment& attachment = *mailbox.attachment;
  attachment.in_line = true;
  line_.push_back({mailbox.device, attachment.loop, attachment.session});
}

void Engine::deliver_more(Now now, Effects& effects) {
  std::uint64_t pushed = 0;
  // Those who join the line meanwhile have had a piece in this round.
  for (std::size_t left = line_.size(); left > 0 && pushed < limits_.window.piece_bytes(); --left) {
    const InLine first = line_.front();
    line_.pop_front();
    Mailbox* const mailbox = mailboxes_.find(first.device);
    if (mailbox == nullptr || !mailbox->attachment) continue;
    delivery::Attachment& attachment = *mailbox->attachment;
    if (attachment.session != first.session || attachment.loop != first.loop) continue;
    attachment.in_line = false;
    const std::uint64_t before = attachment.unacked_bytes;
    pump(*mailbox, now, effects);
    pushed += attachment.unacked_bytes - before;
  }
}

void Engine::on(const Origin& origin, Ack& operation, Now now, Effects& effects) {
  Mailbox* mailbox = mailboxes_.find(operation.device);
  if (mailbox == nullptr || !mailbox->attachment ||
      mailbox->attachment->session != origin.session || mailbox->attachment->loop != origin.loop) {
    effects.push_back(AnswerTo{origin, Simple{ErrorCode::out_of_state, 0}});
    return;
  }
  done_.clear();
  if (!deliver_.acknowledge(*mailbox->attachment, operation.upto, operation.numbers, now, done_)) {
    effects.push_back(AnswerTo{origin, Simple{ErrorCode::bad_request, 0}});
    return;
  }
  for (const delivery::InFlight& one : done_) {
    counters_.acked_total.add();
    recent_.add(mailboxes_.node(one.node).hash, one.request);
    if (take_out(*mailbox, one.node, ErrorCode::ok, effects)) counters_.elided_total.add();
  }
  pump(*mailbox, now, effects);
  const bool gone = journal_.is_committed(mailbox->attachment->gone_in_batch);
  answer(origin, Simple{}, !gone, effects);
}

void Engine::forget(Mailbox& mailbox, NodeIndex at) {
  counters_.queued_envelopes.subtract();
  counters_.queued_bytes.subtract(mailboxes_.node(at).size);
  mailboxes_.erase(mailbox, at);
  if (!half_full(mailbox.held(), limits_.mailbox)) mailbox.shares.reset();
}

bool Engine::drop(Mailbox& mailbox, NodeIndex at, ErrorCode code, Effects& effects) {
  const Node node = mailboxes_.node(at);
  forget(mailbox, at);
  if (node.stored()) {
    journal_.remove(node.place);
    return false;
  }
  delivery::Staged& staged = stage_.at(node.staged_index());
  answer_waiters(staged, {0, code, retry_after_ms(code), {}}, effects);
  if (staged.state == delivery::Staged::State::held) {
    stage_.free(node.staged_index());
    return true;
  }
  // It is on its way to the log; when it is there, committed() removes it again.
  staged.state = delivery::Staged::State::orphaned;
  return false;
}

bool Engine::take_out(Mailbox& mailbox, NodeIndex at, ErrorCode code, Effects& effects) {
  const bool never_written = drop(mailbox, at, code, effects);
  if (!never_written && mailbox.attachment) {
    mailbox.attachment->gone_in_batch = journal_.gathering();
  }
  return never_written;
}

void Engine::answer_waiters(delivery::Staged& staged, const Enqueued& outcome, Effects& effects) {
  if (outcome.code == ErrorCode::ok) counters_.accepted_total.add();
  const auto tell = [&](const delivery::Waiter& waiter) {
    Enqueued answer = outcome;
    answer.recipient = waiter.recipient;
    effects.push_back(AnswerTo{waiter.origin, std::move(answer)});
  };
  tell(staged.waiter);
  for (const delivery::Waiter& waiter : staged.more_waiters) tell(waiter);
}

// ---- Commits ------------------------------------------------------------------------------------

std::unique_ptr<store::Batch> Engine::flush(Now now) {
  if (journal_.under_way()) return nullptr;
  due_.clear();
  stage_.take_due(now.steady, due_);
  for (const delivery::StagedIndex index : due_) {
    const delivery::Staged& staged = stage_.at(index);
    store::Append append;
    append.slot = staged.slot;
    append.device = staged.device;
    append.request = staged.request;
    append.expires = staged.expires;
    append.body = staged.body;
    append.owner = index;
    journal_.append(std::move(append));
  }
  if (journal_.empty()) return nullptr;
  return journal_.take();
}

void Engine::committed(std::unique_ptr<store::Batch> batch, Now now, Effects& effects) {
  journal_.committed(effects);
  for (const store::Append& append : batch->appends) {
    delivery::Staged& staged = stage_.at(append.owner);
    const bool stored = append.position != 0;
    if (staged.state == delivery::Staged::State::orphaned) {
      if (stored) journal_.remove(append.position);
    } else if (stored) {
      mailboxes_.node(staged.node).place = append.position;
      answer_waiters(staged, {}, effects);
    } else {
      Mailbox& mailbox = *mailboxes_.find(staged.device);
      deliver_.erased(mailbox, staged.node);
      drop(mailbox, staged.node, ErrorCode::store_full, effects);
      if (mailbox.attachment) pump(mailbox, now, effects);
      mailboxes_.release_if_idle(mailbox);
    }
    stage_.free(append.owner);
  }
}

// ---- Expiry -------------------------------------------------------------------------------------

void Engine::sweep(Now now, Effects& effects) {
  mailboxes_.visit_some(kSweepNodesPerTick,
                        [&](Mailbox& mailbox) { expire(mailbox, now, effects); });
}

void Engine::expire(Mailbox& mailbox, Now now, Effects& effects) {
  bool any = false;
  for (NodeIndex at = mailbox.head; at != kNoNode;) {
    const NodeIndex next = mailboxes_.node(at).next;
    if (now.past(mailboxes_.node(at).expires)) {
      any = true;
      counters_.expired_total.add();
      deliver_.erased(mailbox, at);
      take_out(mailbox, at, kExpired, effects);
    }
    at = next;
  }
  if (any && mailbox.attachment) pump(mailbox, now, effects);
  mailboxes_.release_if_idle(mailbox);
}

std::pair<std::uint64_t, std::uint64_t> Engine::recount() const {
  std::pair<std::uint64_t, std::uint64_t> sum{0, 0};
  mailboxes_.visit_all([&](const Mailbox& mailbox) {
    for (NodeIndex at = mailbox.head; at != kNoNode; at = mailboxes_.node(at).next) {
      sum.first += 1;
      sum.second += mailboxes_.node(at).size;
    }
  });
  return sum;
}

}  // namespace godwit::relay::slot
