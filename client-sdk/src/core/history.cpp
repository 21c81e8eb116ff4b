#include "client-sdk/src/core/history.hpp"

#include <algorithm>

#include "schema/wire/hash.hpp"

namespace godwit::core {
namespace {

constexpr unsigned kCounterBits = 16;

// Where two ids of one message may differ: the sender. 8 bytes keep them apart.
wire::ByteView sender_tag(const wire::UserId& sender) {
  return sender.view().first(8);
}

std::string preview_of(std::string_view text) {
  std::size_t size = std::min(text.size(), kPreviewSizeMax);
  while (size > 0 && size < text.size() && (text[size] & 0xc0) == 0x80) --size;  // whole characters
  return std::string(text.substr(0, size));
}

SortKey behind(SortKey key) {
  for (auto digit = key.bytes.rbegin(); digit != key.bytes.rend() && ++*digit == 0; ++digit) {
  }
  return key;
}

// Nothing stands behind it in its conversation. Of two written at one moment the sort key decides.
bool stands_last(const View& view, const MessagePlace& place) {
  bool last = true;
  view.scan(Table::messages, place.conversation.view(), behind(place.key).view(),
            store::ReadTxn::Order::ascending,
            [&last](wire::ByteView, std::optional<wire::ByteView>) { return last = false; });
  return last;
}

void summarise(const View& view, ConversationRecord& conversation, const MessagePlace& place,
               const MessageRecord& message) {
  if (message.hlc < conversation.last_hlc) return;
  if (message.hlc == conversation.last_hlc && !stands_last(view, place)) return;
  conversation.last_hlc = message.hlc;
  conversation.last_text = preview_of(message.text);
  conversation.last_outgoing = message.outgoing;
  conversation.last_time = time_of(message.hlc);
}

void touch(Round& round, ConversationRecord& conversation) {
  if (conversation.activity != 0) {
    round.erase(Table::recent, {}, order_bytes(conversation.activity));
  }
  conversation.activity = ++round.count().activity;
  round.save({}, order_bytes(conversation.activity), Recent{conversation.id});
}

ConversationRecord create(Round& round) {
  ConversationRecord conversation;
  round.random(conversation.id.bytes);
  auto& event = round.tell(EventKind::conversation_added);
  event.conversation = as_id<ConversationId>(conversation.id);
  return conversation;
}

}  // namespace

SortKey sort_key_of(std::uint64_t hlc, const wire::DeviceId& device,
                    const wire::MessageId& message) {
  SortKey key;
  const auto time = order_bytes(hlc);
  std::ranges::copy(time, key.bytes.begin());
  std::ranges::copy(device.view().first(4), key.bytes.begin() + 8);
  std::ranges::copy(message.view().first(4), key.bytes.begin() + 12);
  return key;
}

Milliseconds time_of(std::uint64_t hlc) {
  return hlc >> kCounterBits;
}

// ---- Clock --------------------------------------------------------------------------------------

void HybridClock::relay_says(Milliseconds relay_time, const Round& round) {
  if (time_of(relay_time << kCounterBits) != relay_time) return;  // no stamp could hold it
  offset_ = static_cast<std::int64_t>(relay_time) - static_cast<std::int64_t>(round.wall());
  said_ = relay_time;
  said_at_ = round.now.steady;
}

Milliseconds HybridClock::relay_time(const Round& round) const {
  return said_ + static_cast<Milliseconds>((round.now.steady - said_at_).count());
}

Milliseconds HybridClock::bounded(const Round& round) const {
  const auto own = static_cast<std::int64_t>(round.wall());
  if (!offset_) return round.wall();
  const std::int64_t bound = kClockAheadMax.count();
  // Ours may have jumped since the login, because the machine slept, or somebody set it right, or
  // wrong: then it counts between what the two say. But a stamp of next year would stand above all
  // later ones.
  const auto steady = static_cast<std::int64_t>(relay_time(round));
  const auto jumped = std::min(own + *offset_, steady + kSleepMax.count());
  const auto [least, most] = std::minmax(steady, jumped);
  return static_cast<Milliseconds>(std::clamp(own, std::max(least, bound) - bound, most + bound));
}

std::uint64_t HybridClock::next(Round& round) const {
  std::uint64_t& hlc = round.count().hlc;
  hlc = std::max(hlc + 1, bounded(round) << kCounterBits);
  return hlc;
}

bool HybridClock::saw(Round& round, std::uint64_t hlc) const {
  const Milliseconds bound = bounded(round) + static_cast<Milliseconds>(kHlcAheadMax.count());
  if (time_of(hlc) > bound) return false;
  if (hlc > round.counters.hlc) round.count().hlc = hlc;
  return true;
}

// ---- Conversations ------------------------------------------------------------------------------

namespace history {

std::optional<LocalConversation> find(const View& view, wire::ByteView user_or_name) {
  const auto ref = view.load<ConversationOf>(user_or_name);
  if (!ref) return std::nullopt;
  return ref->id;
}

namespace {

// Its record is damaged: what other records say of it. What it was called before its user was known
// is lost, and how far it was read.
ConversationRecord rebuilt(const View& view, const LocalConversation& id) {
  ConversationRecord conversation;
  conversation.id = id;
  view.each<ContactRecord>([&](ContactRecord& contact) {
    if (find(view, contact.user.view()) != id) return;
    conversation.resolved = true;
    conversation.user = contact.user;
  });
  view.scan(Table::recent, {}, {}, store::ReadTxn::Order::descending,
            [&](wire::ByteView suffix, std::optional<wire::ByteView> value) {
              const auto ref = value ? View::parse<Recent>(*value) : std::nullopt;
              if (ref && ref->id == id) conversation.activity = order_number(suffix);
              return conversation.activity == 0;
            });
  view.scan(Table::messages, id.view(), {}, store::ReadTxn::Order::descending,
            [&](wire::ByteView suffix, std::optional<wire::ByteView> value) {
              const auto newest = value ? View::parse<MessageRecord>(*value) : std::nullopt;
              if (newest) {
                const MessagePlace place{id, SortKey::copy_of(suffix), newest->sender};
                summarise(view, conversation, place, *newest);
              }
              return !newest.has_value();
            });
  return conversation;
}

ConversationRecord get_or_create(Round& round, wire::ByteView user_or_name) {
  const auto id = find(round, user_or_name);
  auto found = id ? load_conversation(round, *id) : std::nullopt;
  return found ? std::move(*found) : create(round);
}

}  // namespace

std::optional<ConversationRecord> load_conversation(const View& view, const LocalConversation& id) {
  auto found = view.load<ConversationRecord>(id.view());
  if (found) return found;
  if (view.contains(Table::conversations, id.view())) return rebuilt(view, id);
  const auto joined = find(view, id.view());
  return joined ? load_conversation(view, *joined) : std::nullopt;
}

ConversationRecord conversation_with(Round& round, const wire::UserId& user) {
  ConversationRecord made = get_or_create(round, user.view());
  if (made.resolved) return made;
  made.resolved = true;
  made.user = user;
  round.save(user.view(), ConversationOf{made.id});
  return made;
}

void let_in(Round& round, const wire::UserId& user) {
  const auto id = find(round, user.view());
  auto conversation = id ? load_conversation(round, *id) : std::nullopt;
  if (!conversation || !conversation->request) return;
  conversation->request = false;
  round.save(conversation->id.view(), *conversation);
}

ConversationRecord conversation_named(Round& round, const std::string& name) {
  ConversationRecord made = get_or_create(round, wire::as_bytes(name));
  if (!made.name.empty()) return made;
  made.name = name;
  round.save(wire::as_bytes(name), ConversationOf{made.id});
  return made;
}

namespace {

void move_messages(Round& round, const ConversationRecord& from, ConversationRecord& to) {
  std::vector<std::pair<SortKey, MessageRecord>> moved;
  round.scan(Table::messages, from.id.view(), {}, store::ReadTxn::Order::ascending,
             [&](wire::ByteView suffix, std::optional<wire::ByteView> value) {
               if (!value) return true;
               if (auto message = View::parse<MessageRecord>(*value)) {
                 moved.emplace_back(SortKey::copy_of(suffix), std::move(*message));
               }
               return true;
             });
  for (auto& [key, message] : moved) {
    const MessagePlace place{to.id, key, message.sender};
    round.erase(Table::messages, from.id.view(), key.view());
    save(round, place, message);
    round.save(message.id.view(), sender_tag(message.sender), place);
    summarise(round, to, place, message);
  }
}

}  // namespace

LocalConversation resolve(Round& round, const LocalConversation& id, const std::string& name,
                          const wire::UserId& user, bool accepted) {
  auto found = load_conversation(round, id);
  ConversationRecord unresolved = found ? std::move(*found) : conversation_named(round, name);
  round.erase(Table::conversation_of, wire::as_bytes(name));
  if (find(round, user.view())) {
    ConversationRecord existing = conversation_with(round, user);
    move_messages(round, unresolved, existing);
    if (unresolved.activity != 0) {
      round.erase(Table::recent, {}, order_bytes(unresolved.activity));
    }
    round.erase(Table::conversations, unresolved.id.view());
    round.save(unresolved.id.view(), ConversationOf{existing.id});  // an app knows it by its id
    touch(round, existing);
    if (accepted) existing.request = false;
    round.save(existing.id.view(), existing);
    return existing.id;
  }
  unresolved.resolved = true;
  unresolved.user = user;
  round.save(user.view(), ConversationOf{unresolved.id});
  round.save(unresolved.id.view(), unresolved);
  return unresolved.id;
}

// ---- Messages -----------------------------------------------------------------------------------

namespace {

// Ids are short in a key, and a peer can choose its own: nobody takes another message's place. Nor
// does anybody have us look for a free one through thousands that were made to collide.
SortKey free_key(const View& view, const LocalConversation& id, const MessageRecord& message) {
  SortKey key = sort_key_of(message.hlc, message.device, message.id);
  for (int tried = 1; view.contains(Table::messages, id.view(), key.view()); ++tried) {
    if (tried == kSortKeyTriesMax) {
      std::array<std::uint8_t, 16> ids{};
      wire::blake2b(ids, {wire::label("place"), message.device.view(), message.id.view()});
      std::copy_n(ids.begin(), 8, key.bytes.begin() + 8);
    } else {
      key = behind(key);
    }
  }
  return key;
}

}  // namespace

MessagePlace add(Round& round, ConversationRecord& conversation, MessageRecord& message) {
  message.arrival = ++round.count().arrival;
  const MessagePlace place{conversation.id, free_key(round, conversation.id, message),
                           message.sender};
  save(round, place, message);
  round.save(message.id.view(), sender_tag(message.sender), place);
  if (!message.outgoing) ++conversation.unread;
  summarise(round, conversation, place, message);
  touch(round, conversation);
  round.save(conversation.id.view(), conversation);
  return place;
}

std::optional<MessagePlace> place_of(const View& view, const wire::MessageId& message,
                                     const wire::UserId& sender) {
  return view.load<MessagePlace>(message.view(), sender_tag(sender));
}

std::optional<Found> find_message(const View& view, const wire::MessageId& message,
                                  const wire::UserId& own) {
  std::optional<MessagePlace> place = place_of(view, message, own);
  if (!place) {
    view.scan(Table::message_ids, message.view(), {}, store::ReadTxn::Order::ascending,
              [&](wire::ByteView, std::optional<wire::ByteView> value) {
                if (value) place = View::parse<MessagePlace>(*value);
                return !place.has_value();
              });
  }
  if (!place) return std::nullopt;
  auto record = load(view, *place);
  if (!record) return std::nullopt;
  return Found{*place, std::move(*record)};
}

std::optional<MessageRecord> load(const View& view, const MessagePlace& place) {
  return view.load<MessageRecord>(place.conversation.view(), place.key.view());
}

void save(Round& round, const MessagePlace& place, const MessageRecord& record) {
  round.save(place.conversation.view(), place.key.view(), record);
}

void see_outbox(const View& view, MessageRecord& message) {
  if (!message.outgoing || message.status != Status::queued) return;
  if (view.load<OutboxRecord>({}, order_bytes(message.outbox))) return;
  message.status = Status::failed;
  message.failure = "what was to be sent of it is damaged";
}

namespace {

void tell(Round& round, EventKind kind, const MessagePlace& place, const MessageRecord& message) {
  auto& event = round.tell(kind, {}, message.failure);
  event.conversation = as_id<ConversationId>(place.conversation);
  event.message = as_id<MessageId>(message.id);
  event.status = message.status;
}

}  // namespace

void raise_status(Round& round, const MessagePlace& place, Status status) {
  auto message = load(round, place);
  if (!message) return;
  if (status == Status::sent && message->accepted == 0) message->accepted = round.wall();
  if (status == Status::delivered && message->delivered == 0) message->delivered = round.wall();
  if (status == Status::read && message->read == 0) message->read = round.wall();
  const bool rises = message->status == Status::failed || status > message->status;
  if (rises) {
    message->status = status;
    message->failure.clear();
  }
  save(round, place, *message);
  if (rises) tell(round, EventKind::status_changed, place, *message);
}

void fail(Round& round, const MessagePlace& place, std::string why) {
  auto message = load(round, place);
  if (!message || message->status > Status::sent) return;
  message->status = Status::failed;
  message->failure = std::move(why);
  message->failed = round.wall();
  message->outbox = 0;
  save(round, place, *message);
  tell(round, EventKind::status_changed, place, *message);
}

void tell_expired(Round& round, const MessagePlace& place) {
  if (const auto message = load(round, place)) tell(round, EventKind::expired, place, *message);
}

}  // namespace history
}  // namespace godwit::core
