// What an app wants done. Each call checks first and changes then, so that one that is refused has
// changed nothing.
#include <map>

#include "client-sdk/src/core/core_state.hpp"

namespace godwit::core {
namespace {

Error key_conflict(const std::string& key) {
  return {ErrorCode::key_conflict, "the key \"" + key +
                                       "\" was used for another message; use a new key for a new "
                                       "message"};
}

std::string as_kept(const std::string& to) {
  return wire::fold_name(to).value_or(to);
}

Error offline() {
  return {ErrorCode::offline, "the relay is not connected"};
}

}  // namespace

// The message that the app's key stands for already, whatever has become of its recipient since.
std::optional<Found> Core::State::sent_before(const Outgoing& message) const {
  if (!message.key) return std::nullopt;
  const auto ref = round.load<KeyRef>(wire::as_bytes(*message.key), kKeyRefSuffix);
  if (!ref) return std::nullopt;
  auto found = history::find_message(round, ref->message, user);
  return found && found->record.outgoing ? std::move(found) : std::nullopt;
}

// What would refuse this message; nothing is changed yet, so that a batch is all or nothing.
Result<void> Core::State::check(const Outgoing& message) const {
  if (message.text.empty() || message.text.size() > wire::kTextSizeMax) {
    return Error{ErrorCode::invalid_argument, "a text has 1 byte to 64 KiB"};
  }
  if (!wire::is_utf8(message.text)) {
    return Error{ErrorCode::invalid_argument, "the text is not UTF-8"};
  }
  if (message.key) {
    if (message.key->empty() || message.key->size() > kKeySizeMax) {
      return Error{ErrorCode::invalid_argument, "a key has 1 to 256 bytes"};
    }
    if (const auto before = sent_before(message)) {
      const auto conversation = reads::conversation_of(round, message.to);
      const bool same_recipient = before->record.recipient == as_kept(message.to) ||
                                  (conversation && before->place.conversation == *conversation);
      if (same_recipient && before->record.text == message.text) return {};
      return key_conflict(*message.key);
    }
  }
  if (const auto known = reads::user_of(round, message.to)) {
    const auto contact = round.load<ContactRecord>(known->view());
    if (contact && contact->blocked) {
      return Error{ErrorCode::invalid_argument, message.to + " is blocked; unblock them to write"};
    }
  } else {
    const auto folded = wire::fold_name(message.to);
    if (!folded) return reads::no_such_name(message.to);
    if (*folded == account.record.name) {
      return Error{ErrorCode::invalid_argument, "this is your own name; write to somebody else"};
    }
  }
  auto why = outbox.too_long(message.text);
  if (!why.empty()) return Error{ErrorCode::invalid_argument, std::move(why)};
  return {};
}

ConversationRecord Core::State::conversation_to(const std::string& name) {
  const auto known = reads::user_of(round, name);
  if (!known) return history::conversation_named(round, *wire::fold_name(name));
  auto contact = peers.contact(round, *known);
  if (contact && !contact->accepted) peers.accept(round, *contact);  // who writes accepts them
  ConversationRecord conversation = history::conversation_with(round, *known);
  conversation.request = false;
  return conversation;
}

// Precondition: check() found nothing.
Sent Core::State::send_one(const Outgoing& message) {
  MessageRecord record;
  if (message.key) {
    record.key = *message.key;
    record.recipient = as_kept(message.to);
    record.id = account.message_id_of(*message.key, message.text);
    if (const auto place = history::place_of(round, record.id, user)) {
      auto before = history::load(round, *place);
      if (before) history::see_outbox(round, *before);
      return {as_id<MessageId>(record.id), as_id<ConversationId>(place->conversation),
              before ? before->status : Status::queued};
    }
    round.save(wire::as_bytes(*message.key), kKeyRefSuffix, KeyRef{record.id});
  } else {
    round.random(record.id.bytes);
  }
  ConversationRecord conversation = conversation_to(message.to);
  record.outgoing = true;
  record.sender = user;
  record.device = account.record.device;
  record.hlc = clock.next(round);
  record.text = message.text;
  record.created = round.wall();
  record.outbox = round.counters.outbox + 1;
  const MessagePlace place = history::add(round, conversation, record);
  outbox.add_text(round, conversation, place);
  return {as_id<MessageId>(record.id), as_id<ConversationId>(conversation.id), Status::queued};
}

Result<std::vector<Sent>> Core::send(std::span<const Outgoing> messages, Now now) {
  State& s = *state_;
  s.round.now = now;
  std::map<std::string, const Outgoing*> keys;
  std::size_t added = 0;
  for (const Outgoing& message : messages) {
    if (auto wrong = s.check(message); !wrong) return wrong.error();
    if (!s.sent_before(message)) ++added;
    if (!message.key) continue;
    const auto [twin, fresh] = keys.emplace(*message.key, &message);
    const Outgoing& first = *twin->second;
    if (!fresh && (first.text != message.text || as_kept(first.to) != as_kept(message.to))) {
      return key_conflict(*message.key);
    }
  }
  if (added > 0 && s.outbox.size() + added > kOutboxMax) {
    return Error{ErrorCode::outbox_full, "too many messages wait; try again when some have gone"};
  }
  std::vector<Sent> sent;
  for (const Outgoing& message : messages) sent.push_back(s.send_one(message));
  return sent;
}

namespace {

// What others have written in a conversation that came after `arrival`.
struct Unread {
  std::uint32_t count = 0;
  std::map<wire::DeviceId, std::uint64_t> first;  // the number of the first of each device
  std::uint64_t newest_read = 0;                  // the stamp of the last that is none of these
};

Unread unread_after(const View& view, const ConversationRecord& conversation,
                    std::uint64_t arrival) {
  Unread unread;
  std::uint32_t seen = 0;  // of those that are unread now
  view.scan(Table::messages, conversation.id.view(), {}, store::ReadTxn::Order::descending,
            [&](wire::ByteView, std::optional<wire::ByteView> value) {
              const auto message = value ? View::parse<MessageRecord>(*value) : std::nullopt;
              if (!message) return true;
              const bool theirs = !message->outgoing;
              if (theirs && message->arrival > conversation.read_arrival) ++seen;
              if (theirs && message->arrival > arrival) {
                ++unread.count;
                auto& first = unread.first.emplace(message->device, message->seq).first->second;
                first = std::min(first, message->seq);
              } else if (unread.newest_read == 0) {
                unread.newest_read = message->hlc;
              }
              const bool all_seen = conversation.unread != 0 && seen >= conversation.unread;
              return !all_seen || unread.newest_read == 0;
            });
  return unread;
}

}  // namespace

Result<void> Core::mark_read(const ConversationId& conversation, std::uint64_t arrival, Now now) {
  State& s = *state_;
  s.round.now = now;
  const auto id = as_id<LocalConversation>(conversation);
  auto record = history::load_conversation(s.round, id);
  if (!record) return Error{ErrorCode::not_found, "there is no such conversation"};
  if (record->unread == 0 && record->read_arrival != 0) return {};
  arrival = std::clamp(arrival, record->read_arrival, s.round.counters.arrival);
  Unread left{0, {}, record->last_hlc};
  if (arrival < s.round.counters.arrival) left = unread_after(s.round, *record, arrival);
  record->unread = left.count;
  record->read_arrival = arrival;
  record->read_hlc = std::max(record->read_hlc, left.newest_read);
  s.round.save(record->id.view(), *record);
  const auto contact = record->resolved ? s.peers.contact(s.round, record->user) : std::nullopt;
  if (!contact) return {};
  for (const auto& listed : Peers::devices_of(*contact).devices) {
    Peer* peer = s.peers.device(s.round, listed.id);
    if (peer == nullptr) continue;
    std::uint64_t read_to = peer->record.text_top;
    if (const auto first = left.first.find(listed.id); first != left.first.end()) {
      // A record of before has no number: then nothing more is said to be read.
      read_to = first->second == 0 ? 0 : std::min(read_to, first->second - 1);
    }
    if (read_to <= peer->record.read_to) continue;
    peer->change().read_to = read_to;
    peer->change().receipt_owed = true;
  }
  return {};
}

Result<void> Core::set_typing(std::string_view name, bool active, Now now) {
  State& s = *state_;
  s.round.now = now;
  if (!s.login.link().logged_in) return offline();
  const auto user = reads::user_of(s.round, name);
  const auto contact = user ? s.peers.contact(s.round, *user) : std::nullopt;
  if (!contact) return reads::no_such_name(name);
  if (contact->blocked || contact->frozen) return {};                     // nothing is sent to them
  if (s.requests.count<SubmitAsked>() >= kSubmitsInFlightMax) return {};  // it would come too late
  const wire::DeviceList list = Peers::devices_of(*contact);
  for (const auto& listed : list.devices) {
    Peer* peer = s.peers.device(s.round, listed.id);
    if (peer == nullptr || !Sealer::reachable(*peer)) continue;
    const wire::Bytes body = s.sealer.seal_typing(s.round, *peer, active);
    wire::Submit submit;
    s.round.random(submit.request_id.bytes);
    submit.ttl_s = static_cast<std::uint32_t>(kTypingTtl.count());
    submit.recipients.push_back({*user, listed.id, list.version, 0});
    submit.bodies.push_back(body);
    s.requests.ask(s.round, std::move(submit), SubmitAsked{});
  }
  return {};
}

Result<void> Core::set_name(std::string_view name, Now now) {
  State& s = *state_;
  s.round.now = now;
  const auto folded = folded_name(name);
  if (!folded) return folded.error();
  if (!s.account.record.registered) {
    s.account.record.name = *folded;
    s.account.save(s.round);
    return {};
  }
  if (!s.login.link().logged_in) return offline();
  s.account.record.wanted_name = *folded;  // kept: the answer may be lost with the connection
  s.account.save(s.round);
  s.requests.ask(s.round, wire::SetName{*folded}, NamePut{*folded});
  return {};
}

Result<void> Core::accept(std::string_view name, Now now) {
  State& s = *state_;
  s.round.now = now;
  const auto user = reads::user_of(s.round, name);
  auto contact = user ? s.peers.contact(s.round, *user) : std::nullopt;
  if (!contact) return reads::no_such_name(name);
  s.peers.accept(s.round, *contact);
  return {};
}

Result<void> Core::block(std::string_view name, bool blocked, Now now) {
  State& s = *state_;
  s.round.now = now;
  const auto user = reads::user_of(s.round, name);
  auto contact = user ? s.peers.contact(s.round, *user) : std::nullopt;
  if (!contact) return reads::no_such_name(name);
  if (!blocked) {
    const bool was_blocked = contact->blocked;
    const bool open = !s.account.record.requests;
    if (open && !contact->accepted) s.peers.accept(s.round, *contact);  // as anybody who writes now
    s.peers.unblock(s.round, *contact);
    if (was_blocked) s.receipts.owe_dropped(s.round, *contact);
    return {};
  }
  s.peers.block(s.round, *contact);
  return {};
}

Result<void> Core::set_contact_policy(Client::ContactPolicy policy, Now now) {
  State& s = *state_;
  s.round.now = now;
  s.account.record.requests = policy == Client::ContactPolicy::requests;
  s.account.save(s.round);
  return {};
}

// An events_lost has the number of the event that made another one leave. Who has come to that one
// has taken all before it, from a queue that still held what left, or with the events_lost.
void Core::forget_event(EventKind kind, std::uint64_t number, Now now) {
  state_->round.now = now;
  for (const EventKind each : {kind, EventKind::events_lost}) {
    state_->round.erase(Table::notices, name_bytes(to_string(each)), order_bytes(number));
  }
}

}  // namespace godwit::core
