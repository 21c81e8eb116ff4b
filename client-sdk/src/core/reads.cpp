#include "client-sdk/src/core/reads.hpp"

#include <algorithm>

namespace godwit::core::reads {
namespace {

using Order = store::ReadTxn::Order;

Error no_message() {
  return {ErrorCode::not_found, "there is no message with this id on this device"};
}

std::optional<Error> check(const PageRequest& page) {
  if (page.limit < 1 || page.limit > kPageMax) {
    return Error{ErrorCode::invalid_argument, "a page has 1 to 1,000 items"};
  }
  if (page.offset != 0 && !page.cursor.empty()) {
    return Error{ErrorCode::invalid_argument, "give an offset or a cursor, not both"};
  }
  return std::nullopt;
}

// A cursor is the place of the last item of its page, in hex; the next page begins behind it.
template <std::size_t kSize>
std::optional<std::array<std::uint8_t, kSize>> parse_cursor(std::string_view text) {
  std::array<std::uint8_t, kSize> place{};
  if (text.size() != 2 * kSize) return std::nullopt;
  const auto digit = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  for (std::size_t i = 0; i < kSize; ++i) {
    const int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    place[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return place;
}

// Walks one page: `take` gets each suffix and value of it, and says whether it counts.
template <std::size_t kSize, class Item, class Take>
Result<Page<Item>> walk(const View& view, Table table, wire::ByteView name, Order order,
                        const PageRequest& page, const Take& take) {
  if (auto wrong = check(page)) return *wrong;
  std::optional<std::array<std::uint8_t, kSize>> after;
  if (!page.cursor.empty()) {
    after = parse_cursor<kSize>(page.cursor);
    if (!after) return Error{ErrorCode::invalid_argument, "this cursor is of no page"};
  }
  Page<Item> result;
  result.cursor = page.cursor;
  const wire::ByteView from = after ? wire::ByteView(*after) : wire::ByteView();
  view.scan(
      table, name, from, order,
      [&](wire::ByteView suffix, std::optional<wire::ByteView> value) {
        if (after && std::ranges::equal(suffix, *after)) return true;
        auto item = value ? take(*value) : std::nullopt;
        if (!item) return true;  // damaged: the others are shown
        if (result.items.size() == page.limit) {
          result.end = false;
          return false;
        }
        result.items.push_back(std::move(*item));
        result.cursor = wire::to_hex(suffix);
        return true;
      },
      page.offset);
  if (result.cursor.empty()) {  // all were left out: what comes later lies behind the last of them
    const auto back = order == Order::ascending ? Order::descending : Order::ascending;
    view.scan(table, name, {}, back, [&](wire::ByteView suffix, auto) {
      result.cursor = wire::to_hex(suffix);
      return false;
    });
  }
  return result;
}

Message shown(const MessageRecord& record, const LocalConversation& conversation,
              std::uint64_t read_arrival, std::string sender_name) {
  Message message;
  message.id = as_id<MessageId>(record.id);
  message.conversation = as_id<ConversationId>(conversation);
  message.sender = as_id<UserId>(record.sender);
  message.sender_name = std::move(sender_name);
  message.outgoing = record.outgoing;
  message.text = record.text;
  message.time = Time(std::chrono::milliseconds(time_of(record.hlc)));
  message.arrival = record.arrival;
  message.status = record.status;
  if (!record.outgoing && record.arrival <= read_arrival) message.status = Status::read;
  if (!record.key.empty()) message.key = record.key;
  message.late = record.late;
  if (record.status == Status::failed) message.failure = record.failure;
  return message;
}

Time at(Milliseconds when) {
  return Time(std::chrono::milliseconds(when));
}

// Of one that is damaged here no time is known but that of its writing.
Milliseconds failed_at(const MessageRecord& record) {
  return record.failed != 0 ? record.failed : record.created;
}

std::optional<Found> find(const View& view, const MessageId& id) {
  const auto account = view.load<AccountRecord>(name_bytes(kAccountName));
  if (!account) return std::nullopt;
  auto found = history::find_message(view, as_id<wire::MessageId>(id), account->user);
  if (found) history::see_outbox(view, found->record);
  return found;
}

std::uint64_t read_arrival_of(const View& view, const LocalConversation& id) {
  const auto conversation = history::load_conversation(view, id);
  return conversation ? conversation->read_arrival : 0;
}

// Who confirms a message of ours.
std::string recipient_of(const View& view, const LocalConversation& id) {
  const auto conversation = history::load_conversation(view, id);
  if (!conversation) return {};
  return conversation->resolved ? name_of(view, conversation->user) : conversation->name;
}

}  // namespace

Error no_such_name(std::string_view name) {
  if (!wire::fold_name(name) && !UserId::parse(name)) {
    return {ErrorCode::invalid_argument,
            "\"" + std::string(name) + "\" is no name: 2 to 32 of a-z, 0-9, dot, dash, underscore"};
  }
  return {ErrorCode::not_found, "there is no contact " + std::string(name) + " on this device"};
}

std::string name_of(const View& view, const wire::UserId& user) {
  if (const auto contact = view.load<ContactRecord>(user.view())) {
    if (!contact->name.empty()) return contact->name;
  } else if (const auto own = view.load<AccountRecord>(name_bytes(kAccountName))) {
    if (own->user == user && !own->name.empty()) return own->name;
  }
  return wire::to_hex(user.view());
}

std::optional<wire::UserId> user_of(const View& view, std::string_view name) {
  if (const auto folded = wire::fold_name(name)) {
    const auto ref = view.load<UserRef>(wire::as_bytes(*folded));
    return ref ? std::optional(ref->user) : std::nullopt;
  }
  const auto id = UserId::parse(name);  // no name is one
  if (!id) return std::nullopt;
  const auto user = as_id<wire::UserId>(*id);
  if (!view.contains(Table::contacts, user.view())) return std::nullopt;
  return user;
}

Result<LocalConversation> conversation_of(const View& view, std::string_view name) {
  std::optional<LocalConversation> id;
  if (const auto user = user_of(view, name)) {
    id = history::find(view, user->view());
  } else if (const auto folded = wire::fold_name(name)) {
    id = history::find(view, wire::as_bytes(*folded));
  } else {
    return no_such_name(name);
  }
  if (!id) {
    return Error{ErrorCode::not_found,
                 "there is no conversation with " + std::string(name) + " on this device"};
  }
  return *id;
}

Result<Page<Conversation>> conversations(const View& view, const PageRequest& page) {
  return walk<8, Conversation>(
      view, Table::recent, {}, Order::descending, page,
      [&](wire::ByteView value) -> std::optional<Conversation> {
        const auto ref = View::parse<Recent>(value);
        const auto record = ref ? history::load_conversation(view, ref->id) : std::nullopt;
        if (!record) return std::nullopt;
        Conversation item;
        item.id = as_id<ConversationId>(record->id);
        if (record->resolved) item.peer = as_id<UserId>(record->user);
        item.name = record->resolved ? name_of(view, record->user) : record->name;
        item.unread = record->unread;
        item.last_activity = at(record->last_time);
        item.last_text = record->last_text;
        item.last_outgoing = record->last_outgoing;
        item.request = record->request;
        return item;
      });
}

Result<Page<Message>> messages(const View& view, const LocalConversation& which,
                               const PageRequest& page) {
  const auto conversation = history::load_conversation(view, which);
  if (!conversation) {
    return Error{ErrorCode::not_found, "there is no such conversation on this device"};
  }
  std::map<wire::UserId, std::string> names;
  const auto order = page.newest_first ? Order::descending : Order::ascending;
  return walk<SortKey::kSize, Message>(
      view, Table::messages, conversation->id.view(), order, page,
      [&](wire::ByteView value) -> std::optional<Message> {
        auto record = View::parse<MessageRecord>(value);
        if (!record) return std::nullopt;
        history::see_outbox(view, *record);
        auto name = names.find(record->sender);
        if (name == names.end()) {
          name = names.emplace(record->sender, name_of(view, record->sender)).first;
        }
        return shown(*record, conversation->id, conversation->read_arrival, name->second);
      });
}

Result<Message> message(const View& view, const MessageId& id) {
  const auto found = find(view, id);
  if (!found) return no_message();
  const auto& conversation = found->place.conversation;
  return shown(found->record, conversation, read_arrival_of(view, conversation),
               name_of(view, found->record.sender));
}

Result<MessageStatus> status(const View& view, const MessageId& id) {
  const auto found = find(view, id);
  if (!found) return no_message();
  const MessageRecord& record = found->record;
  const auto& conversation = found->place.conversation;
  MessageStatus result;
  result.status = shown(record, conversation, read_arrival_of(view, conversation), {}).status;
  if (!record.outgoing) {
    result.steps.push_back({Status::received, at(record.created), ""});
    return result;
  }
  if (record.status == Status::failed) result.failure = record.failure;
  const std::string by = recipient_of(view, conversation);
  result.steps.push_back({Status::queued, at(record.created), ""});
  if (record.accepted != 0) result.steps.push_back({Status::sent, at(record.accepted), ""});
  if (record.delivered != 0) {
    result.steps.push_back({Status::delivered, at(record.delivered), by});
  }
  if (record.read != 0) result.steps.push_back({Status::read, at(record.read), by});
  if (result.failure) result.steps.push_back({Status::failed, at(failed_at(record)), ""});
  return result;
}

Result<Explanation> explain(const View& view, const MessageId& id) {
  const auto found = find(view, id);
  if (!found) return no_message();
  const MessageRecord& record = found->record;
  Explanation result;
  const auto step = [&](Milliseconds when, std::string what) {
    if (when != 0) result.steps.push_back({at(when), std::move(what)});
  };
  if (!record.outgoing) {
    step(time_of(record.hlc), "written by " + name_of(view, record.sender) + ", by its clock");
    step(record.created, record.late ? "received here, after later ones" : "received here");
    return result;
  }
  const std::string by = recipient_of(view, found->place.conversation);
  step(record.created, "written and stored on this device");
  step(record.sealed, "encrypted for the devices of " + by);
  if (record.attempts > 0) {
    step(record.refused,
         "refused " +
             (record.attempts == 1 ? "once" : std::to_string(record.attempts) + " times") +
             " by the relay, last: " +
             std::string(wire::name_of(static_cast<wire::ErrorCode>(record.refusal))));
  }
  step(record.accepted, "accepted by the relay");
  step(record.delivered, "stored by a device of " + by);
  step(record.read, "read by " + by);
  if (record.status == Status::failed) step(failed_at(record), "failed: " + record.failure);
  if (record.status == Status::delivered) result.waits_on = by + " to read it";
  return result;
}

Result<std::vector<Contact>> contacts(const View& view) {
  std::vector<Contact> all;
  view.each<ContactRecord>([&](ContactRecord& record) {
    all.push_back({as_id<UserId>(record.user), record.name, record.accepted, record.blocked});
  });
  std::ranges::sort(all, {}, &Contact::name);
  return all;
}

void kept_events(const View& view, std::vector<Event>& into) {
  for (const EventKind kind : kKeptEvents) {
    const auto take = [&](wire::ByteView suffix, std::optional<wire::ByteView> value) {
      const auto notice = value ? View::parse<NoticeRecord>(*value) : std::nullopt;
      if (!notice) return true;  // damaged
      into.push_back({.kind = kind,
                      .time = at(notice->time),
                      .conversation = as_id<ConversationId>(notice->conversation),
                      .message = as_id<MessageId>(notice->message),
                      .user = as_id<UserId>(notice->user),
                      .status = notice->status,
                      .detail = notice->detail,
                      .number = order_number(suffix)});
      return true;
    };
    view.scan(Table::notices, name_bytes(to_string(kind)), {}, Order::ascending, take);
  }
  std::ranges::stable_sort(into, {}, &Event::number);
}

}  // namespace godwit::core::reads
