// load/run: plays a scenario, or a part of one, with opaque envelopes: logs in, loads, drains,
// waits for what is under way, and counts what it saw.
//
// A flow without a rate is a closed loop: a place in its window is free again when the sender has
// its answer and every recipient has the envelope (recipients that are away do not count). With a
// rate it is an open loop: envelopes are due at fixed times, and a latency counts from when its
// envelope was due, however late it could be submitted.
//
// Owns:    devices and flows.
// Thread:  one, which plays it all on one loop.
#pragma once

#include <functional>
#include <list>
#include <map>

#include "tools/load/body.hpp"
#include "tools/load/device.hpp"
#include "tools/load/scenario.hpp"
#include "tools/load/stage.hpp"

namespace godwit::load {

class Run final : private DeviceOwner {
 public:
  // `from`: the source address of its connections; empty: the system's choice.
  Run(const Scenario& scenario, const wire::RelayAddress& relay, const std::string& from,
      Tally& tally, Stage& stage);
  ~Run() override;

  // Returns why it could not be played to its end; what came of it stands in the tally.
  [[nodiscard]] std::vector<std::string> play();

 private:
  struct Route {
    Route(Run& its_run, std::uint32_t its_index, std::uint32_t recipients, Counts& counts)
        : run(its_run), index(its_index), judge(recipients, counts) {}
    Run& run;
    std::uint32_t index;
    Flow judge;
    Device* sender = nullptr;
    std::vector<Device*> devices;            // the recipients, ascending by device id
    std::vector<wire::Recipient> addresses;  // the same, for the submit
    bool away = false;
    std::uint64_t unanswered = 0;  // submits, and those that wait for the sender
  };

  // ---- DeviceOwner
  void on_login(Device& device) override;
  void on_live(Device& device) override;
  void on_caught_up(Device& device) override;
  void on_deliver(Device& device, const wire::Deliver& deliver) override;
  void on_confirmed(Device& device, std::uint32_t upto) override;
  void on_gone(Device& device, bool was_live, const std::string& reason) override;

  // ---- The phases, in order. False: it did not come to its end; a fault says why, if nobody
  // interrupted it.
  bool begin(Phase phase, double seconds);
  void make_devices();
  bool register_all();
  bool log_in_crowd();
  bool warm_up();
  bool measure();
  bool drain();
  void settle();
  void judge();

  // ---- Sending
  // Lets the flows submit until `seconds` have passed or all is submitted.
  bool load(Phase phase, double seconds);
  void refill(Route& route);
  void submit(Route& route, Clock::time_point due);
  void hand_over(Device& sender);  // what waits, as far as the relay takes it
  void withdraw();                 // what waits and was never submitted
  void transmit(Device& sender, Route& route, std::uint64_t number);
  void answered(Route& route, std::uint64_t number, const wire::RelayFrame& reply);
  void refused(Route& route, std::uint64_t number, std::uint32_t recipient, wire::ErrorCode code);

  // ---- Time
  void on_tick();  // each millisecond: what is due by the clock
  void keep_alive(Clock::time_point now);
  void pace(Clock::time_point now);
  void churn(Clock::time_point now);
  void try_again(Clock::time_point now);

  // Connects them, some at once, and waits until all are live.
  bool connect_all(const std::vector<Device*>& devices);
  void connect_next();
  // The relay has told all that are to connect now to come again after `limit`.
  [[nodiscard]] bool put_off(Clock::time_point limit) const;
  // Runs the loop until `done`; false when `seconds` passed first, or the run is interrupted.
  bool await(double seconds, const std::function<bool()>& done);
  [[nodiscard]] bool all_submitted() const;  // as many messages as the scenario has, and answered
  [[nodiscard]] bool quiet() const;          // nothing that was submitted is under way
  [[nodiscard]] bool backlog(Clock::time_point limit) const;  // something can be submitted by then
  [[nodiscard]] std::vector<Device*> those_away() const;
  void fault(std::string why);

  const Scenario& scenario_;
  Tally& tally_;
  Stage& stage_;
  support::Fleet fleet_;
  Acks acks_;
  Bodies bodies_;
  std::list<Device> devices_;
  std::vector<Device*> senders_;
  std::vector<Device*> crowd_;
  std::list<Route> routes_;
  std::vector<Route*> by_index_;
  std::multimap<Clock::time_point, Device*> retries_;
  net::Timer tick_;
  std::list<Device>::iterator ping_at_;  // whose turn it is
  Clock::time_point kept_alive_{};       // when the one before had its turn

  std::vector<std::string> faults_;
  bool cut_short_ = false;
  bool stalled_ = false;   // at the end nothing came any more, though something was under way
  std::string last_end_;  // why a connection ended unasked

  bool loading_ = false;  // flows may submit
  Clock::time_point load_began_{};
  std::uint64_t paced_ = 0;    // submits of the open loop since then
  std::uint64_t churned_ = 0;  // logins of the crowd since then
  std::size_t churn_at_ = 0;   // whose turn it is in the crowd
  std::uint32_t pace_at_ = 0;  // and among the flows

  std::vector<Device*> to_connect_;  // by connect_all(), the next one last
  std::size_t awaited_ = 0;          // logins that it waits for
  std::size_t unconfirmed_ = 0;      // envelopes that came and whose ack is not confirmed
};

}  // namespace godwit::load
