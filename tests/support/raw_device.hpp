// support/raw_device: a device without an SDK: Noise, frames and opaque envelopes. Many of them in
// one process, on one loop. The tests' client, and the engine of the load generator.
//
// A device knows the protocol and nothing else: it does not retry, reconnect, remember or decrypt.
// What a test wants of that it does itself, from the callbacks.
//
// Owns:    the connection and what was asked on it.
// Thread:  the fleet's loop.
// Spec:    schema/README.md.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "client-sdk/src/crypto/keys.hpp"
#include "schema/net/loop.hpp"
#include "schema/net/stream.hpp"
#include "schema/net/timer.hpp"
#include "schema/wire/address.hpp"
#include "schema/wire/channel.hpp"
#include "schema/wire/codec.hpp"

namespace godwit::support {

// Who a device is: everything that Register and Login need, made from a seed.
struct Account {
  wire::UserId user;
  wire::DeviceId device;
  wire::KeyPair transport;
  wire::SignedList list;  // one device
  wire::ListVersion version;
  wire::SignedKey seal_key;
  wire::SignedKey signed_prekey;
  std::vector<wire::OneTimeKey> one_time;

  // The same number gives the same account, in every process.
  [[nodiscard]] static Account from_seed(std::uint64_t seed, std::size_t one_time_keys = 0);
  // Another device of that user, as a member of `list`. Index 0 is the device of from_seed().
  [[nodiscard]] static Account of_device(std::uint64_t seed, std::uint32_t index,
                                         wire::SignedList list, std::size_t one_time_keys = 0);
};

// The device list of the user of `seed` that follows `previous` and holds these devices.
[[nodiscard]] wire::SignedList next_list(std::uint64_t seed, const wire::SignedList& previous,
                                         std::span<const std::uint32_t> devices);

// The list with which one device of the user of `seed` takes over, given the root key alone: signed
// by a list key of its own, it follows `previous`, or no list when there is none.
[[nodiscard]] wire::SignedList recovered_list(std::uint64_t seed, const wire::SignedList* previous,
                                              std::uint32_t device);

class Fleet;

class RawDevice {
 public:
  using Reply = std::function<void(const wire::RelayFrame&)>;  // views live during the call

  // Any of them may connect, disconnect, reset and send, on this device or another; none may
  // replace the callbacks or destroy the device that is calling.
  struct Callbacks {
    std::function<void(RawDevice&)> on_connected;  // the handshake is complete
    std::function<void(RawDevice&, const wire::Deliver&)> on_deliver;
    std::function<void(RawDevice&)> on_caught_up;
    // KeysLow, Closing; and a reply to what was not asked with send().
    std::function<void(RawDevice&, const wire::RelayFrame&)> on_event;
    // The connection is gone, whoever ended it; requests without a reply will have none.
    std::function<void(RawDevice&, const std::string& reason)> on_closed;
  };

  RawDevice(Fleet& fleet, Account account);
  ~RawDevice();
  RawDevice(const RawDevice&) = delete;
  RawDevice& operator=(const RawDevice&) = delete;

  [[nodiscard]] const Account& account() const { return account_; }
  void set_callbacks(Callbacks callbacks) { callbacks_ = std::move(callbacks); }

  // Precondition: no connection, and none being made. What fails comes to on_closed.
  void connect();
  void disconnect();                     // FIN, after what is queued; on_closed follows
  void reset();                          // RST; on_closed is called before it returns
  [[nodiscard]] bool connected() const;  // the handshake is complete

  // Any request; the reply comes once, or never when the connection goes first. Before the
  // handshake is complete it waits. Returns the request's id on this connection; 0 when there is
  // none: the relay may have ended it a moment ago.
  std::uint32_t send(decltype(wire::Request::body) body, Reply on_reply = {});

  // Shorthands.
  void login(Reply on_reply = {});
  void register_user(std::optional<std::string> name, Reply on_reply = {});
  void submit(const Account& to, const wire::RequestId& request_id, wire::ByteView envelope,
              Reply on_reply = {}, std::uint32_t ttl_s = 0);
  // One body for several; ascending by device id.
  void submit(std::span<const wire::Recipient> to, const wire::RequestId& request_id,
              wire::ByteView envelope, Reply on_reply = {}, std::uint32_t ttl_s = 0);
  void ack(std::uint32_t upto, Reply on_reply = {});

  // Hostile: bytes as they are, past the channel and ahead of what waits for the round's end; or
  // a frame body past the encoder.
  void send_raw(wire::Bytes bytes);
  void send_frame_body(wire::ByteView body);

  std::uint64_t mark = 0;  // the user's

 private:
  friend class Fleet;
  struct Live;
  void start(Live& live);
  void on_read(Live& live, wire::ByteView bytes);
  void on_frame(Live& live, wire::ByteView body);
  void announce(Live& live);
  std::uint32_t ask(wire::Request& request, Reply on_reply);
  void due();
  void flush();
  void close(const std::string& reason);
  void let_go();
  [[nodiscard]] std::optional<wire::SecretKey> static_secret(const wire::Key& relay);

  Fleet& fleet_;
  Account account_;
  Callbacks callbacks_;
  std::unique_ptr<Live> live_;  // nothing while not connected
  // With the key of the relay it was connected to last: who comes again computes one less.
  std::optional<std::pair<wire::Key, wire::SecretKey>> static_secret_;
  bool due_ = false;            // stands in the fleet's list of those to flush
};

// The loop that devices share, and the relay they talk to. Frames sent in one round of the loop
// leave in one write per connection.
class Fleet {
 public:
  explicit Fleet(wire::RelayAddress relay);
  ~Fleet();  // precondition: its devices are gone

  [[nodiscard]] net::Loop& loop() { return loop_; }
  void set_relay(wire::RelayAddress relay) { relay_ = std::move(relay); }  // for later connects
  [[nodiscard]] const wire::RelayAddress& relay() const { return relay_; }
  // The source address of later connects, such as 127.0.0.2.
  void set_from(std::string address) { from_ = std::move(address); }

  // Runs the loop until `done` holds. False when `limit` passed first.
  [[nodiscard]] bool run_until(const std::function<bool()>& done, std::chrono::seconds limit);

 private:
  friend class RawDevice;
  void flush_all();

  wire::RelayAddress relay_;
  std::string from_;
  net::Loop loop_;
  std::vector<RawDevice*> due_;  // have frames to flush
  wire::Encoder encoder_;        // one for all: used from call to call
  wire::Request submit_;         // likewise, so that its vectors are allocated once
  wire::Bytes spare_;            // of what was written last
  // Connections that ended in this round: their channel may still be on the stack.
  std::vector<std::unique_ptr<RawDevice::Live>> ended_;
};

}  // namespace godwit::support
