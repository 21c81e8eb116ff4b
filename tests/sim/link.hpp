// sim/link: a device's way to the relay, in virtual time: the client's connection without socket
// and handshake. It attempts, exchanges, waits and attempts again as the real one does.
//
// A Wire is one connection of it, as seen by the relay. It may outlive the link: what a client sent
// before it left still arrives, and a device that died without a word stays connected for the
// relay until a deadline.
// Thread:  one.
#pragma once

#include "client-sdk/src/platform.hpp"
#include "tests/sim/relay.hpp"

namespace godwit::sim {

class Home;
class Link;

// What passes over the wires, for those who watch, and for a relay that lies.
class Wiretap {
 public:
  virtual ~Wiretap() = default;
  // `frame` arrives at the relay. False: it never does.
  [[nodiscard]] virtual bool on_up(Home&, wire::ByteView /*frame*/) { return true; }
  // The relay sends `frame`: what arrives in its place.
  [[nodiscard]] virtual std::vector<wire::Bytes> on_down(Home&, wire::Bytes frame) {
    std::vector<wire::Bytes> frames;
    frames.push_back(std::move(frame));
    return frames;
  }
};

class Wire final : public Peer, public std::enable_shared_from_this<Wire> {
 public:
  Wire(Home& home, Link& link) : home_(home), link_(&link) {}

  [[nodiscard]] bool open(const wire::Key& transport);
  void send(wire::Bytes frame);
  // The device lets go of it; what it has sent arrives first.
  void close();
  // Both ends notice, and what is under way is lost.
  void reset(const std::string& reason);
  // Nothing passes any more and nobody is told.
  void cut() { cut_ = true; }
  // The device is no more; the relay learns of it, or does not.
  void abandon(bool relay_notices);
  void inject(wire::Bytes frame) { arrive(std::move(frame)); }
  void forge(wire::Bytes frame);

 private:
  void on_relay_frame(wire::Bytes frame) override;
  void on_relay_closed() override;
  void arrive(wire::Bytes frame);
  [[nodiscard]] Agenda::Time next_arrival(Agenda::Time& last);

  Home& home_;
  Link* link_;  // nothing once the device has let go
  std::optional<Relay::ConnectionId> connection_;
  Agenda::Time last_up_{}, last_down_{};
  bool cut_ = false;
};

class Link final : public RelayLink {
 public:
  Link(Home& home, Speaker& speaker);
  ~Link() override;

  void wake() override;

  [[nodiscard]] bool busy() const { return due_; }  // its speaker has yet to hear of something

  // ---- What the world does to it
  void crash(bool relay_notices);  // no exchange will come any more
  void reset(const std::string& reason);
  void cut();
  void inject(wire::Bytes frame);
  void forge(wire::Bytes frame);

  // ---- From the wire
  void on_frame(wire::Bytes frame);
  void on_end(const std::string& reason);

 private:
  void begin();
  void established();
  void exchange();
  void exchange_soon(Agenda::Time delay);
  void wait_for_the_next();
  void in(Agenda::Time delay, Agenda::Action action);  // while the link lives

  Home& home_;
  Speaker* speaker_;  // nothing after a crash
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::shared_ptr<Wire> wire_;
  std::vector<wire::Bytes> arrived_;
  std::optional<std::string> ended_;
  core::Core::Link said_;
  std::uint64_t attempt_ = 0;
  std::uint32_t failures_ = 0;
  bool connected_ = false;  // the speaker knows
  bool due_ = false;
  bool renewing_ = false;
  std::optional<Agenda::Time> logged_in_;
  std::optional<Agenda::Time> deadline_;
};

}  // namespace godwit::sim
