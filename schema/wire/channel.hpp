// wire/channel: one encrypted connection, bytes in, frames out; frames in, bytes out. Both ends.
//
// Happy path: the initiator's first message goes out; the responder answers; from then on each
// record is decrypted, its plaintext joins the byte stream and whole frames come out. Frames to
// send are collected and leave as few records as possible on flush().
// Failure: any error is final; the owner closes the socket. Nothing of a record that does not
// authenticate is ever used.
//
// Owns:    Noise state, one partial record, one partial frame, frames not yet flushed.
// Refuses: to touch a socket, read a clock, parse FlatBuffers.
// Thread:  one owner; not shared.
// Spec:    schema/README.md, "Records", "Framing"; The Noise Protocol Framework, revision 34.
#pragma once

#include <memory>
#include <optional>

#include "schema/wire/frame.hpp"
#include "schema/wire/noise_handshake.hpp"
#include "schema/wire/types.hpp"

namespace godwit::wire {

enum class ChannelError : std::uint8_t {
  bad_handshake,     // does not authenticate, wrong length, low-order key, or another relay's key
  bad_record,        // does not authenticate, or is shorter than a tag
  frame_too_large,
  frame_too_small,
  stopped,           // on_frame returned false; the owner asked for the end itself
};

class Channel {
 public:
  // The device's end. `relay_key` comes from the relay's address.
  // `ephemeral`: fixed in tests and simulations, else drawn from the system. `static_secret`: as in
  // HandshakeConfig; what it holds on to outlives the handshake.
  [[nodiscard]] static Channel initiator(const KeyPair& own, const Key& relay_key,
                                         std::optional<SecretKey> psk = {},
                                         std::optional<KeyPair> ephemeral = {},
                                         StaticSecret static_secret = {});
  // The relay's end.
  [[nodiscard]] static Channel responder(const KeyPair& own, std::optional<SecretKey> psk = {},
                                         std::optional<KeyPair> ephemeral = {},
                                         StaticSecret static_secret = {});

  Channel(Channel&&) noexcept;
  Channel& operator=(Channel&&) noexcept;
  ~Channel();

  // Takes any cut of the peer's bytes; `on_frame` as in FrameAssembler. When the handshake makes
  // progress, there may be output to take with flush().
  [[nodiscard]] tl::expected<void, ChannelError> receive(ByteView bytes,
                                                         const FrameAssembler::OnFrame& on_frame);

  // Collects one frame body (at most kFrameSizeMax). Before the handshake is complete the frames
  // wait.
  void send(ByteView frame_body);

  // Memory for the frames that are collected next; flush() gives it away with them. Precondition:
  // nothing is collected.
  void lend(Bytes memory);

  // Seals what was collected and appends it to `out`; also the handshake message that is due.
  void flush(Bytes& out);

  // True when flush() would produce bytes.
  [[nodiscard]] bool has_output() const;
  // Plaintext bytes that wait for flush().
  [[nodiscard]] std::size_t pending() const;

  [[nodiscard]] bool established() const;
  // The peer's static key; nothing before the responder has read message 1.
  [[nodiscard]] std::optional<Key> peer() const;
  [[nodiscard]] FrameAssembler& frames();  // to lift the size limit after login

  // Bytes of memory this channel holds beyond its own size.
  [[nodiscard]] std::size_t memory() const;

 private:
  struct State;
  explicit Channel(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace godwit::wire
