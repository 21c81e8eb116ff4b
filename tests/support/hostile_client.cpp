// Happy path: connect -> the handshake and the login, as far as the plan's stage wants them -> what
// the plan sends -> how it leaves; the end is noted in Seen, whoever made it.
#include "tests/support/hostile_client.hpp"

#include <algorithm>
#include <cassert>

#include "schema/wire/bytes.hpp"
#include "schema/wire/channel.hpp"
#include "schema/wire/limits.hpp"
#include "tests/support/tcp.hpp"

namespace godwit::support {
namespace {

using namespace std::chrono_literals;

wire::Bytes prologue_for(const wire::Key& relay_key) {
  constexpr std::string_view kName("godwit/relay/1\0", 15);
  wire::Bytes prologue(kName.begin(), kName.end());
  wire::append(prologue, relay_key.view());
  return prologue;
}

wire::Bytes record_of(wire::ByteView message) {
  assert(message.size() <= wire::kNoiseMessageSizeMax);
  wire::Bytes record(wire::kRecordHeaderSize);
  wire::store_u16_be(record.data(), static_cast<std::uint16_t>(message.size()));
  wire::append(record, message);
  return record;
}

std::string_view in_words(Seen::End end) {
  switch (end) {
    case Seen::End::by_relay: return "the relay ended it";
    case Seen::End::by_us: return "we ended it";
    case Seen::End::not_connected: return "it was not connected";
    case Seen::End::never: return "it did not end";
  }
  return "?";
}

}  // namespace

Plan plan_of(const Account& account, Plan::Stage stage, Plan::After after) {
  Plan plan;
  plan.stage = stage;
  plan.transport = account.transport;
  plan.user = account.user;
  plan.device = account.device;
  plan.after = after;
  return plan;
}

std::string Seen::describe() const {
  std::string text(in_words(end));
  if (handshaken) text += ", handshake done";
  if (welcomed) text += ", logged in";
  if (done) text += ", done";
  if (refused) text += ", refused " + std::string(wire::name_of(*refused));
  if (closing) text += ", closing " + std::string(wire::name_of(*closing));
  return text + ", " + std::to_string(bytes) + " bytes read";
}

wire::Bytes framed(wire::ByteView body, std::optional<std::uint32_t> size) {
  wire::Bytes frame;
  wire::append_le(frame, size.value_or(static_cast<std::uint32_t>(body.size())));
  wire::append(frame, body);
  return frame;
}

wire::Bytes first_message(const wire::KeyPair& own, const wire::Key& relay_key) {
  wire::Bytes record;
  wire::Channel::initiator(own, relay_key).flush(record);
  return record;
}

// ---- One connection ----------------------------------------------------------------------------

HostileClient::HostileClient(net::Loop& loop, const wire::RelayAddress& relay,
                             const std::string& from, Plan plan)
    : loop_(loop), plan_(std::move(plan)), relay_key_(plan_.relay_key.value_or(relay.key)) {
  const bool own_socket = plan_.receive_buffer > 0;
  auto stream =
      own_socket
          ? net::Stream::adopt(
                loop, begin_tcp(relay.host_port, from, plan_.receive_buffer).release())
          : net::Stream::connect(
                loop, relay.host_port,
                [this](tl::expected<void, net::NetError> connected) { on_connected(connected); },
                from);
  if (!stream) {
    end(Seen::End::not_connected);
    return;
  }
  stream_.emplace(*std::move(stream));
  stream_->start({
      .on_read = [this](wire::ByteView bytes) { on_read(bytes); },
      .on_closed = [this](net::NetError) { end(Seen::End::by_relay); },
      .on_drained = {},
  });
  if (own_socket) on_connected({});
}

void HostileClient::on_connected(tl::expected<void, net::NetError> connected) {
  if (!connected) return end(Seen::End::not_connected);
  if (plan_.stage == Plan::Stage::connected) return play();
  handshake_.emplace(wire::HandshakeConfig{.pattern = wire::NoisePattern::IK,
                                           .role = wire::NoiseRole::initiator,
                                           .prologue = prologue_for(relay_key_),
                                           .own = plan_.transport,
                                           .remote_static = relay_key_,
                                           .psk = {},
                                           .ephemeral = {}});
  wire::Bytes message;
  if (!handshake_->write({}, message)) return end(Seen::End::not_connected);
  write(record_of(message));
}

void HostileClient::on_read(wire::ByteView bytes) {
  seen_.bytes += bytes.size();
  if (plan_.stage == Plan::Stage::connected) return;  // nobody here could open it
  wire::append(input_, bytes);
  std::size_t used = 0;
  while (!ended_ && input_.size() - used >= wire::kRecordHeaderSize) {
    const auto rest = wire::ByteView(input_).subspan(used);
    const std::size_t length = wire::load_u16_be(rest);
    if (rest.size() < wire::kRecordHeaderSize + length) break;
    used += wire::kRecordHeaderSize + length;
    take_message(rest.subspan(wire::kRecordHeaderSize, length));
  }
  input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(used));
  if (!ended_ && played_ && plan_.reads_every > 0ms) rest();
}

void HostileClient::rest() {
  stream_->pause();
  rest_.emplace(loop_, [this] { stream_->resume(); });
  rest_->start(plan_.reads_every);
}

void HostileClient::take_message(wire::ByteView message) {
  if (!receives_) return take_handshake(message);
  if (message.size() < wire::kNoiseTagSize) return end(Seen::End::never);
  wire::Bytes plaintext(message.size() - wire::kNoiseTagSize);
  if (!receives_->open(plaintext, message)) return end(Seen::End::never);
  const auto fed = frames_.feed(plaintext, [this](wire::ByteView body) {
    take_frame(body);
    return !ended_;
  });
  if (!fed) end(Seen::End::never);
}

void HostileClient::take_handshake(wire::ByteView message) {
  if (!handshake_->read(message)) return end(Seen::End::never);
  auto ciphers = handshake_->split();
  sends_.emplace(std::move(ciphers.send));
  receives_.emplace(std::move(ciphers.receive));
  seen_.handshaken = true;
  if (plan_.stage == Plan::Stage::handshaken) return play();
  wire::Encoder encoder;
  seal(framed(encoder.encode(
      wire::Request{1, wire::Login{wire::kProtocolVersion, plan_.user, plan_.device}})));
}

void HostileClient::take_frame(wire::ByteView body) {
  const auto frame = wire::parse_relay_frame(body);
  if (!frame) return end(Seen::End::never);
  if (const auto* closing = std::get_if<wire::Closing>(&frame->body)) {
    seen_.closing = closing->code;
  } else if (const auto* refused = std::get_if<wire::Refused>(&frame->body)) {
    seen_.refused = refused->code;
    answered();
  } else if (const auto* submitted = std::get_if<wire::Submitted>(&frame->body)) {
    const wire::ErrorCode code = submitted->outcomes.front().code;
    if (code == wire::ErrorCode::ok) {
      seen_.done = true;
    } else {
      seen_.refused = code;
    }
    answered();
  } else if (const auto* deliver = std::get_if<wire::Deliver>(&frame->body)) {
    if (!plan_.acks) return;
    wire::Encoder encoder;
    seal(framed(encoder.encode(wire::Request{++acks_sent_, wire::Ack{deliver->number, {}}})));
  } else if (std::holds_alternative<wire::Done>(frame->body)) {
    seen_.done = true;
    answered();
  } else if (std::holds_alternative<wire::Welcome>(frame->body)) {
    frames_.set_size_max(wire::kFrameSizeMax);
    seen_.welcomed = true;
    if (plan_.stage != Plan::Stage::welcome || played_) return answered();
    play();
  }
}

// One answer is what was waited for.
void HostileClient::answered() {
  if (plan_.after == Plan::After::wait) end(Seen::End::by_us);
}

void HostileClient::play() {
  played_ = true;
  if (!plan_.plaintext.empty()) seal(plan_.plaintext);
  if (plan_.drip > 0ms) {
    drip_.emplace(loop_, [this] { drip(); });
    return drip_->start(plan_.drip, plan_.drip);
  }
  if (!plan_.raw.empty()) write(plan_.raw);
  leave();
}

void HostileClient::leave() {
  switch (plan_.after) {
    case Plan::After::wait:
    case Plan::After::stay:
      return;
    case Plan::After::fin:
      return stream_->shutdown();
    case Plan::After::reset:
      return end(Seen::End::by_us);
  }
}

void HostileClient::drip() {
  if (dripped_ < plan_.raw.size()) return write({plan_.raw[dripped_++]});
  drip_->stop();
  leave();
}

void HostileClient::write(wire::Bytes bytes) {
  wire::append(seen_.written, bytes);
  stream_->write(std::move(bytes));
}

void HostileClient::seal(wire::ByteView plaintext) {
  wire::Bytes records;
  while (!plaintext.empty()) {
    const auto part = plaintext.first(std::min(plaintext.size(), wire::kRecordPlaintextSizeMax));
    plaintext = plaintext.subspan(part.size());
    wire::Bytes message(part.size() + wire::kNoiseTagSize);
    [[maybe_unused]] const auto sealed = sends_->seal(message, part);
    assert(sealed);
    wire::append(records, record_of(message));
  }
  write(std::move(records));
}

// With RST: a port of ours that waited out its time after a FIN could not be used again, and ten
// thousand connections need many.
void HostileClient::end(Seen::End how) {
  if (ended_) return;
  ended_ = true;
  seen_.end = how;
  drip_.reset();
  rest_.reset();
  if (stream_) stream_->reset();
}

// ---- A crowd -----------------------------------------------------------------------------------

HostileCrowd::Verdict HostileCrowd::run(const Size& size, const MakePlan& make_plan,
                                        const Judge& judge) {
  struct Place {
    std::unique_ptr<HostileClient> client;
    std::chrono::steady_clock::time_point since;
  };
  Verdict verdict;
  net::Loop loop;
  // So that the loop comes round even when no connection says anything.
  net::Timer tick(loop, [] {});
  tick.start(100ms, 100ms);
  std::vector<Place> places(std::min(size.at_once, size.connections));
  std::size_t begun = 0;
  std::size_t judged = 0;
  while (judged < size.connections) {
    const auto now = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < places.size(); ++i) {
      Place& place = places[i];
      if (place.client && now - place.since > size.patience) place.client->give_up();
      if (place.client && place.client->ended()) {
        ++judged;
        const std::string wrong = judge(place.client->seen());
        if (!wrong.empty() && verdict.wrong++ == 0) verdict.first_wrong = wrong;
        place.client.reset();
      }
      if (!place.client && begun < size.connections) {
        place.client = std::make_unique<HostileClient>(loop, relay_, from_, make_plan(begun, i));
        place.since = now;
        ++begun;
      }
    }
    if (judged < size.connections) loop.run_once();
  }
  return verdict;
}

}  // namespace godwit::support
