#include "tests/unit/client-sdk/core/schedule.hpp"

#include <doctest/doctest.h>

#include "schema/wire/codec.hpp"

namespace godwit::test {

using namespace std::chrono_literals;
using When = SimDevice::Crash::When;

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
  faults_ = {chance(50), chance(50), chance(40), chance(12),
             chance(25), chance(8),  chance(40), chance(25)};
  world_.tamper = [this](SimDevice& device, wire::ByteView frame) {
    return tampered(device, frame);
  };
}

// ---- What happens -------------------------------------------------------------------------------

void Schedule::play() {
  if (chance(50)) world_.settle();
  const std::uint64_t acts = 4 + draw(14);
  for (std::uint64_t i = 0; i < acts; ++i) act();
  if (faults_.wipe) wipe();
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
      needs_traffic_ = true;
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
  needs_traffic_ = true;
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
  if (chance(50)) {  // with messages that it has accepted and nobody has fetched
    Person& away = any();
    tell(away.device->label + " goes");
    away.device->disconnect();
    write(other(away));
    world_.settle();
  }
  tell("wipe");
  world_.wipe_relay();
  wiped_ = true;
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
      needs_traffic_ = true;
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

}  // namespace godwit::test
