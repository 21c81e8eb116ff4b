// sim/simulation: one seed, played: people write and read while everything that can fail does; then
// the faults stop, and all must come right within a bounded time.
//
// acts.cpp is what may happen, a row and a function each; verdict.cpp is what must hold at the end.
// What must hold at any time is judged as it happens, by the ledger and the watch.
// Owns:    its world.
// Thread:  one.
#pragma once

#include <cstdio>

#include "tests/sim/ledger.hpp"
#include "tests/sim/plan.hpp"
#include "tests/sim/watch.hpp"

namespace godwit::sim {

// A world at rest to begin from: so many accounts, who have all written to each other, or not.
struct Start {
  Start(std::size_t people, bool strangers);
  World::Snapshot world;
  std::vector<std::string> codes;  // of recovery, by person
  std::vector<Wrote> greetings;
};

// Made when first asked for: accounts are what costs most.
class Starts {
 public:
  [[nodiscard]] const Start& of(const Plan& plan);

 private:
  std::map<std::pair<std::size_t, bool>, std::unique_ptr<const Start>> made_;
};

struct Person {
  std::string name;  // as it last knew to be its own
  UserId user;
  std::string code;
  std::string home;                                         // where the device is that lives
  std::vector<std::string> lost;                            // and those that do not
  std::vector<std::pair<std::size_t, std::string>> unsure;  // to whom, and what: to be sent again
  bool relay_forgot = false;  // the relay was wiped, and has not seen the device since
  int written = 0;
  int homes = 1;
};

class Simulation {
 public:
  // `story`: where all is told as it happens; null: nobody listens.
  Simulation(const Start& start, const Plan& plan, std::FILE* story);
  ~Simulation();

  // True: nothing was wrong.
  bool run();
  [[nodiscard]] const std::string& problem() const { return problem_; }
  [[nodiscard]] std::uint64_t hash() const { return watch_.hash(); }
  [[nodiscard]] std::chrono::milliseconds passed() const;
  [[nodiscard]] std::uint64_t steps() const { return world_.agenda.steps(); }
  // How often what has happened: acts, crashes, lies.
  [[nodiscard]] const std::map<std::string, std::uint64_t>& met() const { return met_; }

  // The table of acts: each row is a name, how many percent of the plans have it, how often there.
  struct Act {
    const char* name;
    unsigned percent;
    unsigned weight;
    void (Simulation::*play)(const Step& step);
  };
  [[nodiscard]] static std::span<const Act> acts();

 private:
  // ---- acts.cpp
  void write(const Step& step);
  void write_many(const Step& step);
  void read(const Step& step);
  void leave(const Step& step);
  void cut(const Step& step);
  void reset(const Step& step);
  void slow(const Step& step);
  void crash(const Step& step);
  void crash_at_commit(const Step& step);
  void restart(const Step& step);
  void fill_disk(const Step& step);
  void turn_clock(const Step& step);
  void lose_sessions(const Step& step);
  void replace(const Step& step);
  void find_again(const std::string& home);
  void crash_relay(const Step& step);
  void crash_relay_at_commit(const Step& step);
  void stop_relay(const Step& step);
  void fill_relay(const Step& step);
  void turn_relay_clock(const Step& step);
  void damage_relay(const Step& step);
  void roll_back_relay(const Step& step);
  void wipe_relay(const Step& step);
  void storm(const Step& step);
  void claim_one_name(const Step& step);
  void rename(const Step& step);
  void block(const Step& step);
  void ask_first(const Step& step);
  void unblock(std::size_t by, std::size_t whom);
  void want_short_texts();

  // ---- simulation.cpp
  void play();
  void end_faults();
  void tell(const std::string& what);
  void wrong(const std::string& what);
  [[nodiscard]] bool fine() const { return problem_.empty(); }
  void pass(std::chrono::milliseconds time);
  void take_events();
  void look_at(Person& person);
  [[nodiscard]] Client& client(const Person& person) { return world_.client(person.home); }
  void send(Person& person, std::size_t to, const std::string& text);
  void send_unsure(Person& person);
  [[nodiscard]] bool is_long(const std::string& text) const;
  [[nodiscard]] std::string name_of(const Person& person, std::size_t other);
  void look(Person& person, std::size_t from, std::chrono::milliseconds slowly = {});
  [[nodiscard]] const std::vector<Message>& shown(const std::string& home, const UserId& peer);
  [[nodiscard]] std::optional<MessageId> last_shown(const std::string& home, const UserId& peer);
  [[nodiscard]] bool is_stored(const std::string& home, const MessageId& id);
  [[nodiscard]] std::optional<Status> status_of(const Wrote& wrote);  // as its device says
  [[nodiscard]] std::size_t person_of(const UserId& user) const;

  // ---- verdict.cpp
  void judge();
  void come_to_rest();
  void round_trip(bool hours);
  void everybody_looks();
  void away_for_an_hour();
  template <class Action>
  void between_all(const Action& action);  // of two who have talked, and still can
  void let_expire();
  [[nodiscard]] std::string why_unsettled();
  [[nodiscard]] std::string wrong_relay();
  [[nodiscard]] std::string wrong_statuses();
  [[nodiscard]] std::string wrong_waiting();
  [[nodiscard]] std::string wrong_last_words();
  [[nodiscard]] std::string wrong_expiries();
  [[nodiscard]] std::string wrong_names();
  [[nodiscard]] std::string wrong_now();
  [[nodiscard]] std::string wrong_at_rest();
  [[nodiscard]] bool is_held_back(const Person& writer, const MessageId& message);
  [[nodiscard]] std::string wrong_between(std::size_t by, std::size_t to);
  [[nodiscard]] std::string wrong_order(std::size_t one, std::size_t other);
  [[nodiscard]] std::string wrong_conversations(std::size_t self);
  [[nodiscard]] std::string wrong_contacts(std::size_t self);
  [[nodiscard]] std::string wrong_events(const Person& person);
  [[nodiscard]] std::string wrong_sessions(std::size_t one, std::size_t other);
  [[nodiscard]] std::map<MessageId, Status> told(std::size_t by, std::size_t to);
  [[nodiscard]] std::map<MessageId, Status> arrived(std::size_t by, std::size_t to);
  [[nodiscard]] bool is_silent(const Person& person) const;
  [[nodiscard]] bool has_talked(std::size_t one, std::size_t other) const;

  const Plan plan_;
  std::FILE* const story_;
  World world_;
  Ledger ledger_;
  Watch watch_;
  std::vector<Person> people_;
  std::size_t greetings_ = 0;  // so many were written before this run began
  std::set<std::pair<std::size_t, std::size_t>> pairs_;     // who has written to whom
  std::map<std::string, std::map<EventKind, int>> events_;  // by home
  std::set<std::pair<std::size_t, std::size_t>> blocked_;   // who blocks whom
  std::set<std::pair<std::size_t, std::size_t>> has_blocked_;  // at some time
  int renames_ = 0;
  std::vector<std::string> found_again_;  // homes of devices that were lost, and replaced
  std::vector<std::string> rivals_;       // homes, two by two, who have claimed one name
  std::optional<Relay::Saved> saved_;
  std::optional<std::size_t> silent_;                    // whose phone is lost for good
  std::set<std::pair<std::string, MessageId>> expired_;  // of which a home has told
  bool wiped_ = false;
  bool clock_turned_ = false;   // the relay's, or a device's by more than two minutes
  bool needs_traffic_ = false;  // something happened that only later messages bring to light
  bool replaced_ = false;       // what waits for who was is looked after an hour later
  bool forgot_ = false;         // the relay may have lost what it had accepted
  struct Shown {
    std::uint64_t commits = 0, life = 0;  // of the disk when it was read
    std::vector<Message> messages;
  };
  std::map<std::pair<std::string, UserId>, Shown> shown_;
  std::set<std::pair<std::string, MessageId>> stored_;
  std::map<std::string, std::uint64_t> met_;
  std::string problem_;
};

}  // namespace godwit::sim
