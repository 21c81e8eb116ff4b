// A change of name passes through three slots, one step after the other (slot/operation.hpp). It is
// a task of the shard, so that a connection that drops in the middle leaves no name half changed.
#include <memory>

#include "relay/handlers/handlers.hpp"
#include "relay/slot/slot_of.hpp"

namespace godwit::relay::handlers {

using wire::ErrorCode;

void handle_set_name(Context& context, Session& session, std::uint32_t request,
                     const wire::SetName& content) {
  const auto wait = context.take_lookups(session, 1);
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
  wire::UserId holder;  // whose claim is looked into
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
    outcome = code_of(answer);
    if (outcome == ErrorCode::busy) return report();
    if (outcome != ErrorCode::ok) return end();
    previous = std::get<slot::PreviousName>(answer).name;
    if (name.empty()) return previous.empty() ? end() : remember();
    // The name that is held is claimed again: should its claim be damaged, this mends it.
    ask(slot::slot_of_name(name), slot::ClaimName{name, user, {}}, &Naming::claimed);
  }

  void claimed(slot::Answer& answer) {
    const auto* found = std::get_if<slot::FoundName>(&answer);
    if (found == nullptr) return remember();
    // Taken, unless the holder's own record says otherwise: then a crash left the claim behind.
    // Until that is settled the holder begins no change, which might be a claim to this name.
    holder = found->user;
    ask(slot::slot_of(holder), slot::BeginNaming{holder}, &Naming::looked_into);
  }

  void looked_into(slot::Answer& answer) {
    outcome = code_of(answer);
    if (outcome == ErrorCode::busy) return end();
    const auto* held = std::get_if<slot::PreviousName>(&answer);
    if (held != nullptr && held->name == name) {
      outcome = ErrorCode::name_taken;
      return let_holder_go();
    }
    ask(slot::slot_of_name(name), slot::ClaimName{name, user, holder}, &Naming::taken_over);
  }

  void taken_over(slot::Answer& answer) {
    const bool faster = std::holds_alternative<slot::FoundName>(answer);  // somebody else was
    outcome = faster ? ErrorCode::name_taken : ErrorCode::ok;
    let_holder_go();
  }

  void let_holder_go() {
    ask(slot::slot_of(holder), slot::EndNaming{holder}, &Naming::holder_gone);
  }

  void holder_gone(slot::Answer&) {
    if (outcome == ErrorCode::ok) return remember();
    if (previous != name) return end();
    // The user's record still says the name, whose claim was lost and is another's by now.
    ask(slot::slot_of(user), slot::SetUserName{user, {}}, &Naming::lost);
  }

  void lost(slot::Answer&) { end(); }

  void remember() { ask(slot::slot_of(user), slot::SetUserName{user, name}, &Naming::remembered); }

  void remembered(slot::Answer& answer) {
    outcome = code_of(answer);
    if (outcome != ErrorCode::ok || previous.empty() || previous == name) return end();
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
