// peers/device: one device of another broker: its TCP connection, its login, what it sends and
// what it receives. The protocols are mqtt.cpp, nats.cpp and redis.cpp.
//
// A device that receives acknowledges each message before it tells of it. What it says in one
// round of the loop leaves in one write, as with a client that is written for speed.
//
// Owns:    the stream, bytes that wait for the end of the round, an unfinished frame.
// Refuses: to judge messages; the cases do.
// Thread:  the loop's.
// Trust:   the broker is ours and answers as its protocol says; what it does not is a failure of
//          the run.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "schema/net/stream.hpp"

namespace godwit::bench::peers {

class Device;

// What the devices of a run share, and where they tell what happens to them.
class Host {
 public:
  virtual void on_ready(Device& device) = 0;
  virtual void on_accepted(Device& device, std::uint32_t token) = 0;
  // `body` lives during the call.
  virtual void on_message(Device& device, wire::ByteView body) = 0;
  virtual void on_settled(Device& device) = 0;
  virtual void fail(std::string why) = 0;
  // Device::flush() is due at the end of this round.
  virtual void flush_later(Device& device) = 0;

 protected:
  ~Host() = default;
};

enum class Role : std::uint8_t {
  sender,
  owner,      // makes its mailbox and receives nothing yet
  recipient,  // receives what is in its mailbox and what comes; makes the mailbox when it is new
  member,     // the same, for what is sent to the one group
  idle,       // is there to receive, and nothing is ever sent to it
};

class Device {
 public:
  Device(Host& host, std::uint32_t number) : number_(number), host_(host) {}
  virtual ~Device() = default;
  Device(const Device&) = delete;  // the callbacks point here
  Device& operator=(const Device&) = delete;

  [[nodiscard]] std::uint32_t number() const { return number_; }

  // Then on_ready, once the broker has said that it may begin.
  void connect(net::Loop& loop, const std::string& address, Role role);
  // At once and without a trace in the system's port table.
  void leave();
  void flush();

  // Then on_accepted with `token`, which no other publish under way on this device may have.
  virtual void publish(std::uint32_t mailbox, wire::ByteView body, std::uint16_t token) = 0;
  // One message to all members; these are the devices with numbers from 1 to `members`.
  virtual void publish_to_group(std::uint32_t members, wire::ByteView body,
                                std::uint16_t token) = 0;
  // Then on_settled, when the broker has read every acknowledgement of this device.
  virtual void settle() = 0;

 protected:
  // Once connected: says who it is.
  virtual void greet() = 0;
  // Takes the whole frames in `input`; returns how many bytes these have.
  [[nodiscard]] virtual std::size_t take(wire::ByteView input) = 0;

  [[nodiscard]] Host& host() { return host_; }
  [[nodiscard]] Role role() const { return role_; }
  // To append to; sent at the end of the round.
  [[nodiscard]] wire::Bytes& out();

 private:
  void read(wire::ByteView bytes);

  std::uint32_t number_;
  Host& host_;
  Role role_ = Role::sender;
  std::optional<net::Stream> stream_;
  wire::Bytes out_;
  wire::Bytes unfinished_;
  bool flush_due_ = false;
};

void append(wire::Bytes& to, std::string_view text);
void append(wire::Bytes& to, wire::ByteView bytes);
void append_number(wire::Bytes& to, std::uint64_t number);
[[nodiscard]] std::string_view text_of(wire::ByteView bytes);

[[nodiscard]] std::unique_ptr<Device> make_mqtt_device(Host& host, std::uint32_t number);
[[nodiscard]] std::unique_ptr<Device> make_nats_device(Host& host, std::uint32_t number);
[[nodiscard]] std::unique_ptr<Device> make_redis_device(Host& host, std::uint32_t number);

}  // namespace godwit::bench::peers
