// support/hostile_client: a connection that breaks the protocol on purpose, and crowds of them.
//
// Each follows a Plan: how far it behaves like a device, what it sends then, and how it leaves. It
// has its own Noise state instead of a wire::Channel, for that one cannot be made to send what a
// device never would.
//
// Owns:   the socket and the ciphers.
// Thread: the loop's.
// Spec:   schema/README.md.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "schema/net/loop.hpp"
#include "schema/net/stream.hpp"
#include "schema/net/timer.hpp"
#include "schema/wire/address.hpp"
#include "schema/wire/codec.hpp"
#include "schema/wire/frame.hpp"
#include "schema/wire/noise_handshake.hpp"
#include "tests/support/raw_device.hpp"

namespace godwit::support {

struct Plan {
  // When `raw` and `plaintext` go out: at once; after a handshake; after a login too.
  enum class Stage : std::uint8_t { connected, handshaken, welcome };
  // What follows them. `wait`: until the relay ends the connection or answers; `stay`: until it
  // ends it.
  enum class After : std::uint8_t { wait, stay, fin, reset };

  Stage stage = Stage::connected;
  wire::KeyPair transport;             // of the handshake
  wire::UserId user;                   // of the login
  wire::DeviceId device;
  std::optional<wire::Key> relay_key;  // nothing: the relay's own
  wire::Bytes plaintext;               // sealed into records, frame headers included
  wire::Bytes raw;                     // past the cipher, after `plaintext`
  std::chrono::milliseconds drip{};    // not zero: a pause after each byte of `raw`
  After after = After::wait;
  bool acks = false;  // what is delivered
  // Not zero: a pause after each read that follows what was sent. The end is not seen meanwhile.
  std::chrono::milliseconds reads_every{};
  int receive_buffer = 0;  // of the socket, in bytes; 0: as the system has it
};

// Of the device that `account` is.
[[nodiscard]] Plan plan_of(const Account& account, Plan::Stage stage,
                           Plan::After after = Plan::After::wait);

// What became of a connection.
struct Seen {
  enum class End : std::uint8_t { by_relay, by_us, not_connected, never };
  End end = End::never;
  bool handshaken = false;
  bool welcomed = false;
  std::size_t bytes = 0;                    // read, of any kind
  std::optional<wire::ErrorCode> closing;
  std::optional<wire::ErrorCode> refused;   // the reply, or the outcome of the first recipient
  bool done = false;                        // Done, or an outcome `ok`
  wire::Bytes written;                      // everything that was sent, as it was on the wire

  [[nodiscard]] std::string describe() const;
};

class HostileClient {
 public:
  HostileClient(net::Loop& loop, const wire::RelayAddress& relay, const std::string& from,
                Plan plan);
  HostileClient(const HostileClient&) = delete;  // callbacks point here
  HostileClient& operator=(const HostileClient&) = delete;

  [[nodiscard]] bool ended() const { return ended_; }
  [[nodiscard]] const Seen& seen() const { return seen_; }
  void give_up() { end(Seen::End::never); }

 private:
  void on_connected(tl::expected<void, net::NetError> connected);
  void on_read(wire::ByteView bytes);
  void take_message(wire::ByteView message);
  void take_handshake(wire::ByteView message);
  void take_frame(wire::ByteView body);
  void answered();
  void play();
  void leave();
  void drip();
  void rest();
  void write(wire::Bytes bytes);
  void seal(wire::ByteView plaintext);
  void end(Seen::End how);

  net::Loop& loop_;
  const Plan plan_;
  const wire::Key relay_key_;
  std::optional<net::Stream> stream_;
  std::optional<wire::HandshakeState> handshake_;
  std::optional<wire::RecordCipher> sends_;
  std::optional<wire::RecordCipher> receives_;
  wire::Bytes input_;  // the beginning of a record
  wire::FrameAssembler frames_;
  std::optional<net::Timer> drip_;
  std::optional<net::Timer> rest_;
  std::size_t dripped_ = 0;
  std::uint32_t acks_sent_ = 1;  // the login has request 1
  Seen seen_;
  bool played_ = false;
  bool ended_ = false;
};

// Many of them, so and so many at a time, each of which comes to its end.
class HostileCrowd {
 public:
  struct Size {
    std::size_t connections = 1;
    std::size_t at_once = 1;
    std::chrono::seconds patience{60};  // for one connection; then it has ended `never`
  };
  // `place` is below `at_once`, and no other connection has it meanwhile.
  using MakePlan = std::function<Plan(std::size_t index, std::size_t place)>;
  // What is wrong with it, or nothing.
  using Judge = std::function<std::string(const Seen& seen)>;
  struct Verdict {
    std::size_t wrong = 0;
    std::string first_wrong;
  };

  explicit HostileCrowd(wire::RelayAddress relay, std::string from = {})
      : relay_(std::move(relay)), from_(std::move(from)) {}

  [[nodiscard]] Verdict run(const Size& size, const MakePlan& make_plan, const Judge& judge);

 private:
  wire::RelayAddress relay_;
  std::string from_;
};

// A frame: the size, then the body; `size` may lie.
[[nodiscard]] wire::Bytes framed(wire::ByteView body, std::optional<std::uint32_t> size = {});
// The first record of a handshake of these two keys.
[[nodiscard]] wire::Bytes first_message(const wire::KeyPair& own, const wire::Key& relay_key);

}  // namespace godwit::support
