#include "relay/shard.hpp"

#include <algorithm>
#include <cassert>

#include "relay/session/dispatch.hpp"
#include "relay/slot/slot_of.hpp"

namespace godwit::relay {

using session::Session;
using session::SessionId;
using session::State;
using wire::ErrorCode;

namespace {

slot::EngineLimits engine_limits(const Config& config) {
  return {{config.window_envelopes, config.window_bytes},
          {config.mailbox_envelopes_max, config.mailbox_bytes_max}};
}

using Lists = std::vector<std::shared_ptr<const wire::SignedList>>;

// Where the list stands among those of a reply: once for all devices of its user.
std::uint16_t place_of(Lists& lists, const std::shared_ptr<const wire::SignedList>& list) {
  const auto found = std::find_if(lists.begin(), lists.end(),
                                  [&](const auto& one) { return one->body == list->body; });
  const auto place = static_cast<std::uint16_t>(found - lists.begin());
  if (found != lists.end()) return place;
  if (lists.size() >= wire::kListsPerReplyMax) return wire::kNoList;
  lists.push_back(list);
  return place;
}

std::uint32_t ms(std::chrono::milliseconds value) {
  return static_cast<std::uint32_t>(value.count());
}

}  // namespace

Shard::Shard(const ShardOptions& options, Host& host, slot::Records& records,
             policy::AddressAdmission& admission, ops::Counters& counters)
    : options_(options),
      host_(host),
      admission_(admission),
      counters_(counters),
      engine_(records, counters, engine_limits(*options.config), options.hash_key),
      expiry_(std::chrono::seconds{options.config->ttl_max_s}),
      parked_(options.loops),
      submit_rates_({static_cast<double>(options.config->submits_per_s),
                     static_cast<double>(options.config->submits_burst)}),
      lookup_rates_({kLookupsPerSecond, kLookupsBurst}),
      prekey_rates_({kPrekeyFetchesPerSecond, kPrekeyFetchesBurst}) {}

// ---- What comes in ------------------------------------------------------------------------------

SessionId Shard::on_established(const wire::Key& transport, std::string address, bool unlimited,
                                Now now) {
  const SessionId id = sessions_.add(std::make_unique<Session>());
  Session& session = *sessions_.find(id);
  session.id = id;
  session.transport = transport;
  session.address = std::move(address);
  session.unlimited = unlimited;
  session.last_heard = now.steady;
  session.established = now.steady;
  counters_.handshakes_total.add();
  return id;
}

void Shard::on_frame(SessionId id, wire::ByteView body, Now now) {
  now_ = expiry_.judge(now);
  if (Session* session = find(id)) session::dispatch(*this, *session, body);
  drain();
}

void Shard::on_closed(SessionId id, Now now) {
  now_ = expiry_.judge(now);
  const Session* session = sessions_.find(id);
  if (session == nullptr) return;
  detach(*session);
  sessions_.erase(id);
  drain();
}

void Shard::on_message(Message& message, Now now) {
  now_ = expiry_.judge(now);
  if (auto* ask = std::get_if<Ask>(&message)) {
    engine_.apply(ask->origin, ask->operation, now_, effects_);
  } else if (auto* answer = std::get_if<slot::AnswerTo>(&message)) {
    take(*answer);
  } else if (auto* push = std::get_if<slot::Push>(&message)) {
    take(*push);
  } else if (auto* notice = std::get_if<slot::Notice>(&message)) {
    take(*notice);
  }
  drain();
}

void Shard::on_committed(std::unique_ptr<store::Batch> batch, Now now) {
  now_ = expiry_.judge(now);
  engine_.committed(std::move(batch), now_, effects_);
  drain();
}

void Shard::on_round_end(Now now) {
  now_ = expiry_.judge(now);
  retry_parked();
  resume_rested();
  engine_.deliver_more(now_, effects_);
  drain();
  while (auto batch = engine_.flush(now_)) {
    if (!batch->empty()) {
      host_.commit(std::move(batch));
      break;
    }
    // Answers that waited for the batch before: nothing to write, nothing to wait for.
    engine_.committed(std::move(batch), now_, effects_);
    drain();
  }
  if (const auto due = engine_.next_due()) host_.wake_at(*due);
}

void Shard::on_tick(Now now) {
  now_ = expiry_.judge(now);
  sessions_.for_each([this](Session& session) {
    if (session.state == State::closing) return;
    const bool live = session.state == State::live;
    const bool silent =
        session.pauses == 0 && now_.steady - session.last_heard > kIdleDeadline;
    const bool late = !live && now_.steady - session.established > kLoginDeadline;
    const bool old = now_.steady - session.established > wire::kConnectionAgeMax + 1h;
    if (silent || late || old) end(session, ErrorCode::timeout);
  });
  engine_.sweep(now_, effects_);
  counters_.expiry_paused.set(now_.nothing_expires ? 1 : 0);
  drain();
}

void Shard::on_shutdown(Now now) {
  now_ = expiry_.judge(now);
  sessions_.for_each([this](Session& session) {
    if (session.state != State::closing) end(session, ErrorCode::busy);
  });
  drain();
}

// ---- From the engine to sessions ----------------------------------------------------------------

void Shard::drain() {
  // By index: what is taken may make the engine say more.
  for (std::size_t i = 0; i < effects_.size(); ++i) {
    slot::Effect effect = std::move(effects_[i]);
    std::visit(
        [this](auto& one) {
          std::uint32_t loop = 0;
          if constexpr (std::is_same_v<std::decay_t<decltype(one)>, slot::AnswerTo>) {
            loop = one.origin.loop;
          } else {
            loop = one.loop;
          }
          if (loop == options_.loop) return take(one);
          host_.post_always(loop, Message(std::move(one)));
        },
        effect);
  }
  effects_.clear();
  bury_ended();
}

void Shard::take(slot::AnswerTo& answer) {
  if (answer.origin.kind == slot::Origin::Kind::task) {
    const auto task = tasks_.extract(answer.origin.mark);
    return task.mapped()(answer.answer);
  }
  Session* session = find(answer.origin.session);
  if (session == nullptr || session->state == State::closing) return;
  switch (answer.origin.kind) {
    case slot::Origin::Kind::submit:
      return take_outcome(*session, answer.origin.mark, std::get<slot::Enqueued>(answer.answer));
    case slot::Origin::Kind::ack: {
      if (session->acks-- == kAcksInFlightMax) resume(*session);
      const auto& done = std::get<slot::Simple>(answer.answer);
      if (done.code == ErrorCode::ok) return acknowledged(*session, answer.origin.mark);
      return refuse(*session, answer.origin.mark, done.code, {});
    }
    case slot::Origin::Kind::task:
      return;  // taken above
    case slot::Origin::Kind::call: {
      auto& calls = session->calls;
      const auto found = std::ranges::find(calls, answer.origin.mark, &session::Call::mark);
      assert(found != calls.end());
      const session::Continuation then = std::move(found->then);
      calls.erase(found);
      if (calls.empty()) calls = {};
      return then(*session, answer.answer);
    }
  }
}

void Shard::take_outcome(Session& session, std::uint32_t submit, slot::Enqueued& outcome) {
  session::PendingSubmit& pending = session.submits[submit];
  assert(pending.left > 0);
  wire::Outcome& place = pending.outcomes[outcome.recipient];
  place.code = outcome.code;
  place.retry_after_ms = outcome.retry_after_ms;
  if (outcome.code != ErrorCode::ok) counters_.refused_total.add();
  if (outcome.newer) place.list = place_of(pending.lists, outcome.newer);
  if (--pending.left > 0) return;

  wire::RelayFrame frame{pending.request, wire::Submitted{std::move(pending.outcomes), {}}};
  auto& submitted = std::get<wire::Submitted>(frame.body);
  for (const auto& list : pending.lists) submitted.lists.push_back(list->view());
  host_.send(session.id, encoder_.encode(frame), Host::Leaves::soon);
  pending.lists.clear();
  // The memory of the usual submit serves the next one; that of a large one is not kept.
  if (submitted.outcomes.size() == 1) pending.outcomes = std::move(submitted.outcomes);
  session.free_submits.push_back(submit);
}

void Shard::take(slot::Push& push) {
  const Session* session = find(push.session);
  if (session == nullptr || session->state == State::closing) return;
  const wire::RelayFrame frame{0, wire::Deliver{push.number, push.body->bytes}};
  host_.send(push.session, encoder_.encode(frame), Host::Leaves::soon);
}

void Shard::take(slot::Notice& notice) {
  Session* session = find(notice.session);
  if (session == nullptr || session->state == State::closing) return;
  if (const auto* closing = std::get_if<wire::Closing>(&notice.what)) {
    return end(*session, closing->code);
  }
  wire::RelayFrame frame;
  std::visit([&](const auto& what) { frame.body = what; }, notice.what);
  host_.send(notice.session, encoder_.encode(frame), Host::Leaves::soon);
}

// ---- From handlers to slots ---------------------------------------------------------------------

void Shard::call(Session& session, std::uint16_t slot, slot::Operation operation,
                 session::Continuation then) {
  const std::uint32_t mark = session.next_call++;
  session.calls.push_back({mark, std::move(then)});
  route(&session, slot,
        {{session.id, options_.loop, mark, slot::Origin::Kind::call}, std::move(operation)});
}

void Shard::start(std::uint16_t slot, slot::Operation operation,
                  std::function<void(slot::Answer&)> then) {
  const std::uint32_t mark = next_task_++;
  tasks_.emplace(mark, std::move(then));
  route(nullptr, slot, {{0, options_.loop, mark, slot::Origin::Kind::task}, std::move(operation)});
}

void Shard::enqueue(Session& session, std::uint32_t submit, slot::Enqueue operation) {
  const std::uint16_t slot = slot::slot_of(operation.user);
  route(&session, slot,
        {{session.id, options_.loop, submit, slot::Origin::Kind::submit}, std::move(operation)});
}

void Shard::ack(Session& session, std::uint32_t request, slot::Ack operation) {
  // A device may acknowledge faster than the disk forgets. An ack is never refused for that: the
  // connection is read again when the disk has caught up.
  if (++session.acks == kAcksInFlightMax) pause(session);
  route(&session, session.slot,
        {{session.id, options_.loop, request, slot::Origin::Kind::ack}, std::move(operation)});
}

void Shard::route(Session* session, std::uint16_t slot, Ask ask) {
  const std::uint32_t loop = slot::loop_of(slot, options_.loops);
  if (loop == options_.loop) {
    return engine_.apply(ask.origin, ask.operation, now_, effects_);
  }
  Message message(std::move(ask));
  if (parked_[loop].empty() && host_.post(loop, message)) return;
  // That shard is behind. The operation waits here, in its order, and this connection is not read
  // until it has gone: so what waits is bounded by what one read brings.
  SessionId id = 0;
  if (session != nullptr) {
    id = session->id;
    pause(*session);
  }
  parked_[loop].push_back({id, std::move(message)});
}

void Shard::pause(Session& session) {
  if (session.pauses++ == 0) host_.pause(session.id, true);
}

void Shard::resume(Session& session) {
  if (--session.pauses > 0) return;
  session.last_heard = now_.steady;  // who was not read was not silent
  host_.pause(session.id, false);
}

// Reading what is refused costs as much as reading what is not. So who goes on beyond its rate is
// read a few times a second, and what it sends waits in its own system.
void Shard::rest(Session& session) {
  if (std::exchange(session.resting, true)) return;
  pause(session);
  resting_.push_back({now_.steady + kRestAfterRefusal, session.id});
}

void Shard::resume_rested() {
  for (; !resting_.empty() && resting_.front().until <= now_.steady; resting_.pop_front()) {
    Session* session = find(resting_.front().session);
    if (session == nullptr) continue;
    session->resting = false;
    resume(*session);
  }
  if (!resting_.empty()) host_.wake_at(resting_.front().until);
}

void Shard::retry_parked() {
  for (std::uint32_t loop = 0; loop < options_.loops; ++loop) {
    auto& waiting = parked_[loop];
    while (!waiting.empty() && host_.post(loop, waiting.front().message)) {
      Session* session = find(waiting.front().session);
      waiting.pop_front();
      if (session != nullptr) resume(*session);
    }
    if (!waiting.empty()) host_.wake_at(now_.steady + 1ms);
  }
}

// ---- From handlers to the device ----------------------------------------------------------------

void Shard::reply(Session& session, std::uint32_t request, ReplyBody body) {
  host_.send(session.id, encoder_.encode(wire::RelayFrame{request, std::move(body)}),
             Host::Leaves::soon);
}

// Nobody waits for the Done of an Ack, so it need not cost a record and a write of its own.
void Shard::acknowledged(const Session& session, std::uint32_t request) {
  host_.send(session.id, encoder_.encode(wire::RelayFrame{request, wire::Done{}}),
             Host::Leaves::with_the_next);
}

void Shard::refuse(Session& session, std::uint32_t request, ErrorCode code,
                   std::chrono::milliseconds retry_after) {
  counters_.refused_total.add();
  reply(session, request, wire::Refused{code, ms(retry_after)});
  if (code == ErrorCode::rate_limited) rest(session);
}

void Shard::end(Session& session, ErrorCode code) {
  if (session.state == State::closing) return;
  const std::uint32_t retry_after_ms = code == ErrorCode::busy ? ms(kRetryBusy) : 0;
  host_.send(session.id, encoder_.encode(wire::RelayFrame{0, wire::Closing{code, retry_after_ms}}),
             Host::Leaves::soon);
  host_.close(session.id, code);
  detach(session);
  session.state = State::closing;
  ended_.push_back(session.id);
}

void Shard::detach(const Session& session) {
  if (session.state != State::live && session.state != State::attaching) return;
  // The same way as the Attach went, so it arrives after it.
  route(nullptr, session.slot,
        {{session.id, options_.loop, 0, slot::Origin::Kind::call}, slot::Detach{session.device}});
}

void Shard::bury_ended() {
  for (const SessionId id : ended_) sessions_.erase(id);
  ended_.clear();
}

void Shard::welcome(Session& session, std::uint32_t request, const slot::AttachedAs& attached,
                    ErrorCode name) {
  const Host::StoreIdentity store = host_.store_identity();
  wire::Welcome welcome;
  welcome.version = std::min(session.version, wire::kProtocolVersion);
  welcome.store_id = store.id;
  welcome.store_generation = store.generation;
  welcome.relay_time_ms = now_.wall_ms;
  welcome.list = attached.list;
  welcome.one_time_keys_left = attached.one_time_keys_left;
  welcome.name = name;
  welcome.replaced = attached.replaced;
  welcome.own_name = attached.name;
  welcome.limits = config().wire_limits();
  host_.lift_frame_limit(session.id);
  reply(session, request, welcome);
}

std::uint64_t Shard::next_body_id() {
  return store::shared_id_of(host_.store_identity().boot, options_.loop, ++bodies_made_);
}

std::chrono::milliseconds Shard::take_registration(const Session& session) {
  return session.unlimited ? 0ms : admission_.take_registration(session.address, now_.steady);
}

std::chrono::milliseconds Shard::take_submit(const Session& session, std::size_t recipients) {
  const auto tokens = (recipients + kRecipientsPerToken - 1) / kRecipientsPerToken;
  return session.unlimited ? 0ms
                           : submit_rates_.take(session.device, now_.steady,
                                                static_cast<double>(tokens));
}

std::chrono::milliseconds Shard::take_lookups(const Session& session, std::uint32_t tokens) {
  return session.unlimited ? 0ms : lookup_rates_.take(session.device, now_.steady, tokens);
}

std::chrono::milliseconds Shard::take_prekeys(const Session& session) {
  return session.unlimited ? 0ms : prekey_rates_.take(session.device, now_.steady);
}

Session* Shard::find(SessionId session) {
  return sessions_.find(session);
}

}  // namespace godwit::relay
