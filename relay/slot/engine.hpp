// slot/engine: the slots of one loop: operations and time in; records to write, answers, pushes and
// notices out. Pure: it knows no socket, clock, thread or LMDB handle.
//
// The life of an envelope here:
//   enqueue  -> refused, or a duplicate, or staged (and pushed, when the device is attached)
//   ack      -> while staged: elided, its senders are answered, nothing is written
//            -> later: its log record is removed by the next batch
//   flush    -> holds that ended go into the batch; one batch is under way at a time
//   committed-> its senders are answered; from now on the log has it
//   sweep    -> expired: dropped, counted
//
// Owns:    mailboxes, stage, journal, directory and prekeys of its slots.
// Thread:  the loop's.
#pragma once

#include <deque>

#include "relay/delivery/deliver.hpp"
#include "relay/ops/figures.hpp"
#include "relay/policy/fair_share.hpp"
#include "relay/policy/rate.hpp"
#include "relay/slot/directory.hpp"
#include "relay/slot/prekeys.hpp"
#include "relay/slot/recent.hpp"

namespace godwit::relay::slot {

struct EngineLimits {
  delivery::Window window;
  policy::Room mailbox{100'000, 256ull << 20};
};

class Engine {
 public:
  // `hash_key`: random, once a process. `counters` outlive the engine.
  Engine(Records& records, ops::Counters& counters, const EngineLimits& limits,
         const wire::SipKey& hash_key);

  // What recovery found in the log, in log order, before the first operation.
  void restore(const wire::DeviceId& device, const store::RequestTag& request,
               std::uint64_t position, std::uint32_t size, std::uint32_t expires);

  // Effects are appended in the order in which they must leave.
  void apply(const Origin& origin, Operation& operation, Now now, Effects& effects);

  // Once a round: what waits for those who have logged in, and what is left of windows, about a
  // piece in all. Who has much mail does not keep the others waiting.
  void deliver_more(Now now, Effects& effects);

  // The batch to commit; nothing when one is under way or nothing is due.
  [[nodiscard]] std::unique_ptr<store::Batch> flush(Now now);
  void committed(std::unique_ptr<store::Batch> batch, Now now, Effects& effects);

  // When flush() or deliver_more() will next have something that it does not have now.
  [[nodiscard]] std::optional<Steady> next_due() {
    if (!line_.empty()) return Steady{};
    if (journal_.under_way()) return std::nullopt;  // its return comes first
    return stage_.next_due();
  }

  // Everything taken in is durable or was refused.
  [[nodiscard]] bool idle() const {
    return stage_.bytes() == 0 && !journal_.under_way() && journal_.empty();
  }

  // Drops expired envelopes, a bounded piece at a time.
  void sweep(Now now, Effects& effects);

  // A recount of what the counters say: (envelopes, bytes) over all mailboxes.
  [[nodiscard]] std::pair<std::uint64_t, std::uint64_t> recount() const;

 private:
  struct Request {
    std::uint64_t hash = 0;
    store::RequestTag tag;
  };

  void on(const Origin& origin, Enqueue& operation, Now now, Effects& effects);
  void on(const Origin& origin, Ack& operation, Now now, Effects& effects);
  void on(const Origin& origin, Attach& operation, Now now, Effects& effects);
  void on(const Origin& origin, Detach& operation, Now now, Effects& effects);
  void on(const Origin& origin, std::unique_ptr<PutUser>& operation, Now now, Effects& effects);
  void on(const Origin& origin, PutKeys& operation, Now now, Effects& effects);
  void on(const Origin& origin, GetUser& operation, Now now, Effects& effects);
  void on(const Origin& origin, GetPrekeys& operation, Now now, Effects& effects);
  void on(const Origin& origin, BeginNaming& operation, Now now, Effects& effects);
  void on(const Origin& origin, ClaimName& operation, Now now, Effects& effects);
  void on(const Origin& origin, SetUserName& operation, Now now, Effects& effects);
  void on(const Origin& origin, ReleaseName& operation, Now now, Effects& effects);
  void on(const Origin& origin, EndNaming& operation, Now now, Effects& effects);
  void on(const Origin& origin, ResolveName& operation, Now now, Effects& effects);

  // Why this envelope is not taken; ok when it is. Fills `newer` for a stale list.
  [[nodiscard]] Enqueued admit(const Enqueue& operation);
  // True when there is room for it, which it then has taken.
  [[nodiscard]] bool has_room(Mailbox& mailbox, const Enqueue& operation);
  // True when the request was seen: it is answered, or joins the one that is staged.
  bool answer_duplicate(const Origin& origin, const Enqueue& operation, const Request& request,
                        Now now, Effects& effects);
  // Pushes a piece of the window; for the rest the mailbox stands in line.
  void pump(Mailbox& mailbox, Now now, Effects& effects);
  void stand_in_line(Mailbox& mailbox);
  // Takes a node out of its mailbox; what becomes of its envelope is the caller's business.
  void forget(Mailbox& mailbox, NodeIndex node);
  // Takes a node out of its mailbox and its envelope off the disk; its waiters get `code`. Unless
  // it was acknowledged, the delivery is told first (deliver_.erased). True: the envelope was only
  // here, and nothing of it will be written.
  bool drop(Mailbox& mailbox, NodeIndex node, wire::ErrorCode code, Effects& effects);
  // The same of what was acknowledged or has expired: no ack of the session is done before it is
  // gone.
  bool take_out(Mailbox& mailbox, NodeIndex node, wire::ErrorCode code, Effects& effects);
  void expire(Mailbox& mailbox, Now now, Effects& effects);
  void detach(Mailbox& mailbox);
  // Ends the device's session, when it has one.
  void end_session(Mailbox& mailbox, wire::ErrorCode code, Effects& effects);
  [[nodiscard]] bool may_pop(const GetPrekeys& operation, Now now);
  void purge(const wire::UserId& user, const wire::DeviceId& device, Effects& effects);
  void answer_waiters(delivery::Staged& staged, const Enqueued& outcome, Effects& effects);
  // What is advised with a refusal.
  [[nodiscard]] static std::uint32_t retry_after_ms(wire::ErrorCode code);
  // Sends the answer now, or with the commit that it depends on.
  void answer(const Origin& origin, Answer answer, bool wait_for_commit, Effects& effects);

  Records& records_;
  ops::Counters& counters_;
  EngineLimits limits_;
  Mailboxes mailboxes_;
  delivery::Stage stage_;
  delivery::Deliver deliver_;
  Journal journal_;
  Directory directory_;
  Prekeys prekeys_;
  policy::RateTable<wire::UserId, wire::IdHash> prekey_pops_;        // by target
  policy::RateTable<wire::DeviceId, wire::IdHash> prekey_pair_pops_;  // by requester and target
  Recent recent_;
  struct InLine {
    wire::DeviceId device;
    std::uint32_t loop = 0;
    std::uint64_t session = 0;
  };
  std::deque<InLine> line_;                 // sessions whose window has room for mail that waits
  std::vector<delivery::InFlight> done_;    // scratch
  std::vector<NodeIndex> dead_;             // scratch
  std::vector<delivery::StagedIndex> due_;  // scratch
};

}  // namespace godwit::relay::slot
