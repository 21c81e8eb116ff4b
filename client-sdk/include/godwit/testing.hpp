// godwit/testing: a world in memory for the tests of your app: a relay, a network, disks and a
// clock. Real clients live through an offline week, a lost ack and a crash in milliseconds, without
// a socket, a thread or a file.
//
// Clients, encryption and the relay's logic are those of production; sockets, disks, clocks and
// randomness are simulated. Time stands still while your code runs. It passes in run() and
// settle(), and in every wait_* of a Client. The same seed and the same calls give the same run,
// byte for byte.
//
// Link with `pkg-config --libs godwit-testing`. Never use its keys for anything: they follow from
// the seed.
//
// Misuse (an unknown home, a name that is taken) ends the program with a sentence: in a test that
// is a failure. What the world does to clients comes back from them as it would in production.
// Thread:  one. The world outlives every Client in it.
#pragma once

#include "godwit/client.hpp"

namespace godwit::testing {

class World {
 public:
  explicit World(std::uint64_t seed = 1);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // ---- Clients. Each has a home, known by its name, and a disk, a clock and a network of its own.
  // A new account of that name, connected and registered. The world keeps it; the reference lives
  // as long as the world, crashes included.
  Client& add(const std::string& name);
  [[nodiscard]] Client& client(const std::string& name);
  // For an app that makes its clients itself: Options for Client::create, open or recover, of a
  // home in this world. `relay()` is the address that goes with it. Each call stands for a program
  // that starts: ask again after a crash.
  [[nodiscard]] Options home(const std::string& home);
  [[nodiscard]] std::string relay() const;

  // ---- Time
  void run(std::chrono::milliseconds time);
  // Until every client of add() that is connected and has a network is settled, and nothing is
  // under way. Not waited for: what the relay has refused and will be tried again later. False: not
  // in `most`.
  [[nodiscard]] bool settle(std::chrono::milliseconds most = std::chrono::hours{1});
  [[nodiscard]] Time now() const;
  // The clock on the wall of one device, from now on: so much ahead of the true time, or behind.
  void set_clock(const std::string& home, std::chrono::milliseconds ahead);

  // ---- Network
  // No network for this device until restore(). Its client notices after a while, as in life; with
  // `at_once`, immediately.
  void cut(const std::string& home, bool at_once = true);
  void restore(const std::string& home);
  // One way, for every frame from now on. Default: 20 ms.
  void set_latency(std::chrono::milliseconds latency);
  // The next frame of this kind to or from that device never arrives, and its connection ends.
  enum class Frame : std::uint8_t {
    submit,    // a message on its way to the relay
    accepted,  // the relay's answer to it
    delivery,  // a message on its way to the device
    ack,       // the device's word that it has it
  };
  void lose_next(const std::string& home, Frame frame);

  // ---- Disks
  // Everything that this device had not committed is gone. Of add(): opened again, and connected if
  // it was. Of home(): every call of its Client fails from here on; open another.
  void crash(const std::string& home);
  // The same at its next commit: before it (the change is lost), or after it and before anything is
  // sent. One of add() comes back by itself, at most 5 seconds later.
  enum class Moment : std::uint8_t { before_commit, after_commit };
  void crash_at_next_commit(const std::string& home, Moment moment);
  void set_disk_full(const std::string& home, bool full);

  // ---- The relay
  void restart_relay();  // what it had not committed is gone; every connection ends
  void stop_relay();     // the same, and nobody can connect until start_relay()
  void start_relay();
  void wipe_relay();  // starts anew, with another, empty store
  void set_relay_full(bool full);
  // A relay that breaks its promise: it will say `accepted` to the next message for this device,
  // and lose it. What your app shows then is what your users would see. To a relay, receipts and
  // typing are messages too: settle() first, so that none is on its way.
  void lose_next_message_for(const std::string& home);
  [[nodiscard]] std::size_t queued() const;  // envelopes that it keeps

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace godwit::testing
