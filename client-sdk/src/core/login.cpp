#include "client-sdk/src/core/login.hpp"

#include <algorithm>

namespace godwit::core {
namespace {

constexpr wire::ListVersion kFirstList{1, 1};
constexpr milliseconds kAfterDefect = std::chrono::minutes{5};  // do not reconnect in a loop

}  // namespace

void Login::start(Round& round) {
  link_ = {};
  caught_up_ = false;
  attempts_ = 0;
  replaced_ = false;
  name_again_at_.reset();
  began_ = round.now.steady;
  if (account_.record.registered) {
    log_in(round);
  } else {
    enlist(round);
  }
}

bool Login::may_try() {
  if (++attempts_ <= kLoginAttemptsMax) return true;
  close("the relay refuses Login and Register in turn", kAfterDefect);
  return false;
}

void Login::log_in(Round& round) {
  if (!may_try()) return;
  requests_.ask(round,
                wire::Login{wire::kProtocolVersion, account_.record.user, account_.record.device},
                LoginAsked{});
}

void Login::enlist(Round& round) {
  if (!may_try()) return;
  upkeep_.renew(round, account_, clock_.relay_time(round));
  wire::Register ask;
  ask.version = wire::kProtocolVersion;
  ask.device = account_.record.device;
  ask.list = account_.record.list.view();
  ask.seal_key = upkeep_.seal_key();
  ask.signed_prekey = upkeep_.signed_prekey();
  registering_ = account_.record.name;
  if (!registering_.empty()) ask.name = registering_;
  requests_.ask(round, ask, RegisterAsked{});
}

std::optional<wire::DeviceList> Login::own_list(Round& round,
                                                const wire::SignedListView& list) const {
  auto verified = wire::verify_device_list(list);
  const bool later = verified && account_.list_version() < verified->version;
  const bool same = std::ranges::equal(list.body, account_.record.list.body);
  if (verified && verified->user == account_.record.user && (later || same)) return *verified;
  round.tell(EventKind::list_refused, account_.record.user,
             "the relay gave a device list of this account that does not hold");
  return std::nullopt;
}

// ---- Answers ------------------------------------------------------------------------------------

void Login::on_welcome(Round& round, const wire::Welcome& welcome, bool registered_now) {
  AccountRecord& record = account_.record;
  const bool first = !record.registered;
  const bool new_store =
      record.store_id != wire::StoreId{} &&
      (record.store_id != welcome.store_id || record.store_generation != welcome.store_generation);
  if (registered_now && record.recovering && account_.list_version() == kFirstList) {
    // The relay has lost the lists that our contacts still know. The hours since 1970 are a
    // generation above any that recoveries can have counted up to.
    const auto hours = std::chrono::duration_cast<std::chrono::hours>(round.now.wall).count();
    (void)account_.rebuild_list(round, record.list.view(), static_cast<std::uint32_t>(hours));
  }
  record.registered = true;
  record.recovering = false;
  record.store_id = welcome.store_id;
  record.store_generation = welcome.store_generation;
  const bool may_lack_ours = new_store && !registered_now;  // our keys, and the claim to our name
  if (registered_now) upkeep_.signed_keys_put(round);
  if (may_lack_ours) upkeep_.put_again(round);
  if (registered_now && record.name != registering_) {  // another one was chosen meanwhile
    record.wanted_name = std::exchange(record.name, registering_);
  }
  if (registered_now && welcome.name == wire::ErrorCode::name_taken) {
    if (record.wanted_name.empty()) round.tell(EventKind::name_taken, {}, record.name);
    record.name.clear();
  } else if (registered_now && welcome.name != wire::ErrorCode::ok && record.wanted_name.empty()) {
    record.wanted_name = std::exchange(record.name, {});  // whose it is has not turned out yet
  }
  if (record.name.empty()) record.name = welcome.own_name;
  account_.save(round);

  link_.logged_in = true;
  clock_.relay_says(welcome.relay_time_ms, round);
  if (first) round.tell(EventKind::registered);
  round.tell(EventKind::online);
  if (welcome.list < account_.list_version()) {
    requests_.ask(round, wire::PutDevices{record.list.view(), welcome.list}, DevicesPut{});
  } else if (account_.list_version() < welcome.list) {
    wire::GetUser ask;
    ask.user = record.user;
    requests_.ask(round, ask, UserAsked{record.user, {}, {}});
  }
  // Registered, and yet the name may not be ours there: a relay that lost it, or was too busy.
  // Or another was asked for, and no answer came.
  const std::string& name = due_name();
  if (!name.empty() && (may_lack_ours || welcome.own_name != name)) {
    ask_name(round, name);
  } else if (!record.wanted_name.empty()) {
    on_name_put(round, {name}, nullptr);
  }
  outbox_.on_login(welcome.limits);
  if (new_store) {
    round.tell(EventKind::store_changed);
    outbox_.resend_accepted(round);
    receipts_.owe_again(round);
  }
  upkeep_.tend(round, account_, requests_, clock_.relay_time(round), welcome.one_time_keys_left);
}

void Login::on_refused(Round& round, const wire::Refused& refused, bool registering) {
  using wire::ErrorCode;
  std::string answer = "the relay answered " + std::string(wire::name_of(refused.code));
  if (!registering && refused.code == ErrorCode::unknown_device) {
    // The relay has lost us, or never knew us: it takes the same list again, with fresh prekeys.
    upkeep_.forget_put(round);
    enlist(round);
    return;
  }
  if (refused.code == ErrorCode::name_invalid) {
    if (account_.record.name == registering_) {
      round.tell(EventKind::name_taken, {}, registering_);
      account_.record.name.clear();
    }
    account_.save(round);
    enlist(round);
    return;
  }
  if (refused.code == ErrorCode::version_unsupported) {
    give_up(round, EventKind::offline, "the relay is newer than this program: update it");
    return;
  }
  if (refused.code == ErrorCode::unauthorized && !registering) {
    give_up(round, EventKind::removed,
            "the relay knows this device with another key: recover the account in a new home");
    return;
  }
  const milliseconds told{refused.retry_after_ms};
  if (refused.code == ErrorCode::rate_limited && told.count() > 0) {
    const auto minutes = std::chrono::ceil<std::chrono::minutes>(told);
    answer += ": too many from this address; it takes more in " + std::to_string(minutes.count()) +
              " min";
  }
  close(answer, told.count() > 0 ? told : kAfterDefect);
}

void Login::on_conflict(Round& round, const wire::User& user) {
  if (account_.record.recovering) {
    if (account_.rebuild_list(round, user.list)) {
      enlist(round);
    } else {
      close("the relay gave a device list that is not of this account", kAfterDefect);
    }
    return;
  }
  const auto list = own_list(round, user.list);
  if (!list) {
    close("the relay gave a device list that does not hold", kAfterDefect);
    return;
  }
  if (list->find(account_.record.device) == nullptr) {
    give_up(round, EventKind::removed, "this device has been removed from its account");
    return;
  }
  account_.take_list(round, wire::SignedList::copy_of(user.list));
  log_in(round);
}

void Login::on_own_list(Round& round, const wire::User& user) {
  const auto list = own_list(round, user.list);
  if (!list) return;
  if (list->find(account_.record.device) == nullptr) {
    give_up(round, EventKind::removed, "this device has been removed from its account");
    return;
  }
  account_.take_list(round, wire::SignedList::copy_of(user.list));
  round.tell(EventKind::devices_changed, account_.record.user, "of this account");
}

const std::string& Login::due_name() const {
  const AccountRecord& record = account_.record;
  return record.wanted_name.empty() ? record.name : record.wanted_name;
}

void Login::ask_name(Round& round, const std::string& name) {
  requests_.ask(round, wire::SetName{name}, NamePut{name});
}

void Login::pump(Round& round) {
  if (!name_again_at_ || *name_again_at_ > round.now.steady) return;
  name_again_at_.reset();
  if (!due_name().empty()) ask_name(round, due_name());
}

void Login::on_name_put(Round& round, const NamePut& put, const wire::Refused* refused) {
  name_again_at_.reset();
  if (refused == nullptr) {
    if (account_.record.wanted_name == put.name) account_.record.wanted_name.clear();
    if (account_.record.name != put.name) receipts_.tell_name_again(round);
    account_.record.name = put.name;
    account_.save(round);
    return;
  }
  const bool final = refused->code == wire::ErrorCode::name_taken ||
                     refused->code == wire::ErrorCode::name_invalid;
  if (!final) {  // asked for again when the relay says, or at the next login
    const milliseconds told{refused->retry_after_ms};
    const auto in = std::clamp(told, kRetryFirst, kRetryAfterMax);
    if (told.count() != 0) name_again_at_ = round.now.steady + in;
    return;
  }
  round.tell(EventKind::name_taken, {}, put.name);
  for (std::string* name : {&account_.record.name, &account_.record.wanted_name}) {
    if (*name == put.name) name->clear();
  }
  account_.save(round);
}

void Login::on_caught_up(Round& round) {
  if (std::exchange(caught_up_, true)) return;
  round.tell(EventKind::caught_up);
}

// ---- The end ------------------------------------------------------------------------------------

void Login::on_closing(Round& round, const wire::Closing& closing) {
  using wire::ErrorCode;
  const std::string reason = "the relay closed: " + std::string(wire::name_of(closing.code));
  switch (closing.code) {
    case ErrorCode::replaced:
      if (overtaken(round)) {
        replaced_ = true;
        close("an earlier connection of this device ended this one", kAfterOvertaken);
        return;
      }
      give_up(round, EventKind::replaced,
              "this device logged in elsewhere: a copy of this home is in use");
      return;
    case ErrorCode::removed:
      give_up(round, EventKind::removed, "this device has been removed from its account");
      return;
    case ErrorCode::bad_request:
    case ErrorCode::out_of_state:
      close(reason, kAfterDefect);
      return;
    default:
      close(reason, milliseconds{closing.retry_after_ms});
  }
}

// What was sent over a connection that has been given up may arrive after what was sent over the
// next. Once in a row: of two copies of a home that push each other out, one is to be told.
bool Login::overtaken(const Round& round) const {
  return earlier_ && round.now.steady - *earlier_ < kLoginLateMax;
}

void Login::close(std::string reason, milliseconds retry_after) {
  link_.close = true;
  link_.retry_after = std::min(retry_after, kRetryAfterMax);
  link_.reason = std::move(reason);
}

void Login::give_up(Round& round, EventKind kind, std::string reason) {
  round.tell(kind, {}, reason);
  close(std::move(reason));
  link_.give_up = true;
}

void Login::on_disconnected(Round& round) {
  earlier_ = replaced_ ? std::nullopt : std::exchange(began_, std::nullopt);
  if (link_.logged_in) round.tell(EventKind::offline, {}, link_.reason);
  link_.logged_in = false;
  link_.close = false;
  caught_up_ = false;
}

}  // namespace godwit::core
