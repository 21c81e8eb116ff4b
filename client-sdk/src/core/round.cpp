#include "client-sdk/src/core/round.hpp"

#include <algorithm>

#include "schema/wire/hash.hpp"

namespace godwit::core {
namespace {

constexpr std::size_t kPackedSecretsMax = 1'024;

}  // namespace

std::array<std::uint8_t, 8> order_bytes(std::uint64_t number) {
  std::array<std::uint8_t, 8> bytes{};
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<std::uint8_t>(number >> (56 - 8 * i));
  return bytes;
}

std::uint64_t order_number(wire::ByteView bytes) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < 8 && i < bytes.size(); ++i) number = number << 8 | bytes[i];
  return number;
}

Error error_of(store::StoreError error) {
  using store::StoreError;
  switch (error) {
    case StoreError::in_use:
      return {ErrorCode::home_in_use, "another process uses this home; end it, or wait for it"};
    case StoreError::not_found:
      return {ErrorCode::no_account, "there is no account in this home; make or recover one"};
    case StoreError::exists:
      return {ErrorCode::home_exists, "there is an account in this home already; open it"};
    case StoreError::wrong_key:
      return {ErrorCode::wrong_key, "the key file or passphrase does not fit this home"};
    case StoreError::damaged:
      return {ErrorCode::damaged, "the home is damaged; recover the account into a new home"};
    case StoreError::truncated:
      return {ErrorCode::damaged,
              "the database of this home is cut short; recover the account into a new home"};
    case StoreError::no_keyring:
      return {ErrorCode::damaged, "the file keyring of this home is missing; bring it back"};
    case StoreError::newer:
      return {ErrorCode::newer_version, "a later version wrote this home; update this program"};
    case StoreError::disk_full:
      return {ErrorCode::disk_full, "the disk is full; nothing was changed: make room, try again"};
    case StoreError::map_full:
      return {ErrorCode::disk_full,
              "this home needs more address space than the program may have; nothing was changed: "
              "raise its limit (ulimit -v), then open the home again"};
    case StoreError::forbidden:
      return {ErrorCode::storage, "the files of this home may not be read and written"};
    case StoreError::io:
      break;
  }
  return {ErrorCode::storage, "the disk failed; check it, then open the home again"};
}

// ---- View ---------------------------------------------------------------------------------------

void View::wipe(wire::Bytes& bytes) {
  wire::wipe(bytes);
}

std::optional<wire::Bytes> View::get(Table table, wire::ByteView name,
                                     wire::ByteView suffix) const {
  const store::ReadTxn* from = failed_ ? nullptr : txn();
  if (from == nullptr) return std::nullopt;
  auto found = from->get(table, name, suffix);
  if (found) return std::move(*found);
  if (found.error() == store::StoreError::damaged) {
    damaged_.push_back(table);
  } else {
    failed_ = found.error();
  }
  return std::nullopt;
}

bool View::contains(Table table, wire::ByteView name, wire::ByteView suffix) const {
  const store::ReadTxn* from = failed_ ? nullptr : txn();
  if (from == nullptr) return false;
  const auto found = from->contains(table, name, suffix);
  if (!found) failed_ = found.error();
  return found.value_or(false);
}

void View::scan(Table table, wire::ByteView name, wire::ByteView from, store::ReadTxn::Order order,
                const store::ReadTxn::Visit& visit, std::size_t skip) const {
  const store::ReadTxn* over = failed_ ? nullptr : txn();
  if (over == nullptr) return;
  if (auto done = over->scan(table, name, from, order, visit, skip); !done) {
    failed_ = done.error();
  }
}

void View::each_bytes(Table table, const std::function<void(wire::ByteView)>& visit) const {
  const store::ReadTxn* over = failed_ ? nullptr : txn();
  if (over == nullptr) return;
  auto done = over->scan_all(table, [&](std::optional<wire::ByteView> value) {
    if (value) {
      visit(*value);
    } else {
      damaged_.push_back(table);
    }
    return true;
  });
  if (!done) failed_ = done.error();
}

// ---- Round --------------------------------------------------------------------------------------

Round::Round(store::Database& database, crypto::Random random_source)
    : random(std::move(random_source)), database_(database) {
  // More than the records with keys take, but for the sessions, which make room for themselves:
  // what grows leaves its old bytes behind.
  packed_.reserve(kPackedSecretsMax);
}

store::WriteTxn* Round::writing() {
  if (failed_) return nullptr;
  if (!write_) {
    auto begun = database_.write();
    if (!begun) {
      failed_ = begun.error();
      return nullptr;
    }
    write_.emplace(std::move(*begun));
  }
  return &*write_;
}

// Every read of a round sees the round's own writes, so it reads where it writes.
const store::ReadTxn* Round::txn() const {
  return const_cast<Round*>(this)->writing();
}

void Round::put(Table table, wire::ByteView name, wire::ByteView suffix, wire::ByteView value) {
  store::WriteTxn* to = writing();
  if (to == nullptr) return;
  if (auto done = to->put(table, name, suffix, value); !done) failed_ = done.error();
}

void Round::erase(Table table, wire::ByteView name, wire::ByteView suffix) {
  store::WriteTxn* from = writing();
  if (from == nullptr) return;
  if (auto done = from->erase(table, name, suffix); !done) failed_ = done.error();
}

Event& Round::tell(EventKind kind, const wire::UserId& user, std::string detail) {
  Event event;
  event.kind = kind;
  event.time = Time(now.wall);
  event.user = as_id<UserId>(user);
  event.detail = std::move(detail);
  events_.push_back(std::move(event));
  return events_.back();
}

void Round::keep(Event& event) {
  if (std::ranges::find(kKeptEvents, event.kind) == kKeptEvents.end()) return;
  event.number = ++count().notices;
  put_notice(event, kNoticesMax);
}

void Round::put_notice(const Event& event, std::size_t most) {
  const auto kind = name_bytes(to_string(event.kind));
  std::vector<std::uint64_t> there;
  scan(Table::notices, kind, {}, store::ReadTxn::Order::ascending,
       [&](wire::ByteView number, const auto&) {
         there.push_back(order_number(number));
         return true;
       });
  NoticeRecord notice;
  notice.time = static_cast<Milliseconds>(event.time.time_since_epoch().count());
  notice.conversation = as_id<LocalConversation>(event.conversation);
  notice.message = as_id<wire::MessageId>(event.message);
  notice.user = as_id<wire::UserId>(event.user);
  notice.status = event.status;
  notice.detail = event.detail;
  save(kind, order_bytes(event.number), notice);
  if (there.size() < most) return;
  erase(Table::notices, kind, order_bytes(there.front()));
  if (event.kind == EventKind::events_lost) return;
  Event lost;
  lost.kind = EventKind::events_lost;
  lost.time = event.time;
  lost.number = event.number;
  put_notice(lost, 1);
}

tl::expected<void, store::StoreError> Round::commit() {
  for (Event& event : events_) keep(event);
  if (counters_used_) save(name_bytes(kCountersName), counters);
  counters_used_ = false;
  for (const Table table : std::exchange(damaged_, {})) {
    tell(EventKind::damaged_record, {}, "table " + std::to_string(static_cast<unsigned>(table)));
  }
  if (failed_) {
    write_.reset();
    return tl::unexpected(*failed_);
  }
  if (write_) {
    auto done = std::move(*write_).commit();
    write_.reset();
    if (!done) {
      failed_ = done.error();
      return tl::unexpected(*failed_);
    }
  }
  ready_events_.insert(ready_events_.end(), std::make_move_iterator(events_.begin()),
                       std::make_move_iterator(events_.end()));
  ready_frames_.insert(ready_frames_.end(), std::make_move_iterator(frames_.begin()),
                       std::make_move_iterator(frames_.end()));
  events_.clear();
  frames_.clear();
  return {};
}

}  // namespace godwit::core
