// Two people under random schedules: sessions begun at once, lost, reset, devices replaced, crashes,
// a relay that restarts, loses its disk, drops, doubles and swaps. Afterwards an oracle that knows
// only what was written and what each home shows decides whether anything was lost, doubled,
// misplaced or misreported, and whether both ends speak in one session again.
//
// A failing seed prints its story. GODWIT_SCHEDULE_SEED=n plays that one alone; GODWIT_SCHEDULES=n
// plays n of them instead of the usual number.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "client-sdk/src/core/round.hpp"
#include "client-sdk/src/crypto/session_set.hpp"
#include "schema/wire/codec.hpp"
#include "tests/support/world.hpp"

namespace godwit::test {
namespace {

using namespace std::chrono_literals;
using When = SimDevice::Crash::When;

constexpr std::uint64_t kSeeds = 10'000;
constexpr int kRoundTripsMax = 10;

struct Wrote {
  const SimDevice* by = nullptr;
  std::string text;
  MessageId id;
};

struct Person {
  std::string name;
  std::string user;  // 32 hex digits
  std::string code;
  SimDevice* device = nullptr;
  std::vector<const SimDevice*> lost;
  std::vector<Wrote> wrote;
  bool relay_forgot = false;  // the relay was wiped, and has not seen the device since
};

// Which faults a seed draws from; each is on in a part of the seeds, so that every one is also met
// without the others.
struct Faults {
  bool crash = false, away = false, lose = false, replace = false, restart = false, wipe = false,
       tamper = false, hours = false;
};

class Schedule {
 public:
  Schedule(const World::Snapshot& from, std::uint64_t seed, std::array<std::string, 2> codes);

  void play();
  // Ends well, or with a sentence about what is wrong.
  [[nodiscard]] std::string finish();
  void tell_state();
  [[nodiscard]] const std::string& story() const { return story_; }

 private:
  [[nodiscard]] std::uint64_t draw(std::uint64_t below) { return draws_() % below; }
  [[nodiscard]] bool chance(unsigned percent) { return draw(100) < percent; }
  void tell(const std::string& what) { story_ += what + "; "; }
  [[nodiscard]] Person& any() { return people_[draw(2)]; }
  [[nodiscard]] Person& other(const Person& person) {
    return &person == people_.data() ? people_[1] : people_[0];
  }

  void act();
  void fault();
  void write(Person& person);
  void read(Person& person);
  void move(std::uint64_t frames);
  void pass(std::chrono::milliseconds time);
  void replace(Person& person);
  void wipe();
  [[nodiscard]] std::vector<wire::Bytes> tampered(SimDevice& device, wire::ByteView frame);

  void round_trip();
  [[nodiscard]] std::string wrong();
  [[nodiscard]] std::string wrong_at_rest();
  [[nodiscard]] std::string wrong_with(Person& writer, Person& reader);
  [[nodiscard]] std::string wrong_sessions();

  std::mt19937_64 draws_;
  World world_;
  std::array<Person, 2> people_;
  Faults faults_;
  bool tampering_ = true;
  std::map<const SimDevice*, wire::Bytes> held_back_;  // a frame that the next one overtakes
  std::map<std::pair<const Person*, const SimDevice*>, int> count_;
  std::string story_;
};

Schedule::Schedule(const World::Snapshot& from, std::uint64_t seed,
                   std::array<std::string, 2> codes)
    : draws_(seed), world_(from, seed * 2 + 1) {
  for (std::size_t i = 0; i < 2; ++i) {
    Person& person = people_[i];
    person.device = &world_.devices[i];
    const Account account = person.device->core->account();
    person.name = account.name;
    person.user = account.user.hex();
    person.code = codes[i];
    person.device->connect();
  }
  for (Person& person : people_) {
    for (const auto& message : person.device->messages(other(person).user)) {
      if (message.outgoing) person.wrote.push_back({person.device, message.text, message.id});
    }
  }
  faults_ = {chance(50), chance(50), chance(40), chance(12), chance(25),
             chance(8),  chance(40), chance(25)};
  world_.tamper = [this](SimDevice& device, wire::ByteView frame) {
    return tampered(device, frame);
  };
}

// ---- What happens -------------------------------------------------------------------------------

void Schedule::play() {
  if (chance(50)) world_.settle();
  const std::uint64_t acts = 5 + draw(25);
  for (std::uint64_t i = 0; i < acts; ++i) act();
}

void Schedule::act() {
  switch (draw(8)) {
    case 0:
    case 1:
    case 2:
      write(any());
      return;
    case 3:
      tell("both write");
      write(people_[0]);
      write(people_[1]);
      return;
    case 4:
    case 5:
      move(1 + draw(20));
      return;
    case 6:
      if (chance(50)) {
        read(any());
      } else {
        pass(std::chrono::milliseconds{1 + draw(8000)});
      }
      return;
    default:
      fault();
  }
}

void Schedule::fault() {
  Person& person = any();
  SimDevice& device = *person.device;
  switch (draw(8)) {
    case 0:
    case 1:
      if (!faults_.crash) return;
      tell(device.label + " will crash");
      device.crash_at = {device.disk->commits + 1 + draw(4), static_cast<When>(draw(3))};
      return;
    case 2:
      if (!faults_.away) return;
      tell(device.label + (device.wants_connection ? " goes" : " comes"));
      device.wants_connection ? device.disconnect() : device.connect();
      return;
    case 3:
      if (!faults_.lose) return;
      tell(device.label + " loses its sessions");
      device.lose_sessions();
      if (!chance(40)) return;
      tell("the other too");
      other(person).device->lose_sessions();
      return;
    case 4:
      if (!faults_.replace) return;
      replace(person);
      if (chance(40)) replace(other(person));
      return;
    case 5:
      if (!faults_.restart) return;
      tell("restart");
      world_.restart_relay();
      return;
    case 6:
      if (faults_.wipe) wipe();
      return;
    default:
      if (faults_.hours) pass(61min);
  }
}

// As an app does it: after a crash it sends again under the same key.
void Schedule::write(Person& person) {
  SimDevice& device = *person.device;
  const int number = ++count_[{&person, &device}];
  const std::string text = device.label + " " + std::to_string(number);
  tell(text);
  for (std::size_t crashes = device.crashes + 1; crashes != device.crashes;) {
    crashes = device.crashes;
    const Sent sent = device.send(other(person).name, text, text);
    if (crashes == device.crashes) person.wrote.push_back({&device, text, sent.id});
  }
}

void Schedule::read(Person& person) {
  const auto conversation = person.device->core->conversation_of(other(person).user);
  if (!conversation) return;
  tell(person.device->label + " reads");
  REQUIRE(person.device->core->mark_read(*conversation, world_.now()).ok());
  person.device->end_round();
}

void Schedule::move(std::uint64_t frames) {
  for (; frames > 0 && world_.move_one(draws_); --frames) {
  }
}

void Schedule::pass(std::chrono::milliseconds time) {
  tell(std::to_string(time.count()) + " ms");
  world_.pass(time);
  for (Person& person : people_) {
    if (person.device->core->link().logged_in) person.relay_forgot = false;
  }
}

// A relay without a memory takes a recovered list for the first one, and contacts that know another
// list refuse it: so nobody is replaced before the relay knows them again.
void Schedule::replace(Person& person) {
  if (person.relay_forgot || !person.lost.empty()) return;
  tell(person.device->label + " is replaced");
  person.device->crash_at.reset();
  person.device->disconnect();
  person.lost.push_back(person.device);
  SimDevice& fresh = world_.add_blank(person.device->label + "'");
  fresh.recover(person.code);
  fresh.connect();
  person.device = &fresh;
}

void Schedule::wipe() {
  for (const Person& person : people_) {
    if (!person.device->core->registered()) return;  // for the same reason
  }
  tell("wipe");
  world_.wipe_relay();
  faults_.wipe = false;
  for (Person& person : people_) person.relay_forgot = true;
}

std::vector<wire::Bytes> Schedule::tampered(SimDevice& device, wire::ByteView frame) {
  std::vector<wire::Bytes> out;
  out.emplace_back(frame.begin(), frame.end());
  const auto parsed = wire::parse_relay_frame(frame);
  const auto* deliver = parsed ? std::get_if<wire::Deliver>(&parsed->body) : nullptr;
  if (deliver == nullptr || !tampering_ || !faults_.tamper) return out;
  if (auto held = held_back_.extract(&device)) {
    out.push_back(std::move(held.mapped()));
    tell("swapped");
    return out;
  }
  switch (draw(16)) {
    case 0:
      tell("drop");  // until the next connection
      return {};
    case 1:
      tell("drop for good");
      world_.forge_ack(device, deliver->number);
      return {};
    case 2:
      tell("double");
      out.push_back(out.front());
      return out;
    case 3:
      held_back_[&device] = std::move(out.front());
      return {};
    default:
      return out;
  }
}

// ---- What must come of it -----------------------------------------------------------------------

void Schedule::round_trip() {
  const auto rest = [&] {
    world_.settle();
    world_.pass(6s);  // gaps are asked for
    world_.settle();
  };
  for (Person& person : people_) write(person);
  rest();
  for (Person& person : people_) {  // resets are due again, and so is every repair
    person.device->disconnect();
  }
  world_.pass(61min);
  for (Person& person : people_) person.device->connect();
  rest();
  for (Person& person : people_) read(person);
  world_.settle();
}

std::string Schedule::finish() {
  tell("the end");
  tampering_ = false;
  held_back_.clear();
  for (Person& person : people_) {
    person.device->crash_at.reset();
    person.device->disconnect();
    person.device->connect();
  }
  std::string problem = "never tried";
  for (int trips = 0; trips < kRoundTripsMax && !problem.empty(); ++trips) {
    round_trip();
    problem = wrong();
  }
  if (!problem.empty()) return problem;
  // From here on nothing may go wrong any more.
  std::array<std::size_t, 2> before{};
  const auto unread = [](const Person& person) {
    return person.device->count(EventKind::undecryptable) + person.device->count(EventKind::gap);
  };
  for (std::size_t i = 0; i < 2; ++i) before[i] = unread(people_[i]);
  for (Person& person : people_) write(person);
  world_.settle();
  for (Person& person : people_) read(person);
  world_.settle();
  for (std::size_t i = 0; i < 2; ++i) {
    if (unread(people_[i]) != before[i]) return people_[i].name + " could not read, after all";
  }
  return wrong();
}

// For the story: how each device stands towards the other.
void Schedule::tell_state() {
  for (std::size_t i = 0; i < 2; ++i) {
    const SimDevice& device = *people_[i].device;
    const auto txn = device.database->read();
    REQUIRE(txn);
    const core::View view(*txn);
    const auto peer = people_[1 - i].device->core->account().device;
    const auto id = core::as_id<wire::DeviceId>(peer);
    const auto record = view.load<core::DeviceRecord>(id.view());
    if (!record) continue;
    std::string ranges;
    for (const auto& range : record->ranges) {
      ranges += " " + std::to_string(range.first) + "-" + std::to_string(range.last);
    }
    tell("\n" + device.label + ": sent " + std::to_string(record->sent_seq) + ", delivered " +
         std::to_string(record->their_delivered) + ", read " +
         std::to_string(record->their_read) + "; has " + std::to_string(record->seq) + ranges +
         ", asked " + std::to_string(record->asked) + ", read to " + std::to_string(record->read_to) +
         ", unreadable " + std::to_string(record->undecryptable.size()));
  }
}

std::string Schedule::wrong() {
  for (const auto& found : {wrong_at_rest(), wrong_with(people_[0], people_[1]),
                            wrong_with(people_[1], people_[0]), wrong_sessions()}) {
    if (!found.empty()) return found;
  }
  return {};
}

std::string Schedule::wrong_at_rest() {
  if (world_.queued() != 0) return "the relay still keeps " + std::to_string(world_.queued());
  for (const Person& person : people_) {
    if (!person.device->core->settled()) return person.device->label + " is not settled";
    const auto conversations = person.device->core->conversations({.limit = 10});
    REQUIRE(conversations.ok());
    if (conversations->items.size() != 1) return person.device->label + " has two conversations";
    if (conversations->items.front().unread != 0) return person.device->label + " has unread ones";
  }
  return {};
}

// Of what `writer` wrote on any device: what `reader` has, and what the writer is told of it.
std::string Schedule::wrong_with(Person& writer, Person& reader) {
  std::map<MessageId, Status> told;
  for (const auto& message : writer.device->messages(reader.user)) {
    if (message.outgoing) told[message.id] = message.status;
  }
  std::map<MessageId, std::size_t> arrived;  // and where in the reader's order
  std::map<MessageId, std::string> texts;
  for (const auto& message : reader.device->messages(writer.user)) {
    if (message.outgoing) continue;
    if (!arrived.emplace(message.id, arrived.size()).second) return message.text + " came twice";
    texts[message.id] = message.text;
    if (message.status != Status::read) return message.text + " is not read";
  }
  std::map<MessageId, Status> arrived_at_lost;
  for (const SimDevice* lost : reader.lost) {
    for (const auto& message : lost->messages(writer.user)) {
      if (!message.outgoing) arrived_at_lost[message.id] = message.status;
    }
  }

  std::map<const SimDevice*, std::size_t> last;  // of each writing device, place + 1
  std::size_t known = 0, own = 0;
  for (const Wrote& wrote : writer.wrote) {
    const bool lives = wrote.by == writer.device;
    const auto place = arrived.find(wrote.id);
    const bool here = place != arrived.end();
    const bool there = arrived_at_lost.contains(wrote.id);
    if (here) {
      ++known;
      if (texts[wrote.id] != wrote.text) return wrote.text + " came as " + texts[wrote.id];
      if (place->second < last[wrote.by]) return wrote.text + " is out of order";
      last[wrote.by] = place->second + 1;
    }
    if (!lives) {  // what the device was told when it was lost still holds
      const auto status = wrote.by->core->status(wrote.id);
      const bool was_there = status.ok() && (status->status == Status::delivered ||
                                             status->status == Status::read);
      if (was_there && !here && !there) return wrote.text + " was delivered, and is nowhere";
      continue;
    }
    ++own;
    if (!here && !there) return wrote.text + " is lost";
    const auto status = told.find(wrote.id);
    if (status == told.end()) return wrote.text + " is not in its writer's history";
    // What only a lost device had stays as that device told it.
    const bool right = here ? status->second == Status::read
                            : status->second == Status::delivered ||
                                  (status->second == Status::read &&
                                   arrived_at_lost.at(wrote.id) == Status::read);
    if (!right) {
      return wrote.text + " is " + std::string(to_string(status->second)) + ", says its writer";
    }
  }
  if (known != arrived.size()) return reader.name + " has what nobody wrote";
  if (own != told.size()) return writer.name + " shows what it did not write";
  return {};
}

std::string Schedule::wrong_sessions() {
  std::array<crypto::SessionId, 2> ids;
  for (std::size_t i = 0; i < 2; ++i) {
    const auto txn = people_[i].device->database->read();
    REQUIRE(txn);
    const core::View view(*txn);
    const auto peer = people_[1 - i].device->core->account().device;
    const auto record =
        view.load<core::SessionsRecord>(core::as_id<wire::DeviceId>(peer).view());
    const auto sessions = record ? crypto::SessionSet::unpack(record->packed) : std::nullopt;
    if (!sessions || sessions->current() == nullptr) return people_[i].name + " has no session";
    ids[i] = sessions->current()->id();
  }
  return ids[0] == ids[1] ? "" : "the two do not speak in one session";
}

std::uint64_t number_of(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace

TEST_SUITE("client-sdk/src/core") {
  TEST_CASE("whatever was lost, raced or reset, two people agree within ten round trips") {
    // They begin as strangers, or in the middle of a conversation.
    std::array<std::shared_ptr<const World::Snapshot>, 2> starts;
    std::array<std::string, 2> codes;
    {
      World world;
      SimDevice& alice = world.add("alice");
      SimDevice& bob = world.add("bob");
      codes = {*alice.core->recovery_code(), *bob.core->recovery_code()};
      starts[0] = world.snapshot();
      alice.send("bob", "hello");
      bob.send("alice", "hello");
      world.settle();
      starts[1] = world.snapshot();
    }
    const std::uint64_t only = number_of("GODWIT_SCHEDULE_SEED", 0);
    const std::uint64_t last = only != 0 ? only : number_of("GODWIT_SCHEDULES", kSeeds);
    for (std::uint64_t seed = only != 0 ? only : 1; seed <= last; ++seed) {
      INFO("GODWIT_SCHEDULE_SEED=" << seed);
      Schedule schedule(*starts[seed % 2], seed, codes);
      schedule.play();
      const std::string problem = schedule.finish();
      if (!problem.empty()) schedule.tell_state();
      INFO(schedule.story());
      CHECK(problem == "");
    }
  }
}

}  // namespace godwit::test
