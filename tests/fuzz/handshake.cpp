// The handshake of a connection, read by either end from a peer who may hold any keys and write any
// bytes. It is complete exactly when the peer's message came as it was made, under the right keys
// and prologue and without a payload; then both ends read each other. Else the channel is dead.
// About: schema/wire/channel.cpp schema/wire/noise_handshake.cpp schema/wire/noise_symmetric.cpp
#include "schema/wire/channel.hpp"
#include "schema/wire/noise_handshake.hpp"
#include "schema/wire/x25519.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace godwit::fuzz {
namespace {

using namespace wire;

KeyPair pair_of(std::uint8_t fill) {
  SecretKey secret;
  secret.bytes.fill(fill);
  return key_pair_of(secret);
}

KeyPair& key(std::size_t which) {
  static std::array keys{KeyPair{}, pair_of(1), pair_of(2)};
  return keys[which];
}
constexpr std::size_t kRelay = 0;  // drawn for each input, as the ephemeral keys are
constexpr std::size_t kDevice = 1;
constexpr std::size_t kStranger = 2;

Bytes prologue() {
  constexpr std::string_view kName("godwit/relay/1\0", 15);
  Bytes bytes = copy_of(as_bytes(kName));
  append(bytes, key(kRelay).public_key.view());
  return bytes;
}

bool no_frame(ByteView) {
  require(false, "no frame comes before the handshake is complete");
  return false;
}

// The peer: the protocol by hand, with errors.
struct Peer {
  explicit Peer(Input& in, NoiseRole role) {
    faults = in.byte();
    relay_reads = role == NoiseRole::initiator;
    Bytes name = prologue();
    if (faults & 1) right = !mutate(in, name) && right;
    HandshakeConfig config;
    config.pattern = faults & 2 ? NoisePattern::IKpsk2 : NoisePattern::IK;
    config.role = role;
    config.prologue = name;
    config.own = relay_reads ? key(kDevice) : key(kRelay);
    if (relay_reads) config.remote_static = key(faults & 4 ? kStranger : kRelay).public_key;
    if (!relay_reads && (faults & 4)) config.own = key(kStranger);
    if (faults & 2) config.psk = SecretKey{{9}};
    if (faults & (2 | 4)) right = false;
    state.emplace(config);
  }

  // The next message as a record, with what the input puts into it.
  Bytes write(Input& in) {
    const auto payload = faults & 8 ? in.bytes(64) : ByteView{};
    if (!payload.empty()) right = false;
    Bytes record(kRecordHeaderSize);
    if (!state->write(payload, record)) return {};
    store_u16_be(record.data(), static_cast<std::uint16_t>(record.size() - kRecordHeaderSize));
    return record;
  }

  std::optional<HandshakeState> state;
  std::uint8_t faults = 0;
  bool relay_reads = false;
  bool right = true;  // nothing was done wrong
};

// Feeds `stream` in pieces; false after an error.
bool feed(Input& in, Channel& channel, ByteView stream) {
  const std::size_t piece = in.chance(128) ? 1 + in.below(64) : stream.size() + 1;
  std::optional<ChannelError> error;
  for (; !stream.empty(); stream = stream.subspan(std::min(piece, stream.size()))) {
    const auto fed = channel.receive(stream.first(std::min(piece, stream.size())), no_frame);
    if (error) require(!fed && fed.error() == *error, "an error is final");
    if (!fed) error = fed.error();
  }
  require(channel.memory() < 8 * 1024, "a handshake is given little memory");
  return !error;
}

// Both ends hold the same keys.
void talk(Channel& channel, Peer& peer) {
  auto ciphers = peer.state->split();
  const Bytes body(32, 0x42);
  channel.send(body);
  Bytes record;
  channel.flush(record);
  Bytes plaintext(record.size() - kRecordHeaderSize - kNoiseTagSize);
  require(
      ciphers.receive.open(plaintext, {}, ByteView(record).subspan(kRecordHeaderSize)).has_value(),
      "the peer reads what the channel says");
  require(same(ByteView(plaintext).subspan(kFrameHeaderSize), body), "it is what was said");

  Bytes sealed(kRecordHeaderSize + plaintext.size() + kNoiseTagSize);
  store_u16_be(sealed.data(), static_cast<std::uint16_t>(sealed.size() - kRecordHeaderSize));
  require(
      ciphers.send.seal(std::span(sealed).subspan(kRecordHeaderSize), {}, plaintext).has_value(),
      "the peer speaks");
  bool heard = false;
  const auto fed = channel.receive(sealed, [&](ByteView frame) {
    heard = same(frame, body);
    return true;
  });
  require(fed.has_value() && heard, "the channel reads what the peer says");
}

void relay_reads(Input& in) {
  Channel channel = Channel::responder(key(kRelay));
  Peer peer(in, NoiseRole::initiator);
  const Bytes message = peer.write(in);
  Bytes stream = in.chance(32) ? copy_of(in.bytes(200)) : message;
  if (in.chance(160)) static_cast<void>(mutate(in, stream));
  const bool first_is_right = peer.right && stream.size() >= message.size() &&
                              same(ByteView(stream).first(message.size()), message);
  const bool alive = feed(in, channel, stream);
  require(channel.peer().has_value() == first_is_right, "a first message is taken as it was made");
  if (!alive || !first_is_right) {
    require(!channel.established(), "half a handshake establishes nothing");
    return;
  }
  require(channel.peer() == key(kDevice).public_key, "the peer is who holds the key");
  Bytes answer;
  channel.flush(answer);
  require(channel.established(), "a handshake is two messages");
  require(peer.state->read(ByteView(answer).subspan(kRecordHeaderSize)).has_value(),
          "the answer is read");
  // Behind it there may be the beginning of a record.
  if (stream.size() == message.size()) talk(channel, peer);
}

void device_reads(Input& in) {
  Channel channel = Channel::initiator(key(kDevice), key(kRelay).public_key);
  Bytes hello;
  channel.flush(hello);
  Peer peer(in, NoiseRole::responder);
  const bool read = peer.state->read(ByteView(hello).subspan(kRecordHeaderSize)).has_value();
  require(read || !peer.right, "the relay reads a first message");
  const Bytes message = peer.write(in);
  Bytes stream = in.chance(32) ? copy_of(in.bytes(200)) : message;
  if (in.chance(160)) static_cast<void>(mutate(in, stream));
  const bool first_is_right = peer.right && stream.size() >= message.size() &&
                              same(ByteView(stream).first(message.size()), message);
  const bool alive = feed(in, channel, stream);
  require(channel.established() == first_is_right, "an answer is taken as it was made");
  if (alive && first_is_right && stream.size() == message.size()) talk(channel, peer);
}

}  // namespace
}  // namespace godwit::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace godwit::fuzz;
  Input in(data, size);
  key(kRelay) = godwit::wire::random_key_pair();
  in.chance(128) ? relay_reads(in) : device_reads(in);
  return 0;
}
