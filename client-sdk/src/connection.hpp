// connection: keeps one device connected to its relay: look-up, socket, handshake, rounds, and the
// wait before the next attempt.
//
// What one round of the loop has read is handed over in one exchange(), and what comes back leaves
// in one write. A connection that ends, whoever ended it, ends there too: never inside a callback
// of the socket.
// Owns:    the socket, the channel, the timers.
// Refuses: to know what a frame means (but for Welcome, which lifts the size of frames), to keep
//          the transport keys longer than the handshake needs them.
// Thread:  the loop's; wake() and stop() any.
// Trust:   the relay's bytes are hostile until the channel and the codec have passed them.
// Spec:    schema/README.md, "Connection", "Sessions", "Rates and timeouts".
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client-sdk/src/speaker.hpp"
#include "schema/net/inbox.hpp"
#include "schema/net/loop.hpp"
#include "schema/net/resolve.hpp"
#include "schema/net/stream.hpp"
#include "schema/net/timer.hpp"
#include "schema/wire/address.hpp"
#include "schema/wire/channel.hpp"

namespace godwit {

// Full jitter: anything from nothing to 1 s, 2 s, 4 s, ... 5 min, so that a thousand clients of a
// relay that comes back do not come all at once. `attempt`: how many have failed before, less one.
// `random`: uniform.
[[nodiscard]] std::chrono::milliseconds reconnect_delay(std::uint32_t attempt,
                                                        std::uint64_t random);

class Connection {
 public:
  struct Times {
    std::chrono::milliseconds connect = std::chrono::seconds{10};  // for each address of the relay
    std::chrono::milliseconds login = std::chrono::seconds{20};    // from there to Welcome
    std::chrono::milliseconds held = std::chrono::minutes{1};  // a login so long counts as success
    std::chrono::milliseconds age = wire::kConnectionAgeMax;   // then a new connection
  };

  // Takes the loop's on_round_end. `speaker` outlives the connection.
  Connection(net::Loop& loop, wire::RelayAddress relay, crypto::Random random, Speaker& speaker,
             Times times);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void start();  // connects, and again when that ends, until stop() or Link::give_up
  void wake();   // any thread: an exchange is due
  void stop();   // any thread: sends what waits, ends the connection and the loop's run()

 private:
  struct Live;
  void begin();
  void on_resolved(net::Resolver::Resolved resolved);
  void try_next_address();
  void on_connected(tl::expected<void, net::NetError> connected);
  void on_deadline();
  void on_read(Live& live, wire::ByteView bytes);
  void on_closed(Live& live, net::NetError error);
  void fail(std::string reason);  // at this address: `live_` may be another one afterwards
  void end(std::string reason);
  void end_of_round();
  void round();
  [[nodiscard]] bool parse(std::vector<wire::RelayFrame>& frames);
  void send(const std::vector<wire::Bytes>& frames);
  void wait_for_the_next();
  [[nodiscard]] std::uint64_t draw();
  [[nodiscard]] std::string place() const { return "the relay at " + relay_.host_port; }

  net::Loop& loop_;
  const wire::RelayAddress relay_;
  crypto::Random random_;
  Speaker& speaker_;
  const Times times_;

  std::atomic<bool> stopping_ = false;
  bool stopped_ = false;
  bool due_ = false;  // the end of the round has something to do
  net::Waker waker_;
  net::Timer exchange_timer_;  // ToSend::deadline
  net::Timer attempt_timer_;   // how long an attempt may take; then how old a connection gets
  net::Timer retry_timer_;     // to the next attempt

  std::optional<net::Resolver> resolver_;
  std::vector<std::string> addresses_;  // still to be tried
  std::unique_ptr<Live> live_;          // with a socket, connected or not
  std::optional<std::string> ended_;    // for the next exchange
  core::Core::Link link_;               // what the speaker last said
  std::uint32_t failures_ = 0;          // attempts since the last that held
  bool renewing_ = false;               // ended because of its age
};

}  // namespace godwit
