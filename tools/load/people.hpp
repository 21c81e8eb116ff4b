// load/people: plays a scenario with the whole SDK at both ends: homes on disk, encryption,
// receipts. One person of each pair writes to the other. *Accepted* is the status that the sender's
// client shows; delivered is the event at the recipient's.
//
// Owns:    the clients, their homes in a directory of the run, figures.
// Thread:  one, beside those of the clients; it sends what is due and takes all events.
#pragma once

#include <filesystem>
#include <list>
#include <unordered_map>

#include "godwit/client.hpp"
#include "tools/load/chaos.hpp"
#include "tools/load/meter.hpp"
#include "tools/load/scenario.hpp"

namespace godwit::load {

class People {
 public:
  // `relay`: godwit://KEY@HOST:PORT. `directory` is empty, and the caller's to remove.
  People(const Scenario& scenario, std::string relay, std::filesystem::path directory,
         support::RelayProcess* own, std::optional<pid_t> relay_pid, Progress& progress);

  [[nodiscard]] Report play();

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
    std::string reader_name;
    Flow judge;
    std::unordered_map<std::string, std::uint64_t> numbers;  // by message id: not yet accepted
    std::vector<Clock::time_point> due;                      // of the open loop, not yet sent
  };

  [[nodiscard]] bool make_pairs();
  void load(std::string_view phase, double seconds);
  // One round: events of all, then what is due. Waits a moment when nothing happened.
  void round();
  bool take_events(Pair& pair);
  void on_text(Pair& pair, const std::string& text);
  void write(Pair& pair);
  [[nodiscard]] std::size_t room(const Pair& pair) const;
  [[nodiscard]] bool quiet() const;
  void pace();
  void wait();

  const Scenario& scenario_;
  std::string relay_;
  std::filesystem::path directory_;
  net::Loop loop_;  // of the meter's timer
  Meter meter_;
  Chaos chaos_;
  std::list<Pair> pairs_;
  bool loading_ = false;
  Clock::time_point load_began_{};
  std::uint64_t paced_ = 0;
  Report report_;
};

}  // namespace godwit::load
