// A change of name passes through three slots, one step after the other (slot/operation.hpp). It is
// a task of the shard, so that a connection that drops in the middle leaves no name half changed.
#include <memory>

#include "relay/handlers/handlers.hpp"
#include "relay/slot/slot_of.hpp"

namespace godwit::relay::handlers {

using wire::ErrorCode;

void handle_set_name(Context& context, Session& session, std::uint32_t request,
                     const wire::SetName& content) {
  const auto wait = context.take_lookup(session);
  if (wait.count() > 0) return context.refuse(session, request, ErrorCode::rate_limited, wait);
  std::string name;
  if (content.name) {
    const auto folded = wire::fold_name(*content.name);
    if (!folded) return context.refuse(session, request, ErrorCode::name_invalid);
    name = *folded;
  }
  change_name(context, session, name, [&context, request](Session& live, ErrorCode code) {
    if (code == ErrorCode::ok) return context.reply(live, request, wire::Done{});
    const auto again = code == ErrorCode::busy ? kRetryBusy : std::chrono::milliseconds{};
    context.refuse(live, request, code, again);
  });
}

namespace {

// One change of a user's name. Each step is asked of one slot; the object lives in the steps.
struct Naming : std::enable_shared_from_this<Naming> {
  using Step = void (Naming::*)(slot::Answer&);

  Context& context;
  session::SessionId session;
  wire::UserId user;
  std::string name;  // wanted; empty: none
  std::function<void(Session&, ErrorCode)> then;
  std::string previous;
  bool claimed_again = false;
  ErrorCode outcome = ErrorCode::ok;

  Naming(Context& asked, const Session& asker, std::string wanted,
         std::function<void(Session&, ErrorCode)> answer)
      : context(asked),
        session(asker.id),
        user(asker.user),
        name(std::move(wanted)),
        then(std::move(answer)) {}

  void ask(std::uint16_t slot, slot::Operation operation, Step step) {
    context.start(slot, std::move(operation),
                  [self = shared_from_this(), step](slot::Answer& answer) {
                    ((*self).*step)(answer);
                  });
  }

  void begin() { ask(slot::slot_of(user), slot::BeginNaming{user}, &Naming::begun); }

  void begun(slot::Answer& answer) {
    const auto* held = std::get_if<slot::PreviousName>(&answer);
    if (held == nullptr) {
      outcome = code_of(answer);
      return report();
    }
    previous = held->name;
    if (name == previous) return end();
    if (name.empty()) return remember();
    ask(slot::slot_of_name(name), slot::ClaimName{name, user, {}}, &Naming::claimed);
  }

  void claimed(slot::Answer& answer) {
    const auto* holder = std::get_if<slot::FoundName>(&answer);
    if (holder == nullptr) return remember();
    outcome = ErrorCode::name_taken;
    if (claimed_again) return end();
    // Unless the holder's own record says otherwise: then a crash left the claim behind.
    claimed_again = true;
    const wire::UserId other = holder->user;
    context.start(slot::slot_of(other), slot::HoldsName{name, other},
                  [self = shared_from_this(), other](slot::Answer& holds) {
                    if (code_of(holds) == ErrorCode::ok) return self->end();
                    self->ask(slot::slot_of_name(self->name),
                              slot::ClaimName{self->name, self->user, other}, &Naming::claimed);
                  });
  }

  void remember() {
    outcome = ErrorCode::ok;
    ask(slot::slot_of(user), slot::SetUserName{user, name}, &Naming::remembered);
  }

  void remembered(slot::Answer& answer) {
    outcome = code_of(answer);
    if (outcome != ErrorCode::ok || previous.empty()) return end();
    ask(slot::slot_of_name(previous), slot::ReleaseName{previous, user}, &Naming::released);
  }

  void released(slot::Answer&) { end(); }

  void end() { ask(slot::slot_of(user), slot::EndNaming{user}, &Naming::ended); }

  void ended(slot::Answer&) { report(); }

  void report() {
    Session* asker = context.find(session);
    // A session that ends with this very commit is found until the shard has let go of it.
    if (asker != nullptr && asker->state != session::State::closing) then(*asker, outcome);
  }
};

}  // namespace

void change_name(Context& context, Session& session, const std::string& name,
                 std::function<void(Session&, ErrorCode)> then) {
  std::make_shared<Naming>(context, session, name, std::move(then))->begin();
}

}  // namespace godwit::relay::handlers
