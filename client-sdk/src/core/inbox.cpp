#include "client-sdk/src/core/inbox.hpp"

#include <algorithm>

#include "client-sdk/src/core/sequence.hpp"
#include "client-sdk/src/crypto/sequence.hpp"

namespace godwit::core {
namespace {

constexpr std::uint8_t kEphemeral = 0x06;  // third byte of the frames outside the ratchet

bool is_ephemeral(wire::ByteView inner) {
  return inner.size() > 4 && inner[2] == kEphemeral;
}

std::uint16_t period_of(Milliseconds wall) {
  return static_cast<std::uint16_t>(wall / static_cast<Milliseconds>(kSeenPeriod.count()));
}

}  // namespace

// ---- Seen ---------------------------------------------------------------------------------------

wire::Bytes Inbox::seen_key(Milliseconds wall, const wire::EnvelopeHash& hash) const {
  const std::uint16_t period = period_of(wall);
  wire::Bytes key{static_cast<std::uint8_t>(period >> 8), static_cast<std::uint8_t>(period)};
  wire::append(key, account_.blind(hash.view()).view());
  return key;
}

// A hit owes the receipt again: that the sender repeats itself says that it does not know. Only
// texts are kept with their device: were a doubled receipt answered by one, a relay that doubles
// everything would make two devices confirm for ever.
bool Inbox::seen_before(Round& round, const wire::EnvelopeHash& hash) {
  Milliseconds wall = round.wall();
  const auto period = static_cast<Milliseconds>(kSeenPeriod.count());
  for (int i = 0; i < 3; ++i, wall -= std::min(period, wall)) {
    const auto seen = round.load<SeenRecord>({}, seen_key(wall, hash));
    if (!seen) continue;
    Peer* const peer = peers_.device(round, seen->device);
    if (peer != nullptr && owes_again(peer->record, round.wall())) {
      peer->change().receipt_owed = true;
    }
    return true;
  }
  return false;
}

// What changed nothing is acknowledged without this: it would change nothing the next time either,
// and whoever sends junk would fill the disk with our memory of it.
void Inbox::finish(Round& round, const Parked& envelope, const wire::DeviceId& sender) {
  round.save({}, seen_key(round.wall(), envelope.hash), SeenRecord{sender});
  to_ack_.push_back(envelope.number);
}

void Inbox::sweep_seen(Round& round, Milliseconds relay_time) {
  const std::uint16_t current = period_of(std::min(round.wall(), relay_time));
  if (current < 2) return;
  const auto oldest = static_cast<std::uint16_t>(current - 2);
  std::vector<wire::Bytes> gone;
  constexpr std::size_t kPerSweep = 20'000;
  round.scan(Table::seen, {}, {}, store::ReadTxn::Order::ascending,
             [&](wire::ByteView suffix, std::optional<wire::ByteView>) {
               const auto period = static_cast<std::uint16_t>(suffix[0] << 8 | suffix[1]);
               if (period >= oldest || gone.size() == kPerSweep) return false;
               gone.emplace_back(suffix.begin(), suffix.end());
               return true;
             });
  for (const auto& suffix : gone) round.erase(Table::seen, {}, suffix);
}

// ---- Delivery -----------------------------------------------------------------------------------

void Inbox::on_welcome(const wire::Limits& limits) {
  window_envelopes_ = limits.window_envelopes;
  window_bytes_ = limits.window_bytes;
}

void Inbox::on_deliver(Round& round, const wire::Deliver& deliver) {
  Parked envelope;
  envelope.number = deliver.number;
  envelope.size = deliver.envelope.size();
  envelope.hash = crypto::envelope_hash(deliver.envelope);
  if (seen_before(round, envelope.hash)) {
    to_ack_.push_back(envelope.number);
    return;
  }
  const auto seal_id = crypto::seal_id_of(deliver.envelope);
  const crypto::DhKey* secret = seal_id ? upkeep_.seal_secret(round, *seal_id) : nullptr;
  if (secret == nullptr) return to_ack_.push_back(envelope.number);
  auto unsealed = crypto::unseal(deliver.envelope, account_.record.device, *secret, sealer_.kept());
  if (!unsealed) return to_ack_.push_back(envelope.number);
  envelope.unsealed = std::move(*unsealed);
  if (open(round, envelope) == Verdict::done) return;
  // No window is larger. What a relay delivers beyond is not acknowledged, and comes again.
  if (parked_.size() == wire::kAckNumbersMax) return;
  if (!strained_) ask_list(round, envelope.unsealed.user);  // else when its turn comes
  parked_.push_back(std::move(envelope));
  drop_strangers(round);
}

void Inbox::on_disconnected() {
  parked_.clear();  // the relay delivers them again
  asking_.clear();
  ask_again_at_.reset();
  strained_ = false;
  nobodies_ = newcomers_ = 0;
  to_ack_.clear();
}

// Who was asked too often is asked about one at a time, the oldest first, until all are through.
void Inbox::ask_again(Round& round) {
  const bool due = ask_again_at_ && *ask_again_at_ <= round.now.steady;
  if (due) ask_again_at_.reset();
  if (parked_.empty()) {
    strained_ = false;
    nobodies_ = newcomers_ = 0;
  }
  if (!strained_ && due) {
    for (const Parked& envelope : parked_) ask_list(round, envelope.unsealed.user);
  } else if (strained_ && !ask_again_at_ && asking_.empty()) {
    ask_list(round, parked_.front().unsealed.user);
  }
}

// While most of those that were looked up are nobody, those that wait for it may hold half of the
// window, or everybody's mail would wait with them. What is dropped leaves a gap, so that its
// sender's next message brings it.
void Inbox::drop_strangers(Round& round) {
  if (!strained_ || nobodies_ <= newcomers_) return;
  const auto most = std::clamp<std::size_t>(window_envelopes_ / 2, 1, kStrangersParkedMax);
  std::size_t count = 0, bytes = 0;
  std::erase_if(parked_, [&](const Parked& envelope) {
    if (round.contains(Table::contacts, envelope.unsealed.user.view())) return false;
    const bool room = count < most && bytes + envelope.size <= window_bytes_ / 2;
    if (room || count == 0) {
      ++count;
      bytes += envelope.size;
      return false;
    }
    to_ack_.push_back(envelope.number);
    return true;
  });
}

void Inbox::pump(Round& round) {
  ask_again(round);
  if (to_ack_.empty()) return;
  std::ranges::sort(to_ack_);
  for (std::size_t done = 0; done < to_ack_.size(); done += wire::kAckNumbersMax) {
    wire::Ack ack;
    const auto count = std::min(wire::kAckNumbersMax, to_ack_.size() - done);
    const auto first = to_ack_.begin() + static_cast<std::ptrdiff_t>(done);
    ack.numbers.assign(first, first + static_cast<std::ptrdiff_t>(count));
    requests_.ask(round, std::move(ack), AckAsked{});
  }
  to_ack_.clear();
}

void Inbox::ask_list(Round& round, const wire::UserId& user, wire::ListVersion claimed) {
  if (!asking_.emplace(user, claimed).second) return;
  wire::GetUser ask;
  ask.user = user;
  requests_.ask(round, ask, UserAsked{user, {}, {}});
}

void Inbox::on_user(Round& round, const UserAsked& asked, const wire::User* user,
                    const wire::Refused* refused) {
  if (!asked.user) return;
  if (user != nullptr && peers_.take_list(round, *asked.user, user->list) == ListVerdict::newer) {
    outbox_.on_list_changed(round, *asked.user);
  }
  if (const auto claim = asking_.find(*asked.user); claim != asking_.end()) {
    const auto contact = peers_.known(round, *asked.user);
    if (user != nullptr && contact && Peers::devices_of(*contact).version < claim->second) {
      round.tell(EventKind::list_refused, *asked.user,
                 "the relay withholds the newest device list");
    }
    asking_.erase(claim);
  }
  const bool wait = refused != nullptr && refused->retry_after_ms != 0;
  std::vector<Parked> waiting = std::exchange(parked_, {});
  for (Parked& envelope : waiting) {
    const bool concerned = envelope.unsealed.user == *asked.user;
    if (concerned) envelope.asked = !wait;
    if (concerned && open(round, envelope) == Verdict::done) continue;
    parked_.push_back(std::move(envelope));
    if (!concerned) continue;
    const milliseconds told{wait ? refused->retry_after_ms : 0};
    ask_again_at_ = round.now.steady + std::clamp(told, kRetryFirst, kRetryAfterMax);
  }
  strained_ |= wait && refused->code == wire::ErrorCode::rate_limited;
  drop_strangers(round);
}

// ---- Opening ------------------------------------------------------------------------------------

Inbox::Verdict Inbox::open(Round& round, Parked& envelope) {
  const auto drop = [&] {
    to_ack_.push_back(envelope.number);
    return Verdict::done;
  };
  if (envelope.unsealed.user == account_.record.user) return drop();
  auto contact = peers_.known(round, envelope.unsealed.user);
  Peer* peer =
      contact ? peers_.device_of_key(round, *contact, envelope.unsealed.static_key) : nullptr;
  if (peer == nullptr && !envelope.asked) return Verdict::park;
  if (peer == nullptr) {
    ++nobodies_;
    return drop();
  }
  if (contact->blocked) return drop();
  if (is_ephemeral(envelope.unsealed.inner)) {
    if (!contact->accepted) return drop();
    if (!take_typing(round, *peer, envelope.unsealed.inner)) return drop();
    finish(round, envelope, {});
    return Verdict::done;
  }
  auto opened = peer->sessions.open(sealer_.ends(*peer), envelope.unsealed.inner,
                                    upkeep_.source(round), round.random, round.wall() / 1000);
  if (!opened) {
    undecryptable(round, *peer, *contact, envelope, opened.error());
    return Verdict::done;
  }
  peer->sessions_changed = true;
  (void)peer->change();
  if (opened->used_one_time_key) Upkeep::burn_one_time_key(round, *opened->used_one_time_key);
  const bool text = take_plaintext(round, *peer, *contact, std::move(opened->plaintext));
  outbox_.on_heard(round, contact->user, peer->record.device);
  finish(round, envelope, text ? peer->record.device : wire::DeviceId{});
  return Verdict::done;
}

// For an accepted contact a new session is due, once for this envelope; a stranger gets nothing.
void Inbox::undecryptable(Round& round, Peer& peer, const ContactRecord& contact,
                          const Parked& envelope, crypto::SessionError error) {
  using crypto::SessionError;
  const bool harmless = error == SessionError::replayed || error == SessionError::base_key_used ||
                        error == SessionError::malformed || error == SessionError::gen_refused;
  if (!contact.accepted || contact.frozen || harmless) return to_ack_.push_back(envelope.number);
  const auto inner = crypto::parse_inner(envelope.unsealed.inner);
  if (inner && inner->prekey) {
    peer.sessions.saw_gen(inner->prekey->gen);
    peer.sessions_changed = true;
  }
  if (peer.record.undecryptable.size() >= wire::kResetHashesMax) {  // a Reset names no more
    return to_ack_.push_back(envelope.number);
  }
  finish(round, envelope, {});
  DeviceRecord& record = peer.change();
  if (record.undecryptable.empty()) round.tell(EventKind::undecryptable, contact.user);
  record.undecryptable.push_back(envelope.hash);
}

bool Inbox::take_typing(Round& round, Peer& peer, wire::ByteView frame) {
  const crypto::Session* session = peer.sessions.current();
  const auto plaintext = session == nullptr ? tl::unexpected(crypto::SessionError::not_authentic)
                                            : session->decrypt_ephemeral(frame);
  if (!plaintext) return false;
  const auto payload = wire::ParsedPayload::parse(*plaintext);
  const auto* typing = payload ? std::get_if<wire::Typing>(&payload->value().body) : nullptr;
  const auto conversation = history::find(round, peer.record.user.view());
  if (typing == nullptr || !conversation) return true;
  auto& event = round.tell(EventKind::typing, peer.record.user, typing->active ? "on" : "off");
  event.conversation = as_id<ConversationId>(*conversation);
  return true;
}

// ---- The plaintext ------------------------------------------------------------------------------

bool Inbox::take_plaintext(Round& round, Peer& peer, ContactRecord& contact,
                           wire::Bytes plaintext) {
  const auto parts = crypto::unpad(plaintext) ? wire::parse_plaintext(plaintext) : std::nullopt;
  if (!parts) return false;
  const bool tombstone = parts->kind == wire::Plaintext::Kind::tombstone;
  auto payload = wire::ParsedPayload::parse(parts->payload);
  const wire::Payload* content = !tombstone && payload ? &payload->value() : nullptr;
  const auto* text = content == nullptr ? nullptr : std::get_if<wire::Text>(&content->body);
  // Who wrote authentically is somebody we know from now on.
  if (!peers_.contact(round, contact.user)) {
    ++newcomers_;
    contact.accepted = !account_.record.requests;
    peers_.save(round, contact);
    round.tell(EventKind::contact_added, contact.user);
  } else if (!contact.accepted && !account_.record.requests) {
    peers_.accept(round, contact);  // held apart until the policy became open
  }
  const auto* repair = content == nullptr ? nullptr : std::get_if<wire::Repair>(&content->body);
  const Place place = take_seq(round, peer, *parts, text != nullptr);
  // Two who both lack that much would wait for each other for ever.
  const bool heeded = place == Place::no_room && repair != nullptr;
  if (place != Place::taken && !heeded) return text != nullptr;
  if (content == nullptr) return false;
  check_list(round, contact, *content);
  if (text != nullptr) {
    take_text(round, peer, contact, parts->seq, *text);
    return true;
  }
  if (!contact.accepted) return false;
  if (const auto* receipt = std::get_if<wire::Receipt>(&content->body)) {
    receipts_.on_receipt(round, peer, *receipt);
  } else if (repair != nullptr) {
    receipts_.on_repair(round, peer, *repair);
  } else if (const auto* reset = std::get_if<wire::Reset>(&content->body)) {
    receipts_.on_reset(round, peer, *reset);
  }
  return false;
}

// Puts a number into its place.
Inbox::Place Inbox::take_seq(Round& round, Peer& peer, const wire::Plaintext& plaintext,
                             bool text) {
  DeviceRecord& record = peer.change();
  if (has_arrived(record, plaintext.seq)) {
    record.receipt_owed |= text && owes_again(record, round.wall());
    return Place::known;
  }
  const bool tombstone = plaintext.kind == wire::Plaintext::Kind::tombstone;
  // What stood here is lost, and with it what was missing: the device goes on from this one.
  const bool anew = std::exchange(record.begins_anew, false);
  if (anew) record.seq = plaintext.seq - 1;
  const bool next = plaintext.seq == record.seq + 1;
  const bool had_gap = has_gap(record);
  if (!next && !keep_early(round, peer, plaintext)) {
    if (record.gap_since == 0) open_gap(record, round.wall());
    return Place::no_room;
  }
  if (text) {
    record.text_top = std::max(record.text_top, plaintext.seq);
    record.read_to = std::min(record.read_to, plaintext.seq - 1);  // one that comes late is unread
  }
  if (!next) {
    if (record.gap_since == 0) open_gap(record, round.wall());
    if (!had_gap) round.tell(EventKind::gap, record.user);
    record.receipt_owed |= text;
    return Place::taken;
  }
  const bool fits = tombstone || anew || crypto::chain(record.h, plaintext.payload) == plaintext.h;
  if (!fits) round.tell(EventKind::chain_broken, record.user);
  record.h = plaintext.h;
  advance(record);
  if (had_gap) close_gap(round, peer);
  // Receipts and the like ask for a receipt only when many have come, or two devices would
  // confirm each other's confirmations for ever.
  record.receipt_owed |= text || record.seq - record.receipted >= kUnreceiptedMax;
  return Place::taken;
}

// What is no text shows nowhere: without a bound whoever leaves a gap would fill the disk unseen.
bool Inbox::keep_early(Round& round, Peer& peer, const wire::Plaintext& plaintext) {
  DeviceRecord& record = peer.change();
  std::size_t& bytes = Peers::early_bytes(round, peer);
  const bool room =
      early_count(record) < kEarlyMax && bytes + plaintext.payload.size() <= kEarlyBytesMax;
  if (!room || !note_early(record, plaintext.seq)) {
    record.beyond = std::max(record.beyond, plaintext.seq);
    return false;
  }
  bytes += plaintext.payload.size();
  EarlyRecord early{plaintext.h, plaintext.kind == wire::Plaintext::Kind::tombstone, {}};
  early.payload.assign(plaintext.payload.begin(), plaintext.payload.end());
  round.save(record.device.view(), order_bytes(plaintext.seq), early);
  return true;
}

// What arrived early is checked against the chain now that its predecessors are there.
void Inbox::close_gap(Round& round, Peer& peer) {
  DeviceRecord& record = peer.change();
  while (!record.ranges.empty() && record.ranges.front().first == record.seq + 1) {
    const auto place = order_bytes(record.seq + 1);
    const auto early = round.load<EarlyRecord>(record.device.view(), place);
    if (early) {
      const bool fits = early->tombstone || crypto::chain(record.h, early->payload) == early->h;
      if (!fits) round.tell(EventKind::chain_broken, record.user);
      record.h = early->h;
      if (peer.early_bytes) *peer.early_bytes -= std::min(early->payload.size(), *peer.early_bytes);
    }
    advance(record);
    round.erase(Table::early, record.device.view(), place);
  }
  if (has_gap(record)) {
    if (record.gap_since == 0) open_gap(record, round.wall());  // nothing was owed for a while
    if (record.seq >= record.asked_to) record.asked = 0;        // all has come: on with the rest
    return;
  }
  record.gap_since = 0;
  record.receipt_owed = true;  // what was read beyond the gap can be said only now
  round.tell(EventKind::gap_closed, record.user);
}

void Inbox::check_list(Round& round, const ContactRecord& contact, const wire::Payload& payload) {
  const wire::ListVersion ours = Peers::devices_of(contact).version;
  if (payload.list > ours) {
    ask_list(round, contact.user, payload.list);
  } else if (payload.list == ours && payload.list_hash != hash_of_list(contact.list.body)) {
    auto frozen = peers_.contact(round, contact.user);
    if (!frozen || frozen->frozen) return;
    frozen->frozen = true;
    peers_.save(round, *frozen);
    round.tell(EventKind::equivocation, contact.user,
               "the relay's device list is not the one the user has");
  }
}

void Inbox::take_text(Round& round, Peer& peer, ContactRecord& contact, std::uint64_t seq,
                      const wire::Text& text) {
  // Under another number after a reset, or from the device in the place of another. Where nothing
  // is unread mark_read() changes nothing, so that this one would never count as read.
  if (const auto place = history::place_of(round, text.id, contact.user)) {
    const auto shown = history::load_conversation(round, place->conversation);
    const bool all_read = shown && shown->unread == 0 && shown->read_arrival != 0;
    if (all_read) peer.change().read_to = peer.record.text_top;
    return;
  }
  // Who knows an id of ours could have it stand for another text.
  if (history::place_of(round, text.id, account_.record.user)) return;
  ConversationRecord conversation = history::conversation_with(round, contact.user);
  conversation.request = !contact.accepted;
  MessageRecord message;
  message.id = text.id;
  message.sender = contact.user;
  message.device = peer.record.device;
  message.hlc = text.hlc;
  message.seq = seq;
  message.text = text.text;
  message.status = Status::received;
  message.created = round.wall();
  message.late = text.hlc <= conversation.read_hlc;
  if (!clock_.saw(round, text.hlc)) round.tell(EventKind::late_clock, contact.user);
  history::add(round, conversation, message);
  auto& event = round.tell(EventKind::message_received, contact.user);
  event.conversation = as_id<ConversationId>(conversation.id);
  event.message = as_id<MessageId>(text.id);
  event.status = Status::received;
  // What is no name is passed over: the text counts.
  const auto claimed = text.sender_name ? wire::fold_name(*text.sender_name) : std::nullopt;
  if (claimed && contact.name != *claimed && contact.claimed_name != *claimed) {
    auto claims = peers_.contact(round, contact.user);
    if (!claims) return;
    claims->claimed_name = *claimed;
    peers_.save(round, *claims);
    peer.change().name_to_check = true;
  }
}

// ---- Names --------------------------------------------------------------------------------------

void Inbox::on_name(Round& round, const UserAsked& asked, const wire::User* user,
                    const wire::Refused* refused) {
  const milliseconds retry_after{refused != nullptr ? refused->retry_after_ms : 0};
  receipts_.on_name_checked(round, asked.claimed_by, retry_after);
  const bool later_again = retry_after.count() != 0;
  auto contact = peers_.contact(round, asked.claimed_by);
  // Of a name that was claimed before, the answer says nothing: the newer one is looked up next.
  if (!contact || later_again || contact->claimed_name != asked.name) return;
  const bool theirs = user != nullptr && wire::user_id_of(user->list.root) == contact->user;
  if (!theirs) {
    contact->claimed_name.clear();
    peers_.save(round, *contact);
    if (user == nullptr) return;  // nobody has it
    round.tell(EventKind::name_moved, contact->user, "the relay gives this name to somebody else");
    return;
  }
  // A name by which we write to somebody does not move by the word of a relay and a stranger.
  if (const auto holder = round.load<UserRef>(wire::as_bytes(asked.name));
      holder && holder->user != contact->user) {
    contact->claimed_name.clear();
    peers_.save(round, *contact);
    round.tell(EventKind::name_moved, holder->user, "the relay gives this name to somebody else");
    return;
  }
  peers_.set_name(round, *contact, asked.name);
  round.tell(EventKind::contact_added, contact->user, asked.name);
}

}  // namespace godwit::core
