// load/people: plays a scenario, or a part of one, with the whole SDK at both ends: homes on disk,
// encryption, receipts. One person of each pair writes to the other. *Accepted* is the status that
// the sender's client shows; delivered is the event at the recipient's.
//
// Owns:    the clients, their homes in a directory of the run.
// Thread:  one, beside those of the clients; it sends what is due and takes all events.
#pragma once

#include <filesystem>
#include <list>
#include <unordered_map>

#include "godwit/client.hpp"
#include "tools/load/scenario.hpp"
#include "tools/load/stage.hpp"

namespace godwit::load {

class People {
 public:
  // `relay`: godwit://KEY@HOST:PORT. `directory` is empty, and the caller's to remove.
  People(const Scenario& scenario, std::string relay, std::filesystem::path directory, Tally& tally,
         Stage& stage);

  // Returns why it could not be played to its end; what came of it stands in the tally.
  [[nodiscard]] std::vector<std::string> play();

 private:
  struct Pair {
    Pair(std::uint32_t its_index, Client from, Client to, std::string name, Counts& counts)
        : index(its_index),
          writer(std::move(from)),
          reader(std::move(to)),
          reader_name(std::move(name)),
          judge(1, counts) {}
    std::uint32_t index;
    Client writer;
    Client reader;
    bool writer_away = false;
    bool reader_away = false;
    std::string reader_name;
    Flow judge;
    std::unordered_map<std::string, std::uint64_t> numbers;  // by message id: not yet accepted
    std::vector<Clock::time_point> due;                      // of the open loop, not yet sent
  };

  bool begin(Phase phase, double seconds);
  [[nodiscard]] bool make_pairs();
  [[nodiscard]] Result<void> log_in(Client& client);
  bool load(Phase phase, double seconds);
  void settle();
  // One round: events of all, then what is due. Waits a moment when nothing happened.
  void round();
  bool take_events(Pair& pair);
  void call_back(Clock::time_point now);
  void on_text(Pair& pair, const std::string& text);
  void write(Pair& pair);
  [[nodiscard]] std::size_t room(const Pair& pair) const;
  [[nodiscard]] bool quiet() const;
  void pace();
  void wait();

  const Scenario& scenario_;
  std::string relay_;
  std::filesystem::path directory_;
  Tally& tally_;
  Stage& stage_;
  std::list<Pair> pairs_;
  bool loading_ = false;
  Clock::time_point load_began_{};
  std::uint64_t paced_ = 0;
  Clock::time_point called_back_{};
  std::vector<std::string> faults_;
};

}  // namespace godwit::load
