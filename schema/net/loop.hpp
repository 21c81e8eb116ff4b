// net/loop: one libuv loop and its clock.
//
// Making one sets SIGPIPE to be ignored unless the program has a handler for it: a peer that goes
// away is an error of that stream, not the end of the process.
// Owns:   the read buffer that all streams of the loop share.
// Thread: the thread that calls run(); stop() and the rest too, except where a type says so.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <tl/expected.hpp>

struct uv_loop_s;

namespace godwit::net {

enum class NetError : std::uint8_t {
  address_invalid,   // not HOST:PORT with a numeric host, or not an address of this machine
  address_in_use,
  permission,
  no_descriptors,    // EMFILE, ENFILE
  refused,           // nobody listens there
  reset,             // the peer went away
  closed,            // end of stream
  timed_out,
  other,
};
[[nodiscard]] std::string describe(NetError error);

class Loop {
 public:
  // no_descriptors when the system has none left for it.
  [[nodiscard]] static tl::expected<Loop, NetError> open();
  Loop();  // for a program that can do nothing without one: it ends when there is none
  // Precondition: every handle on it has been destroyed. Runs the close callbacks that are due.
  ~Loop();
  Loop(Loop&&) noexcept;  // precondition: nothing is on it yet
  Loop& operator=(Loop&&) = delete;

  void run();       // until stop()
  void run_once();  // waits for one round of events
  void poll();      // one round without waiting
  void stop();      // ends run() after this round

  // Called at the end of each round, before the loop waits again and before run() and its sisters
  // return: where frames collected in this round become one write per connection, and operations
  // one batch. May be called with nothing new. One for a loop: the newest, not set from within.
  void on_round_end(std::function<void()> callback);

  [[nodiscard]] std::chrono::steady_clock::time_point now() const;  // cached per round

  // How many timers, streams and so on are not destroyed: none may be left for the destructor.
  [[nodiscard]] std::size_t open_handles() const;

  [[nodiscard]] uv_loop_s& raw() { return *loop_; }

 private:
  struct State;
  explicit Loop(std::unique_ptr<State> state);
  [[nodiscard]] static tl::expected<std::unique_ptr<State>, NetError> make_state();

  std::unique_ptr<State> state_;  // none in one that was moved from
  uv_loop_s* loop_;
};

// Raises the soft limit of descriptors to the hard one, and has the kernel make room for `expected`
// of them, as far as the limit goes. Returns the limit in force. To be called before there are
// threads: a table that grows under several makes who asked for a descriptor wait until every
// processor has passed through the scheduler, 10 ms or more, each time that it doubles.
std::uint64_t prepare_descriptors(std::uint64_t expected);

}  // namespace godwit::net
