#include "tests/sim/simulation.hpp"

#include <cassert>

#include "client-sdk/src/core/reads.hpp"

namespace godwit::sim {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

namespace {

constexpr std::array<const char*, 5> kNames{"alice", "bob", "carol", "dave", "erin"};

// Says a client whose user has disconnected it, or not connected it since its program began.
constexpr std::string_view kNotConnected = "not connected; connect first";

// What belongs into a story besides the frames.
bool is_trouble(EventKind kind) {
  return kind >= EventKind::list_refused && kind != EventKind::events_lost;
}

// Without what only makes a text long.
std::string shortened(std::string what) {
  const auto filling = what.find(std::string(20, kFilling));
  if (filling != std::string::npos) {
    what.erase(filling + 3, what.find_first_not_of(kFilling, filling) - filling - 3);
  }
  return what;
}

}  // namespace

Start::Start(std::size_t people, bool strangers) {
  World made(1, {});
  for (std::size_t i = 0; i < people; ++i) {
    codes.push_back(*made.add(kNames[i]).recovery_code());
  }
  for (std::size_t by = 0; !strangers && by < people; ++by) {
    for (std::size_t to = 0; to < people; ++to) {
      if (by == to) continue;
      const std::string text = std::string(kNames[by]) + " greets " + kNames[to];
      const auto sent = made.client(kNames[by]).send({.to = kNames[to], .text = text, .key = text});
      greetings.push_back({kNames[by], by, to, text, sent->id, {}});
      (void)made.settle(1h);
    }
  }
  (void)made.settle(1h);
  world = made.snapshot();
}

const Start& Starts::of(const Plan& plan) {
  auto& made = made_[{plan.people, plan.strangers}];
  if (!made) made = std::make_unique<const Start>(plan.people, plan.strangers);
  return *made;
}

Simulation::Simulation(const Start& start, const Plan& plan, std::FILE* story)
    : plan_(plan),
      story_(story),
      world_(start.world, plan.seed, plan.settings),
      watch_(
          world_, world_.draws.split(),
          [this](const std::string& what) {
            if (what.starts_with("the relay ")) ++met_["lies of the relay"];
            tell(what);
          },
          [this](const std::string& what) { wrong(what); }) {
  watch_.set_verbose(story != nullptr);
  watch_.set_lying(plan.lies);
  world_.wiretap = &watch_;
  world_.on_back = [this](Home& home) {
    tell(home.name() + " is back");
    ++met_["returns of a device"];
    for (Person& person : people_) {
      if (person.home == home.name()) send_unsure(person);
    }
  };
  for (std::size_t i = 0; i < plan.people; ++i) {
    Person& person = people_.emplace_back();
    person.name = person.home = kNames[i];
    person.code = start.codes[i];
    person.user = client(person).account().user;
    (void)client(person).connect();
  }
  for (const Wrote& wrote : start.greetings) {
    ledger_.attempt(wrote.text, wrote.by, wrote.to);
    wrong(ledger_.wrote(wrote));
    pairs_.emplace(wrote.by, wrote.to);
  }
  greetings_ = start.greetings.size();
}

Simulation::~Simulation() {
  world_.on_back = {};
}

bool Simulation::run() {
  play();
  if (fine()) end_faults();
  if (fine()) judge();
  if (fine() && silent_) let_expire();
  met_["crashes of the relay"] += world_.relay.crashes();
  return fine();
}

// ---- Phase 1 ------------------------------------------------------------------------------------

void Simulation::play() {
  if (plan_.brief_from) world_.agenda.in(*plan_.brief_from, [this] { want_short_texts(); });
  milliseconds passed{};
  for (const Step& step : plan_.steps) {
    pass(step.when - passed);
    passed = step.when;
    if (!fine()) return;
    ++met_[acts()[step.act].name];
    (this->*acts()[step.act].play)(step);
    take_events();
  }
  pass(plan_.length - passed);
}

void Simulation::pass(milliseconds time) {
  const Agenda::Time until = world_.agenda.now() + time;
  while (fine() && world_.agenda.step(until)) {
  }
  take_events();
  wrong(wrong_relay());
}

void Simulation::end_faults() {
  tell("the faults end");
  watch_.set_lying(false);
  world_.relay.set_full(false);
  world_.relay.crash_at_next_commit(std::nullopt);
  if (plan_.tight) {  // the operator is generous again, or what is stuck would stay so
    world_.relay.shut_down();
    world_.relay.set_config({});
  }
  if (!world_.relay.up()) world_.relay.start();
  needs_traffic_ = needs_traffic_ || watch_.taken() > 0;
  for (std::size_t i = 0; i < people_.size(); ++i) {
    Home& home = world_.home(people_[i].home);
    home.restore();
    home.forget_to_die();
    home.set_disk_full(false);
  }
  pass(61s);  // whoever is down, or has left, comes back
  for (Person& person : people_) {
    const auto state = client(person).wait_settled(0ms);
    const bool unwanted = !state && state.error().message == kNotConnected;
    if (!plan_.hands_off) client(person).disconnect();  // a new attempt, at once
    if ((unwanted || !plan_.hands_off) && !client(person).connect()) {
      wrong(person.home + " cannot connect");
    }
    send_unsure(person);
  }
  for (const auto& [by, whom] : std::exchange(blocked_, {})) unblock(by, whom);
  if (plan_.last_words && !needs_traffic_ && !forgot_) {
    silent_ = plan_.seed % people_.size();
    tell(people_[*silent_].home + " is lost for good");
    world_.crash(world_.home(people_[*silent_].home), true, 1'000'000h);
    world_.drop(people_[*silent_].home);
  }
}

// ---- What people do -----------------------------------------------------------------------------

// A client that says no may have done it all the same, when its device died in the middle: the
// same words are sent again, under the same key.
void Simulation::send(Person& person, std::size_t to, const std::string& text) {
  const auto by = static_cast<std::size_t>(&person - people_.data());
  const bool first = ledger_.attempt(text, by, to);
  pairs_.emplace(by, to);
  if (!world_.starts(person.home)) {
    person.unsure.emplace_back(to, text);
    return;
  }
  std::optional<MessageId> last;  // what was tried before may have been written then
  if (first) last = last_shown(person.home, people_[to].user);
  const std::string key = shortened(text);
  const auto sent = client(person).send({.to = name_of(person, to), .text = text, .key = key});
  const Home& home = world_.home(person.home);
  if (sent && !home.dying()) {
    wrong(ledger_.wrote({person.home, by, to, text, sent->id, last, is_long(text)}));
  } else if (!sent && is_long(text) && sent.error().code == ErrorCode::invalid_argument) {
    tell(text + " is refused: " + sent.error().message);
    ++met_["texts refused, too long"];
    ledger_.refused(text);
  } else {
    person.unsure.emplace_back(to, text);
    // The next try after a full disk is that much later.
    const bool may_refuse = home.dying() || home.down() || home.was_disk_full();
    if (!may_refuse) wrong(text + " is refused: " + sent.error().message);
  }
}

// Than the operator wants them sooner or later.
bool Simulation::is_long(const std::string& text) const {
  return plan_.brief_from && text.size() > kBriefSizeMax;
}

// As the person knows it.
std::string Simulation::name_of(const Person& person, std::size_t other) {
  const auto contacts = client(person).contacts();
  if (contacts) {
    const auto known = std::ranges::find(*contacts, people_[other].user, &Contact::user);
    if (known != contacts->end() && !known->name.empty()) return known->name;
  }
  return people_[other].name;
}

void Simulation::send_unsure(Person& person) {
  const auto unsure = std::exchange(person.unsure, {});
  for (const auto& [to, text] : unsure) {
    // In their order: behind one that fails, all wait.
    if (!person.unsure.empty()) {
      person.unsure.emplace_back(to, text);
    } else {
      send(person, to, text);
    }
  }
}

// What comes between the look and the word of it has not been seen.
void Simulation::look(Person& person, std::size_t from, milliseconds slowly) {
  if (!world_.starts(person.home)) return;
  const auto& messages = shown(person.home, people_[from].user);
  ledger_.looked(messages);
  std::uint64_t arrival = 0;
  for (const auto& message : messages) arrival = std::max(arrival, message.arrival);
  const auto mark = [this, &person, from, arrival, home = person.home] {
    if (person.home != home || is_silent(person) || !world_.starts(home)) return;
    const auto done = client(person).mark_read(people_[from].user.hex(), arrival);
    (void)done;  // nothing to be read, or the disk says no: then nothing was said
  };
  slowly == 0ms ? mark() : world_.agenda.in(slowly, mark);
}

// ---- What is seen -------------------------------------------------------------------------------

void Simulation::take_events() {
  for (Person& person : people_) {
    if (!world_.keeps(person.home)) continue;
    look_at(person);
    if (renames_ > 0) person.name = client(person).account().name;
  }
}

void Simulation::look_at(Person& person) {
  const auto self = static_cast<std::size_t>(&person - people_.data());
  while (const auto event = client(person).next_event()) {
    ++events_[person.home][event->kind];
    if (is_trouble(event->kind)) {
      tell(person.home + ": " + std::string(to_string(event->kind)) + " " + event->detail);
    }
    if (event->kind == EventKind::message_received) {
      const auto message = client(person).message(event->message);
      if (!message) continue;  // its disk fails just now
      wrong(ledger_.received(person.home, self, person_of(event->user), *message));
    } else if (event->kind == EventKind::expired) {
      expired_.emplace(person.home, event->message);
    } else if (event->kind == EventKind::status_changed) {
      wrong(ledger_.told(person.home, event->message, event->status));
      const Wrote* const wrote = ledger_.find(event->message);
      if (wrote == nullptr || rank(event->status) < rank(Status::delivered)) continue;
      const Person& to = people_[wrote->to];
      bool there = is_stored(to.home, wrote->id);
      for (const auto& lost : to.lost) there = there || is_stored(lost, wrote->id);
      if (!there) wrong(wrote->text + " is said to be delivered, and is not there");
    }
  }
}

// What is on the disk of a device, whether its client lives or not. What has been found once is
// there for good; every judgement that reads whole histories would miss it.
bool Simulation::is_stored(const std::string& home, const MessageId& id) {
  if (stored_.contains({home, id})) return true;
  const auto txn = world_.home(home).look().read();
  assert(txn);
  const auto found = core::reads::message(core::View(*txn), id);
  if (found) stored_.emplace(home, id);
  return found.ok();
}

// In the order in which the app shows them; read anew only when something was committed.
const std::vector<Message>& Simulation::shown(const std::string& home, const UserId& peer) {
  Home& device = world_.home(home);
  Shown& known = shown_[{home, peer}];
  if (known.commits == device.disk().commits && known.life == device.life()) return known.messages;
  known = {device.disk().commits, device.life(), {}};
  const auto txn = device.look().read();
  assert(txn);
  const core::View view(*txn);
  const auto conversation = core::reads::conversation_of(view, peer.hex());
  if (!conversation) return known.messages;
  PageRequest page{.limit = 1'000};
  for (bool end = false; !end;) {
    auto got = core::reads::messages(view, *conversation, page);
    if (!got) {
      wrong(home + " does not show its messages: " + got.error().message);
      break;
    }
    known.messages.insert(known.messages.end(), got->items.begin(), got->items.end());
    page.cursor = got->cursor;
    end = got->end;
  }
  return known.messages;
}

std::optional<MessageId> Simulation::last_shown(const std::string& home, const UserId& peer) {
  const auto txn = world_.home(home).look().read();
  assert(txn);
  const core::View view(*txn);
  const auto conversation = core::reads::conversation_of(view, peer.hex());
  if (!conversation) return std::nullopt;
  const auto page = core::reads::messages(view, *conversation, {.limit = 1, .newest_first = true});
  if (!page || page->items.empty()) return std::nullopt;
  return page->items.front().id;
}

std::optional<Status> Simulation::status_of(const Wrote& wrote) {
  const auto txn = world_.home(wrote.home).look().read();
  assert(txn);
  const auto status = core::reads::status(core::View(*txn), wrote.id);
  return status ? std::optional(status->status) : std::nullopt;
}

std::size_t Simulation::person_of(const UserId& user) const {
  const auto found = std::ranges::find(people_, user, &Person::user);
  return static_cast<std::size_t>(found - people_.begin());
}

// ---- Telling ------------------------------------------------------------------------------------

void Simulation::tell(const std::string& what) {
  if (story_ == nullptr) return;
  std::fprintf(story_, "%lld ms: %s\n", static_cast<long long>(passed().count()),
               shortened(what).c_str());
}

void Simulation::wrong(const std::string& what) {
  if (what.empty() || !problem_.empty()) return;
  problem_ = shortened(what);
  tell("WRONG: " + what);
}

milliseconds Simulation::passed() const {
  return std::chrono::floor<milliseconds>(world_.agenda.now());
}

}  // namespace godwit::sim
