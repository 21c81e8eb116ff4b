#include "client-sdk/src/core/receipts.hpp"

#include <algorithm>

#include "client-sdk/src/core/sequence.hpp"

namespace godwit::core {
namespace {

Milliseconds later(Milliseconds since, milliseconds by) {
  return since + static_cast<Milliseconds>(by.count());
}

// Between two requests for the same gap: longer each time.
milliseconds repair_interval(std::uint32_t asked) {
  return std::min(kRepairInterval * (1U << std::min(asked, 10U)), kRepairIntervalMax);
}

// We have used this number, and the peer has not said that it is there.
bool is_unconfirmed(const DeviceRecord& record, std::uint64_t seq) {
  return record.sent_seq != kNumbersLost && seq <= record.sent_seq &&
         seq > record.their_delivered && !in_ranges(record.their_ranges, seq);
}

}  // namespace

// ---- What a peer tells --------------------------------------------------------------------------

void Receipts::mark_delivered(Round& round, Peer& peer, std::uint64_t seq) {
  const auto device = peer.record.device;
  auto sent = round.load<SentRecord>(device.view(), order_bytes(seq));
  if (!sent || sent->payload.empty()) return;  // told before
  if (!sent->text) {
    round.erase(Table::sent, device.view(), order_bytes(seq));
    return;
  }
  outbox_.on_delivered(round, device, sent->outbox);
  history::raise_status(round, sent->message, Status::delivered);
  sent->payload.clear();  // the peer has it: only its being read is still to come
  round.save(device.view(), order_bytes(seq), *sent);
}

void Receipts::mark_read(Round& round, Peer& peer, std::uint64_t seq) {
  const auto device = peer.record.device;
  const auto sent = round.load<SentRecord>(device.view(), order_bytes(seq));
  if (!sent) return;
  if (sent->text) history::raise_status(round, sent->message, Status::read);
  round.erase(Table::sent, device.view(), order_bytes(seq));
}

// Of these numbers, those that something is kept of. Who counts instead may count for ever: where
// our own numbers are lost, a peer names any.
std::vector<std::uint64_t> Receipts::kept(const View& view, const Peer& peer, std::uint64_t first,
                                          std::uint64_t last) {
  std::vector<std::uint64_t> seqs;
  view.scan(Table::sent, peer.record.device.view(), order_bytes(first),
            store::ReadTxn::Order::ascending,
            [&](wire::ByteView suffix, std::optional<wire::ByteView>) {
              if (order_number(suffix) > last) return false;
              seqs.push_back(order_number(suffix));
              return true;
            });
  return seqs;
}

// A receipt only ever adds; one that claims more than was sent is not believed.
void Receipts::on_receipt(Round& round, Peer& peer, const wire::Receipt& receipt) {
  const DeviceRecord& before = peer.record;
  const std::uint64_t highest =
      receipt.ranges.empty() ? receipt.delivered : receipt.ranges.back().last;
  if (highest > before.sent_seq || receipt.read > receipt.delivered) return;
  for (const std::uint64_t seq : kept(round, peer, before.their_delivered + 1, highest)) {
    const bool arrived = seq <= receipt.delivered || in_ranges(receipt.ranges, seq);
    if (arrived && !in_ranges(before.their_ranges, seq)) mark_delivered(round, peer, seq);
  }
  for (const std::uint64_t seq : kept(round, peer, before.their_read + 1, receipt.read)) {
    mark_read(round, peer, seq);
  }
  DeviceRecord& record = peer.change();
  const std::uint64_t named = record.name_sent;
  const bool has_it = named <= receipt.delivered || in_ranges(receipt.ranges, named);
  record.knows_name |= named != 0 && has_it;
  record.their_read = std::max(record.their_read, receipt.read);
  if (receipt.delivered < record.their_delivered) return;
  record.their_delivered = receipt.delivered;
  record.their_ranges = receipt.ranges;
}

void Receipts::on_repair(Round& round, Peer& peer, const wire::Repair& repair) {
  // A second of grace, since the clocks of two devices do not run alike.
  const auto pause = kRepairInterval - std::chrono::seconds{1};
  if (!is_over(peer.record.was_asked_at, pause, round.wall())) return;
  peer.change().was_asked_at = round.wall();
  for (const std::uint64_t seq : repair.seqs) {
    if (!Sealer::reachable(peer)) break;
    auto sent = round.load<SentRecord>(peer.record.device.view(), order_bytes(seq));
    if (!sent) {
      if (round.failed() || !is_unconfirmed(peer.record, seq)) continue;
      // Damaged, and its `h` with it: a tombstone that has none, and its text under another number.
      outbox_.on_lost(round, peer, seq);
      sent.emplace();
    }
    const auto message = sent->text ? history::load(round, sent->message) : std::nullopt;
    if (message && message->status == Status::failed) Outbox::make_tombstone(peer, seq, *sent);
    // Bounded in time, not for good: who has lost a number can confirm nothing beyond it.
    if (is_over(sent->resent_at, kResendsInterval, round.wall())) {
      sent->resends = 0;
      sent->resent_at = round.wall();
    }
    if (sent->resends >= kResendsMax) continue;
    ++sent->resends;
    round.save(peer.record.device.view(), order_bytes(seq), *sent);
    outbox_.add_resend(round, peer, seq);
  }
}

// One an hour of each device, as nobody sends more: who does would have everything again without
// end. A reset that is not heeded loses nothing, since what it names is asked for.
void Receipts::on_reset(Round& round, Peer& peer, const wire::Reset& reset) {
  // What it could not read may be the last that we sent: a receipt behind that shows the gap.
  if (!reset.undecryptable.empty()) peer.change().receipt_owed = true;
  std::erase_if(resets_, [&](const auto& heeded) {
    return heeded.second + kResetInterval - std::chrono::minutes{1} <= round.now.steady;
  });
  if (!resets_.emplace(peer.record.device, round.now.steady).second) return;
  if (!reset.undecryptable.empty()) {
    round.tell(EventKind::undecryptable, peer.record.user,
               "the other device could not read what we sent; it goes out again");
  }
  outbox_.on_undecryptable(round, peer.record.user, peer.record.device, reset.undecryptable);
  allow_resends(round, peer);
}

// Resends into a session that the peer had lost were no resends: the count begins anew.
void Receipts::allow_resends(Round& round, const Peer& peer) {
  std::vector<std::pair<std::uint64_t, SentRecord>> used_up;
  round.scan(Table::sent, peer.record.device.view(), order_bytes(peer.record.their_delivered + 1),
             store::ReadTxn::Order::ascending,
             [&](wire::ByteView suffix, std::optional<wire::ByteView> value) {
               auto sent = value ? View::parse<SentRecord>(*value) : std::nullopt;
               if (sent && sent->resends > 0) {
                 used_up.emplace_back(order_number(suffix), std::move(*sent));
               }
               return true;
             });
  for (auto& [seq, sent] : used_up) {
    sent.resends = 0;
    round.save(peer.record.device.view(), order_bytes(seq), sent);
  }
}

// ---- What we owe --------------------------------------------------------------------------------

void Receipts::owe_again(Round& round) {
  std::vector<wire::DeviceId> told;
  round.each<DeviceRecord>([&](DeviceRecord& record) {
    const bool lately = later(record.receipted_at, kRetain) > round.wall();
    if (record.receipted_at != 0 && lately) told.push_back(record.device);
  });
  for (const auto& id : told) {
    if (Peer* peer = peers_.device(round, id)) peer->change().receipt_owed = true;
  }
}

void Receipts::tell_name_again(Round& round) {
  std::vector<wire::DeviceId> told;
  round.each<DeviceRecord>([&](DeviceRecord& record) {
    if (record.name_sent != 0 || record.knows_name) told.push_back(record.device);
  });
  for (const auto& id : told) {
    Peer* const peer = peers_.device(round, id);
    if (peer == nullptr) continue;
    peer->change().knows_name = false;
    peer->change().name_sent = 0;
  }
}

void Receipts::owe_dropped(Round& round, const ContactRecord& contact) {
  for (const auto& listed : Peers::devices_of(contact).devices) {
    Peer* peer = peers_.device(round, contact.user, listed);
    if (peer == nullptr) continue;
    peer->change().ask_dropped = true;
    peer->change().receipt_owed = true;  // of who is not accepted it goes, and comes back then
  }
}

void Receipts::ask_for_dropped(Round& round, Peer& peer) {
  peer.change().ask_dropped = false;
  if (peer.record.begins_anew) return;
  wire::Repair repair{missing(peer.record, wire::kRepairSeqsMax)};
  for (auto next = highest(peer.record); repair.seqs.size() < wire::kRepairSeqsMax;) {
    if (++next == 0) break;
    repair.seqs.push_back(next);
  }
  if (repair.seqs.empty()) return;
  peer.change().asked_at = round.wall();  // the gap, too
  outbox_.add_control(round, peer, sealer_.payload_of(std::move(repair)));
}

void Receipts::pump(Round& round) {
  deadline_.reset();
  owing_ = false;
  for (const auto& device : peers_.attention()) care(round, device);
}

void Receipts::wait_until(Round& round, Milliseconds wall) {
  const auto in = milliseconds{wall > round.wall() ? wall - round.wall() : 0};
  const auto at = round.now.steady + std::max(in, milliseconds{10});
  if (!deadline_ || at < *deadline_) deadline_ = at;
}

void Receipts::check_name(Round& round, Peer& peer, const ContactRecord& contact) {
  if (contact.claimed_name.empty()) {
    peer.change().name_to_check = false;
    return;
  }
  if (round.now.steady < names_at_) {
    wait_until(round, later(round.wall(), names_at_ - round.now.steady));
    return;
  }
  if (requests_.count<UserAsked>() >= kLookUpsInFlightMax) return;
  if (!checking_.insert(contact.user).second) return;
  wire::GetUser ask;
  ask.name = contact.claimed_name;
  requests_.ask(round, ask, UserAsked{{}, contact.claimed_name, contact.user});
}

void Receipts::on_name_checked(Round& round, const wire::UserId& user, milliseconds retry_after) {
  checking_.erase(user);
  names_at_ = round.now.steady + std::min(retry_after, kRetryAfterMax);
}

void Receipts::ask_reset(Round& round, const Peer& peer) {
  if (!is_over(peer.record.reset_at, kResetInterval, round.wall())) {
    wait_until(round, later(peer.record.reset_at, kResetInterval));
    return;
  }
  (void)outbox_.ask_prekeys(round, peer.record.user, peer.record.device);  // it begins the session
  wait_until(round, later(round.wall(), kRepairInterval));
}

bool Receipts::gap_is_due(Round& round, const DeviceRecord& record) {
  if (record.gap_since == 0) return false;
  const auto again = repair_interval(record.asked);
  const bool old = is_over(record.gap_since, kGapAge, round.wall());
  if (old && is_over(record.asked_at, again, round.wall())) return true;
  wait_until(round, old ? later(record.asked_at, again) : later(record.gap_since, kGapAge));
  return false;
}

void Receipts::care(Round& round, const wire::DeviceId& device) {
  Peer* peer = peers_.device(round, device);
  const auto contact =
      peer != nullptr ? peers_.contact(round, peer->record.user) : std::optional<ContactRecord>();
  if (!contact) {  // damaged: what makes it whole says anew what is to be done
    if (!round.failed()) peers_.forget_attention(round, device);
    return;
  }
  if (contact->frozen) return;
  const DeviceRecord& record = peer->record;
  if (record.name_to_check && !contact->blocked) check_name(round, *peer, *contact);
  const bool left = Peers::devices_of(*contact).find(device) == nullptr;
  const bool mute = record.sent_seq == kNumbersLost;  // nothing can be said to it any more
  if (left || mute || contact->blocked || !contact->accepted) {  // nothing is owed
    DeviceRecord& nobody = peer->change();
    nobody.receipt_owed = false;
    nobody.gap_since = 0;
    nobody.undecryptable.clear();
    return;
  }
  if (!record.undecryptable.empty()) ask_reset(round, *peer);
  const bool ask_again = gap_is_due(round, record);
  if (!record.receipt_owed && !ask_again) return;
  if (!Sealer::reachable(*peer)) {
    // Who has no usable keys is asked for them now and then; nobody waits for that.
    const bool coming = outbox_.ask_prekeys(round, contact->user, device);
    owing_ |= record.receipt_owed && coming;
    wait_until(round, later(round.wall(), kRepairInterval));
    return;
  }
  if (record.ask_dropped) {
    ask_for_dropped(round, *peer);
  } else if (ask_again) {
    wire::Repair repair{missing(record, wire::kRepairSeqsMax)};
    DeviceRecord& changed = peer->change();
    changed.asked_to = repair.seqs.back();
    changed.asked_at = round.wall();
    ++changed.asked;
    outbox_.add_control(round, *peer, sealer_.payload_of(std::move(repair)));
    wait_until(round, later(changed.asked_at, repair_interval(changed.asked)));
  }
  if (!record.receipt_owed) return;
  if (outbox_.control_under_way(device)) return;  // what arrives meanwhile goes into the next one
  DeviceRecord& changed = peer->change();
  changed.receipt_owed = false;
  changed.receipted = changed.seq;
  changed.receipted_at = round.wall();
  const std::uint64_t read = std::min(changed.read_to, changed.seq);
  wire::Receipt receipt{changed.seq, changed.ranges, read};
  outbox_.add_control(round, *peer, sealer_.payload_of(std::move(receipt)));
}

}  // namespace godwit::core
