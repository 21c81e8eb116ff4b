// Happy path of the hot half: receive() opens each whole record where it lies into a buffer on the
// stack and hands the plaintext to the assembler; send() lays frames out as records with room for
// header and tag; flush() seals them in place and gives the whole buffer away. So a record costs
// no allocation, a flush costs the one that its caller's write needs anyway, and a channel at rest
// holds no buffer.
// Failure: the first error is kept and answered to every later receive().
#include "schema/wire/channel.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include "schema/wire/bytes.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::wire {
namespace {

constexpr std::size_t kRecordSizeMax = kRecordHeaderSize + kNoiseMessageSizeMax;

// "godwit/relay/1", its NUL, the relay's key: a channel to another relay or of another protocol
// shares no transcript with this one.
using Prologue = std::array<std::uint8_t, 15 + Key::kSize>;

Prologue prologue_for(const Key& relay_key) {
  constexpr char kName[] = "godwit/relay/1";
  static_assert(sizeof kName == 15);
  Prologue prologue;
  std::copy_n(kName, sizeof kName, prologue.begin());
  std::ranges::copy(relay_key.view(), prologue.begin() + sizeof kName);
  return prologue;
}

// The arguments of a factory are copies too.
void wipe_copies(std::optional<SecretKey>& psk, std::optional<KeyPair>& ephemeral) {
  if (psk) wipe(psk->bytes);
  if (ephemeral) wipe(ephemeral->secret.bytes);
}

ChannelError error_of(FrameError error) {
  return error == FrameError::too_large ? ChannelError::frame_too_large
                                        : ChannelError::frame_too_small;
}

}  // namespace

struct Channel::State {
  using Result = tl::expected<void, ChannelError>;
  struct Records {
    RecordCipher send;
    RecordCipher receive;
  };

  std::unique_ptr<HandshakeState> handshake;  // gone once established
  std::optional<Records> records;             // there once established
  std::optional<Key> peer;
  std::optional<ChannelError> failed;
  FrameAssembler frames;
  Bytes partial;   // the beginning of a record, header included; freed when the record is whole
  Bytes outgoing;  // records in plaintext, laid out as they will be sent; given away by flush()

  [[nodiscard]] Result receive(ByteView bytes, const FrameAssembler::OnFrame& on_frame);
  [[nodiscard]] Result check_length(std::size_t length) const;
  [[nodiscard]] Result take_message(ByteView message, const FrameAssembler::OnFrame& on_frame);
  [[nodiscard]] Result take_handshake(ByteView message);
  [[nodiscard]] Result take_record(ByteView record, const FrameAssembler::OnFrame& on_frame);
  [[nodiscard]] std::size_t missing() const;

  void write_handshake(Bytes& out);
  void establish_if_complete();
  void append_to_records(ByteView plaintext);
  void seal_outgoing();
};

// ---- Receiving ----------------------------------------------------------------------------------

Channel::State::Result Channel::State::receive(ByteView bytes,
                                               const FrameAssembler::OnFrame& on_frame) {
  while (!bytes.empty()) {
    if (partial.empty()) {
      if (bytes.size() >= kRecordHeaderSize) {
        const std::size_t length = load_u16_be(bytes);
        if (const auto checked = check_length(length); !checked) return checked;
        if (bytes.size() >= kRecordHeaderSize + length) {
          const ByteView message = bytes.subspan(kRecordHeaderSize, length);
          bytes = bytes.subspan(kRecordHeaderSize + length);
          if (const auto taken = take_message(message, on_frame); !taken) return taken;
          continue;
        }
      }
      partial.assign(bytes.begin(), bytes.end());
      return {};
    }
    const ByteView part = bytes.first(std::min(missing(), bytes.size()));
    bytes = bytes.subspan(part.size());
    append(partial, part);
    if (const auto checked = check_length(load_u16_be(partial)); !checked) return checked;
    if (missing() > 0) continue;
    const Bytes record = std::exchange(partial, {});
    const ByteView message = ByteView(record).subspan(kRecordHeaderSize);
    if (const auto taken = take_message(message, on_frame); !taken) return taken;
  }
  return {};
}

// Bytes that the partial record lacks; of its header, while that is not whole.
std::size_t Channel::State::missing() const {
  const std::size_t whole = partial.size() < kRecordHeaderSize
                                ? kRecordHeaderSize
                                : kRecordHeaderSize + load_u16_be(partial);
  return whole - partial.size();
}

// Runs on the header alone, so that a length which cannot be right never makes us wait and buffer.
Channel::State::Result Channel::State::check_length(std::size_t length) const {
  if (records) {
    if (length < kNoiseTagSize) return tl::unexpected(ChannelError::bad_record);
    return {};
  }
  // Handshake payloads are empty, so there is one right length; and none out of turn.
  if (!handshake->reads_next() || length != handshake->overhead()) {
    return tl::unexpected(ChannelError::bad_handshake);
  }
  return {};
}

Channel::State::Result Channel::State::take_message(ByteView message,
                                                    const FrameAssembler::OnFrame& on_frame) {
  return records ? take_record(message, on_frame) : take_handshake(message);
}

Channel::State::Result Channel::State::take_handshake(ByteView message) {
  const auto payload = handshake->read(message);
  if (!payload) return tl::unexpected(ChannelError::bad_handshake);
  assert(payload->empty());  // check_length left no room for one
  peer = handshake->remote_static();
  establish_if_complete();
  return {};
}

Channel::State::Result Channel::State::take_record(ByteView record,
                                                   const FrameAssembler::OnFrame& on_frame) {
  // Not initialised, so it costs what the record needs. The offset puts the body of a frame that
  // begins its record (most do) on the 8 bytes the assembler wants, which saves it a copy.
  constexpr std::size_t kOffset = 8 - kFrameHeaderSize;
  alignas(8) std::array<std::uint8_t, kOffset + kRecordPlaintextSizeMax> buffer;
  const auto plaintext = std::span(buffer).subspan(kOffset, record.size() - kNoiseTagSize);
  if (!records->receive.open(plaintext, record)) return tl::unexpected(ChannelError::bad_record);

  bool stopped = false;
  const auto fed = frames.feed(plaintext, [&on_frame, &stopped](ByteView body) {
    stopped = !on_frame(body);
    return !stopped;
  });
  if (!fed) return tl::unexpected(error_of(fed.error()));
  if (stopped) return tl::unexpected(ChannelError::stopped);
  return {};
}

// ---- Sending ------------------------------------------------------------------------------------

// Failure: only an initiator can fail here, when the relay's key in its address has small order.
void Channel::State::write_handshake(Bytes& out) {
  const std::size_t header_at = out.size();
  const auto length = static_cast<std::uint16_t>(handshake->overhead());
  out.resize(header_at + kRecordHeaderSize);
  store_u16_be(out.data() + header_at, length);
  if (!handshake->write({}, out)) {
    out.resize(header_at);
    failed = ChannelError::bad_handshake;
    return;
  }
  establish_if_complete();
}

void Channel::State::establish_if_complete() {
  if (!handshake->complete()) return;
  HandshakeState::Ciphers ciphers = handshake->split();
  records.emplace(
      Records{RecordCipher(std::move(ciphers.send)), RecordCipher(std::move(ciphers.receive))});
  handshake.reset();
}

// Every record in `outgoing` but the last is full, tag included, so its size says where it ends.
void Channel::State::append_to_records(ByteView plaintext) {
  while (!plaintext.empty()) {
    if (outgoing.size() % kRecordSizeMax == 0) outgoing.resize(outgoing.size() + kRecordHeaderSize);
    const std::size_t room = kRecordSizeMax - kNoiseTagSize - outgoing.size() % kRecordSizeMax;
    const ByteView part = plaintext.first(std::min(room, plaintext.size()));
    append(outgoing, part);
    plaintext = plaintext.subspan(part.size());
    if (part.size() == room) outgoing.resize(outgoing.size() + kNoiseTagSize);
  }
}

void Channel::State::seal_outgoing() {
  if (outgoing.size() % kRecordSizeMax != 0) outgoing.resize(outgoing.size() + kNoiseTagSize);
  for (std::span<std::uint8_t> rest(outgoing); !rest.empty();) {
    const auto record = rest.first(std::min(rest.size(), kRecordSizeMax));
    const auto message = record.subspan(kRecordHeaderSize);
    store_u16_be(record.data(), static_cast<std::uint16_t>(message.size()));
    [[maybe_unused]] const auto sealed =
        records->send.seal(message, message.first(message.size() - kNoiseTagSize));
    assert(sealed);  // 2^64 records do not fit into the age of a connection
    rest = rest.subspan(record.size());
  }
}

// ---- The public face ----------------------------------------------------------------------------

Channel::Channel(std::unique_ptr<State> state) : state_(std::move(state)) {}
Channel::Channel(Channel&&) noexcept = default;
Channel& Channel::operator=(Channel&&) noexcept = default;
Channel::~Channel() = default;

Channel Channel::initiator(const KeyPair& own, const Key& relay_key, std::optional<SecretKey> psk,
                           std::optional<KeyPair> ephemeral, StaticSecret static_secret) {
  const Prologue prologue = prologue_for(relay_key);
  auto state = std::make_unique<State>();
  state->peer = relay_key;
  state->handshake = std::make_unique<HandshakeState>(
      HandshakeConfig{.pattern = psk ? NoisePattern::IKpsk2 : NoisePattern::IK,
                      .role = NoiseRole::initiator,
                      .prologue = prologue,
                      .own = own,
                      .remote_static = relay_key,
                      .psk = psk,
                      .ephemeral = ephemeral,
                      .static_secret = std::move(static_secret)});
  wipe_copies(psk, ephemeral);
  return Channel(std::move(state));
}

Channel Channel::responder(const KeyPair& own, std::optional<SecretKey> psk,
                           std::optional<KeyPair> ephemeral, StaticSecret static_secret) {
  const Prologue prologue = prologue_for(own.public_key);
  auto state = std::make_unique<State>();
  state->handshake = std::make_unique<HandshakeState>(
      HandshakeConfig{.pattern = psk ? NoisePattern::IKpsk2 : NoisePattern::IK,
                      .role = NoiseRole::responder,
                      .prologue = prologue,
                      .own = own,
                      .remote_static = {},
                      .psk = psk,
                      .ephemeral = ephemeral,
                      .static_secret = std::move(static_secret)});
  wipe_copies(psk, ephemeral);
  return Channel(std::move(state));
}

tl::expected<void, ChannelError> Channel::receive(ByteView bytes,
                                                  const FrameAssembler::OnFrame& on_frame) {
  if (state_->failed) return tl::unexpected(*state_->failed);
  const auto received = state_->receive(bytes, on_frame);
  if (!received) {
    state_->failed = received.error();
    state_->partial = {};
  }
  return received;
}

void Channel::send(ByteView frame_body) {
  assert(frame_body.size() >= kFrameSizeMin && frame_body.size() <= kFrameSizeMax);
  Bytes& outgoing = state_->outgoing;
  if (outgoing.empty()) {  // the typical flush has one frame: one allocation, of the right size
    const std::size_t size = kFrameHeaderSize + frame_body.size();
    const std::size_t record_count = (size + kRecordPlaintextSizeMax - 1) / kRecordPlaintextSizeMax;
    outgoing.reserve(size + record_count * (kRecordHeaderSize + kNoiseTagSize));
  }
  std::array<std::uint8_t, kFrameHeaderSize> header;
  store_le(header.data(), static_cast<std::uint32_t>(frame_body.size()));
  state_->append_to_records(header);
  state_->append_to_records(frame_body);
}

void Channel::lend(Bytes memory) {
  assert(state_->outgoing.empty());
  state_->outgoing = std::move(memory);
  state_->outgoing.clear();
}

void Channel::flush(Bytes& out) {
  if (state_->handshake && state_->handshake->writes_next()) state_->write_handshake(out);
  if (!state_->records || state_->outgoing.empty()) return;
  state_->seal_outgoing();
  Bytes sealed = std::exchange(state_->outgoing, {});
  if (out.capacity() == 0) {
    out = std::move(sealed);
  } else {
    append(out, sealed);
  }
}

bool Channel::has_output() const {
  if (state_->records) return !state_->outgoing.empty();
  return state_->handshake->writes_next();
}

std::size_t Channel::pending() const {
  const std::size_t size = state_->outgoing.size();
  const std::size_t open = size % kRecordSizeMax;  // the last record, which has no tag yet
  return size / kRecordSizeMax * kRecordPlaintextSizeMax +
         (open == 0 ? 0 : open - kRecordHeaderSize);
}

bool Channel::established() const {
  return state_->records.has_value();
}

std::optional<Key> Channel::peer() const {
  return state_->peer;
}

FrameAssembler& Channel::frames() {
  return state_->frames;
}

std::size_t Channel::memory() const {
  return sizeof(State) + (state_->handshake ? sizeof(HandshakeState) : 0) +
         state_->partial.capacity() + state_->outgoing.capacity() + state_->frames.memory();
}

}  // namespace godwit::wire
