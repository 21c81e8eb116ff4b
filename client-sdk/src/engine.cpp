#include "client-sdk/src/engine.hpp"

#include <algorithm>
#include <utility>

#include "schema/wire/hash.hpp"

namespace godwit {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kReopenFirst = std::chrono::seconds{1};
constexpr milliseconds kReopenMax = std::chrono::minutes{1};
constexpr milliseconds kWaitMax = std::chrono::hours{24 * 365};  // of a wait_*, against overflow

Error home_error(store::StoreError error, const std::filesystem::path& home) {
  const std::string where = home.string();
  switch (error) {
    case store::StoreError::in_use:
      return {ErrorCode::home_in_use,
              "another process, or another Client of this one, uses " + where +
                  "; end it, or wait until it is done"};
    case store::StoreError::not_found:
      if (std::error_code none; std::filesystem::is_regular_file(home, none)) {
        return {ErrorCode::storage, where + " is a file; a home is a directory"};
      }
      return {ErrorCode::no_account, where + " holds no account; make one there first"};
    case store::StoreError::exists:
      return {ErrorCode::home_exists, where + " holds an account already; name another directory"};
    case store::StoreError::wrong_key:
      return {ErrorCode::wrong_key, "the key file or passphrase does not fit " + where +
                                        "; bring back the one it was made with, or was last "
                                        "given"};
    case store::StoreError::damaged:
    case store::StoreError::truncated:
    case store::StoreError::no_keyring:
      return {ErrorCode::damaged, where + " is damaged (" + store::describe(error) +
                                      "); bring back a copy, or make a new home with the "
                                      "recovery code"};
    case store::StoreError::newer:
      return {ErrorCode::newer_version,
              where + " was written by a later version; use that one or a newer"};
    case store::StoreError::disk_full:
      return {ErrorCode::disk_full, "the disk of " + where + " is full; make room and try again"};
    case store::StoreError::map_full:
      return {ErrorCode::disk_full, where + " needs more address space than this program may have; "
                                            "raise its limit (ulimit -v)"};
    case store::StoreError::forbidden:
    case store::StoreError::io:
      break;
  }
  return {ErrorCode::storage, where + " cannot be read or written (" + store::describe(error) +
                                  "); check the disk and its permissions"};
}

}  // namespace

// ---- Home ---------------------------------------------------------------------------------------

Engine::Engine(const Options& options, std::unique_ptr<EventQueue> events)
    : options_(options),
      platform_(options_.platform ? options_.platform : native_platform()),
      random_(platform_->random(options_)),
      events_(std::move(events)) {}

Engine::~Engine() {
  disconnect();
  if (std::optional<std::string>& passphrase = options_.passphrase) {
    wire::wipe({reinterpret_cast<std::uint8_t*>(passphrase->data()), passphrase->size()});
  }
}

Result<std::unique_ptr<Engine>> Engine::create(const Options& options,
                                               const core::NewAccount& account) {
  wire::init_crypto();
  auto events = EventQueue::make(options.events_max);
  if (!events) return events.error();
  std::unique_ptr<Engine> engine(new Engine(options, *std::move(events)));
  Platform& platform = *engine->platform_;
  const crypto::Random& random = engine->random_;
  const core::Now now = platform.now();
  auto database = platform.create_database(options, random);
  if (!database && database.error() == store::StoreError::exists) {
    if (auto found = engine->reopen(now); found || found.error().code != ErrorCode::no_account) {
      return found ? home_error(store::StoreError::exists, options.home) : found.error();
    }
  } else if (!database && database.error() == store::StoreError::not_found) {
    return Error{ErrorCode::storage,
                 options.home.string() + " cannot be made; check its path and its permissions"};
  } else if (!database) {
    return home_error(database.error(), options.home);
  } else {
    engine->database_.emplace(*std::move(database));
  }
  // What is there now is a database without an account.
  auto made = core::Core::make_account(*engine->database_, random, now, account);
  if (!made) return made.error();
  if (auto opened = engine->reopen(now); !opened) return opened.error();
  return engine;
}

Result<std::unique_ptr<Engine>> Engine::open(const Options& options) {
  wire::init_crypto();
  auto events = EventQueue::make(options.events_max);
  if (!events) return events.error();
  std::unique_ptr<Engine> engine(new Engine(options, *std::move(events)));
  if (auto opened = engine->reopen(engine->platform_->now()); !opened) return opened.error();
  engine->events_->push(engine->core_->kept_events());
  return engine;
}

Result<void> Engine::change_passphrase(const Options& options,
                                       const std::optional<std::string_view>& next) {
  const auto platform = options.platform ? options.platform : native_platform();
  auto database = platform->open_database(options, platform->random(options));
  if (!database) return home_error(database.error(), options.home);
  if (auto changed = database->change_passphrase(next); !changed) {
    return home_error(changed.error(), options.home);
  }
  return {};
}

// Opens what is closed: the database, unless it is open, and the core.
Result<void> Engine::reopen(core::Now now) {
  if (!database_) {
    auto database = platform_->open_database(options_, random_);
    if (!database) return home_error(database.error(), options_.home);
    database_.emplace(*std::move(database));
  }
  auto core = core::Core::open(*database_, random_, now);
  if (!core) {
    if (core.error().code != ErrorCode::no_account) return core.error();
    return home_error(store::StoreError::not_found, options_.home);
  }
  {
    const std::unique_lock lock(reopening_);
    core_ = *std::move(core);
  }
  replace_session_key(now);
  return {};
}

Result<void> Engine::ensure_core(core::Now now) {
  if (now.steady < reopen_at_) return failure_;
  if (core_) return {};
  if (auto opened = reopen(now); !opened) {
    reopen_delay_ = std::min(reopen_delay_ * 2, kReopenMax);
    reopen_at_ = now.steady + reopen_delay_;
    const std::unique_lock lock(reopening_);
    failure_ = opened.error();
    database_.reset();
    return failure_;
  }
  return {};
}

// The disk has refused, and the core knows things that were not kept: changes rest for a while, and
// begin with another core. LMDB wants to be opened anew, unless there was only no room: then it can
// be read all the while.
void Engine::fail(const Error& error, core::Now now) {
  if (reopen_at_ + kReopenMax < now.steady) reopen_delay_ = kReopenFirst / 2;
  reopen_delay_ = std::min(reopen_delay_ * 2, kReopenMax);
  reopen_at_ = now.steady + reopen_delay_;
  core_knows_ = false;
  {
    const std::unique_lock lock(reopening_);
    failure_ = error;
    last_account_ = core_->account();
    core_.reset();
    if (error.code != ErrorCode::disk_full) database_.reset();
    if (database_) {
      if (auto core = core::Core::open(*database_, random_, now)) core_ = *std::move(core);
    }
  }
  Event event;
  event.kind = EventKind::storage_failed;
  event.time = Time{now.wall};
  event.detail = error.message;
  publish({std::move(event)});
  if (link_) link_->wake();
}

Result<void> Engine::end_round(core::Now now) {
  if (auto ended = core_->end_round(now); !ended) {
    fail(ended.error(), now);
    return ended.error();
  }
  publish(core_->take_events());
  return {};
}

void Engine::publish(std::vector<Event> events) {
  for (Event& event : events) {
    if (event.kind == EventKind::offline && event.detail.empty()) event.detail = last_problem_;
    if (event.kind == EventKind::replaced) give_up_code_ = ErrorCode::replaced;
    if (event.kind == EventKind::removed) give_up_code_ = ErrorCode::removed;
    if (event.kind == EventKind::online) told_online_ = true;
    if (event.kind == EventKind::offline) told_online_ = false;
  }
  events_->push(std::move(events));
  changed_.notify_all();
}

// Who asks for the next one has seen to the last one. Where that cannot be written, it comes again
// in the next program.
std::optional<Event> Engine::next_event() {
  const std::lock_guard lock(taking_);
  if (const auto taken = std::exchange(taken_, std::nullopt)) {
    (void)change<void>([&](core::Core& core, core::Now now) {
      core.forget_event(taken->kind, taken->number, now);
      return Result<void>();
    }).ok();
  }
  auto event = events_->next();
  if (event && event->number != 0) taken_ = event;
  return event;
}

Account Engine::account() const {
  const std::lock_guard lock(mutex_);
  return core_ ? core_->account() : last_account_;
}

Result<void> Engine::set_name(std::string_view name) {
  return change<void>(
      [&](core::Core& core, core::Now now) { return core.set_name(name, now); });
}

// ---- Connection ---------------------------------------------------------------------------------

Result<void> Engine::connect() {
  const std::lock_guard alive(link_lifetime_);
  {
    const std::lock_guard lock(mutex_);
    if (link_ && !gave_up_ && !resting_) return {};
  }
  const auto relay = wire::parse_address(account().relay);
  if (!relay) return Error{ErrorCode::invalid_argument, relay.error()};
  end_link(true);  // of one that has given up, or that waits before it tries again
  const std::lock_guard lock(mutex_);
  gave_up_.reset();
  resting_ = was_in_ = false;
  give_up_code_ = ErrorCode::refused;
  last_problem_.clear();
  auto link = platform_->link(options_, *relay, *this);
  wanted_ = link.ok();
  changed_.notify_all();
  if (!link) return link.error();
  link_ = *std::move(link);
  return {};
}

void Engine::disconnect() {
  const std::lock_guard alive(link_lifetime_);
  end_link(false);
}

void Engine::end_link(bool another_follows) {
  std::unique_ptr<RelayLink> ending;  // after the lock has gone: its last exchange takes it
  const std::lock_guard lock(mutex_);
  wanted_ = another_follows;
  ending = std::move(link_);
  changed_.notify_all();
}

Result<wire::KeyPair> Engine::transport_keys() {
  const std::lock_guard lock(mutex_);
  if (auto opened = ensure_core(platform_->now()); !opened) return opened.error();
  return core_->transport_keys();
}

ToSend Engine::exchange(const Received& received) {
  const std::lock_guard lock(mutex_);
  const core::Now now = platform_->now();
  if (received.connected) {
    up_ = true;
    resting_ = false;
  }
  if (received.ended) {
    tell_failed_attempt(*received.ended, now);
    up_ = logged_in_ = false;
    resting_ = true;
    last_problem_ = *received.ended;
    changed_.notify_all();
  }
  // What the core wants of a connection is said of that one, not of the attempts after it.
  const bool concerns_core = core_knows_ || received.connected;
  if (ensure_core(now)) feed(received, now);
  ToSend to_send;
  if (!core_ || now.steady < reopen_at_) {
    to_send.deadline = reopen_at_;
  } else {
    to_send.deadline = core_->deadline();
    if (concerns_core) to_send.link = core_->link();
  }
  if (core_ && core_knows_) {
    if (received.has_room) to_send.frames = core_->take_frames();
    logged_in_ = to_send.link.logged_in;
    was_in_ |= logged_in_;
  } else if (up_) {  // it began with a core that has failed
    to_send.link = {};
    to_send.link.close = true;
    to_send.link.reason = failure_.message;
    logged_in_ = false;
  }
  if (to_send.link.give_up) {
    gave_up_ = give_up_code_;
    last_problem_ = to_send.link.reason;
  }
  changed_.notify_all();
  return to_send;
}

// The core tells of the end of what it had logged in to, unless the disk has ended it before; of
// attempts that came to nothing before it knows nothing. Each reason once, or an outage would be an
// event every few seconds.
void Engine::tell_failed_attempt(const std::string& reason, core::Now now) {
  const bool left_untold = told_online_ && !core_knows_;
  const bool first_login = !logged_in_ && !was_in_ && link_;
  if (!left_untold && (!first_login || reason == last_problem_)) return;
  Event event;
  event.kind = EventKind::offline;
  event.time = Time{now.wall};
  event.detail = reason;
  publish({std::move(event)});
}

// What the connection brought, and the time, as one round.
void Engine::feed(const Received& received, core::Now now) {
  bool fed = false;
  if (received.connected) {
    (void)core_->take_frames();  // of the connection before, which ended before they left
    core_->on_connected(now);
    core_knows_ = fed = true;
  }
  if (core_knows_) {
    for (const auto& frame : received.frames) core_->on_frame(frame, now);
    fed = fed || !received.frames.empty();
  }
  if (received.ended && std::exchange(core_knows_, false)) {
    core_->on_disconnected(now);
    fed = true;
  }
  if (const auto deadline = core_->deadline(); deadline && *deadline <= now.steady) {
    core_->on_time(now);
    fed = true;
  }
  // The error has been told, and the core is gone.
  if (fed && !end_round(now)) return;
  replace_session_key(now);
}

// Between rounds. One that fails is tried again with the next exchange, so nothing is said of it: a
// full disk keeps nobody from reading. That it was done is written with the next round that writes.
void Engine::replace_session_key(core::Now now) {
  if (!core_->session_key_due(now) || !database_->rotate_session_key()) return;
  core_->on_session_key_replaced(now);
}

// ---- Waiting ------------------------------------------------------------------------------------

Error Engine::why_not_done(bool in_time) const {
  if (!wanted_) return {ErrorCode::offline, "not connected; connect first"};
  const std::string problem = last_problem_.empty() ? "no connection yet" : last_problem_;
  if (gave_up_) return {*gave_up_, problem};
  if (!core_ || platform_->now().steady < reopen_at_) return failure_;
  if (!in_time && logged_in_) {
    return {ErrorCode::timed_out, "it takes longer; nothing is lost and the work goes on"};
  }
  return {ErrorCode::offline, problem};
}

// `check` returns a result, or nothing as long as there is none.
template <class T, class Check>
Result<T> Engine::wait_until(milliseconds timeout, const Check& check) {
  std::unique_lock lock(mutex_);
  const auto until = platform_->now().steady + std::clamp(timeout, milliseconds{0}, kWaitMax);
  for (bool in_time = true;;) {
    if (core_) {
      if (std::optional<Result<T>> result = check()) return *std::move(result);
    }
    if (!in_time || !wanted_ || gave_up_) return why_not_done(in_time);
    in_time = platform_->wait(lock, changed_, until);
  }
}

Result<void> Engine::wait_registered(milliseconds timeout) {
  return wait_until<void>(timeout, [this]() -> std::optional<Result<void>> {
    if (!core_->registered()) return std::nullopt;
    switch (core_->naming()) {
      case core::Core::Naming::named:
        return Result<void>();
      case core::Core::Naming::asked:
        return std::nullopt;
      case core::Core::Naming::nameless:
        break;
    }
    return Error{ErrorCode::name_taken,
                 "the account has no name: the one it asked for is another user's, or the relay "
                 "knows none; choose one"};
  });
}

Result<Status> Engine::wait_accepted(const MessageId& id, milliseconds timeout) {
  return wait_until<Status>(timeout, [&]() -> std::optional<Result<Status>> {
    const auto status = core_->status(id);
    if (!status) return status.error();
    if (status->status == Status::queued) return std::nullopt;
    return status->status;
  });
}

Result<void> Engine::wait_settled(milliseconds timeout) {
  return wait_until<void>(timeout, [this]() -> std::optional<Result<void>> {
    if (!link_ || !logged_in_ || !core_->settled()) return std::nullopt;
    return Result<void>();
  });
}

}  // namespace godwit
