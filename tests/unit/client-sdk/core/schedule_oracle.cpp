// What must come of a schedule.
#include <doctest/doctest.h>

#include "client-sdk/src/core/round.hpp"
#include "client-sdk/src/crypto/session_set.hpp"
#include "tests/unit/client-sdk/core/schedule.hpp"

namespace godwit::test {
namespace {

constexpr int kRoundTripsMax = 10;

}  // namespace

using namespace std::chrono_literals;

void Schedule::rest() {
  world_.settle();
  world_.pass(6s);  // gaps are asked for
  world_.settle();
}

void Schedule::round_trip(bool hours) {
  for (Person& person : people_) write(person);
  rest();
  if (hours) {  // resets and every repair are due again; nothing needs to be seen to happen in it
    for (Person& person : people_) person.device->disconnect();
    world_.pass(61min);
    for (Person& person : people_) person.device->connect();
    rest();
  }
  for (Person& person : people_) read(person);
  rest();
}

// At any time: nobody is told of a delivery that was none. And at rest, where no fault has struck
// that only further messages show: everything has arrived without them.
std::string Schedule::wrong_so_far() {
  for (Person& writer : people_) {
    std::map<MessageId, Status> arrived;
    const Person& reader = other(writer);
    const auto add = [&](const SimDevice& device) {
      for (const auto& message : device.messages(writer.user)) {
        Status& status = arrived.emplace(message.id, message.status).first->second;
        if (message.status == Status::read) status = Status::read;
      }
    };
    add(*reader.device);
    for (const SimDevice* lost : reader.lost) add(*lost);
    for (const Wrote& wrote : writer.wrote) {
      const auto told = wrote.by->core->status(wrote.id);
      if (!told.ok()) return wrote.text + " is not in its writer's history";
      const auto there = arrived.find(wrote.id);
      const bool delivered = told->status == Status::delivered || told->status == Status::read;
      if (delivered && there == arrived.end()) return wrote.text + " is not delivered";
      if (told->status == Status::read && there->second != Status::read) {
        return wrote.text + " is not read";
      }
      const bool due = at_rest_ && !needs_traffic_ && !(wiped_ && told->status == Status::failed);
      if (due && !delivered) return wrote.text + " waits for further messages";
    }
  }
  return {};
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
  std::string problem = wrong_so_far();
  if (!problem.empty()) return problem;
  for (int minutes = 0; minutes < (wiped_ ? 3 : 1); ++minutes) {  // nobody may be known at first
    rest();
    world_.pass(1min);
  }
  rest();
  at_rest_ = true;
  problem = wrong_so_far();
  if (!problem.empty()) return problem;
  problem = "never tried";
  for (int trips = 0; trips < kRoundTripsMax && !problem.empty(); ++trips) {
    round_trip(trips > 0);
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
  rest();
  for (Person& person : people_) read(person);
  rest();
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
    const auto number = [](std::uint64_t value) { return std::to_string(value); };
    tell("\n" + device.label + ": sent " + number(record->sent_seq) + ", delivered " +
         number(record->their_delivered) + ", read " + number(record->their_read) + "; has " +
         number(record->seq) + ranges + ", asked " + number(record->asked) + ", read to " +
         number(record->read_to) + ", unreadable " + number(record->undecryptable.size()));
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
    if (conversations->items.front().unread != 0) return person.device->label + " has unread";
    // What an honest peer never causes, whatever the relay drops or swaps.
    for (const auto kind :
         {EventKind::chain_broken, EventKind::equivocation, EventKind::list_refused,
          EventKind::prekey_refused, EventKind::damaged_record}) {
      if (person.device->count(kind) != 0) {
        return person.device->label + " tells of " + std::string(to_string(kind));
      }
    }
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
      const bool was_there =
          status.ok() && (status->status == Status::delivered || status->status == Status::read);
      if (was_there && !here && !there) return wrote.text + " was delivered, and is nowhere";
      continue;
    }
    ++own;
    const auto status = told.find(wrote.id);
    if (status == told.end()) return wrote.text + " is not in its writer's history";
    // A wiped relay knows no name until its owner is back, so a first message may fail; aloud.
    if (wiped_ && !here && !there && status->second == Status::failed) continue;
    if (!here && !there) {
      return wrote.text + " is lost; its writer says " + std::string(to_string(status->second));
    }
    // What only a lost device had stays as that device told it.
    const bool right =
        here ? status->second == Status::read
             : status->second == Status::delivered ||
                   (status->second == Status::read && arrived_at_lost.at(wrote.id) == Status::read);
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
    const auto record = view.load<core::SessionsRecord>(core::as_id<wire::DeviceId>(peer).view());
    const auto sessions = record ? crypto::SessionSet::unpack(record->packed) : std::nullopt;
    if (!sessions || sessions->current() == nullptr) return people_[i].name + " has no session";
    ids[i] = sessions->current()->id();
  }
  return ids[0] == ids[1] ? "" : "the two do not speak in one session";
}

}  // namespace godwit::test
