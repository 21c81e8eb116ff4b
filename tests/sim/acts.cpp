// What may happen in a simulation: a row in the table and a function each. To add one, add both.
#include "client-sdk/src/core/records.hpp"
#include "tests/sim/simulation.hpp"

namespace godwit::sim {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

std::span<const Simulation::Act> Simulation::acts() {
  // Name, percent of the plans that have it, how often it comes there.
  static constexpr std::array kActs{
      Act{"writes", 100, 16, &Simulation::write},
      Act{"writes many", 30, 3, &Simulation::write_many},
      Act{"reads", 100, 6, &Simulation::read},
      Act{"leaves for a while", 40, 3, &Simulation::leave},
      Act{"has no network", 35, 3, &Simulation::cut},
      Act{"loses the connection", 40, 4, &Simulation::reset},
      Act{"has a slow network", 20, 2, &Simulation::slow},
      Act{"crashes", 30, 2, &Simulation::crash},
      Act{"crashes at a commit", 40, 4, &Simulation::crash_at_commit},
      Act{"ends its program", 20, 2, &Simulation::restart},
      Act{"has a full disk", 15, 2, &Simulation::fill_disk},
      Act{"turns its clock", 15, 2, &Simulation::turn_clock},
      Act{"loses its sessions", 15, 1, &Simulation::lose_sessions},
      Act{"is replaced", 8, 1, &Simulation::replace},
      Act{"the relay crashes", 25, 2, &Simulation::crash_relay},
      Act{"the relay crashes at a commit", 30, 3, &Simulation::crash_relay_at_commit},
      Act{"the relay is stopped", 15, 1, &Simulation::stop_relay},
      Act{"the relay is full", 15, 2, &Simulation::fill_relay},
      Act{"the relay's clock is turned", 10, 1, &Simulation::turn_relay_clock},
      Act{"records of the relay rot", 8, 1, &Simulation::damage_relay},
      Act{"the relay's disk is an older one", 6, 1, &Simulation::roll_back_relay},
      Act{"the relay loses its disk", 8, 1, &Simulation::wipe_relay},
      Act{"everybody reconnects", 10, 1, &Simulation::storm},
      Act{"two claim one name", 6, 1, &Simulation::claim_one_name},
      Act{"changes its name", 10, 1, &Simulation::rename},
      Act{"blocks somebody", 12, 1, &Simulation::block},
      Act{"wants to be asked first", 10, 1, &Simulation::ask_first},
  };
  return kActs;
}

// ---- What people do -----------------------------------------------------------------------------

void Simulation::write(const Step& step) {
  Person& person = people_[step.who];
  std::string text =
      person.home + " " + std::to_string(++person.written) + " to " + people_[step.other].name;
  // Near the limit on both sides, or longer than any envelope.
  const std::uint64_t draw = step.draw >> 32;
  if (plan_.brief_from && draw % 4 == 0) {
    const std::uint64_t size = draw % 8 == 0 ? 1'900 + draw % 300 : 4'096 + draw % 9'999;
    text += " at length " + std::string(size, kFilling);
  }
  if (blocked_.contains({step.who, step.other})) return;  // a client takes nothing for them
  tell("writes " + text);
  send_unsure(person);
  if (!person.unsure.empty()) {
    person.unsure.emplace_back(step.other, text);
    ledger_.attempt(text, step.who, step.other);
    return;
  }
  send(person, step.other, text);
}

void Simulation::write_many(const Step& step) {
  const std::uint64_t count = (2 + step.draw % 12) * plan_.burst;
  for (std::uint64_t i = 0; i < count && fine(); ++i) write(step);
}

void Simulation::read(const Step& step) {
  tell(people_[step.who].home + " reads");
  look(people_[step.who], step.other, milliseconds{step.draw % 2 == 0 ? 0 : step.draw % 5'000});
}

void Simulation::restart(const Step& step) {
  Person& person = people_[step.who];
  tell(person.home + " ends its program");
  if (!world_.keeps(person.home) || world_.home(person.home).dying()) return;
  take_events();  // nothing of them is lost in an orderly end
  world_.drop(person.home);
  world_.agenda.in(milliseconds{1 + step.draw % 20'000}, [this, &person, home = person.home] {
    if (person.home != home || is_silent(person)) return;
    if (!world_.starts(home)) return;  // its user tries again with the next thing to do
    (void)client(person).connect();
    if (world_.on_back) world_.on_back(world_.home(home));
  });
}

// Strangers who sign up at the same moment.
void Simulation::claim_one_name(const Step&) {
  const std::string name = "rival" + std::to_string(rivals_.size());
  for (const std::string suffix : {"-one", "-two"}) {
    const std::string home = name + suffix;
    tell(home + " signs up as " + name);
    auto made = Client::create(world_.options(home), world_.address(), name);
    if (!made) return wrong(home + " cannot be made: " + made.error().message);
    world_.take(home, *std::move(made));
    (void)world_.client(home).connect();
    rivals_.push_back(home);
  }
}

// Those who know nobody by name write to names that nobody has any more: so not among strangers,
// nor where a replaced device has forgotten whom it knew.
void Simulation::rename(const Step& step) {
  Person& person = people_[step.who];
  const bool forgotten =
      std::ranges::any_of(people_, [](const Person& one) { return one.homes > 1; });
  if (plan_.strangers || forgotten || !world_.starts(person.home)) return;
  const std::string name = person.home + "." + std::to_string(++renames_);
  tell(person.home + " wants to be " + name);
  (void)client(person).set_name(name);  // not while it is offline
}

// Strangers are held apart from now on, and hear nothing until somebody writes to them.
void Simulation::ask_first(const Step& step) {
  Person& person = people_[step.who];
  if (!world_.starts(person.home)) return;
  tell(person.home + " wants to be asked first");
  needs_traffic_ = true;
  (void)client(person).set_contact_policy(Client::ContactPolicy::requests);
}

// What is written meanwhile is dropped, and asked for at the end of it.
void Simulation::block(const Step& step) {
  Person& person = people_[step.who];
  if (!world_.starts(person.home)) return;
  tell(person.home + " blocks " + people_[step.other].home);
  needs_traffic_ = true;
  blocked_.emplace(step.who, step.other);
  has_blocked_.emplace(step.who, step.other);
  (void)client(person).block(people_[step.other].user.hex(), true);  // unless they never talked
  world_.agenda.in(milliseconds{1 + step.draw % 120'000},
                   [this, &person, step, home = person.home] {
                     if (person.home == home && world_.starts(home)) unblock(step.who, step.other);
                   });
}

void Simulation::unblock(std::size_t by, std::size_t whom) {
  tell(people_[by].home + " blocks " + people_[whom].home + " no longer");
  const auto done = client(people_[by]).block(people_[whom].user.hex(), false);
  if (done || done.error().code == ErrorCode::not_found) blocked_.erase({by, whom});
}

// ---- Networks -----------------------------------------------------------------------------------

void Simulation::leave(const Step& step) {
  Person& person = people_[step.who];
  tell(person.home + " leaves");
  if (!world_.starts(person.home)) return;
  client(person).disconnect();
  const milliseconds away = milliseconds{1 + step.draw % 60'000} * plan_.stretch;
  world_.agenda.in(away, [this, home = person.home] {
    tell(home + " comes");
    if (world_.keeps(home)) (void)world_.client(home).connect();
  });
}

void Simulation::cut(const Step& step) {
  Home& home = world_.home(people_[step.who].home);
  tell(home.name() + " has no network");
  home.cut(step.draw % 2 == 0);
  world_.agenda.in(milliseconds{1 + (step.draw >> 8) % 180'000}, [this, &home] {
    if (home.is_cut()) tell(home.name() + " has network again");
    home.restore();
  });
}

void Simulation::reset(const Step& step) {
  tell(people_[step.who].home + " loses the connection");
  world_.home(people_[step.who].home).reset("reset by peer");
}

void Simulation::storm(const Step& step) {
  tell("everybody reconnects");
  for (std::size_t i = 0; i < people_.size(); ++i) {
    world_.agenda.in(milliseconds{(step.draw >> (8 * i)) % 50},
                     [this, i] { world_.home(people_[i].home).reset("reset by peer"); });
  }
}

void Simulation::slow(const Step& step) {
  Home& home = world_.home(people_[step.who].home);
  tell(home.name() + " has a slow network");
  home.set_slow(milliseconds{step.draw % 20'000});
  world_.agenda.in(milliseconds{1 + (step.draw >> 16) % 60'000}, [&home] { home.set_slow({}); });
}

// ---- Devices ------------------------------------------------------------------------------------

void Simulation::crash(const Step& step) {
  Home& home = world_.home(people_[step.who].home);
  if (home.dying()) return;
  tell(home.name() + " crashes");
  world_.crash(home, step.draw % 2 == 0, milliseconds{(step.draw >> 8) % 30'000});
}

void Simulation::crash_at_commit(const Step& step) {
  Home& home = world_.home(people_[step.who].home);
  tell(home.name() + " will crash at a commit");
  home.die_at_commit(home.disk().commits + 1 + step.draw % 6,
                     static_cast<Home::Moment>((step.draw >> 8) % 2));
}

void Simulation::fill_disk(const Step& step) {
  Home& home = world_.home(people_[step.who].home);
  tell(home.name() + " has a full disk");
  home.set_disk_full(true);
  world_.agenda.in(milliseconds{1 + step.draw % 20'000}, [&home] { home.set_disk_full(false); });
}

void Simulation::turn_clock(const Step& step) {
  Home& home = world_.home(people_[step.who].home);
  // Minutes to days, both ways. What a clock that is set back by years delays is a known gap.
  const auto far = static_cast<std::int64_t>(step.draw % (step.draw % 3 == 0 ? 172'800 : 600));
  const milliseconds ahead = std::chrono::seconds{step.draw % 2 == 0 ? far : -far};
  // A stamp made before the next login may be too far ahead to move anybody else's clock.
  if (far > 120) clock_turned_ = true;
  tell(home.name() + "'s clock goes " + std::to_string(ahead.count()) + " ms ahead");
  home.set_clock(ahead);
}

// A bug, or a database that lost a table: peers' messages can no longer be read.
void Simulation::lose_sessions(const Step& step) {
  Home& home = world_.home(people_[step.who].home);
  if (home.dying()) return;
  tell(home.name() + " loses its sessions");
  needs_traffic_ = true;
  home.disk().tables[static_cast<std::size_t>(store::Table::sessions)] =
      std::make_shared<test::MemoryBackend::Records>();
  world_.crash(home, true, milliseconds{step.draw % 3'000});
}

// The phone is gone; its user has the recovery code. A relay without a memory takes a recovered
// list for the first one, and contacts that know another list refuse it: so nobody is replaced
// before the relay knows them again.
void Simulation::replace(const Step& step) {
  Person& person = people_[step.who];
  if (person.relay_forgot || person.homes > 1 || renames_ > 0) return;
  tell(person.home + " is replaced");
  replaced_ = true;
  world_.crash(world_.home(person.home), true, 1'000'000h);
  take_events();
  world_.drop(person.home);
  person.lost.push_back(person.home);
  if (step.draw % 2 == 0) {
    world_.agenda.in(milliseconds{(step.draw >> 1) % 90'000},
                     [this, home = person.home] { find_again(home); });
  }
  person.home = person.name + "-" + std::to_string(++person.homes);
  person.written = 0;
  person.unsure.clear();
  auto fresh = Client::recover(world_.options(person.home), world_.address(), person.code);
  if (!fresh) return wrong(person.home + " cannot be made: " + fresh.error().message);
  world_.take(person.home, *std::move(fresh));
  (void)client(person).connect();
}

// By somebody who switches it on. Not at a relay that has lost the list that it is not in.
void Simulation::find_again(const std::string& home) {
  if (forgot_ || !world_.starts(home)) return;
  tell(home + " is found again");
  ++met_["lost devices found again"];
  found_again_.push_back(home);
  (void)world_.client(home).connect();
}

// ---- The relay ----------------------------------------------------------------------------------

void Simulation::crash_relay(const Step& step) {
  tell("the relay crashes");
  world_.relay.crash();
  world_.agenda.in(milliseconds{step.draw % 5'000}, [this] {
    if (!world_.relay.up()) world_.relay.start();
  });
}

void Simulation::crash_relay_at_commit(const Step& step) {
  tell("the relay will crash at a commit");
  world_.relay.crash_at_next_commit(static_cast<Relay::Moment>(step.draw % 2));
  const auto look_again = [this](const auto& self, int times) -> void {
    if (!world_.relay.up()) return world_.relay.start();
    if (times > 0) {
      world_.agenda.in(500ms, [self, times] { self(self, times - 1); });
    }
  };
  world_.agenda.in(milliseconds{step.draw % 5'000}, [look_again] { look_again(look_again, 20); });
}

// The limits of a relay's operator hold from its next start.
void Simulation::want_short_texts() {
  tell("the relay is started again, for short texts only");
  ++met_["operators who want short texts"];
  relay::Config config = plan_.settings.relay.config;
  config.text_size_max = kBriefSizeMax;
  config.envelope_size_max = kBriefEnvelopeSizeMax;
  world_.relay.shut_down();
  world_.relay.set_config(config);
  world_.relay.start();
}

void Simulation::stop_relay(const Step& step) {
  tell("the relay is stopped");
  world_.relay.shut_down();
  world_.relay.set_loops(static_cast<std::uint32_t>(1 + (step.draw >> 32) % 4));
  world_.agenda.in(milliseconds{step.draw % 60'000}, [this] {
    if (!world_.relay.up()) world_.relay.start();
  });
}

void Simulation::fill_relay(const Step& step) {
  tell("the relay is full");
  world_.relay.set_full(true);
  world_.agenda.in(milliseconds{1 + step.draw % 60'000}, [this] { world_.relay.set_full(false); });
}

void Simulation::turn_relay_clock(const Step& step) {
  const auto seconds = static_cast<std::int64_t>(step.draw % 86'400);
  clock_turned_ = true;
  tell("the relay's clock is turned by " + std::to_string(seconds) + " s");
  world_.relay.set_clock(std::chrono::seconds{step.draw % 2 == 0 ? seconds : -seconds});
}

void Simulation::damage_relay(const Step& step) {
  const auto& log = world_.relay.disk().log();
  if (log.empty()) return;
  const auto at = std::next(log.begin(), static_cast<std::ptrdiff_t>(step.draw % log.size()));
  tell("a record of the relay rots");
  forgot_ = needs_traffic_ = true;
  world_.relay.disk().damage(at->first);
}

// A state of before, put back by an operator who did not read the guide. Not across a replacement,
// for the reason of replace().
void Simulation::roll_back_relay(const Step&) {
  if (!saved_) {
    saved_ = world_.relay.save();
    return;
  }
  for (const Person& person : people_) {
    if (person.homes > 1) return;
  }
  tell("the relay's disk is an older one");
  forgot_ = needs_traffic_ = true;
  world_.relay.crash();
  world_.relay.put_back(*saved_);
  world_.relay.start();
}

void Simulation::wipe_relay(const Step&) {
  if (!found_again_.empty()) return;
  for (const Person& person : people_) {
    // For the reason of replace().
    if (!world_.starts(person.home) || !client(person).account().registered) return;
  }
  tell("the relay loses its disk");
  forgot_ = wiped_ = true;
  saved_.reset();
  world_.relay.crash();
  world_.relay.wipe();
  world_.relay.start();
  for (Person& person : people_) person.relay_forgot = true;
}

}  // namespace godwit::sim
