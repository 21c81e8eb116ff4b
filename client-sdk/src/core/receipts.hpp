// core/receipts: what two devices tell each other about what has arrived: receipts, requests to
// send again, resets. And what to do about a device that something is owed to.
// Refuses: to say anything to people who are not accepted contacts.
// Spec:    schema/ENVELOPE.md, "Receipts", "Repair", "Reset".
#pragma once

#include "client-sdk/src/core/outbox.hpp"

namespace godwit::core {

class Receipts {
 public:
  Receipts(Peers& peers, Sealer& sealer, Outbox& outbox, Requests& requests)
      : peers_(peers), sealer_(sealer), outbox_(outbox), requests_(requests) {}

  // ---- From a peer device, of an accepted contact
  void on_receipt(Round& round, Peer& peer, const wire::Receipt& receipt);
  void on_repair(Round& round, Peer& peer, const wire::Repair& repair);
  void on_reset(Round& round, Peer& peer, const wire::Reset& reset);

  // Pays what is owed: at the end of every round while logged in.
  void pump(Round& round);
  // Of somebody who was blocked everything was dropped, the last things too, which show as no gap.
  // It is asked for as soon as they are accepted and can be reached.
  void owe_dropped(Round& round, const ContactRecord& contact);
  // The relay may have lost our last receipts: they are owed again.
  void owe_again(Round& round);
  // We go by another name: it stands in texts until it is confirmed, again.
  void tell_name_again(Round& round);
  // Until when nothing is due; nothing: nothing will be.
  [[nodiscard]] std::optional<milliseconds> deadline() const { return deadline_; }
  // `retry_after`: not asked for a name before.
  void on_name_checked(Round& round, const wire::UserId& user, milliseconds retry_after);
  void on_disconnected() { checking_.clear(); }
  // A receipt is owed, or a name is being looked up.
  [[nodiscard]] bool owing() const { return owing_ || !checking_.empty(); }

 private:
  void care(Round& round, const wire::DeviceId& device);
  void check_name(Round& round, Peer& peer, const ContactRecord& contact);
  void ask_reset(Round& round, const Peer& peer);
  void ask_for_dropped(Round& round, Peer& peer);
  // True when the gap is to be asked for now.
  [[nodiscard]] bool gap_is_due(Round& round, const DeviceRecord& record);
  void wait_until(Round& round, Milliseconds wall);
  void allow_resends(Round& round, const Peer& peer);
  [[nodiscard]] static std::vector<std::uint64_t> kept(const View& view, const Peer& peer,
                                                       std::uint64_t first, std::uint64_t last);
  void mark_delivered(Round& round, Peer& peer, std::uint64_t seq);
  void mark_read(Round& round, Peer& peer, std::uint64_t seq);

  Peers& peers_;
  Sealer& sealer_;
  Outbox& outbox_;
  Requests& requests_;
  std::optional<milliseconds> deadline_;
  bool owing_ = false;
  std::set<wire::UserId> checking_;  // whose claimed names are being looked up
  milliseconds names_at_{};          // of Now::steady: none is, before
  std::map<wire::DeviceId, milliseconds> resets_;  // when one of it was heeded; Now::steady
};

}  // namespace godwit::core
