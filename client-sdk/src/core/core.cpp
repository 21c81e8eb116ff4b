// Wires the parts: an input goes to the part that it concerns; the end of a round lets every part
// send what it owes, writes what changed, commits, and only then hands out frames and events.
#include "client-sdk/src/core/core.hpp"

#include <algorithm>

#include "client-sdk/src/core/core_state.hpp"
#include "client-sdk/src/crypto/recovery_code.hpp"
#include "client-sdk/src/crypto/safety_number.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::core {
namespace {

// Held lanes that wait longer than this do not keep `settled` from being true.
constexpr milliseconds kSettledHorizon = std::chrono::seconds{5};

}  // namespace

// ---- Accounts -----------------------------------------------------------------------------------

Result<void> Core::make_account(store::Database& database, const crypto::Random& random, Now now,
                                const NewAccount& from) {
  Round round(database, random);
  round.now = now;
  if (LocalAccount::load(round)) return error_of(store::StoreError::exists);
  LocalAccount::make(round, from);
  const auto account = LocalAccount::load(round);
  if (account) {
    Upkeep::make_first(round, *account);
    (void)round.count();
  }
  if (auto done = round.commit(); !done) return error_of(done.error());
  return {};
}

Result<std::unique_ptr<Core>> Core::open(store::Database& database, crypto::Random random,
                                         Now now) {
  auto txn = database.read();
  if (!txn) return error_of(txn.error());
  const View view(*txn);
  auto account = LocalAccount::load(view);
  const auto counters = view.load<CountersRecord>(name_bytes(kCountersName));
  Upkeep upkeep;
  upkeep.load(view);
  if (view.failed()) return error_of(*view.failed());
  // Without any of these nothing can be said for sure any more: a counter that begins anew would
  // use numbers twice.
  if (view.found_damage()) return error_of(store::StoreError::damaged);
  // They are written together: one alone means that the key of the others is damaged.
  if (!account && !counters && !upkeep.made()) return error_of(store::StoreError::not_found);
  if (!account || !counters || !upkeep.made()) return error_of(store::StoreError::damaged);
  auto state = std::make_unique<State>(database, std::move(random), std::move(*account));
  state->round.now = now;
  state->round.counters = *counters;
  state->upkeep = std::move(upkeep);
  state->outbox.load(view);
  state->peers.load_attention(view);
  if (view.found_damage()) {
    state->round.tell(EventKind::damaged_record, {}, "something that waited to be sent is lost");
  }
  if (view.failed()) return error_of(*view.failed());
  return std::unique_ptr<Core>(new Core(std::move(state)));
}

Core::Core(std::unique_ptr<State> state) : state_(std::move(state)) {}
Core::~Core() = default;

// ---- Frames -------------------------------------------------------------------------------------

void Core::on_connected(Now now) {
  state_->round.now = now;
  state_->login.start(state_->round);
}

void Core::on_frame(const wire::RelayFrame& frame, Now now) {
  State& s = *state_;
  s.round.now = now;
  s.last_heard = now.steady;
  if (const auto* deliver = std::get_if<wire::Deliver>(&frame.body)) {
    s.inbox.on_deliver(s.round, *deliver);
  } else if (std::holds_alternative<wire::CaughtUp>(frame.body)) {
    if (!s.login.caught_up()) s.peers.on_caught_up(s.round);
    s.login.on_caught_up(s.round);
    s.outbox.expire(s.round, s.clock.relay_time(s.round));
    s.upkeep.sweep(s.round, s.clock.relay_time(s.round));
    s.inbox.sweep_seen(s.round, s.clock.relay_time(s.round));
  } else if (const auto* low = std::get_if<wire::KeysLow>(&frame.body)) {
    s.upkeep.tend(s.round, s.account, s.requests, s.clock.relay_time(s.round),
                  low->one_time_keys_left);
  } else if (const auto* closing = std::get_if<wire::Closing>(&frame.body)) {
    s.login.on_closing(s.round, *closing);
  } else {
    s.on_answer(frame);
  }
}

void Core::State::on_answer(const wire::RelayFrame& frame) {
  const auto asked = requests.answered(frame.request);
  if (!asked) return;  // a refusal of what it could not read, or an answer to nothing
  pass(*asked, frame);
}

void Core::State::pass_user(const UserAsked& asked, const wire::User* found,
                            const wire::Refused* refused) {
  if (asked.claimed_by != wire::UserId{}) {
    inbox.on_name(round, asked, found, refused);
    // Messages may have been written to the name before anybody had it.
    if (found != nullptr) outbox.on_user(round, asked, found, refused);
    return;
  }
  if (asked.user == user) {
    if (found != nullptr) login.on_own_list(round, *found);
    return;
  }
  inbox.on_user(round, asked, found, refused);
  outbox.on_user(round, asked, found, refused);
}

void Core::State::pass(const Asked& asked, const wire::RelayFrame& frame) {
  const auto* refused = std::get_if<wire::Refused>(&frame.body);
  const auto* done = std::get_if<wire::Done>(&frame.body);
  const auto* found = std::get_if<wire::User>(&frame.body);
  const auto* welcome = std::get_if<wire::Welcome>(&frame.body);
  if (welcome != nullptr) inbox.on_welcome(welcome->limits);
  if (const auto* submit = std::get_if<SubmitAsked>(&asked)) {
    if (const auto* reply = std::get_if<wire::Submitted>(&frame.body)) {
      return outbox.on_submitted(round, *submit, *reply);
    }
    if (refused != nullptr) return outbox.on_submit_refused(round, *submit, *refused);
  } else if (std::holds_alternative<LoginAsked>(asked)) {
    if (welcome != nullptr) return login.on_welcome(round, *welcome, false);
    if (refused != nullptr) return login.on_refused(round, *refused, false);
  } else if (std::holds_alternative<RegisterAsked>(asked)) {
    if (welcome != nullptr) return login.on_welcome(round, *welcome, true);
    if (found != nullptr) return login.on_conflict(round, *found);
    if (refused != nullptr) return login.on_refused(round, *refused, true);
  } else if (const auto* keys = std::get_if<KeysPut>(&asked)) {
    if (done != nullptr) return upkeep.on_put(round, *keys);
    if (refused != nullptr) return put_again(milliseconds{refused->retry_after_ms});
  } else if (const auto* name = std::get_if<NamePut>(&asked)) {
    if (done != nullptr || refused != nullptr) return login.on_name_put(round, *name, refused);
  } else if (const auto* who = std::get_if<UserAsked>(&asked)) {
    if (found != nullptr || refused != nullptr) return pass_user(*who, found, refused);
  } else if (const auto* prekeys = std::get_if<PrekeysAsked>(&asked)) {
    const auto* reply = std::get_if<wire::Prekeys>(&frame.body);
    if (reply != nullptr || refused != nullptr) {
      return outbox.on_prekeys(round, *prekeys, reply, refused);
    }
  } else if (done != nullptr || refused != nullptr) {
    return;  // Ack, Ping, PutDevices: the next login looks again
  }
  login.close("the relay answered what was not asked");
}

// Refused for good they wait for the next upkeep: there may be others by then.
void Core::State::put_again(milliseconds retry_after) {
  upkeep.on_put_failed();
  if (retry_after.count() > 0) next_upkeep = std::min(next_upkeep, round.now.steady + retry_after);
}

void Core::on_disconnected(Now now) {
  State& s = *state_;
  s.round.now = now;
  s.requests.abandon();
  s.login.on_disconnected(s.round);
  s.outbox.on_disconnected();
  s.receipts.on_disconnected();
  s.inbox.on_disconnected();
  s.upkeep.on_put_failed();
}

// ---- Time and rounds ----------------------------------------------------------------------------

void Core::on_time(Now now) {
  State& s = *state_;
  s.round.now = now;
  s.tend(now);
  if (const auto over = s.patience_over(); over && *over <= now.steady) {
    s.login.close("the relay does not answer");
    return;
  }
  if (s.login.link().logged_in && now.steady - s.last_sent >= kPingInterval) {
    s.requests.ask(s.round, wire::Ping{}, PingAsked{});
    s.last_sent = now.steady;  // also when it cannot leave yet: one is enough
  }
}

// Over a slow line an answer stands behind all that is on its way before it.
std::optional<milliseconds> Core::State::patience_over() const {
  const auto oldest = requests.oldest();
  if (!oldest) return std::nullopt;
  return std::min(std::max(*oldest, last_heard) + kAnswerWait, *oldest + kAnswerWaitMax);
}

void Core::State::tend(Now now) {
  if (now.steady < next_upkeep) return;
  next_upkeep = now.steady + kUpkeepInterval;
  if (!login.link().logged_in) return;
  const Milliseconds relay_time = clock.relay_time(round);
  upkeep.tend(round, account, requests, relay_time, {});
  if (!login.caught_up()) return;
  // Not before: what the mailbox holds may still need old keys.
  upkeep.sweep(round, relay_time);
  inbox.sweep_seen(round, relay_time);
  outbox.expire(round, relay_time);
}

Result<void> Core::end_round(Now now) {
  State& s = *state_;
  s.round.now = now;
  if (s.login.link().logged_in && !s.login.link().close) {
    s.receipts.pump(s.round);
    s.outbox.pump(s.round);
    s.inbox.pump(s.round);
    if (s.login.caught_up()) s.outbox.look_after(s.round);  // receipts may have waited
    s.login.pump(s.round);
  }
  // Each delivery is one ack more: a relay that answers none would have us remember them all.
  if (s.requests.waiting() > kRequestsInFlightMax) s.login.close("the relay answers no requests");
  s.peers.flush(s.round);
  if (!s.round.dirty()) return {};
  s.upkeep.flush(s.round);
  if (auto done = s.round.commit(); !done) return error_of(done.error());
  return {};
}

bool Core::session_key_due(Now now) const {
  return state_->upkeep.session_key_due(now);
}

void Core::on_session_key_replaced(Now now) {
  state_->upkeep.on_session_key_replaced(now);
}

std::vector<wire::Bytes> Core::take_frames() {
  auto frames = state_->round.take_frames();
  if (!frames.empty()) state_->last_sent = state_->round.now.steady;
  return frames;
}

std::vector<Event> Core::take_events() {
  return state_->round.take_events();
}

std::optional<std::chrono::milliseconds> Core::deadline() const {
  const State& s = *state_;
  std::optional<milliseconds> first = s.next_upkeep;
  const auto sooner = [&](std::optional<milliseconds> other) {
    if (other && *other < *first) first = other;
  };
  sooner(s.patience_over());
  if (s.login.link().logged_in) {
    sooner(s.last_sent + kPingInterval);
    sooner(s.outbox.deadline());
    sooner(s.receipts.deadline());
    sooner(s.inbox.deadline());
    sooner(s.login.deadline());
  }
  return first;
}

const Core::Link& Core::link() const {
  return state_->login.link();
}
Core::Naming Core::naming() const {
  const AccountRecord& record = state_->account.record;
  if (!record.name.empty()) return Naming::named;
  return record.wanted_name.empty() ? Naming::nameless : Naming::asked;
}

bool Core::registered() const {
  return state_->account.record.registered;
}

std::size_t Core::waiting() const {
  return state_->outbox.waiting();
}

bool Core::settled() const {
  const State& s = *state_;
  return s.login.link().logged_in && s.login.caught_up() && s.inbox.idle() &&
         s.requests.waiting() == s.requests.count<PingAsked>() && !s.receipts.owing() &&
         s.upkeep.all_put() && s.outbox.idle(s.round.now.steady, kSettledHorizon);
}

// ---- Reads --------------------------------------------------------------------------------------

Account Core::account() const {
  const AccountRecord& record = state_->account.record;
  return {as_id<UserId>(record.user), as_id<DeviceId>(record.device), record.name, record.relay,
          record.registered};
}

wire::KeyPair Core::transport_keys() const {
  return state_->account.device().transport().pair();
}

Result<std::string> Core::recovery_code() const {
  auto seed = state_->account.root_seed();
  if (!seed) return Error{ErrorCode::not_found, "this device does not hold the recovery code"};
  auto code = crypto::format_recovery_code(*seed);
  wire::wipe(seed->bytes);
  return code;
}

namespace {

template <class Read>
auto over_snapshot(const store::Database& database, const Read& read)
    -> decltype(read(std::declval<const View&>())) {
  auto txn = database.read();
  if (!txn) return error_of(txn.error());
  const View view(*txn);
  auto answer = read(view);
  // To a read that failed, what it asked for looked as if it were not there.
  if (view.failed()) return error_of(*view.failed());
  return answer;
}

}  // namespace

Result<ConversationId> Core::conversation_of(std::string_view name) const {
  return over_snapshot(state_->database, [&](const View& view) -> Result<ConversationId> {
    const auto id = reads::conversation_of(view, name);
    if (!id) return id.error();
    return as_id<ConversationId>(*id);
  });
}

Result<Page<Conversation>> Core::conversations(const PageRequest& page) const {
  return over_snapshot(state_->database,
                       [&](const View& view) { return reads::conversations(view, page); });
}

Result<Page<Message>> Core::messages(const ConversationId& conversation,
                                     const PageRequest& page) const {
  return over_snapshot(state_->database, [&](const View& view) {
    return reads::messages(view, as_id<LocalConversation>(conversation), page);
  });
}

Result<Message> Core::message(const MessageId& id) const {
  return over_snapshot(state_->database,
                       [&](const View& view) { return reads::message(view, id); });
}

Result<MessageStatus> Core::status(const MessageId& id) const {
  return over_snapshot(state_->database, [&](const View& view) { return reads::status(view, id); });
}

Result<Explanation> Core::explain(const MessageId& id) const {
  return over_snapshot(state_->database, [&](const View& view) -> Result<Explanation> {
    auto explanation = reads::explain(view, id);
    if (!explanation) return explanation;
    const auto found = history::find_message(view, as_id<wire::MessageId>(id), state_->user);
    if (found && found->record.outbox != 0) {
      const auto refusal = static_cast<wire::ErrorCode>(found->record.refusal);
      std::string waits = state_->outbox.waits_on(found->record.outbox, refusal);
      if (!waits.empty()) explanation->waits_on = std::move(waits);
    }
    return explanation;
  });
}

Result<std::vector<Contact>> Core::contacts() const {
  return over_snapshot(state_->database, [](const View& view) { return reads::contacts(view); });
}

Result<std::string> Core::safety_number(std::string_view name) const {
  return over_snapshot(state_->database, [&](const View& view) -> Result<std::string> {
    const auto user = reads::user_of(view, name);
    const auto contact = user ? view.load<ContactRecord>(user->view()) : std::nullopt;
    const auto own = view.load<AccountRecord>(name_bytes(kAccountName));
    if (!contact || !own) return reads::no_such_name(name);
    return crypto::safety_number(own->list.root, own->user, contact->list.root, contact->user);
  });
}

std::vector<Event> Core::kept_events() const {
  std::vector<Event> events;
  (void)over_snapshot(state_->database, [&](const View& view) -> Result<void> {
    reads::kept_events(view, events);
    return {};
  });
  return events;
}

}  // namespace godwit::core
