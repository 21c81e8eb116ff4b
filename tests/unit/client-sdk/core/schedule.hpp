// A schedule: two people, a seed, and all that may befall them: sessions begun at once, lost,
// reset, devices replaced, crashes, a relay that restarts, loses its disk, drops, doubles, swaps.
// schedule.cpp makes it happen; schedule_oracle.cpp, which knows only what was written and what
// each home shows, decides whether anything was lost, doubled, misplaced or misreported, and
// whether both ends speak in one session again.
// Owns:    its world.
// Thread:  one.
#pragma once

#include <map>

#include "tests/support/world.hpp"

namespace godwit::test {

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

  void rest();
  void round_trip(bool hours);
  [[nodiscard]] std::string wrong();
  [[nodiscard]] std::string wrong_so_far();
  [[nodiscard]] std::string wrong_at_rest();
  [[nodiscard]] std::string wrong_with(Person& writer, Person& reader);
  [[nodiscard]] std::string wrong_sessions();

  std::mt19937_64 draws_;
  World world_;
  std::array<Person, 2> people_;
  Faults faults_;
  bool tampering_ = true;
  bool at_rest_ = false;
  bool wiped_ = false;
  bool needs_traffic_ = false;  // something happened that only later messages bring to light
  std::map<const SimDevice*, wire::Bytes> held_back_;  // a frame that the next one overtakes
  std::map<std::pair<const Person*, const SimDevice*>, int> count_;
  std::string story_;
};

}  // namespace godwit::test
