// What must hold when the faults have ended: within a bounded time everything has arrived, every
// status is right on every device, all agree on one order, and the relay keeps nothing.
#include <cassert>

#include "client-sdk/src/core/round.hpp"
#include "client-sdk/src/crypto/session_set.hpp"
#include "tests/sim/simulation.hpp"

namespace godwit::sim {

using namespace std::chrono_literals;

namespace {

constexpr int kRoundTripsMax = 10;   // where something has to be found out and mended by them
constexpr int kRoundTripsOfAll = 1;  // so that everybody has written
constexpr auto kSettlesWithin = 1h;
constexpr std::size_t kPreviewSize = 120;  // of texts in ASCII, in the list of conversations
// The usual time to live, two days by which a clock may be wrong as it begins, and one.
constexpr auto kExpiresWithin = 24h * 33;

}  // namespace

void Simulation::come_to_rest() {
  for (const auto pause : {6s, 0s}) {  // in which gaps are asked for
    if (!fine()) return;
    if (!world_.settle(kSettlesWithin)) return wrong(why_unsettled());
    pass(pause);
  }
}

std::string Simulation::why_unsettled() {
  std::string text = "after an hour without faults there is still work under way:";
  if (!world_.relay.idle()) text += " the relay is not idle;";
  for (const Person& person : people_) {
    if (is_silent(person)) continue;
    const auto settled = client(person).wait_settled(0ms);
    if (!settled) text += " " + person.home + ": " + settled.error().message + ";";
  }
  return text;
}

void Simulation::judge() {
  wrong(wrong_statuses());
  // After a wipe nobody may be known at first.
  for (int minutes = 0; fine() && minutes < (wiped_ ? 3 : 1); ++minutes) {
    come_to_rest();
    if (fine()) pass(1min);
  }
  come_to_rest();
  if (world_.relay.expired() > 0) needs_traffic_ = true;
  if (fine()) wrong(wrong_names());
  if (fine()) wrong(wrong_last_words());
  // A relay without a memory knows no names before their owners are back.
  for (std::size_t i = 0; fine() && !wiped_ && i < people_.size(); ++i) {
    if (!is_silent(people_[i])) wrong(wrong_conversations(i));
  }
  if (fine() && !needs_traffic_) {
    if (replaced_) away_for_an_hour();
    everybody_looks();
    if (fine()) wrong(wrong_waiting());
  }
  std::string problem = "never tried";
  const int trips_max = needs_traffic_ ? kRoundTripsMax : kRoundTripsOfAll;
  for (int trips = 0; fine() && trips < trips_max && !problem.empty(); ++trips) {
    round_trip(trips > 0);
    if (fine()) problem = wrong_now();
  }
  wrong(problem);
  if (!fine() || !needs_traffic_) return;
  // What took several trips to come right stays so; once the last resets, which wait for an hour
  // after the one before, are through.
  round_trip(true);
  const auto unread = [this] {
    int sum = 0;
    for (const Person& person : people_) {
      sum += events_[person.home][EventKind::undecryptable] + events_[person.home][EventKind::gap];
    }
    return sum;
  };
  const int before = unread();
  round_trip(false);
  if (unread() != before) wrong("somebody could not read, after all");
  if (fine()) wrong(wrong_now());
}

void Simulation::let_expire() {
  // No mail expires by a clock that has jumped, but a start believes the one that it finds.
  world_.relay.shut_down();
  world_.relay.set_clock(kExpiresWithin);
  world_.relay.start();
  for (Person& person : people_) {
    world_.home(person.home).set_clock(kExpiresWithin);
    if (!is_silent(person)) client(person).disconnect();
  }
  pass(1min);
  for (Person& person : people_) {
    if (!is_silent(person) && !client(person).connect()) wrong(person.home + " cannot connect");
  }
  come_to_rest();
  if (fine()) wrong(wrong_expiries());
}

template <class Action>
void Simulation::between_all(const Action& action) {
  for (std::size_t one = 0; one < people_.size(); ++one) {
    for (std::size_t other = 0; other < people_.size(); ++other) {
      if (has_talked(one, other)) action(one, other);
    }
  }
}

void Simulation::everybody_looks() {
  between_all([this](std::size_t one, std::size_t other) { look(people_[one], other); });
  come_to_rest();
}

void Simulation::round_trip(bool hours) {
  between_all([this](std::size_t one, std::size_t other) {
    Person& person = people_[one];
    send_unsure(person);
    send(person, other,
         person.home + " " + std::to_string(++person.written) + " at last to " +
             people_[other].name);
  });
  come_to_rest();
  if (hours && fine()) away_for_an_hour();  // resets and every repair are due again
  if (fine()) everybody_looks();
}

void Simulation::away_for_an_hour() {
  for (Person& person : people_) {
    if (!is_silent(person)) client(person).disconnect();
  }
  pass(61min);
  for (Person& person : people_) {
    if (!is_silent(person) && !client(person).connect()) wrong(person.home + " cannot connect");
  }
  come_to_rest();
}

// ---- The judgements -----------------------------------------------------------------------------

bool Simulation::is_silent(const Person& person) const {
  return silent_ && &person == &people_[*silent_];
}

// Of two who still can.
bool Simulation::has_talked(std::size_t one, std::size_t other) const {
  if (one == other || is_silent(people_[one]) || is_silent(people_[other])) return false;
  return pairs_.contains({one, other}) || pairs_.contains({other, one});
}

// At any time: the relay counts right, and keeps no request twice.
std::string Simulation::wrong_relay() {
  if (world_.relay.counted() != world_.relay.recounted()) {
    return "the relay's counters are not what is in its mailboxes";
  }
  std::set<std::pair<wire::DeviceId, relay::store::RequestTag>> kept;
  for (const auto& [position, entry] : world_.relay.disk().log()) {
    if (entry.damaged) continue;  // as good as gone: a retry may take its place
    if (!kept.emplace(entry.device, entry.request).second) {
      return "the relay keeps one request twice";
    }
  }
  return {};
}

// At any time: nobody is told of a delivery that was none.
std::string Simulation::wrong_statuses() {
  for (std::size_t by = 0; by < people_.size(); ++by) {
    for (std::size_t to = 0; to < people_.size(); ++to) {
      const auto there = arrived(by, to);
      for (const auto& [id, status] : told(by, to)) {
        if (rank(status) < rank(Status::delivered)) continue;
        const Wrote* const wrote = ledger_.find(id);
        const std::string text = wrote == nullptr ? id.hex() : wrote->text;
        const auto found = there.find(id);
        if (found == there.end()) return text + " is not delivered, and said to be";
        if (status == Status::read && found->second != Status::read) {
          return text + " is not read, and said to be";
        }
      }
    }
  }
  return {};
}

std::map<MessageId, Status> Simulation::told(std::size_t by, std::size_t to) {
  std::map<MessageId, Status> statuses;
  for (const auto& message : shown(people_[by].home, people_[to].user)) {
    if (message.outgoing) statuses[message.id] = message.status;
  }
  return statuses;
}

// On any device of the reader, the lost ones included.
std::map<MessageId, Status> Simulation::arrived(std::size_t by, std::size_t to) {
  std::map<MessageId, Status> there;
  const auto add = [&](const std::string& home) {
    for (const auto& message : shown(home, people_[by].user)) {
      if (message.outgoing) continue;
      Status& status = there.emplace(message.id, message.status).first->second;
      if (message.status == Status::read) status = Status::read;
    }
  };
  add(people_[to].home);
  for (const auto& lost : people_[to].lost) add(lost);
  return there;
}

// Where no fault has struck that only further messages show, all has arrived without them.
std::string Simulation::wrong_waiting() {
  for (const Wrote& wrote : ledger_.all()) {
    const Person& writer = people_[wrote.by];
    if (wrote.home != writer.home || is_silent(writer) || is_silent(people_[wrote.to])) continue;
    const auto status = status_of(wrote);
    if (!status) return wrote.text + " is not in its writer's history";
    if ((wiped_ || wrote.may_fail) && *status == Status::failed) continue;
    // Of what only a lost device had nobody says that it was read.
    const Person& reader = people_[wrote.to];
    const bool here = reader.lost.empty() || is_stored(reader.home, wrote.id);
    const Status least = here ? Status::read : Status::delivered;
    if (rank(*status) < rank(least)) return wrote.text + " waits for further messages";
  }
  return {};
}

// P1, with the sender's device gone: what was accepted arrives. Not what waited for a device that
// was replaced, since the relay keeps nothing for that, and nobody sends it again; nor what was
// written by one that was replaced, which the reader may not have known.
std::string Simulation::wrong_last_words() {
  if (!silent_ || needs_traffic_ || forgot_) return {};
  for (const Wrote& wrote : ledger_.all()) {
    const bool theirs = wrote.by == *silent_ && wrote.home == people_[*silent_].home;
    if (!theirs || !people_[wrote.to].lost.empty()) continue;
    const auto status = status_of(wrote);
    if (!status) return wrote.text + " is not in its writer's history";
    if (rank(*status) < rank(Status::sent)) continue;
    if (!is_stored(people_[wrote.to].home, wrote.id)) {
      return wrote.text + " was accepted, and is lost";
    }
  }
  return {};
}

// P8: who wrote to a phone that is lost for good hears when the relay has let go of it.
std::string Simulation::wrong_expiries() {
  // What somebody submits to the silent one even now has its own time.
  const std::uint64_t lately = world_.relay.now().wall_ms / 1'000 - 60;
  for (const auto& [position, entry] : world_.relay.disk().log()) {
    if (entry.expires < lately) return "the relay keeps what has expired";
  }
  for (const Wrote& wrote : ledger_.all()) {
    const Person& writer = people_[wrote.by];
    if (wrote.to != *silent_ || wrote.home != writer.home) continue;
    if (status_of(wrote) == Status::sent && !expired_.contains({writer.home, wrote.id})) {
      return wrote.text + " has expired, and nobody is told";
    }
  }
  return {};
}

// P9: of two who claim one name one gets it, and the other is told.
std::string Simulation::wrong_names() {
  for (std::size_t i = 0; i < rivals_.size(); i += 2) {
    int winners = 0;
    for (std::size_t j = i; j < i + 2; ++j) {
      Client& rival = world_.client(rivals_[j]);
      if (!rival.account().registered) return rivals_[j] + " has not been registered";
      while (const auto event = rival.next_event()) ++events_[rivals_[j]][event->kind];
      const bool told = events_[rivals_[j]][EventKind::name_taken] > 0;
      const bool won = !rival.account().name.empty();
      if (won == told) return rivals_[j] + (won ? " has the name, and hears no" : " is not told");
      winners += won ? 1 : 0;
    }
    if (winners != 1) return std::to_string(winners) + " have the name of " + rivals_[i];
  }
  return {};
}

std::string Simulation::wrong_now() {
  std::string problem = wrong_at_rest();
  if (problem.empty()) problem = wrong_statuses();
  for (std::size_t one = 0; one < people_.size(); ++one) {
    for (std::size_t other = 0; problem.empty() && other < people_.size(); ++other) {
      if (!has_talked(one, other)) continue;
      problem = wrong_between(one, other);
      if (problem.empty() && one < other) problem = wrong_order(one, other);
      if (problem.empty() && one < other) problem = wrong_sessions(one, other);
    }
  }
  return problem;
}

std::string Simulation::wrong_at_rest() {
  for (const std::string& home : found_again_) {
    while (const auto event = world_.client(home).next_event()) ++events_[home][event->kind];
    if (events_[home][EventKind::removed] == 0) return home + " does not know that it is removed";
  }
  const auto queued = world_.relay.disk().log().size();
  if (queued != 0 && !silent_) return "the relay still keeps " + std::to_string(queued);
  for (std::size_t i = 0; i < people_.size(); ++i) {
    Person& person = people_[i];
    if (is_silent(person)) continue;
    if (!person.unsure.empty()) return person.unsure.front().second + " is still refused";
    if (const auto problem = wrong_conversations(i); !problem.empty()) return problem;
    if (const auto problem = wrong_contacts(i); !problem.empty()) return problem;
    if (const auto problem = wrong_events(person); !problem.empty()) return problem;
    if (watch_.forged_something()) continue;
    // What an honest peer never causes, whatever the relay drops or swaps.
    for (const auto kind :
         {EventKind::chain_broken, EventKind::equivocation, EventKind::list_refused,
          EventKind::prekey_refused, EventKind::damaged_record}) {
      if (events_[person.home][kind] != 0) {
        return person.home + " tells of " + std::string(to_string(kind));
      }
    }
  }
  return {};
}

// What the list of conversations says of each is what the messages in it say.
std::string Simulation::wrong_conversations(std::size_t self) {
  const Person& person = people_[self];
  const auto page = client(person).conversations({.limit = 100});
  if (!page) return person.home + ": " + page.error().message;
  std::set<UserId> peers;
  for (const auto& conversation : page->items) {
    if (!conversation.peer) return person.home + " has a conversation with nobody";
    if (!peers.insert(*conversation.peer).second) {
      return person.home + " has two conversations with one peer";
    }
    const auto& messages = shown(person.home, *conversation.peer);
    const auto unread = std::ranges::count(messages, Status::received, &Message::status);
    const std::string name = conversation.name;
    if (conversation.unread != unread) {
      return person.home + " counts " + std::to_string(conversation.unread) + " unread of " + name +
             " where there are " + std::to_string(unread);
    }
    if (messages.empty()) return person.home + " has an empty conversation with " + name;
    if (conversation.last_text != messages.back().text.substr(0, kPreviewSize) ||
        conversation.last_outgoing != messages.back().outgoing) {
      return person.home + " shows \"" + conversation.last_text + "\" as the newest message";
    }
  }
  return {};
}

// Once everybody has written again to everybody.
std::string Simulation::wrong_contacts(std::size_t self) {
  const Person& person = people_[self];
  const auto contacts = client(person).contacts();
  if (!contacts) return person.home + ": " + contacts.error().message;
  for (const auto& contact : *contacts) {
    const std::size_t other = person_of(contact.user);
    if (other >= people_.size() || !has_talked(self, other)) continue;
    const std::string& name = people_[other].name;
    if (contact.name != name) return person.home + " calls " + name + " \"" + contact.name + "\"";
    if (!contact.accepted || contact.blocked) return person.home + " knows no more of " + name;
  }
  return {};
}

// P8: each message and each status has been told of, to a program that lived all the time.
std::string Simulation::wrong_events(const Person& person) {
  if (world_.home(person.home).life() > 0) return {};
  const auto replaced =
      std::ranges::count_if(people_, [this](const Person& other) {
        return !other.lost.empty() && !is_silent(other);  // of whom nobody needs to hear
      });
  if (!plan_.strangers && person.lost.empty() &&
      events_[person.home][EventKind::devices_changed] < 2 * replaced) {
    return person.home + " is not told of one device that is new, and one that left";
  }
  for (std::size_t i = greetings_; i < ledger_.all().size(); ++i) {
    const Wrote& wrote = ledger_.all()[i];
    if (people_[wrote.to].home == person.home && is_stored(person.home, wrote.id) &&
        !ledger_.was_told_of(person.home, wrote.id)) {
      return person.home + " is not told of " + wrote.text;
    }
    if (wrote.home != person.home) continue;
    const auto status = status_of(wrote);
    if (status && *status != Status::queued && ledger_.last_told(person.home, wrote.id) != status) {
      return person.home + " is not told that " + wrote.text + " is " +
             std::string(to_string(*status));
    }
  }
  return {};
}

// That it waited when they were blocked is why it was not sent.
bool Simulation::is_held_back(const Person& writer, const MessageId& message) {
  const auto found = client(writer).status(message);
  return found && found->status == Status::failed &&
         found->failure == "they are blocked; unblock them to write";
}

// Of what `writer` wrote on any device: what `reader` has, and what the writer is told of it.
std::string Simulation::wrong_between(std::size_t by, std::size_t to) {
  const Person& writer = people_[by];
  const Person& reader = people_[to];
  std::map<MessageId, std::size_t> place;  // in the reader's order
  for (const auto& message : shown(reader.home, writer.user)) {
    if (message.outgoing) continue;
    if (!place.emplace(message.id, place.size()).second) return message.text + " came twice";
    if (message.status != Status::read) return message.text + " is not read";
  }
  const auto said = told(by, to);
  const auto anywhere = arrived(by, to);
  std::map<std::string, std::size_t> last;  // of each writing device, place + 1
  std::size_t known = 0, own = 0;
  for (const Wrote& wrote : ledger_.all()) {
    if (wrote.by != by || wrote.to != to) continue;
    const auto here = place.find(wrote.id);
    if (here != place.end()) {
      ++known;
      if (here->second < last[wrote.home]) return wrote.text + " is out of order";
      last[wrote.home] = here->second + 1;
    }
    if (wrote.home != writer.home) continue;  // what a lost device was told, wrong_statuses() saw
    ++own;
    const auto status = said.find(wrote.id);
    if (status == said.end()) return wrote.text + " is not in its writer's history";
    const bool there = anywhere.contains(wrote.id);
    // A wiped relay knows no name until its owner is back, so a first message may fail; aloud.
    const bool may_fail = wiped_ || wrote.may_fail;
    // What a liar holds back may come when it has been asked for, and given up.
    const bool late = there && plan_.lies && wrote.may_fail;
    if (may_fail && (!there || late) && status->second == Status::failed) continue;
    if (!there && has_blocked_.contains({by, to}) && is_held_back(writer, wrote.id)) continue;
    const std::string says = "; its writer says " + std::string(to_string(status->second));
    if (!there) return wrote.text + " is lost" + says;
    // What only a lost device had stays as that device told it.
    const bool right = here != place.end() ? status->second == Status::read
                                           : rank(status->second) >= rank(Status::delivered);
    if (!right) return wrote.text + " was read" + says;
  }
  if (known < place.size()) {
    // A lost device's words may have arrived although it died before its user knew that they left.
    if (writer.lost.empty()) return reader.name + " has what nobody wrote";
  }
  if (own != said.size()) return writer.name + " shows what it did not write";
  return {};
}

// P3: both see one order, and a reply stands behind what it answers.
std::string Simulation::wrong_order(std::size_t one, std::size_t other) {
  const auto ids = [this](std::size_t of, std::size_t peer) {
    std::vector<MessageId> order;
    for (const auto& message : shown(people_[of].home, people_[peer].user)) {
      order.push_back(message.id);
    }
    return order;
  };
  std::vector<MessageId> here = ids(one, other), there = ids(other, one);
  const std::set<MessageId> known(here.begin(), here.end());
  const auto unknown = [](const auto& set) {
    return [&set](const MessageId& id) { return !set.contains(id); };
  };
  std::erase_if(there, unknown(known));  // what one of them has lost with a device, or never sent
  const std::set<MessageId> both(there.begin(), there.end());
  std::erase_if(here, unknown(both));
  if (here != there) {
    return people_[one].name + " and " + people_[other].name + " see two orders";
  }
  if (clock_turned_) return {};
  std::map<MessageId, std::size_t> place;
  for (std::size_t i = 0; i < here.size(); ++i) place[here[i]] = i;
  for (const auto& [id, at] : place) {
    const Wrote* const wrote = ledger_.find(id);
    if (wrote == nullptr || !wrote->behind) continue;
    const auto before = place.find(*wrote->behind);
    if (before != place.end() && before->second > at) {
      return wrote->text + " stands before what it answers";
    }
  }
  return {};
}

std::string Simulation::wrong_sessions(std::size_t one, std::size_t other) {
  std::array<crypto::SessionId, 2> ids;
  const std::array<std::size_t, 2> both{one, other};
  for (std::size_t i = 0; i < 2; ++i) {
    const auto txn = world_.home(people_[both[i]].home).look().read();
    assert(txn);
    const auto peer = client(people_[both[1 - i]]).account().device;
    const auto record =
        core::View(*txn).load<core::SessionsRecord>(core::as_id<wire::DeviceId>(peer).view());
    const auto sessions = record ? crypto::SessionSet::unpack(record->packed) : std::nullopt;
    if (!sessions || sessions->current() == nullptr) {
      return people_[both[i]].home + " has no session";
    }
    ids[i] = sessions->current()->id();
  }
  if (ids[0] == ids[1]) return {};
  return people_[one].name + " and " + people_[other].name + " do not speak in one session";
}

}  // namespace godwit::sim
